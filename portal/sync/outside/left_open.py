"""Entries of a calendar that somebody decided not to close times for.

What cannot be read takes all the time that it might, which may be all there is. The decision is about the entry as it is: when its text
changes, the entry closes times again, and is asked about anew. It can be taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from portal.calendars.models import BusyInterval, Calendar, RemoteObject
from portal.database.engine import read_transaction, write_transaction
from portal.errors import NotAllowedNow, NotFound
from portal.sync import ledger
from portal.sync.actions import Store
from portal.sync.outside import conflicts
from providers.calendars.base import RemoteEvent


def fingerprint(event: RemoteEvent) -> str:
    """What tells whether the entry is another one."""
    return event.fingerprint or event.etag[:64]


def respected(session: Session, calendar: Calendar, stores: Sequence[Store]) -> list[Store]:
    """What is to be stored, without the time of entries that are left open as they are now. Of one that has changed, people are told."""
    marked = dict(
        session.execute(
            select(RemoteObject.remote_id, RemoteObject.left_open).where(
                RemoteObject.calendar_id == calendar.id, RemoteObject.left_open != ""
            )
        )
        .tuples()
        .all()
    )
    if not marked:
        return list(stores)
    return [_respected(session, calendar, store, marked.get(store.event.remote_id, "")) for store in stores]


def leave_open(calendar_id: int, remote_id: str, *, by: str, now: datetime) -> None:
    """The entry closes no times from now on. Raises NotFound, and NotAllowedNow for one that is read well or is a booking's."""
    resource_id = _resource_of(calendar_id)

    def work(session: Session) -> None:
        calendar, row = _entry(session, calendar_id, remote_id)
        if row.is_ours or row.problem is None:
            raise NotAllowedNow("This entry can be read by now. Delete it in the calendar, or mark it there as free.")
        row.left_open = row.fingerprint = row.fingerprint or "unread"
        session.execute(
            delete(BusyInterval).where(BusyInterval.calendar_id == calendar_id, BusyInterval.remote_id == remote_id)
        )
        conflicts.end_with_object(session, calendar_id, remote_id, now=now)
        _tell(
            session, calendar, f"{by} decided that an entry of “{calendar.name}” that cannot be read closes no times."
        )

    write_transaction([resource_id], work)


def close_again(calendar_id: int, remote_id: str, *, by: str, now: datetime) -> None:
    """Take the decision back: all of the calendar is read at once, and the entry with it. Raises NotFound."""
    resource_id = _resource_of(calendar_id)

    def work(session: Session) -> None:
        calendar, row = _entry(session, calendar_id, remote_id)
        row.left_open, row.etag = "", ""
        calendar.sync_token = None
        calendar.next_read_at = calendar.asked_at = now
        _tell(session, calendar, f"{by} decided that an entry of “{calendar.name}” closes times again.")

    write_transaction([resource_id], work)


def count(session: Session, calendar_id: int) -> int:
    """How many entries of the calendar are left open."""
    here = (RemoteObject.calendar_id == calendar_id, RemoteObject.left_open != "")
    return session.scalar(select(func.count()).select_from(RemoteObject).where(*here)) or 0


def _respected(session: Session, calendar: Calendar, store: Store, marked: str) -> Store:
    if not marked:
        return store
    if marked == fingerprint(store.event):
        return replace(store, busy=())
    _tell(
        session,
        calendar,
        f"An entry of “{calendar.name}” that was to close no times has changed, and closes times again.",
    )
    return store


def _entry(session: Session, calendar_id: int, remote_id: str) -> tuple[Calendar, RemoteObject]:
    row = session.get(RemoteObject, (calendar_id, remote_id), with_for_update=True)
    if row is None:
        raise NotFound("There is no such entry any more.")
    return session.get_one(Calendar, calendar_id), row


def _resource_of(calendar_id: int) -> int:
    calendar = read_transaction(lambda session: session.get(Calendar, calendar_id))
    if calendar is None:
        raise NotFound("There is no such calendar.")
    return calendar.resource_id


def _tell(session: Session, calendar: Calendar, sentence: str) -> None:
    ledger.write(session, "left open", sentence, calendar_id=calendar.id, connection_id=calendar.connection_id)
