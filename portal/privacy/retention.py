"""Forgetting by age: customers of appointments that are over for longer than the business keeps such data, and old mails in any case.

Called once an hour by the periodic table, and by the page where the age is set (`would_forget`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, Booking, WaitlistEntry
from portal.booking.strangers import budgets
from portal.business.fields.bounds import MOST_DAYS_KEPT
from portal.business.models import Business
from portal.customers import codes
from portal.customers.models import Erasure
from portal.database.engine import empty_journal, read_transaction, transaction
from portal.errors import Invalid, NotYet
from portal.extensions import db
from portal.privacy import forget, mails


def keep_retention(*, now: datetime) -> tuple[int, int]:
    """Forget what is too old; gives how many bookings and waitlist entries. What is just being mailed waits for the next hour.

    Mails that tell of several customers, such as questions to staff, were written before the appointment's end: they go by their own age.
    """
    codes.forget_old(now=now)
    budgets.forget_old(now=now)
    days = read_transaction(_days)
    age = timedelta(days=days) if days else mails.KEPT
    bookings, entries = _forget_all(now - age, now=now) if days else (0, 0)
    gone = mails.forget_old_mails(older_than=min(age, mails.KEPT), now=now)
    if bookings or entries or gone:
        empty_journal()
    return bookings, entries


def set_retention(days: int | None) -> None:
    """Keep customers' data so many days after their appointment; None keeps it for good. Raises Invalid."""
    if days is not None and not 1 <= days <= MOST_DAYS_KEPT:
        sentence = f"Please give a number of days from 1 to {MOST_DAYS_KEPT}, or leave it empty."
        raise Invalid(sentence, fields={"days": sentence})
    transaction(lambda session: session.execute(update(Business).values(retention_days=days)))


def retention_days() -> int | None:
    """How long customers' data is kept after their appointment; None: for good."""
    return _days(db.session())


def would_forget(days: int, *, now: datetime) -> tuple[int, int]:
    """How many bookings and entries are older than so many days, and still name somebody."""
    session, before = db.session(), now - timedelta(days=days)
    bookings = select(func.count(Booking.id)).join(Appointment, Appointment.id == Booking.appointment_id)
    return (
        session.scalar(bookings.where(_is_old_booking(before))) or 0,
        session.scalar(select(func.count(WaitlistEntry.id)).where(_is_old_entry(before))) or 0,
    )


def _days(session: Session) -> int | None:
    return session.scalar(select(Business.retention_days))


def _forget_all(before: datetime, *, now: datetime) -> tuple[int, int]:
    """A batch at a time, each noted with its numbers in its own transaction."""
    totals = [0, 0]
    while True:
        try:
            done = transaction(lambda session: _forget_batch(session, before, now=now))
        except NotYet:
            break
        totals = [total + number for total, number in zip(totals, done, strict=True)]
        if not any(done):
            break
    return totals[0], totals[1]


def _forget_batch(session: Session, before: datetime, *, now: datetime) -> tuple[int, int]:
    bookings = session.scalars(
        select(Booking)
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(_is_old_booking(before))
        .order_by(Booking.id)
        .limit(forget.BATCH)
        .with_for_update(of=Booking)
    ).all()
    entries = session.scalars(
        select(WaitlistEntry)
        .where(_is_old_entry(before))
        .order_by(WaitlistEntry.id)
        .limit(forget.BATCH)
        .with_for_update()
    ).all()
    if bookings:
        forget.forget_bookings(session, bookings)
    if entries:
        forget.forget_entries(session, entries)
    if bookings or entries:
        session.add(Erasure(reason="retention", erased_at=now, bookings=len(bookings), entries=len(entries)))
    return len(bookings), len(entries)


def _is_old_booking(before: datetime) -> ColumnElement[bool]:
    names_somebody = or_(Booking.customer_email != "", Booking.customer_name != "")
    return and_(Appointment.end_at < before, names_somebody, Booking.status != "held")


def _is_old_entry(before: datetime) -> ColumnElement[bool]:
    names_somebody = or_(WaitlistEntry.customer_email != "", WaitlistEntry.customer_name != "")
    return and_(WaitlistEntry.ended_at < before, names_somebody)
