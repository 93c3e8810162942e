"""Leases in the database: who reads a calendar just now, and who does a periodic piece of work, so that two workers do not do it twice.

A read lease carries a fencing token: a pull that was away too long finds another token there and writes nothing. While a pull runs, the
worker's heartbeat prolongs its lease; when the worker is killed, the lease ends by itself soon after.
"""

from __future__ import annotations

import secrets
import threading
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.calendars.models import Calendar
from portal.sync.models import Lease
from portal.timekeeping.timekeeper import TOLERANCE

READ_LEASE = timedelta(seconds=30)
"""Prolonged by `prolong_reads` every few seconds in a worker."""
LONG_READ_LEASE = timedelta(minutes=6)
"""For a pull outside of a worker (command line), where nobody prolongs it: longer than the longest listing may take."""


def take_read(session: Session, calendar_id: int, *, now: datetime, length: timedelta = LONG_READ_LEASE) -> str | None:
    """The token of a new read lease, or None while somebody else reads this calendar."""
    token = secrets.token_hex(16)
    is_free = or_(Calendar.read_lease_until.is_(None), Calendar.read_lease_until < now)
    taken = session.execute(
        update(Calendar)
        .where(Calendar.id == calendar_id, is_free)
        .values(read_lease_until=now + length, read_lease_token=token, read_begun_at=now)
        .execution_options(synchronize_session=False)
    )
    if taken.rowcount != 1:  # type: ignore[attr-defined]
        return None
    with _lock:
        _reads[calendar_id] = token
    return token


def locked_calendar(session: Session, calendar_id: int, token: str) -> Calendar | None:
    """The calendar's row, locked, if the read lease is still ours."""
    calendar = session.scalar(
        select(Calendar).where(Calendar.id == calendar_id).with_for_update().execution_options(populate_existing=True)
    )
    return calendar if calendar is not None and calendar.read_lease_token == token else None


def end_read(calendar: Calendar) -> None:
    """Give the lease back, in the caller's transaction."""
    calendar.read_lease_until = calendar.read_lease_token = None
    with _lock:
        _reads.pop(calendar.id, None)


def forget_read(calendar_id: int) -> None:
    """Stop prolonging; for a pull that ended without giving its lease back."""
    with _lock:
        _reads.pop(calendar_id, None)


def prolong_reads(session: Session, *, now: datetime) -> None:
    """Prolong the leases of all pulls that run in this process."""
    with _lock:
        running = dict(_reads)
    for calendar_id, token in running.items():
        session.execute(
            update(Calendar)
            .where(Calendar.id == calendar_id, Calendar.read_lease_token == token)
            .values(read_lease_until=now + READ_LEASE)
            .execution_options(synchronize_session=False)
        )


def take(session: Session, name: str, *, holder: str, every: timedelta, now: datetime) -> bool:
    """True when the periodic work of that name is due and now ours: for this round no other worker gets it."""
    lease = session.get(Lease, name, with_for_update=True)
    if lease is None:
        try:
            with session.begin_nested():
                session.add(Lease(name=name, holder=holder, last_done_at=now))
        except IntegrityError:  # another worker was quicker
            return False
        return True
    done = lease.last_done_at
    if done is not None and done + every > now and done <= now + TOLERANCE:  # else a wrong clock wrote it down
        return False
    lease.holder, lease.last_done_at = holder, now
    return True


def beat(session: Session, name: str, *, holder: str, now: datetime, lives_for: timedelta) -> None:
    """Note that this worker is alive."""
    lease = session.get(Lease, name)
    if lease is None:
        lease = Lease(name=name)
        session.add(lease)
    lease.holder, lease.last_done_at, lease.until = holder, now, now + lives_for


def end_beat(session: Session, name: str, *, holder: str, now: datetime) -> None:
    """Note that this worker has ended in good order; not when another one has been heard since."""
    lease = session.get(Lease, name, with_for_update=True)
    if lease is not None and lease.holder == holder:
        lease.until = now


_lock = threading.Lock()
_reads: dict[int, str] = {}
