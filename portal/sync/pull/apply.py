"""Carries out a plan: one transaction, under the lock of the calendar's resource, together with the new sync token.

So a killed worker repeats a reading rather than losing a part of it, and whoever books in the same moment either sees the new busy time
or is seen by it. Only rows that differ are written: a pull without changes writes its times and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import EventLink
from portal.calendars import titles
from portal.calendars.models import BusyInterval, Calendar, RemoteObject
from portal.database.chunks import in_chunks
from portal.outbox import OutboxEntry
from portal.sync import ledger
from portal.sync.actions import (
    Action,
    Adopt,
    Drop,
    Forget,
    MovedOutside,
    Plan,
    RemovedOutside,
    Situation,
    Store,
    Unread,
)
from portal.sync.event import meeting
from portal.sync.outside import changes, conflicts, left_open
from providers.calendars.base import Span


def carry_out(session: Session, calendar: Calendar, actions: Sequence[Action], *, situation: Situation) -> None:
    """Make the database agree with what was read, and hand outside changes of our own events to their rule."""
    stores = [action for action in actions if isinstance(action, Store)]
    unread = [action for action in actions if isinstance(action, Unread)]
    drops = [action.remote_id for action in actions if isinstance(action, Drop)]
    stores = left_open.respected(session, calendar, stores)
    is_first = session.scalar(select(RemoteObject.etag).where(RemoteObject.calendar_id == calendar.id).limit(1)) is None
    _store_objects(session, calendar.id, stores, is_first=is_first)
    _note_unread(session, calendar.id, unread)
    changed = _store_busy(session, calendar, stores, is_first=is_first)
    changed |= _drop_objects(session, calendar.id, drops)
    for action in actions:
        _act_on_link(session, action, now=situation.now)
    if changed:
        session.flush()
        conflicts.refresh_calendar(session, calendar, changed, now=situation.now)
    if stores or drops or unread:
        _count_unreadable(session, calendar)


def note_plan(session: Session, calendar: Calendar, result: Plan, *, now: datetime) -> None:
    """Keep, begin or end the calendar's quarantine."""
    held = sorted(result.held)
    before = calendar.quarantine
    if not held:
        if before is not None:
            calendar.quarantine = None
            ledger.write(
                session,
                "quarantine",
                f"The doubt about the calendar “{calendar.name}” is over.",
                calendar_id=calendar.id,
            )
        return
    if before is not None and before["remote_ids"] == held:
        return
    suspicion = result.suspicion
    facts: dict[str, Any] = dict(before or {"since": now.isoformat(), "decision": None})
    facts |= {"remote_ids": held, "would_remove": len(held)}
    if suspicion:
        facts |= {"known": suspicion.known, "own": suspicion.own, "decision": None}
        sentence = (
            f"Two readings of the calendar “{calendar.name}” in a row lack {len(held)} of {suspicion.known} known events, "
            f"{suspicion.own} of them bookings of ours. Nothing was removed; somebody must decide."
        )
        ledger.write(session, "quarantine", sentence, calendar_id=calendar.id)
        outbox.record(
            session, "notify.staff", f"connection:{calendar.connection_id}", news="connection",
            state="quarantine", reason=sentence, since=now.isoformat(),
        )  # fmt: skip
    calendar.quarantine = facts


def heal_links(session: Session, appointment_ids: Iterable[int]) -> None:
    """Links that are behind their appointment although nothing is on the way: set it on its way."""
    for appointment_id in appointment_ids:
        subject = f"appointment:{appointment_id}"
        on_its_way = select(OutboxEntry.id).where(
            OutboxEntry.subject == subject, OutboxEntry.topic == "calendar.publish", OutboxEntry.state == "todo"
        )
        if session.scalar(on_its_way.limit(1)) is None:
            outbox.record(session, "calendar.publish", subject)


def prune(session: Session, calendar_id: int, *, now: datetime) -> None:
    """Busy time that is over is of no use any more."""
    over = BusyInterval.end_at < now - timedelta(days=2)
    session.execute(delete(BusyInterval).where(BusyInterval.calendar_id == calendar_id, over))


def _store_objects(session: Session, calendar_id: int, stores: Sequence[Store], *, is_first: bool) -> None:
    known = {} if is_first else _known_rows(session, calendar_id, [store.event.remote_id for store in stores])
    wanted = {s.event.remote_id: _object_row(calendar_id, s, known.get(s.event.remote_id)) for s in stores}
    new = [row for remote_id, row in wanted.items() if remote_id not in known]
    for some in in_chunks(new):
        session.execute(insert(RemoteObject), some)
    for remote_id, row in wanted.items():
        if remote_id in known and known[remote_id] != row:
            here = (RemoteObject.calendar_id == calendar_id, RemoteObject.remote_id == remote_id)
            session.execute(update(RemoteObject).where(*here).values(row))


def _note_unread(session: Session, calendar_id: int, unread: Sequence[Unread]) -> None:
    """Without an etag, so that they are asked for again; all else that is known of them, and their busy time, stays."""
    wanted = {action.event.remote_id: _text(action.event.problem or "", 1000) for action in unread}
    known = _known_rows(session, calendar_id, list(wanted))
    for remote_id, problem in wanted.items():
        if remote_id not in known:
            session.execute(
                insert(RemoteObject),
                {"calendar_id": calendar_id, "remote_id": remote_id, "etag": "", "problem": problem},
            )
        elif (known[remote_id]["etag"], known[remote_id]["problem"]) != ("", problem):
            here = (RemoteObject.calendar_id == calendar_id, RemoteObject.remote_id == remote_id)
            session.execute(update(RemoteObject).where(*here).values(etag="", problem=problem))


def _object_row(calendar_id: int, store: Store, known: dict[str, Any] | None) -> dict[str, Any]:
    event = store.event
    fingerprint = left_open.fingerprint(event)
    return {
        "calendar_id": calendar_id,
        "remote_id": event.remote_id,
        "etag": event.etag,
        "sealed_summary": _sealed_title(calendar_id, store, known),
        "fingerprint": fingerprint,
        "left_open": fingerprint if known and known["left_open"] == fingerprint else "",
        "is_recurring": event.is_recurring,
        "is_ours": store.is_ours,
        "rolls": store.rolls,
        "problem": _text(store.problem, 1000) if store.problem else None,
    }


def _sealed_title(calendar_id: int, store: Store, known: dict[str, Any] | None) -> str:
    """What is sealed twice is never the same text, so what holds the title already is left as it is."""
    title = "" if store.is_ours or store.event.is_private else _text(store.event.summary, titles.LONGEST)
    before = known["sealed_summary"] if known else ""
    if titles.open_title(calendar_id, store.event.remote_id, before) == title and bool(before) == bool(title):
        return str(before)
    return titles.seal_title(calendar_id, store.event.remote_id, title)


def _known_rows(session: Session, calendar_id: int, remote_ids: list[str]) -> dict[str, dict[str, Any]]:
    table = RemoteObject.__table__
    rows: dict[str, dict[str, Any]] = {}
    for some in in_chunks(remote_ids):
        found = session.execute(
            select(*table.columns).where(table.c.calendar_id == calendar_id, table.c.remote_id.in_(some))
        )
        rows |= {row.remote_id: dict(row._mapping) for row in found}
    return rows


def _store_busy(session: Session, calendar: Calendar, stores: Sequence[Store], *, is_first: bool) -> set[str]:
    """Write the busy time of these objects where it differs; returns the remote ids of those where it did."""
    wanted = {store.event.remote_id: sorted(set(store.busy)) for store in stores}
    known = {} if is_first else _known_busy(session, calendar.id, list(wanted))
    changed = {remote_id for remote_id, spans in wanted.items() if known.get(remote_id, []) != spans}
    _delete_where(session, BusyInterval, calendar.id, [remote_id for remote_id in changed if remote_id in known])
    rows = [
        {
            "calendar_id": calendar.id,
            "resource_id": calendar.resource_id,
            "remote_id": remote_id,
            "start_at": start,
            "end_at": end,
        }
        for remote_id in changed
        for start, end in wanted[remote_id]
    ]
    for some in in_chunks(rows):
        session.execute(insert(BusyInterval), some)
    return changed


def _known_busy(session: Session, calendar_id: int, remote_ids: list[str]) -> dict[str, list[Span]]:
    spans: dict[str, list[Span]] = defaultdict(list)
    for some in in_chunks(remote_ids):
        rows = session.execute(
            select(BusyInterval.remote_id, BusyInterval.start_at, BusyInterval.end_at)
            .where(BusyInterval.calendar_id == calendar_id, BusyInterval.remote_id.in_(some))
            .order_by(BusyInterval.start_at, BusyInterval.end_at)
        )
        for remote_id, start, end in rows:
            spans[remote_id].append((start, end))
    return spans


def _drop_objects(session: Session, calendar_id: int, remote_ids: Sequence[str]) -> set[str]:
    _delete_where(session, RemoteObject, calendar_id, remote_ids)
    _delete_where(session, BusyInterval, calendar_id, remote_ids)
    return set(remote_ids)


def _delete_where(session: Session, table: Any, calendar_id: int, remote_ids: Sequence[str]) -> None:
    for some in in_chunks(remote_ids):
        session.execute(delete(table).where(table.calendar_id == calendar_id, table.remote_id.in_(some)))


def _act_on_link(session: Session, action: Action, *, now: datetime) -> None:
    if isinstance(action, Store | Unread | Drop):
        return
    link = session.get(EventLink, action.tie.link_id)
    if link is None:
        return
    if isinstance(action, MovedOutside):
        changes.note_moved(session, link, action.event)
    elif isinstance(action, RemovedOutside):
        changes.note_removed(session, link, event=action.event)
    elif isinstance(action, Adopt):
        _adopt(session, link, action, now=now)
    elif isinstance(action, Forget):
        link.etag = link.content_hash = link.outside = ""
        link.state, link.last_error = "none", None


def _adopt(session: Session, link: EventLink, action: Adopt, *, now: datetime) -> None:
    event = action.event
    link.remote_id, link.etag = event.remote_id, event.etag
    link.content_hash = link.sent_hash = event.content_hash
    if event.start_at and event.end_at:
        link.start_at, link.end_at = event.start_at, event.end_at
    meeting.note_link(session, link, event.meeting_url, now=now)
    if action.is_settled:
        changes.end(session, link, now=now)


def _count_unreadable(session: Session, calendar: Calendar) -> None:
    count = session.scalar(
        select(func.count())
        .select_from(RemoteObject)
        .where(RemoteObject.calendar_id == calendar.id, RemoteObject.problem.is_not(None))
    )
    if calendar.unreadable_objects != count:
        calendar.unreadable_objects = count or 0


def _text(text: str, longest: int) -> str:
    """What PostgreSQL stores: no NUL, no half characters."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:longest]
