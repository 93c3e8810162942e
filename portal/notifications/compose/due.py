"""When reminders are due, and which of them still make sense. Pure; asked by `portal.notifications.reminders`.

A reminder's due time is its booking's start less its lead. What stands in the table follows from the booking at any time (desired state), so
it may be planned again as often as one likes, after any crash:

- A lead whose due time has passed before it was planned is left out: the mail about the booking itself is only just on its way.
- A start that moved gives each lead its new due time, and a new reminder, unless that has passed.
- What was on its way already at this due time stays so: once each.
- Late is better than never, while the start is ahead. Of several that are due at once only the last goes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Known:
    """A reminder as it stands in the table: waiting, queued or dropped."""

    id: int
    lead: int
    due_at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What must become of one booking's reminders: `new` are (lead, due_at), `changed` id -> (due_at, state)."""

    new: tuple[tuple[int, datetime], ...] = ()
    changed: Mapping[int, tuple[datetime, str]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRow:
    """A waiting reminder whose time has come, with the booking that it is of, as it stands now."""

    id: int
    booking_id: int
    lead: int
    due_at: datetime
    start_at: datetime
    sequence: int
    is_wanted: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """What to do with due reminders: `queue` go out, `drop` do not, `stale` belong to bookings that must be planned again."""

    queue: tuple[DueRow, ...]
    drop: tuple[int, ...]
    stale: tuple[int, ...]


def plan(
    leads: Iterable[int], start_at: datetime, *, is_wanted: bool, known: Sequence[Known], now: datetime
) -> Changes:
    """How the reminders of a booking must change; `is_wanted` is False for one that is not confirmed, or whose customer wants none."""
    wanted = {lead: due_at_of(start_at, lead) for lead in set(leads) if lead > 0} if is_wanted else {}
    rows = {row.lead: row for row in known}
    new = tuple((lead, due_at) for lead, due_at in sorted(wanted.items()) if lead not in rows and due_at > now)
    changed = {row.id: after for row in known if (after := _after(row, wanted.get(row.lead), now)) != _state(row)}
    return Changes(new, changed)


def sort_out(rows: Iterable[DueRow], *, now: datetime) -> Turn:
    """What becomes of all waiting reminders that are due, each booking's together."""
    queue: dict[int, DueRow] = {}
    drop, stale = [], []
    for row in sorted(rows, key=lambda each: each.lead):
        if row.due_at != due_at_of(row.start_at, row.lead):
            stale.append(row.booking_id)
        elif not row.is_wanted or row.start_at <= now or row.booking_id in queue:
            drop.append(row.id)
        else:
            queue[row.booking_id] = row
    return Turn(tuple(queue.values()), tuple(drop), tuple(dict.fromkeys(stale)))


def due_at_of(start_at: datetime, lead: int) -> datetime:
    """`lead` is in minutes."""
    return start_at - timedelta(minutes=lead)


def _after(row: Known, due_at: datetime | None, now: datetime) -> tuple[datetime, str]:
    if due_at is None:
        return row.due_at, "dropped" if row.state == "waiting" else row.state
    if due_at == row.due_at:
        return due_at, "waiting" if row.state == "dropped" and due_at > now else row.state
    return due_at, "waiting" if due_at > now else "dropped"


def _state(row: Known) -> tuple[datetime, str]:
    return row.due_at, row.state
