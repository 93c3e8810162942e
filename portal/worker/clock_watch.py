"""The worker's watch over its own clock: asks the witnesses, says what is in doubt, and mends what wrong times have left once that is over.

`portal.timekeeping.timekeeper` judges. Said is it in the log, in a row that the home page and `lockstep doctor` read, and, when it lasts, in one
mail.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from flask import Flask
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Booking, Offer
from portal.booking.rules import HOLD
from portal.calendars.models import Calendar
from portal.clock import now_utc
from portal.database.engine import database_now, read_transaction, transaction
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.sync.clock_doubts import ROW
from portal.sync.models import Lease, LedgerLine
from portal.timekeeping import timekeeper, witnesses
from portal.timekeeping.timekeeper import TOLERANCE, Doubt, Timekeeper, steady

ASK_EVERY = 5.0
TOLD_AFTER = 30.0
"""Seconds; a leap that is over sooner is in the log alone."""
LASTS = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=2)
"""No calendar is left alone for longer."""
log = structlog.get_logger()


class ClockWatch:
    """One for each worker process; `keep` is called every second or so."""

    def __init__(self, app: Flask, *, host: str) -> None:
        self._app = app
        self._row = f"{ROW}{host}"[:60]
        self._keeper: Timekeeper | None = None
        self._asks_at = 0.0
        self._said: str | None = None
        self._since = 0.0

    def keep(self) -> Doubt | None:
        """The doubt at this moment, if any. To be called in the app's context."""
        keeper = self._keeper or self._begin()
        if steady() >= self._asks_at:
            self._asks_at = steady() + ASK_EVERY
            self._ask(keeper)
        found = keeper.look(now_utc(), steady())
        if found is None and keeper.has_recovered:
            transaction(lambda session: mend(session, now=now_utc()))
            keeper.has_recovered = False
        return found

    def end(self) -> None:
        """Keep no watch any more."""
        self._app.extensions.pop(timekeeper.KEY, None)
        self._keeper = None

    def _begin(self) -> Timekeeper:
        """Before this process writes any instant itself."""
        newest = read_transaction(_newest_instant)
        self._keeper = self._app.extensions[timekeeper.KEY] = Timekeeper(now_utc(), steady(), newest=newest)
        return self._keeper

    def _ask(self, keeper: Timekeeper) -> None:
        if db.engine.dialect.name != "sqlite":  # else it is the same clock
            keeper.hear_database(read_transaction(database_now), steady())
        heard = witnesses.last_heard()
        if heard is not None:
            keeper.hear_outside(*heard)
        self._say(keeper.look(now_utc(), steady()))

    def _say(self, found: Doubt | None) -> None:
        sentence = found.sentence if found else ""
        if sentence != self._said:
            if bool(sentence) != bool(self._said):
                self._since = steady()
            if sentence:
                log.warning("the clock is in doubt, so what is due by time waits", reason=sentence)
            elif self._said:
                log.warning("the clock is believed again")
            transaction(lambda session: self._note(session, sentence))
            self._said = sentence
        elif found is not None:
            is_told = found.is_alarming and steady() - self._since >= TOLD_AFTER
            transaction(lambda session: self._note(session, sentence, is_told=is_told))

    def _note(self, session: Session, sentence: str, *, is_told: bool = False) -> None:
        row = session.get(Lease, self._row, with_for_update=True)
        if row is None:
            if not sentence:
                return
            row = Lease(name=self._row)
            session.add(row)
        if not sentence:
            row.holder = ""
        elif is_told and not row.holder:
            row.holder = "told"
            outbox.record(session, "notify.staff", "clock:1", news="clock", sentence=sentence)
        row.note, row.last_done_at, row.until = sentence, now_utc(), now_utc() + LASTS


def mend(session: Session, *, now: datetime) -> None:
    """Nothing waits any longer for an hour that a wrong clock wrote down: leases, turns and readings that lie ahead of what they can be."""
    ahead = now + TOLERANCE
    leased = update(OutboxEntry).where(OutboxEntry.lease_until > ahead + outbox.LEASE)
    late = update(OutboxEntry).where(
        OutboxEntry.state == "todo",
        OutboxEntry.next_at > ahead,
        or_(OutboxEntry.created_at > ahead, OutboxEntry.last_error.is_not(None)),
    )
    read = update(Calendar).where(Calendar.last_read_at > ahead)
    turns = update(Calendar).where(or_(Calendar.next_read_at > now + LONGEST_PAUSE, Calendar.last_read_at > ahead))
    reading = update(Calendar).where(Calendar.read_lease_until > now + LONGEST_PAUSE)
    offered = select(Offer.booking_id).where(Offer.state == "open", Offer.booking_id.is_not(None))
    holds = update(Booking).where(
        Booking.status == "held", Booking.held_until > ahead + 3 * HOLD, Booking.id.not_in(offered)
    )
    for statement in (
        leased.values(lease_until=None, lease_token=None),
        late.values(next_at=now),
        turns.values(next_read_at=now),
        read.values(last_read_at=None),
        reading.values(read_lease_until=None, read_lease_token=None),
        holds.values(held_until=now),
    ):
        session.execute(statement.execution_options(synchronize_session=False))


def _newest_instant(session: Session) -> datetime | None:
    """When something was last written."""
    found = [
        session.scalar(select(func.max(Lease.last_done_at))),
        session.scalar(select(OutboxEntry.created_at).order_by(OutboxEntry.id.desc()).limit(1)),
        session.scalar(select(LedgerLine.at).order_by(LedgerLine.id.desc()).limit(1)),
    ]
    return max((instant for instant in found if instant is not None), default=None)
