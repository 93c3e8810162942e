"""How this instance is, in numbers: read by `/readyz`, `/metrics`, the API's health and `lockstep doctor`. Counts and ages only, nothing personal.

The portal itself is unwell when its worker is silent or leaves undone what it could do. A calendar or mail server that is away is somebody
else's trouble: it shows in the states of connections, and in how long entries have been waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, case, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from portal.booking.models import Booking, EventLink
from portal.calendars.models import Calendar, Connection
from portal.clock import now_utc
from portal.database.engine import Instant
from portal.errors import Refused
from portal.extensions import db
from portal.instance.standing import standing
from portal.language.lengths import words
from portal.outbox import OutboxEntry
from portal.sync.models import Conflict, Lease, Question

HEARTBEAT = "heartbeat"
"""Name of the lease row in which the worker notes every few seconds that it is alive."""
SILENT_AFTER = timedelta(seconds=30)
LATE_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """`outbox_age` is how long the worker has left undone the oldest entry that it could do, `outbox_waiting` how long the oldest one that was due
    has not been done, for whatever reason; None when there is none."""

    worker_seen: timedelta | None
    is_worker_ahead: bool = False
    outbox_age: timedelta | None
    outbox_waiting: timedelta | None
    outbox: dict[str, int]
    connections: dict[str, int]
    bookings: dict[str, int]
    event_links: dict[str, int]
    open_questions: int
    open_conflicts: int
    quarantined_calendars: int
    oldest_read: timedelta | None
    not_adopted: str = ""
    """Why nothing leaves the portal before somebody adopts it. It is ready all the same, and its outbox rests."""

    @property
    def problems(self) -> list[str]:
        """Why the instance is not ready, in sentences; empty when it is."""
        found = []
        if self.worker_seen is None:
            found.append(
                "The worker has never run: nothing is written into calendars or mailed. Start it with `lockstep serve`."
            )
        elif self.is_worker_ahead:
            ahead = words(self.worker_seen)
            found.append(
                f"The worker's last sign of life bears a time that is {ahead} ahead: one of the clocks is wrong."
            )
        elif self.worker_seen > SILENT_AFTER:
            found.append(f"The worker was last seen {words(self.worker_seen)} ago. Is it running?")
        if self.outbox_age is not None and self.outbox_age > LATE_AFTER:
            found.append(f"The oldest entry of the outbox has been due for {words(self.outbox_age)}.")
        return found


def read_vitals(session: Session, *, now: datetime) -> Vitals:
    """A few small queries."""
    seen = session.scalar(select(func.max(Lease.last_done_at)).where(Lease.name.startswith(HEARTBEAT)))
    instance = standing(session)
    read = session.scalar(
        select(func.min(Calendar.last_read_at))
        .join(Connection)
        .where(Calendar.is_busy_source, Connection.state != "paused")
    )
    return Vitals(
        worker_seen=None if seen is None else abs(now - seen),
        is_worker_ahead=seen is not None and seen > now + SILENT_AFTER,
        outbox_age=_age(session.scalar(_oldest_left_undone(now)), now) if instance.is_ours else None,
        outbox_waiting=_age(session.scalar(_oldest_waiting(now)), now),
        not_adopted=instance.sentence,
        outbox=_counts(session, OutboxEntry.state),
        connections=_counts(session, Connection.state, Connection.leaving.is_(False)),
        bookings=_counts(session, Booking.status),
        event_links=_counts(session, EventLink.state),
        open_questions=_count(session, Question.answered_at.is_(None)),
        open_conflicts=_count(session, Conflict.resolved_at.is_(None)),
        quarantined_calendars=_count(session, Calendar.quarantine.is_not(None)),
        oldest_read=_age(read, now),
    )


def require_stopped() -> None:
    """Raises Refused while the worker is alive: what follows would pull the ground from under it."""
    now = now_utc()
    alive = (
        Lease.name.startswith(HEARTBEAT),
        or_(Lease.until.is_(None), Lease.until > now),
        Lease.last_done_at > now - SILENT_AFTER,
    )
    seen = db.session.scalar(select(func.max(Lease.last_done_at)).where(*alive))
    db.session.rollback()
    if seen is not None:
        raise Refused(
            f"Lockstep is running (its worker was seen {words(now - seen)} ago). Stop it first, then wait "
            f"{words(SILENT_AFTER)} if it was killed."
        )


def _oldest_left_undone(now: datetime) -> Select[Any]:
    """Since when an entry could be done: its turn has come, nobody is at it, and the one before it of the same subject is over. That one may be
    waiting for a server that is away; an entry that was tried waits for its next turn."""
    before = aliased(OutboxEntry)
    is_before = and_(
        before.subject == OutboxEntry.subject, before.topic == OutboxEntry.topic, before.id < OutboxEntry.id
    )
    is_blocked = exists().where(is_before, before.state == "todo")
    is_free = or_(OutboxEntry.lease_until.is_(None), OutboxEntry.lease_until < now)
    over_at = select(func.max(before.finished_at)).where(is_before).correlate(OutboxEntry).scalar_subquery()
    since = case((over_at > OutboxEntry.next_at, over_at), else_=OutboxEntry.next_at)
    return select(func.min(since, type_=Instant())).where(
        OutboxEntry.state == "todo", OutboxEntry.next_at <= now, is_free, ~is_blocked
    )


def _oldest_waiting(now: datetime) -> Select[Any]:
    """What was never due, such as a mail for tomorrow, does not count."""
    was_due = or_(OutboxEntry.next_at <= now, OutboxEntry.attempts > 0)
    return select(func.min(OutboxEntry.created_at)).where(OutboxEntry.state == "todo", was_due)


def _age(moment: datetime | None, now: datetime) -> timedelta | None:
    return None if moment is None else max(now - moment, timedelta(0))


def _counts(session: Session, column: object, *conditions: Any) -> dict[str, int]:
    rows = session.execute(select(column, func.count()).where(*conditions).group_by(column))  # type: ignore[call-overload]
    return {row[0]: row[1] for row in rows}  # dict(rows) would ask the result for keys()


def _count(session: Session, condition: object) -> int:
    return session.scalar(select(func.count()).where(condition)) or 0  # type: ignore[arg-type]
