"""Conditional writes of one event, and what a refused condition tells. No database; called by publish with no transaction open.

A 412 means that the object is another version than we knew. Often nothing happened (a proxy rewrote the etag, our own answer was lost), so
the meaning decides: our own work is adopted, an idle change is written over, and a person's move is handed up, never overwritten blindly.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from portal.sync.event.desired import LinkView
from providers.calendars.base import CalendarProvider, CalendarRef, EventDraft, EventMark, Receipt, RemoteEvent
from providers.calendars.content import draft_hash, is_same_appointment
from providers.errors import Conflict, Gone

TRIES = 3


class ChangedOutside(Exception):
    """A person changed the event since we last saw it; `event` is how it stands now."""

    def __init__(self, event: RemoteEvent) -> None:
        super().__init__("The event was changed outside.")
        self.event = event


class RemovedOutside(Exception):
    """The event to change is not there any more."""


def update_event(
    provider: CalendarProvider, ref: CalendarRef, draft: EventDraft, *, link: LinkView, on_forced: Callable[[], None]
) -> Receipt:
    """Make the standing event equal `draft`. Raises ChangedOutside, RemovedOutside, and the errors of the provider.

    Some servers never accept an etag that they gave themselves. After three refusals without a change of meaning the condition is
    dropped, for what stands there has just been read, and is ours; `on_forced` is told.
    """
    etag: str | None = link.etag
    for _ in range(TRIES):
        try:
            return provider.put(ref, draft, remote_id=link.remote_id, if_match=etag)
        except Gone:  # one refusal is not believed: the rule for deleted events may cancel the booking
            current = _look(provider, ref, link.remote_id, draft=draft)
        except Conflict as refusal:
            current = _current(provider, ref, link.remote_id, refusal, draft=draft)
        # Where the meaning is the draft's already (our own work, whose answer was lost), its words need not be: no hash sees them.
        is_equal = current.content_hash == draft_hash(draft)
        if not is_equal and is_changed(current, draft, link):
            raise ChangedOutside(current)
        etag = current.etag
    on_forced()
    return provider.put(ref, draft, remote_id=link.remote_id, if_match=None)


def delete_event(
    provider: CalendarProvider, ref: CalendarRef, mark: EventMark, *, link: LinkView, now: datetime
) -> None:
    """Take the event away, changed by a person or not, for its booking is over. Never one that is not ours."""
    window = (link.start_at or now, link.end_at or now)
    for _ in range(TRIES):
        try:
            current = provider.get(ref, link.remote_id, window=window)
            if not is_same_appointment(current.mark, mark) and current.uid != link.uid:
                return
            provider.delete(ref, link.remote_id, if_match=current.etag)
            return
        except Gone:
            return
        except Conflict:
            continue  # changed between the two requests: look again
    provider.delete(ref, link.remote_id, if_match=None)


def is_changed(current: RemoteEvent, draft: EventDraft, link: LinkView) -> bool:
    """True when a person did more to the event than giving it another title."""
    if current.content_hash in (link.content_hash, *link.sent_hash.split()):
        return False
    if current.is_cancelled:
        return True
    times = (current.start_at, current.end_at)
    return times not in ((link.start_at, link.end_at), (draft.start_at, draft.end_at))


def _current(
    provider: CalendarProvider, ref: CalendarRef, remote_id: str, refusal: Conflict, *, draft: EventDraft
) -> RemoteEvent:
    if isinstance(refusal.current, RemoteEvent):
        return refusal.current
    return _look(provider, ref, remote_id, draft=draft)


def _look(provider: CalendarProvider, ref: CalendarRef, remote_id: str, *, draft: EventDraft) -> RemoteEvent:
    """How the event stands now. Raises RemovedOutside when it does not."""
    try:
        return provider.get(ref, remote_id, window=(draft.start_at, draft.end_at))
    except Gone:
        raise RemovedOutside from None
