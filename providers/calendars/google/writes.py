"""Writing our events into a Google calendar so that a repeat, a lost answer or a stranger's change does no harm.

Called by `calendars.GoogleCalendars`. New events get an id that we derive, so a repeat meets its own earlier work as a 409; changes are
patches on the condition of the etag, which leave alone what people added; every doubtful outcome ends in a read. Google keeps deleted
events, so an id that was used once is made to stand again rather than inserted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from providers.calendars.base import CalendarRef, EventDraft, Receipt, RemoteEvent
from providers.calendars.content import draft_hash, is_same_appointment
from providers.calendars.google.draft import as_written, insert_body, patch_body
from providers.calendars.google.errors import Declined, NotFound, Unclear, calendar_missing
from providers.calendars.google.mapping import is_deleted, mark_of
from providers.calendars.google.objects import find_object, look_at_calendar, told
from providers.calendars.google.wire import GoogleWire, Json
from providers.errors import Conflict, Gone, ProviderError, Temporary, Throttled

MAX_TRIES = 3
_QUIETLY = {"sendUpdates": "none"}
"""The portal mails the customer; Google never does."""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a draft is to stand."""

    wire: GoogleWire
    calendar: CalendarRef
    remote_id: str
    draft: EventDraft


class _Lost(Exception):
    """Whether the write happened is not known; `why` is to be raised when it did not."""

    def __init__(self, why: ProviderError) -> None:
        super().__init__(str(why))
        self.why = why


def put_event(
    wire: GoogleWire, calendar: CalendarRef, draft: EventDraft, *, remote_id: str, if_match: str | None
) -> Receipt:
    """The contract's `put`."""
    target = _Target(wire, calendar, remote_id, draft)
    return _create(target) if if_match is None else _update(target, if_match)


def delete_event(wire: GoogleWire, calendar: CalendarRef, remote_id: str, if_match: str | None) -> None:
    """The contract's `delete`."""
    try:
        _ask(wire, "events.delete", if_match=if_match, calendarId=calendar.remote_id, eventId=remote_id, **_QUIETLY)
    except NotFound:
        look_at_calendar(wire, calendar)
    except Gone:
        return
    except Conflict:
        current = _standing(wire, calendar, remote_id)
        if current is not None:
            raise Conflict("The event was changed since it was last read.", current=_seen(current, calendar)) from None
    except _Lost as lost:
        if _standing(wire, calendar, remote_id) is not None:
            raise lost.why from None


def _create(target: _Target) -> Receipt:
    try:
        return _receipt(target, _insert(target))
    except NotFound:
        raise calendar_missing() from None
    except Conflict:
        return _adopt(target)
    except _Lost as lost:
        found = find_object(target.wire, target.calendar, target.remote_id)
        if found is None or not _is_done(target, found):
            raise lost.why from None
        return _receipt(target, found)


def _adopt(target: _Target) -> Receipt:
    """Make equal to the draft what has its id, if it is ours from an earlier try or a deleted one."""
    for _ in range(MAX_TRIES):
        found = find_object(target.wire, target.calendar, target.remote_id)
        if found is None:
            raise Temporary("Google says that the event is there already, but does not show it.")
        if not _is_ours(target, found):
            current = _seen(found, target.calendar)
            raise Conflict("Another event stands where this one belongs.", current=current)
        if _is_done(target, found):
            return _receipt(target, found)
        try:
            return _change(target, str(found["etag"]))
        except Conflict:
            current = _seen(found, target.calendar)
    raise Conflict("The event changes faster than it can be written.", current=current)


def _update(target: _Target, if_match: str) -> Receipt:
    try:
        return _change(target, if_match)
    except NotFound:
        look_at_calendar(target.wire, target.calendar)
        raise
    except Conflict:
        current = _standing(target.wire, target.calendar, target.remote_id)
    if current is None:
        raise Gone("The event to change is not there any more.")
    if _is_done(target, current):  # an earlier try did it, and its answer was lost
        return _receipt(target, current)
    seen = _seen(current, target.calendar)
    raise Conflict("The event was changed since it was last read.", current=seen)


def _change(target: _Target, if_match: str) -> Receipt:
    """One conditional patch. Raises Conflict when it is another version by now."""
    try:
        return _receipt(target, _patch(target, if_match))
    except _Lost as lost:
        found = find_object(target.wire, target.calendar, target.remote_id)
        if found is None or not _is_done(target, found):
            raise lost.why from None
        return _receipt(target, found)


def _insert(target: _Target) -> Json:
    place = {"calendarId": target.calendar.remote_id}
    try:
        return _write(target, "events.insert", body=insert_body(target.draft, target.remote_id), **place)
    except Declined:
        if not target.draft.wants_meeting:
            raise
    # Some calendars take no Meet link, and refuse the event with it. Better an event without one than none.
    body = insert_body(target.draft, target.remote_id, with_meeting=False)
    return _write(target, "events.insert", body=body, **place)


def _patch(target: _Target, if_match: str) -> Json:
    place = {"calendarId": target.calendar.remote_id, "eventId": target.remote_id, "if_match": if_match}
    try:
        return _write(target, "events.patch", body=patch_body(target.draft), **place)
    except Declined:
        if not target.draft.wants_meeting:
            raise
    return _write(target, "events.patch", body=patch_body(target.draft, with_meeting=False), **place)


def _write(target: _Target, method: str, **parameters: Any) -> Json:
    answer = _ask(target.wire, method, conferenceDataVersion=1, **_QUIETLY, **parameters)
    if answer.get("id") != target.remote_id or not answer.get("etag"):
        raise _Lost(Unclear("Google's answer does not name the event."))
    return answer


def _ask(wire: GoogleWire, method: str, **parameters: Any) -> Json:
    """As the wire does it, but raises _Lost where the write may have happened."""
    try:
        return wire.send(method, **parameters)
    except Throttled:
        raise
    except (Temporary, Unclear) as error:
        raise _Lost(error) from error


def _receipt(target: _Target, answer: Json) -> Receipt:
    seen = _seen(answer, target.calendar)
    return Receipt(
        remote_id=target.remote_id, etag=seen.etag, content_hash=seen.content_hash, meeting_url=seen.meeting_url
    )


def _is_done(target: _Target, found: Json) -> bool:
    """True when the event says what the draft says, by the same booking's mark; in the words that no hash sees, too."""
    seen, wanted = _seen(found, target.calendar), as_written(target.draft)
    if is_deleted(found) or seen.mark != target.draft.mark or seen.content_hash != draft_hash(target.draft):
        return False
    if target.draft.wants_meeting and "conferenceData" not in found:
        return False
    return all(
        str(found.get(name, "")).strip() == getattr(wanted, name).strip() for name in ("description", "location")
    )


def _is_ours(target: _Target, found: Json) -> bool:
    """By our mark; a deleted event may have lost it, and stands in nobody's way."""
    mark = mark_of(found)
    return is_same_appointment(mark, target.draft.mark) or (mark is None and is_deleted(found))


def _standing(wire: GoogleWire, calendar: CalendarRef, remote_id: str) -> Json | None:
    found = find_object(wire, calendar, remote_id)
    return None if found is None or is_deleted(found) else found


def _seen(event: Json, calendar: CalendarRef) -> RemoteEvent:
    now = datetime.now(UTC)
    return told(event, calendar, window=(now, now + timedelta(days=1)))
