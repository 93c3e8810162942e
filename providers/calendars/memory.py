"""An honest calendar provider that lives in memory: for tests of everything that stands above a provider.

It fulfils the same contract as the real ones (etags, sync tokens, tombstones, conditional writes) and adds
what a test needs: acting as a person in the calendar, injected faults, a list of the calls that were made,
and the newest draft of each object (`drafts`). One store per name, shared by everybody who opens that name, safe between threads.
"""

from __future__ import annotations

import secrets
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from providers.calendars.base import (
    CalendarRef,
    Capabilities,
    ChangeBatch,
    EventDraft,
    EventMark,
    Receipt,
    RemoteCalendar,
    RemoteEvent,
    Span,
    Subscription,
)
from providers.calendars.content import content_hash, draft_hash, is_same_appointment
from providers.errors import (
    Conflict,
    Gone,
    Misconfigured,
    PermissionMissing,
    ProviderError,
    SyncTokenExpired,
    Temporary,
)

DEFAULT_CALENDAR = "calendar"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One object as the store holds it. `repeats` are the further occurrences of a series."""

    remote_id: str
    etag: str
    uid: str
    mark: EventMark | None
    summary: str
    description: str = ""
    start_at: datetime
    end_at: datetime
    sequence: int = 0
    is_cancelled: bool = False
    is_transparent: bool = False
    problem: str | None = None
    repeats: tuple[Span, ...] = ()
    meeting_url: str = ""
    awaits_meeting: bool = False


@dataclass(slots=True)
class _Calendar:
    about: RemoteCalendar
    entries: dict[str, _Entry] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    generation: int = 1


@dataclass(frozen=True, slots=True)
class HeldSubscription:
    """A push subscription as the store keeps it: what a messenger needs to know."""

    granted: Subscription
    calendar: str
    address: str
    secret: str


class MemoryCalendars:
    """All calendars of one imagined account. `open` gives the one of that name; `reset` forgets all."""

    _stores: ClassVar[dict[str, MemoryCalendars]] = {}
    _stores_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.drafts: dict[str, EventDraft] = {}
        self._lock = threading.RLock()
        self._calendars: dict[str, _Calendar] = {}
        self._serial = 0
        self._faults: dict[str, list[ProviderError]] = {}
        self._standing_fault: ProviderError | None = None
        self._lost_answers = 0
        self._has_change_feed = True
        self._sees_window_only = False
        self._push_life: timedelta | None = None
        self.subscriptions: dict[str, HeldSubscription] = {}
        self._meetings_are_slow = False
        self.add_calendar(DEFAULT_CALENDAR, name="Calendar")

    @classmethod
    def open(cls, name: str) -> MemoryCalendars:
        """The store of that name, made with one empty calendar called `calendar` when it is new."""
        with cls._stores_lock:
            return cls._stores.setdefault(name, cls())

    @classmethod
    def reset(cls) -> None:
        """Forget every store."""
        with cls._stores_lock:
            cls._stores.clear()

    # The contract

    def list_calendars(self) -> list[RemoteCalendar]:
        with self._called("list_calendars"):
            return [calendar.about for calendar in self._calendars.values()]

    def changes(
        self, calendar: CalendarRef, sync_token: str | None, *, window: Span, known: Mapping[str, str]
    ) -> ChangeBatch:
        with self._called("changes"):
            held = self._calendar(calendar)
            named = self._named_since(held, sync_token)
            present = [held.entries[remote_id] for remote_id in named if remote_id in held.entries]
            if self._sees_window_only and sync_token is None:
                present = [entry for entry in present if _touches(entry, window)]
            same = {entry.remote_id for entry in present if known.get(entry.remote_id) == entry.etag}
            return ChangeBatch(
                upserts=tuple(_told(e, window) for e in present if e.remote_id not in same),
                unchanged=frozenset(same),
                removals=() if sync_token is None else tuple(r for r in named if r not in held.entries),
                next_token=self._token(held) if self._has_change_feed else None,
                is_complete=sync_token is None,
                is_windowed=self._sees_window_only,
            )

    def get(self, calendar: CalendarRef, remote_id: str, *, window: Span) -> RemoteEvent:
        with self._called("get"):
            return _told(self._entry(calendar, remote_id), window)

    def remote_id_for(self, calendar: CalendarRef, uid: str) -> str:
        return f"{calendar.remote_id}/{uid}"

    def put(self, calendar: CalendarRef, draft: EventDraft, *, remote_id: str, if_match: str | None) -> Receipt:
        with self._called("put"):
            held = self._writable(calendar)
            present = held.entries.get(remote_id)
            self._check_put(present, draft, if_match)
            meeting_url = self._meeting_of(present, draft)
            entry = self._store(
                held,
                _Entry(
                    remote_id=remote_id, etag="", uid=draft.uid, mark=draft.mark, summary=draft.summary,
                    description=draft.description, start_at=draft.start_at, end_at=draft.end_at, sequence=draft.sequence,
                    meeting_url=meeting_url, awaits_meeting=draft.wants_meeting and not meeting_url,
                ),
            )  # fmt: skip
            self.drafts[remote_id] = draft
            self._perhaps_lose_answer()
            return Receipt(
                remote_id=remote_id, etag=entry.etag, content_hash=draft_hash(draft), meeting_url=meeting_url
            )

    def delete(self, calendar: CalendarRef, remote_id: str, *, if_match: str | None) -> None:
        with self._called("delete"):
            held = self._writable(calendar)
            entry = held.entries.get(remote_id)
            if entry is None:
                return
            if if_match is not None and if_match != entry.etag:
                raise Conflict("The event was changed since it was last read.", current=_told(entry, _ALL_TIME))
            self._drop(held, remote_id)
            self._perhaps_lose_answer()

    def busy(self, calendar: CalendarRef, window: Span) -> list[tuple[str, Span]]:
        with self._called("busy"):
            told = [_told(entry, window) for entry in self._calendar(calendar).entries.values()]
            return [(event.remote_id, span) for event in told for span in event.busy]

    def subscribe(
        self, calendar: CalendarRef, *, address: str, subscription_id: str, secret: str
    ) -> Subscription | None:
        with self._called("subscribe"):
            if self._push_life is None:
                return None
            granted = Subscription(
                subscription_id=subscription_id,
                resource_id=f"watched {self._calendar(calendar).about.remote_id}",
                expires_at=datetime.now(UTC) + self._push_life,
            )
            self.subscriptions[subscription_id] = HeldSubscription(granted, calendar.remote_id, address, secret)
            self._perhaps_lose_answer()
            return granted

    def unsubscribe(self, subscription: Subscription) -> None:
        with self._called("unsubscribe"):
            held = self.subscriptions.get(subscription.subscription_id)
            if held is None or held.granted.resource_id != subscription.resource_id:
                raise Gone("There is no such subscription.")
            del self.subscriptions[subscription.subscription_id]

    def capabilities(self, calendar: CalendarRef) -> Capabilities:
        with self._called("capabilities"):
            return Capabilities(
                has_change_feed=self._has_change_feed,
                has_push=self._push_life is not None,
                can_write=self._calendar(calendar).about.is_writable,
            )

    def close(self) -> None:
        """Nothing to end: the store outlives its users."""

    # Acting as a person in the calendar

    def add_calendar(
        self, remote_id: str, *, name: str = "", zone: str | None = None, is_writable: bool = True
    ) -> RemoteCalendar:
        """A new, empty calendar."""
        about = RemoteCalendar(remote_id=remote_id, name=name or remote_id, zone=zone, is_writable=is_writable)
        with self._lock:
            self._calendars[remote_id] = _Calendar(about)
        return about

    def remove_calendar(self, remote_id: str) -> None:
        """The whole calendar is deleted by its owner."""
        with self._lock:
            del self._calendars[remote_id]

    def add_event(
        self,
        calendar: str,
        summary: str,
        start_at: datetime,
        end_at: datetime,
        *,
        uid: str | None = None,
        remote_id: str | None = None,
        mark: EventMark | None = None,
        is_transparent: bool = False,
        is_cancelled: bool = False,
        problem: str | None = None,
        repeats: tuple[Span, ...] = (),
    ) -> str:
        """A person enters an event; gives its remote id. `repeats` makes it a series with these further
        times."""
        with self._lock:
            held = self._calendars[calendar]
            self._serial += 1
            uid = uid or f"person-{self._serial}"
            entry = _Entry(
                remote_id=remote_id or f"{calendar}/{uid}", etag="", uid=uid, mark=mark, summary=summary,
                start_at=start_at, end_at=end_at, is_transparent=is_transparent, is_cancelled=is_cancelled,
                problem=problem, repeats=repeats,
            )  # fmt: skip
            return self._store(held, entry).remote_id

    def move_event(self, calendar: str, remote_id: str, start_at: datetime, end_at: datetime | None = None) -> None:
        """A person drags the event to another time; its length stays unless `end_at` is given."""
        with self._lock:
            held = self._calendars[calendar]
            entry = held.entries[remote_id]
            end_at = end_at or start_at + (entry.end_at - entry.start_at)
            self._store(held, replace(entry, start_at=start_at, end_at=end_at, sequence=entry.sequence + 1))

    def retitle_event(self, calendar: str, remote_id: str, summary: str) -> None:
        """A person changes the title only."""
        with self._lock:
            held = self._calendars[calendar]
            self._store(held, replace(held.entries[remote_id], summary=summary))

    def touch_event(self, calendar: str, remote_id: str) -> None:
        """The server gives the object a new etag though nothing changed, as some do."""
        with self._lock:
            held = self._calendars[calendar]
            self._store(held, held.entries[remote_id])

    def cancel_event(self, calendar: str, remote_id: str) -> None:
        """A person calls the event off; it stays in the calendar as cancelled."""
        with self._lock:
            held = self._calendars[calendar]
            self._store(held, replace(held.entries[remote_id], is_cancelled=True))

    def remove_event(self, calendar: str, remote_id: str) -> None:
        """A person deletes the event."""
        with self._lock:
            held = self._calendars[calendar]
            del held.entries[remote_id]
            held.log.append(remote_id)

    def set_meeting(self, calendar: str, remote_id: str, meeting_url: str) -> None:
        """A person puts another video meeting into the event, or with an empty link takes it out."""
        with self._lock:
            held = self._calendars[calendar]
            self._store(held, replace(held.entries[remote_id], meeting_url=meeting_url, awaits_meeting=False))

    def events(self, calendar: str = DEFAULT_CALENDAR) -> list[RemoteEvent]:
        """All that stands in the calendar now, by start, without counting as a call."""
        with self._lock:
            entries = sorted(self._calendars[calendar].entries.values(), key=lambda entry: entry.start_at)
            return [_told(entry, _ALL_TIME) for entry in entries]

    # Faults

    def fail_next(self, operation: str, error: ProviderError) -> None:
        """The next call of that method raises `error`, before it does anything. Calls may be heaped up."""
        with self._lock:
            self._faults.setdefault(operation, []).append(error)

    def fail_always(self, error: ProviderError | None) -> None:
        """Every call raises `error`, until this is called with None."""
        with self._lock:
            self._standing_fault = error

    def lose_answer_next(self) -> None:
        """The next write happens, but its caller only sees Temporary."""
        with self._lock:
            self._lost_answers += 1

    def expire_tokens(self, calendar: str = DEFAULT_CALENDAR) -> None:
        """The server forgets its change feed, tombstones and all."""
        with self._lock:
            held = self._calendars[calendar]
            held.generation += 1
            held.log.clear()

    def with_push(self, life: timedelta = timedelta(days=7)) -> None:
        """From now on the store grants push subscriptions that live so long. Nothing is sent: a test plays the messenger."""
        with self._lock:
            self._push_life = life

    def sees_window_only(self) -> None:
        """From now on a complete reading lists only what touches the window, as Google's does."""
        with self._lock:
            self._sees_window_only = True

    def without_change_feed(self) -> None:
        """From now on the store behaves like a server that can only list."""
        with self._lock:
            self._has_change_feed = False

    def make_meetings_slowly(self) -> None:
        """From now on links to video meetings are not made at once, but when `finish_meetings` is called."""
        with self._lock:
            self._meetings_are_slow = True

    def finish_meetings(self, calendar: str = DEFAULT_CALENDAR) -> None:
        """Make the links that are still awaited; their events get new versions."""
        with self._lock:
            held = self._calendars[calendar]
            for entry in [entry for entry in held.entries.values() if entry.awaits_meeting]:
                self._store(held, replace(entry, meeting_url=_meeting_link(), awaits_meeting=False))

    # Helpers

    def _called(self, operation: str) -> threading.RLock:
        """Count the call, raise what was injected, and give the lock to work under."""
        with self._lock:
            self.calls.append(operation)
            waiting = self._faults.get(operation)
            if waiting:
                raise waiting.pop(0)
            if self._standing_fault is not None:
                raise self._standing_fault
        return self._lock

    def _calendar(self, calendar: CalendarRef) -> _Calendar:
        try:
            return self._calendars[calendar.remote_id]
        except KeyError:
            raise Misconfigured("This calendar does not exist any more.") from None

    def _writable(self, calendar: CalendarRef) -> _Calendar:
        held = self._calendar(calendar)
        if not held.about.is_writable:
            raise PermissionMissing("This calendar may be read but not changed.")
        return held

    def _entry(self, calendar: CalendarRef, remote_id: str) -> _Entry:
        try:
            return self._calendar(calendar).entries[remote_id]
        except KeyError:
            raise Gone("There is no such event.") from None

    def _named_since(self, held: _Calendar, sync_token: str | None) -> list[str]:
        if sync_token is None:
            return list(held.entries)
        generation, _, position = sync_token.partition("-")
        if not self._has_change_feed or generation != str(held.generation) or not position.isdigit():
            raise SyncTokenExpired("The calendar no longer knows this sync token.")
        return list(dict.fromkeys(held.log[int(position) :]))

    def _token(self, held: _Calendar) -> str:
        return f"{held.generation}-{len(held.log)}"

    def _check_put(self, entry: _Entry | None, draft: EventDraft, if_match: str | None) -> None:
        if entry is None:
            if if_match is not None:
                raise Gone("The event to change is not there any more.")
            return
        if if_match is None and not is_same_appointment(entry.mark, draft.mark):
            raise Conflict("Another event stands in this place.", current=_told(entry, _ALL_TIME))
        if if_match is not None and if_match != entry.etag:
            raise Conflict("The event was changed since it was last read.", current=_told(entry, _ALL_TIME))

    def _meeting_of(self, present: _Entry | None, draft: EventDraft) -> str:
        """The link that the event has keeps being its link, wherever it is moved."""
        if present is not None and present.meeting_url:
            return present.meeting_url
        return _meeting_link() if draft.wants_meeting and not self._meetings_are_slow else ""

    def _store(self, held: _Calendar, entry: _Entry) -> _Entry:
        self._serial += 1
        entry = replace(entry, etag=f'"{self._serial}"')
        held.entries[entry.remote_id] = entry
        held.log.append(entry.remote_id)
        return entry

    def _drop(self, held: _Calendar, remote_id: str) -> None:
        del held.entries[remote_id]
        held.log.append(remote_id)

    def _perhaps_lose_answer(self) -> None:
        if self._lost_answers:
            self._lost_answers -= 1
            raise Temporary("The connection broke before the answer came.")


def open_account(*, account: Mapping[str, str], **_unused: Any) -> MemoryCalendars:
    """See `providers.kind.OpenAccount`: the store that is named by the account's address."""
    return MemoryCalendars.open(account["url"])


_FOREVER = timedelta(days=36500)
_MIDDLE = datetime.fromisoformat("2030-01-01T00:00:00+00:00")
_ALL_TIME: Span = (_MIDDLE - _FOREVER, _MIDDLE + _FOREVER)


def _told(entry: _Entry, window: Span) -> RemoteEvent:
    """The entry in the words of the contract."""
    return RemoteEvent(
        remote_id=entry.remote_id,
        etag=entry.etag,
        uid=entry.uid,
        mark=entry.mark,
        summary=entry.summary,
        description=entry.description if entry.mark is not None else "",
        start_at=entry.start_at,
        end_at=entry.end_at,
        sequence=entry.sequence,
        is_recurring=bool(entry.repeats),
        is_cancelled=entry.is_cancelled,
        busy=_busy_times(entry, window) if entry.mark is None else (),
        taken=_busy_times(entry, window) if entry.mark is not None else None,
        content_hash=_entry_hash(entry),
        problem=entry.problem,
        meeting_url=entry.meeting_url,
    )


def _meeting_link() -> str:
    """Three words of letters, as such links look."""
    words = ("".join(secrets.choice(string.ascii_lowercase) for _ in range(length)) for length in (3, 4, 3))
    return f"https://meet.example/{'-'.join(words)}"


def _touches(entry: _Entry, window: Span) -> bool:
    spans = [(entry.start_at, entry.end_at), *entry.repeats]
    return any(start < window[1] and end > window[0] for start, end in spans)


def _busy_times(entry: _Entry, window: Span) -> tuple[Span, ...]:
    if entry.is_cancelled or entry.is_transparent:
        return ()
    spans = [(entry.start_at, entry.end_at), *entry.repeats]
    clipped = [(max(start, window[0]), min(end, window[1])) for start, end in spans]
    return tuple(sorted(span for span in clipped if span[0] < span[1]))


def _entry_hash(entry: _Entry) -> str:
    return content_hash(
        uid=entry.uid,
        start_at=entry.start_at,
        end_at=entry.end_at,
        is_cancelled=entry.is_cancelled,
        is_transparent=entry.is_transparent,
        summary=entry.summary,
        sequence=entry.sequence,
        recurrence=[start.isoformat() for start, _ in entry.repeats],
    )
