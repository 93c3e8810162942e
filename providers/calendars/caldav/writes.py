"""Writing our events into a CalDAV calendar so that a repeat, a lost answer or a stranger's change does no harm.

Called by `calendars.CalDavCalendars`. Every write is conditional, every doubtful outcome ends in a read, and what stands at
our derived href is only overwritten when it is ours. RFC 4791 section 5.3.2, RFC 9110 section 13.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urljoin, urlsplit

from providers.calendars.base import CalendarRef, EventDraft, Receipt, RemoteEvent, Span
from providers.calendars.caldav.errors import UID_TAKEN, error_of
from providers.calendars.caldav.objects import is_strong, object_url, read_object, told
from providers.calendars.caldav.search import find_by_uid
from providers.calendars.caldav.wire import DavAnswer, DavWire, path_of
from providers.calendars.content import draft_hash, is_same_appointment
from providers.calendars.ical.draft import write_event
from providers.errors import Conflict, Gone, ProviderError, Temporary

MAX_TRIES = 3
_SAFE_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a draft is to stand, and the draft as text."""

    calendar: CalendarRef
    path: str
    draft: EventDraft
    text: str


def path_for(calendar: CalendarRef, uid: str) -> str:
    """The path at which an event with this UID stands; derived from both alone."""
    name = uid if _SAFE_NAME.fullmatch(uid) else hashlib.sha256(uid.encode()).hexdigest()[:40]
    return path_of(urlsplit(calendar.remote_id).path.rstrip("/") + f"/{name}.ics")


def put_event(
    wire: DavWire, calendar: CalendarRef, draft: EventDraft, *, path: str, if_match: str | None, now: datetime
) -> Receipt:
    """The contract's `put`."""
    target = _Target(calendar, path, draft, write_event(draft, stamp=now))
    return _create(wire, target) if if_match is None else _update(wire, target, if_match)


def delete_event(wire: DavWire, calendar: CalendarRef, path: str, if_match: str | None) -> None:
    """The contract's `delete`."""
    headers = {"If-Match": _quoted(if_match)} if if_match else {}
    try:
        answer = wire.send("DELETE", object_url(calendar, path), headers=headers)
    except Temporary:
        if _stands(wire, calendar, path) is None:
            return None
        raise
    if answer.status < 300:
        return None
    if answer.status in (404, 410):
        return _delete_elsewhere(wire, calendar, path)
    if answer.status >= 500 and _stands(wire, calendar, path) is None:
        return None
    if answer.status != 412:
        raise error_of(answer)
    current = _stands(wire, calendar, path)
    if current is None:
        return None
    if if_match and current.etag == if_match and current.mark is not None:
        # The server refuses the very etag that it gives (a proxy rewrites them). The event is ours and unchanged.
        return delete_event(wire, calendar, path, None)
    raise Conflict("The event was changed since it was last read.", current=current)


def _create(wire: DavWire, target: _Target) -> Receipt:
    answer = _put(wire, target, {"If-None-Match": "*"})
    if answer is None or answer.status < 300:
        return _receipt(wire, target, answer)
    if answer.status not in (403, 405, 409, 412):
        raise error_of(answer)
    current = _stands(wire, target.calendar, target.path)
    if current is not None:
        return _adopt(wire, target, current)
    if answer.preconditions & UID_TAKEN:
        return _adopt_elsewhere(wire, target)
    raise error_of(answer)


def _adopt(wire: DavWire, target: _Target, current: RemoteEvent) -> Receipt:
    """Make equal to the draft what stands in its place, if it is ours from an earlier try."""
    for _ in range(MAX_TRIES):
        if not _is_ours(current, target.draft):
            raise Conflict("Another entry stands where this event belongs.", current=current)
        if current.content_hash == draft_hash(target.draft) and current.mark == target.draft.mark:
            return Receipt(remote_id=target.path, etag=current.etag, content_hash=current.content_hash)
        answer = _put(wire, target, {"If-Match": _quoted(current.etag)})
        if answer is None or answer.status < 300:
            return _receipt(wire, target, answer)
        if answer.status != 412:
            raise error_of(answer)
        meaning, current = current.content_hash, _present(wire, target)
    if current.content_hash != meaning or not _is_ours(current, target.draft):
        raise Conflict("The entry changes faster than it can be written.", current=current)
    # Etags that change while the event does not: some proxy's doing. It is ours, so it is written without condition.
    return _overwrite(wire, target)


def _adopt_elsewhere(wire: DavWire, target: _Target) -> Receipt:
    """The server knows this UID under another href: ours when it carries our mark (a server may choose its hrefs)."""
    for current in find_by_uid(wire, target.calendar, target.draft.uid):
        if not is_same_appointment(current.mark, target.draft.mark):
            raise Conflict("Another entry of this calendar has this event's identity.", current=current)
        return _adopt(wire, _Target(target.calendar, current.remote_id, target.draft, target.text), current)
    raise Conflict("Another calendar of this account holds an entry with this event's identity.")


def _update(wire: DavWire, target: _Target, if_match: str) -> Receipt:
    answer = _put(wire, target, {"If-Match": _quoted(if_match)})
    if answer is None or answer.status < 300:
        return _receipt(wire, target, answer)
    if answer.status not in (404, 409, 410, 412):
        raise error_of(answer)
    current = _present(wire, target)
    if current.content_hash == draft_hash(target.draft) and _is_ours(current, target.draft):
        return _update_words(wire, target, current)
    if current.etag == if_match and _is_ours(current, target.draft):
        # The server refuses the very etag that it gives. Nobody has changed the event, and it is ours.
        return _overwrite(wire, target)
    raise Conflict("The event was changed since it was last read.", current=current)


def _update_words(wire: DavWire, target: _Target, current: RemoteEvent) -> Receipt:
    """It means what the draft means: an earlier try did it, and its answer was lost. Or a person changed it, and the draft has other words."""
    answer = _put(wire, target, {"If-Match": _quoted(current.etag)})
    if answer is None or answer.status < 300:
        return _receipt(wire, target, answer)
    return Receipt(remote_id=target.path, etag=current.etag, content_hash=current.content_hash)


def _overwrite(wire: DavWire, target: _Target) -> Receipt:
    answer = _put(wire, target, {})
    if answer is not None and answer.status >= 300:
        raise error_of(answer)
    return _receipt(wire, target, answer)


def _put(wire: DavWire, target: _Target, condition: dict[str, str]) -> DavAnswer | None:
    """The server's answer; None when it was lost although the event now stands there as we want it.

    Raises Temporary when it was lost and the event does not stand there (yet).
    """
    headers = {"Content-Type": "text/calendar; charset=utf-8", **condition}
    lost: ProviderError
    try:
        answer = wire.send("PUT", object_url(target.calendar, target.path), body=target.text, headers=headers)
    except Temporary as error:
        lost = error
    else:
        if answer.status < 500 or answer.status == 507:
            return answer
        lost = error_of(answer)
    current = _stands(wire, target.calendar, target.path)
    if current is not None and current.mark == target.draft.mark and current.content_hash == draft_hash(target.draft):
        return None
    raise lost


def _receipt(wire: DavWire, target: _Target, answer: DavAnswer | None) -> Receipt:
    """Proof of a write. Read back where the server gave no strong etag, for then it has changed what it was given."""
    path, etag = target.path, ""
    if answer is not None:
        etag = answer.headers.get("ETag", "")
        location = urljoin(answer.url, answer.headers.get("Location", ""))
        if answer.status == 201 and location != answer.url and wire.is_at_home(location):
            path = path_of(location)
    if is_strong(etag) and path == target.path:
        return Receipt(remote_id=path, etag=etag, content_hash=draft_hash(target.draft))
    current = _stands(wire, target.calendar, path) or _settle_elsewhere(wire, target)
    if current is None:
        raise Temporary("The server took the event but does not show it yet.")
    return Receipt(remote_id=current.remote_id, etag=current.etag, content_hash=current.content_hash)


def _settle_elsewhere(wire: DavWire, target: _Target) -> RemoteEvent | None:
    """The event, where the server stored it under a href of its own without a word. Earlier tries may have left more of them: one remains."""
    draft = target.draft
    found = find_by_uid(wire, target.calendar, draft.uid, around=(draft.start_at, draft.end_at))
    ours = [event for event in found if _is_ours(event, draft)]
    meant = [event for event in ours if event.content_hash == draft_hash(draft)]
    kept = min(meant or ours, key=lambda event: event.remote_id, default=None)
    for event in ours:
        if event is not kept:
            delete_event(wire, target.calendar, event.remote_id, event.etag)
    return kept


def _delete_elsewhere(wire: DavWire, calendar: CalendarRef, path: str) -> None:
    """Take away what the server stored under hrefs of its own, of the event that was to stand at this path."""
    uid = unquote(path.rpartition("/")[2]).removesuffix(".ics")
    if path != path_for(calendar, uid):
        return
    for event in find_by_uid(wire, calendar, uid):
        if event.mark is not None and event.remote_id != path:
            delete_event(wire, calendar, event.remote_id, event.etag)


def _present(wire: DavWire, target: _Target) -> RemoteEvent:
    current = _stands(wire, target.calendar, target.path)
    if current is not None:
        return current
    elsewhere = [
        event for event in find_by_uid(wire, target.calendar, target.draft.uid) if _is_ours(event, target.draft)
    ]
    if not elsewhere:
        raise Gone("The event to change is not there any more.")
    raise Conflict("The server has moved the event to another address.", current=elsewhere[0])


def _stands(wire: DavWire, calendar: CalendarRef, path: str) -> RemoteEvent | None:
    """What stands at this path now, or None."""
    try:
        text, etag = read_object(wire, calendar, path)
    except Gone:
        return None
    return told(text, path, etag, calendar=calendar, window=_now_window(), zone=calendar.zone)


def _now_window() -> Span:
    now = datetime.now(UTC)
    return now, now + timedelta(days=1)


def _is_ours(event: RemoteEvent, draft: EventDraft) -> bool:
    """By our mark; or by our UID alone, for servers that drop properties they do not know."""
    return is_same_appointment(event.mark, draft.mark) or (event.mark is None and event.uid == draft.uid)


def _quoted(etag: str) -> str:
    """An etag as If-Match wants it: strong and in quotes."""
    bare = etag.removeprefix("W/")
    return bare if bare.startswith('"') else f'"{bare}"'
