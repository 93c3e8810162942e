"""What the stand-in keeps: accounts, calendars, events with their history. In memory, and gone with the process.

The body of a record is never changed once it is stored: a write makes a new one. So a listing can keep what it has seen, for paging and for
sync tokens, without copying. All of it is guarded by one lock, `World.lock`; every change of a calendar goes through `World.store`.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from providers.standins.google import times

Json = dict[str, Any]
ROLES = ("freeBusyReader", "reader", "writer", "owner")
"""From least to most."""


@dataclass(slots=True)
class Entry:
    """A calendar in somebody's list."""

    calendar_id: str
    role: str
    is_primary: bool = False
    changed_no: int = 0
    is_deleted: bool = False
    etag: str = ""


@dataclass(slots=True)
class Account:
    email: str
    subject: str
    zone: str
    entries: dict[str, Entry] = field(default_factory=dict)

    def role(self, calendar_id: str) -> str | None:
        """What this account may do with a calendar; None when it does not even see it."""
        entry = self.entries.get(calendar_id)
        return None if entry is None or entry.is_deleted else entry.role


@dataclass(frozen=True, slots=True)
class Record:
    """One event as it stands, a master, a single one or an exception. `no` is its place among the calendar's changes."""

    no: int
    body: Json
    start_at: datetime
    end_at: datetime

    @property
    def is_gone(self) -> bool:
        return bool(self.body["status"] == "cancelled")

    @property
    def is_series(self) -> bool:
        return bool(self.body.get("recurrence"))

    @property
    def series_id(self) -> str | None:
        found: str | None = self.body.get("recurringEventId")
        return found


@dataclass(slots=True)
class Calendar:
    id: str
    summary: str
    zone: str
    owner: str
    is_primary: bool = False
    makes_meetings: bool = True
    records: dict[str, Record] = field(default_factory=dict)
    history: dict[str, list[Record]] = field(default_factory=dict)
    changes: list[tuple[int, str]] = field(default_factory=list)
    no: int = 0
    oldest_token: int = 0
    """Sync tokens from before this change are forgotten."""

    def changed_since(self, no: int) -> list[str]:
        """Ids that changed after a change, in the order of their last change."""
        seen: dict[str, None] = {}
        for changed_no, event_id in reversed(self.changes):
            if changed_no <= no:
                break
            seen.setdefault(event_id)
        return list(reversed(seen))

    def as_of(self, event_id: str, no: int) -> Record | None:
        """The event as it stood after change `no`; None when it was not there yet."""
        return next((r for r in reversed(self.history.get(event_id, [])) if r.no <= no), None)

    def exceptions(self, series_id: str, *, as_of: int | None = None) -> list[Record]:
        """The records of single occurrences of a series that were changed or cancelled."""
        prefix = f"{series_id}_"
        ids = [i for i in self.history if i.startswith(prefix)] if self._has_exceptions(series_id) else []
        found = [self.records[i] if as_of is None else self.as_of(i, as_of) for i in ids]
        return [r for r in found if r is not None and r.series_id == series_id]

    def _has_exceptions(self, series_id: str) -> bool:
        return series_id in self.with_exceptions

    with_exceptions: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Switches:
    """What can be made worse, or otherwise, for a test."""

    latency: float = 0.0
    rotates_refresh_tokens: bool = False
    access_token_life: float = 3599.0
    is_testing_mode: bool = True
    meeting_delay: float = 0.0
    has_empty_pages: bool = False
    push_delay: float = 0.0
    quota: int = 0
    """Requests of one account in a minute; 0 is no limit."""


@dataclass(slots=True)
class World:
    """Everything there is."""

    url: str
    client_id: str
    client_secret: str
    redirect_addresses: set[str] = field(default_factory=set)
    accounts: dict[str, Account] = field(default_factory=dict)
    calendars: dict[str, Calendar] = field(default_factory=dict)
    switches: Switches = field(default_factory=Switches)
    lock: threading.RLock = field(default_factory=threading.RLock)
    violations: list[str] = field(default_factory=list)
    mails: list[Json] = field(default_factory=list)
    log: deque[Json] = field(default_factory=lambda: deque(maxlen=200_000))
    watchers: list[Callable[[Calendar], None]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _requests: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def account(self, email: str, *, zone: str = "UTC") -> Account:
        """The account with this address, made when first named, with a primary calendar of the same name."""
        email = email.strip().lower()
        with self.lock:
            if email not in self.accounts:
                digest = hashlib.sha256(email.encode()).hexdigest()
                self.accounts[email] = Account(email, str(10**20 + int(digest, 16) % 10**20), zone)
                self.add_calendar(Calendar(email, email, zone, owner=email, is_primary=True))
            return self.accounts[email]

    def add_calendar(self, calendar: Calendar, *, role: str = "owner") -> None:
        """A calendar that stands in its owner's list. With a lesser role it is somebody else's, shared with the account."""
        self.calendars[calendar.id] = calendar
        self.share(calendar.id, calendar.owner, role)

    def share(self, calendar_id: str, email: str, role: str | None) -> None:
        """Give an account a role in a calendar; None takes the calendar out of its list."""
        account = self.accounts[email]
        entry = account.entries.setdefault(calendar_id, Entry(calendar_id, role or "reader"))
        entry.role = role or entry.role
        entry.is_deleted = role is None
        entry.is_primary = calendar_id == email
        entry.changed_no = self.next_number()
        entry.etag = self.new_etag()

    def store(self, calendar: Calendar, body: Json) -> Record:
        """A new version of an event; the calendar counts on, and whoever watches it is told."""
        with self.lock:
            calendar.no += 1
            body = {**body, "etag": self.new_etag()}
            start_at, end_at = (times.instant_of(body[name], calendar.zone) for name in ("start", "end"))
            record = Record(calendar.no, body, start_at, end_at)
            event_id = body["id"]
            calendar.records[event_id] = record
            calendar.history.setdefault(event_id, []).append(record)
            calendar.changes.append((calendar.no, event_id))
            if record.series_id:
                calendar.with_exceptions.add(record.series_id)
        for tell in self.watchers:
            tell(calendar)
        return record

    def new_etag(self) -> str:
        """As Google's look: a number in quotes that grows."""
        return f'"{3_400_000_000_000_000 + 2000 * self.next_number()}"'

    def next_number(self) -> int:
        return next(self._numbers)

    def note(self, row: Json) -> None:
        """A line of the request log."""
        with self.lock:
            self.log.append({"no": next(self._requests), **row})

    def violate(self, *problems: str) -> None:
        with self.lock:
            self.violations.extend(problems)
