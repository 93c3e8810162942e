"""The durable to-do list. An entry is written in the transaction of the change that it follows from; RQ is only the doorbell.

An entry says *what must become true*, not which step to take: the handler reads the present state and makes the outside
equal to it, so entries may run twice and older ones of the same subject collapse into the newest.

Life: `todo` -> (claimed with a lease) -> `done`, or back to `todo` later, or `stuck` until a person acts, or `dropped`.
Who holds the newest lease token may settle; a process that was away too long finds that its token no longer counts (fencing).
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ColumnElement,
    Index,
    String,
    Text,
    and_,
    exists,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from portal.clock import now_utc
from portal.database.engine import Instant
from portal.extensions import Model

LEASE = timedelta(seconds=90)
STUCK_AFTER = timedelta(hours=24)
"""Tried so long, what still fails is stuck, and shown; mails have ends of their own (`portal.notifications.patience`)."""
LONGEST_WAIT = timedelta(minutes=15)
LONGEST_WAIT_OF_MAILS = timedelta(minutes=5)
MAILS = "notify."
"""Topics of what is told to people begin with it."""


class LeaseLost(Exception):
    """This handler was away too long and another one took over: what it learnt no longer counts."""


class GiveUp(Exception):
    """Raised by handlers of what came to nothing while it made sense: the entry is dropped, and `str` says why."""


class OutboxEntry(Model):
    """One thing to make true outside. Entries with the same `subject` and `topic` are done one at a time, oldest first."""

    __tablename__ = "outbox_entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(80))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(8), default="todo")
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    lease_until: Mapped[datetime | None] = mapped_column(Instant)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    give_up_at: Mapped[datetime | None] = mapped_column(Instant)
    """Until then it is tried, where a person gave it a new beginning; else for `STUCK_AFTER`."""
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    __table_args__ = (
        CheckConstraint("state IN ('todo', 'done', 'stuck', 'dropped')", name="state"),
        Index("ix_outbox_entry_state_next_at", "state", "next_at"),
        Index("ix_outbox_entry_subject_topic_state", "subject", "topic", "state"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A claimed entry as a handler sees it: plain values, so that no handler holds a row, nor a transaction, while it waits outside.

    `lease_token` is the fence: what the handler writes about the entry counts only while the lease is still its own (`renew`).
    """

    entry_id: int
    topic: str
    subject: str
    payload: Mapping[str, Any]
    attempts: int
    created_at: datetime
    give_up_at: datetime | None = None
    lease_token: str = ""

    @property
    def is_mail(self) -> bool:
        return self.topic.startswith(MAILS)

    @property
    def tried_until(self) -> datetime:
        """When it is old enough to be stuck."""
        return self.give_up_at or self.created_at + STUCK_AFTER

    @property
    def subject_id(self) -> int:
        """12 of "appointment:12"."""
        return int(self.subject.partition(":")[2])


def work_of(entry: OutboxEntry) -> Work:
    """The claimed entry as values that outlive the transaction."""
    return Work(
        entry_id=entry.id,
        topic=entry.topic,
        subject=entry.subject,
        payload=dict(entry.payload),
        attempts=entry.attempts,
        created_at=entry.created_at,
        give_up_at=entry.give_up_at,
        lease_token=entry.lease_token or "",
    )


def record(session: Session, topic: str, subject: str, *, not_before: datetime | None = None, **payload: Any) -> None:
    """Write down, in the caller's transaction, that `topic` must be done for `subject` ("appointment:12")."""
    entry = OutboxEntry(topic=topic, subject=subject, payload=payload)
    if not_before is not None:
        entry.next_at = not_before
    session.add(entry)


def record_all(session: Session, entries: Sequence[tuple[str, str, dict[str, Any]]]) -> None:
    """Write down several (topic, subject, payload) in one statement."""
    now = now_utc()
    rows = [{"topic": topic, "subject": subject, "payload": payload} for topic, subject, payload in entries]
    fixed = {"state": "todo", "attempts": 0, "next_at": now, "created_at": now}
    session.connection().execute(insert(OutboxEntry.__table__), [row | fixed for row in rows])  # type: ignore[arg-type]


def claim_due(
    session: Session, *, now: datetime, limit: int = 10, topics: Collection[str] | None = None
) -> list[OutboxEntry]:
    """Lease up to `limit` due entries to the caller; to be called inside `portal.database.engine.transaction`.

    At most one entry of a (subject, topic) is out at a time, the oldest unfinished first. A stuck one blocks nobody: a newer
    entry brings the newest state, which is all that counts.
    The returned rows carry the caller's `lease_token`.
    """
    older = aliased(OutboxEntry)
    is_free = or_(OutboxEntry.lease_until.is_(None), OutboxEntry.lease_until < now)
    has_older = exists().where(
        and_(
            older.subject == OutboxEntry.subject,
            older.topic == OutboxEntry.topic,
            older.state == "todo",
            older.id < OutboxEntry.id,
        )
    )
    due = select(OutboxEntry).where(OutboxEntry.state == "todo", OutboxEntry.next_at <= now, is_free, ~has_older)
    if topics is not None:
        due = due.where(OutboxEntry.topic.in_(topics))
    rows = session.scalars(
        due.order_by(OutboxEntry.next_at, OutboxEntry.id).limit(limit).with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        row.lease_until = now + LEASE
        row.lease_token = secrets.token_hex(16)
        row.attempts += 1
    session.flush()
    return list(rows)


def settle(session: Session, entry_id: int, lease_token: str, *, state: str = "done", error: str | None = None) -> bool:
    """Close an entry as done, stuck or dropped. False when the lease was lost meanwhile: nothing is changed then.

    Of a calendar's entries the newest says all, so older ones that were stuck are over with it.
    """
    values: dict[str, Any] = {"state": state, "last_error": error, "lease_until": None, "lease_token": None}
    if state in ("done", "dropped"):
        values["finished_at"] = now_utc()
    if not _update_leased(session, entry_id, lease_token, values):
        return False
    if state != "dropped":
        _drop_older_stuck(session, entry_id)
    return True


def postpone(
    session: Session,
    entry_id: int,
    lease_token: str,
    *,
    error: str,
    attempts: int,
    retry_after: float | None = None,
    longest: timedelta = LONGEST_WAIT,
) -> bool:
    """Give an entry back for later: 5 s · 2^attempts with jitter, at most `longest`, never before `retry_after` seconds."""
    wait = retry_delay(attempts, retry_after=retry_after, longest=longest)
    values = {"next_at": now_utc() + wait, "last_error": error, "lease_until": None, "lease_token": None}
    return _update_leased(session, entry_id, lease_token, values)


def hasten(session: Session, topic: str, subject: str, *, now: datetime) -> None:
    """Bring an unfinished entry's turn forward to now; write a new one when there is none."""
    if not bring_forward(session, topic, subject, now=now):
        record(session, topic, subject)


def bring_forward(session: Session, topic: str, subject: str, *, now: datetime) -> bool:
    """Give the unfinished entries of this subject their turn now; False when there are none. One that is just being done is left alone."""
    unfinished = (OutboxEntry.topic == topic, OutboxEntry.subject == subject, OutboxEntry.state == "todo")
    if session.scalar(select(OutboxEntry.id).where(*unfinished).limit(1)) is None:
        return False
    later = update(OutboxEntry).where(*unfinished, OutboxEntry.next_at > now, OutboxEntry.lease_token.is_(None))
    session.execute(later.values(next_at=now).execution_options(synchronize_session=False))
    return True


def put_off_mails(session: Session, until: datetime) -> None:
    """Nothing is mailed before that moment: the mail server takes none. What is being done just now is left alone."""
    _move_mails(session, OutboxEntry.next_at < until, until)


def let_mails_go(session: Session, *, now: datetime) -> None:
    """Give all mails that wait their turn now: the mail server takes them again."""
    _move_mails(session, and_(OutboxEntry.next_at > now, OutboxEntry.last_error.is_not(None)), now)


def renew(session: Session, entry_id: int, lease_token: str, *, now: datetime) -> bool:
    """Hold an entry for another lease; False when it was lost meanwhile. The fence before anything is written about it."""
    return _update_leased(session, entry_id, lease_token, {"lease_until": now + LEASE})


def give_back(
    session: Session, entry_id: int, lease_token: str, *, next_at: datetime, error: str | None = None
) -> bool:
    """Return an entry untried: its turn comes again at `next_at`, and this attempt does not count."""
    values: dict[str, Any] = {"next_at": next_at, "lease_until": None, "lease_token": None}
    values |= {"attempts": OutboxEntry.attempts - 1, "last_error": error}
    return _update_leased(session, entry_id, lease_token, values)


def retry_delay(attempts: int, *, retry_after: float | None = None, longest: timedelta = LONGEST_WAIT) -> timedelta:
    """How long to wait after the given number of failed attempts."""
    exponential = min(5.0 * 2 ** min(attempts - 1, 10), longest.total_seconds()) * random.uniform(0.8, 1.2)
    return timedelta(seconds=max(exponential, retry_after or 0.0))


def _move_mails(session: Session, which: ColumnElement[bool], next_at: datetime) -> None:
    waiting = (OutboxEntry.state == "todo", OutboxEntry.topic.startswith(MAILS), OutboxEntry.lease_token.is_(None))
    moved = update(OutboxEntry).where(*waiting, which).values(next_at=next_at)
    session.execute(moved.execution_options(synchronize_session=False))


def _drop_older_stuck(session: Session, entry_id: int) -> None:
    newer = aliased(OutboxEntry)
    is_same = and_(newer.id == entry_id, newer.subject == OutboxEntry.subject, newer.topic == OutboxEntry.topic)
    statement = update(OutboxEntry).where(
        OutboxEntry.state == "stuck",
        OutboxEntry.topic.startswith("calendar."),
        OutboxEntry.id < entry_id,
        exists().where(is_same),
    )
    values = {"state": "dropped", "finished_at": now_utc()}
    session.execute(statement.values(**values).execution_options(synchronize_session=False))


def _update_leased(session: Session, entry_id: int, lease_token: str, values: dict[str, Any]) -> bool:
    statement = (
        update(OutboxEntry)
        .where(OutboxEntry.id == entry_id, OutboxEntry.lease_token == lease_token)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return bool(session.execute(statement).rowcount == 1)  # type: ignore[attr-defined]
