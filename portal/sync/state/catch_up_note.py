"""What changed in a calendar while its connection was away: noted by the first reading after a refresh, shown on the integrations page.

`await_reading` opens the note when a person refreshes the connection or ends its pause; `compare` (pure but for what it looks up) and `store` fill it
inside the pull that follows. The note holds names and instants only, the first few of each kind with their number. What became of our own
bookings and of those that waited is not noted but looked up when it is shown (`cards`): it goes on changing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.calendars.models import BusyInterval, Calendar, Connection, RemoteObject
from portal.database.chunks import in_chunks
from portal.sync.actions import Action, Drop, MovedOutside, RemovedOutside, Situation, Store, Unread
from portal.sync.state import overview
from providers.calendars.base import Span

NAMED = 10
"""So many of each kind are named; the rest is counted."""
MOST_WAITED = 500
KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was known of an object before the reading."""

    summary: str
    etag: str
    spans: tuple[Span, ...]


def await_reading(session: Session, connection: Connection, *, now: datetime) -> None:
    """The connection works again, as far as a person knows: the next reading of each of its calendars tells what changed.

    What waits to be written is noted now, before it goes out. A second refresh before the first reading keeps the time of the first.
    """
    connection.refreshed_at = now
    waiting: dict[int, set[int]] = defaultdict(set)
    for appointment_id, calendar_id in overview.unwritten(session):
        waiting[calendar_id].add(appointment_id)
    for calendar in connection.calendars:
        if calendar.last_read_at is None:  # it was never read: all of it will be new, and that is no news
            continue
        before = calendar.meanwhile if calendar.meanwhile and calendar.meanwhile["at"] is None else {}
        waited = waiting[calendar.id] | set(before.get("waited", ()))
        calendar.meanwhile = {
            "since": before.get("since") or calendar.last_read_at.isoformat(),
            "refreshed_at": now.isoformat(),
            "at": None,
            "waited": sorted(waited)[:MOST_WAITED],
        }


def compare(
    session: Session, calendar: Calendar, actions: Sequence[Action], *, situation: Situation
) -> dict[str, Any] | None:
    """What this reading found changed, against what is known; to be asked before the actions are carried out.

    None when nobody waits for it: it is not the first reading after a refresh.
    """
    refreshed_at = calendar.connection.refreshed_at
    if refreshed_at is None or calendar.last_read_at is None:
        return None
    if calendar.last_read_at >= refreshed_at or situation.read_at < refreshed_at:
        return None
    ids = [a.remote_id if isinstance(a, Drop) else a.event.remote_id for a in actions if isinstance(a, Store | Drop)]
    since = calendar.last_read_at
    note = {"since": since.isoformat(), "refreshed_at": refreshed_at.isoformat(), "waited": []}
    note |= calendar.meanwhile if calendar.meanwhile and calendar.meanwhile["at"] is None else {}
    return note | summarise(actions, _known(session, calendar.id, ids), situation=situation, since=since)


def store(calendar: Calendar, note: dict[str, Any] | None) -> None:
    """Keep what `compare` gave, in the transaction of the reading."""
    if note is not None:
        calendar.meanwhile = note


def dismiss(calendar: Calendar) -> None:
    """A person has read it."""
    calendar.meanwhile = None


def summarise(
    actions: Iterable[Action], known: Mapping[str, Known], *, situation: Situation, since: datetime
) -> dict[str, Any]:
    """The note's part that a reading fills: foreign events that are new, moved or gone, and what was done to ours. Pure.

    Only time to come counts, and only as far ahead as the reading before could see: what merely came into sight is not new.
    """
    horizon = situation.window[1] - (situation.now - since)
    found: dict[str, list[dict[str, Any]]] = {"new": [], "moved": [], "gone": [], "ours": []}
    for action in actions:
        if isinstance(action, Unread):
            continue
        if isinstance(action, Store | Drop):
            kind, about = _foreign(action, known, now=situation.now, horizon=horizon)
        else:
            kind, about = _ours(action)
        if kind:
            found[kind].append(about)
    foreign = {kind: _bounded(_merged(found[kind])) for kind in ("new", "moved", "gone")}
    return {"at": situation.now.isoformat(), **foreign, "ours": _bounded(found["ours"])}


def _foreign(
    action: Store | Drop, known: Mapping[str, Known], *, now: datetime, horizon: datetime
) -> tuple[str, dict[str, Any]]:
    """(kind, what to tell), the kind empty where nothing changed that anybody could book or miss."""
    if isinstance(action, Store):
        remote_id, etag, spans = action.event.remote_id, action.event.etag, action.busy
        summary = "" if action.event.is_private else action.event.summary
    else:
        remote_id, etag, summary, spans = action.remote_id, "", "", ()
    before = known.get(remote_id)
    had = _ahead(before.spans, now, horizon) if before else ()
    has = _ahead(spans, now, horizon)
    is_ours = isinstance(action, Store) and action.is_ours
    if is_ours or had == has or (before is not None and before.etag == etag):
        return "", {}
    is_private = isinstance(action, Store) and action.event.is_private
    about = _event(summary or (before.summary if before and not is_private else ""), has or had)
    if had and has:
        return "moved", about | {"from": had[0][0].isoformat()}
    return ("new" if has else "gone"), about


def _ours(action: Action) -> tuple[str, dict[str, Any]]:
    if isinstance(action, MovedOutside):
        to = action.event.start_at.isoformat() if action.event.start_at else None
        seen = action.tie.seen_start_at or action.tie.start_at
        return "ours", {"appointment_id": action.tie.appointment_id, "from": seen.isoformat(), "to": to}
    if isinstance(action, RemovedOutside):
        return "ours", {
            "appointment_id": action.tie.appointment_id, "from": action.tie.start_at.isoformat(), "to": None
        }  # fmt: skip
    return "", {}


def _ahead(spans: Iterable[Span], now: datetime, horizon: datetime) -> tuple[Span, ...]:
    return tuple(sorted({span for span in spans if span[1] > now and span[0] < horizon}))


def _event(summary: str, spans: Sequence[Span]) -> dict[str, Any]:
    """Its first time to come; `times` how many there are in all."""
    start, end = spans[0]
    return {"summary": summary[:200], "start": start.isoformat(), "end": end.isoformat(), "times": len(spans)}


def _merged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of one name as one: providers that tell every occurrence apart would else fill the note with a single weekly meeting."""
    rows.sort(key=lambda row: row["start"])
    merged: dict[str, dict[str, Any]] = {}
    nameless = [row for row in rows if not row["summary"]]
    for row in rows:
        if row["summary"]:
            first = merged.setdefault(row["summary"], row | {"times": 0})
            first["times"] += row["times"]
    return [*merged.values(), *nameless]


def _bounded(rows: list[dict[str, Any]]) -> dict[str, Any]:
    rows.sort(key=lambda row: row.get("start") or row["from"])
    return {"count": len(rows), "first": rows[:NAMED]}


def _known(session: Session, calendar_id: int, remote_ids: Sequence[str]) -> dict[str, Known]:
    spans: dict[str, list[Span]] = defaultdict(list)
    objects: list[Any] = []
    for some in in_chunks(remote_ids):
        objects += session.scalars(
            select(RemoteObject).where(RemoteObject.calendar_id == calendar_id, RemoteObject.remote_id.in_(some))
        )
        busy = select(BusyInterval.remote_id, BusyInterval.start_at, BusyInterval.end_at)
        here = (BusyInterval.calendar_id == calendar_id, BusyInterval.remote_id.in_(some))
        for remote_id, begins, ends in session.execute(busy.where(*here)):
            spans[remote_id].append((begins, ends))
    return {
        row.remote_id: Known(summary=row.summary, etag=row.etag, spans=tuple(spans[row.remote_id])) for row in objects
    }
