"""Erasing one customer's data, wherever it is stored: bookings, entries, mails, what waits in the outbox, and events in calendars.

It goes in steps, each a transaction of its own that finds by itself what is left to do, so that whoever was killed in between begins again:

1. `begin` writes down that it is wanted, with the address encrypted, and an outbox entry; from then on it will be done.
2. Bookings to come are cancelled and waitlist entries ended, with or without a mail to the customer.
3. Mails about that leave (a day is waited for them at most).
4. Rows are emptied, a batch at a time (`forget`), until nothing holds the address. What was booked meanwhile goes too.
5. The address is forgotten itself; when it was, and how much, stays.

Called by the customers' page of staff, the command line, and the outbox (topic `customer.erase`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking import operations, rules
from portal.booking.models import STANDING, Appointment, Booking, WaitlistEntry
from portal.booking.steps import end, locked
from portal.booking.strangers.budgets import forget_address
from portal.clock import now_utc
from portal.customers.models import Erasure, MailedCode
from portal.customers.queries import is_of
from portal.database.engine import empty_journal, read_transaction, transaction
from portal.errors import NotAllowedNow, NotFound, NotYet
from portal.extensions import current_sealer
from portal.failpoints import reach
from portal.notifications.models import Mail
from portal.outbox import OutboxEntry, Work
from portal.privacy import forget
from portal.privacy.mails import forget_mails, forget_mentions
from portal.waitlist import operations as waitlist

LONGEST_WAIT = timedelta(days=1)
"""So long mails about cancelled bookings may take to leave; then the data goes all the same."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What an erasure would touch: all bookings and entries, and of these the bookings still to come and the entries still waiting."""

    bookings: int
    to_come: int
    entries: int
    waiting: int
    mails: int


def extent(session: Session, email: str, *, now: datetime) -> Extent:
    """For the question whether one means it."""
    mine, waits = is_of(Booking.customer_email, email), is_of(WaitlistEntry.customer_email, email)

    def count(statement: Select[int]) -> int:
        return session.scalar(statement) or 0

    return Extent(
        bookings=count(select(func.count(Booking.id)).where(mine)),
        to_come=count(select(func.count()).select_from(_to_come(email, now=now).subquery())),
        entries=count(select(func.count(WaitlistEntry.id)).where(waits)),
        waiting=count(select(func.count(WaitlistEntry.id)).where(waits, _is_waiting())),
        mails=count(select(func.count(Mail.id)).where(is_of(Mail.recipient, email))),
    )


def begin(email: str, *, is_told: bool, user_id: int | None, now: datetime) -> int:
    """Write down that this address is to be erased; from here on it will be, whatever happens. Raises NotFound when nothing holds it."""

    def work(session: Session) -> int:
        if not _is_stored(session, email):
            raise NotFound("Nothing is stored about this address.")
        row = Erasure(reason="asked", user_id=user_id, erased_at=now, is_told=is_told)
        session.add(row)
        session.flush()
        row.sealed_email = current_sealer().seal(email, place=_place(row.id))
        outbox.record(session, "customer.erase", f"erasure:{row.id}")
        return row.id

    return transaction(work)


def erase_entry(work: Work) -> None:
    """Handler of `customer.erase`, for `erasure:<id>`. Raises NotYet while mails have to leave first."""
    carry_on(work.subject_id, now=now_utc())


def carry_on(erasure_id: int, *, now: datetime) -> None:
    """Do what is left of an erasure. Twice is the same as once. Raises NotYet while mails have to leave first."""
    found = read_transaction(lambda session: _wanted(session, erasure_id))
    if found is None:
        return
    email, is_told, asked_at = found
    while True:  # more than once only when somebody books or joins meanwhile
        _cancel_all(email, is_told=is_told, now=now)
        reach("erase.after_cancel")
        if is_told and now - asked_at < LONGEST_WAIT:
            read_transaction(lambda session: _wait_for_mails(session, email))
        while _empty_a_batch(erasure_id, email, now):
            reach("erase.after_batch")
        if not read_transaction(lambda session: _is_expected(session, email, now=now)):
            break
    transaction(lambda session: _finish(session, erasure_id))
    empty_journal()


def _wanted(session: Session, erasure_id: int) -> tuple[str, bool, datetime] | None:
    row = session.get(Erasure, erasure_id)
    if row is None or not row.sealed_email:
        return None
    return current_sealer().open(row.sealed_email, place=_place(row.id)), row.is_told, row.erased_at


def _cancel_all(email: str, *, is_told: bool, now: datetime) -> None:
    """Nothing to come and nothing to wait for is left. Each is one transaction of its own, as if staff had done it."""
    for entry_id in read_transaction(lambda session: list(session.scalars(_waiting(email)))):
        waitlist.remove(entry_id, now=now)
        if not is_told:
            transaction(lambda session, i=entry_id: _tell_nobody(session, "notify.waitlist", f"entry:{i}"))  # type: ignore[misc]
    for booking_id in read_transaction(lambda session: list(session.scalars(_to_come(email, now=now)))):
        if is_told:
            _unless_over(lambda i=booking_id: operations.cancel_booking(i, by="staff", now=now))  # type: ignore[misc]
        else:
            _unless_over(lambda i=booking_id: transaction(lambda session: _cancel_silently(session, i, now=now)))  # type: ignore[misc]


def _unless_over(cancel: Callable[[], None]) -> None:
    """Who cancelled or marked it in the same moment was first."""
    try:
        cancel()
    except NotAllowedNow:
        return


def _cancel_silently(session: Session, booking_id: int, *, now: datetime) -> None:
    """As `cancel_booking`, but what would be mailed about it is taken back in the same transaction."""
    booking = locked(session, booking_id)
    end(session, booking, rules.next_status(booking.status, "cancel"), news="cancelled", by="staff", now=now)
    session.flush()
    for topic in ("notify.customer", "notify.staff"):
        _tell_nobody(session, topic, f"booking:{booking_id}")


def _tell_nobody(session: Session, topic: str, subject: str) -> None:
    mine = (OutboxEntry.topic == topic, OutboxEntry.subject == subject, OutboxEntry.state == "todo")
    dropped = update(OutboxEntry).where(*mine).values(state="dropped", finished_at=now_utc())
    session.execute(dropped.execution_options(synchronize_session=False))


def _wait_for_mails(session: Session, email: str) -> None:
    bookings = session.scalars(select(Booking.id).where(is_of(Booking.customer_email, email))).all()
    entries = session.scalars(select(WaitlistEntry.id).where(is_of(WaitlistEntry.customer_email, email))).all()
    subjects = [*(f"booking:{i}" for i in bookings), *(f"entry:{i}" for i in entries)]
    leaving = select(OutboxEntry.id).where(
        OutboxEntry.subject.in_(subjects), OutboxEntry.topic.in_(("notify.customer", "notify.waitlist")), OutboxEntry.state == "todo"
    )  # fmt: skip
    if session.scalar(leaving.limit(1)) is not None:
        raise NotYet("The mails about the cancelled bookings leave first.", after=2)


def _empty_a_batch(erasure_id: int, email: str, now: datetime) -> bool:
    """Empty some of what holds the address and is over; False when nothing is left of that."""

    def work(session: Session) -> bool:
        bookings = session.scalars(
            select(Booking)
            .where(is_of(Booking.customer_email, email), Booking.id.not_in(_to_come(email, now=now)))
            .order_by(Booking.id)
            .limit(forget.BATCH)
            .with_for_update()
        ).all()
        entries = session.scalars(
            select(WaitlistEntry)
            .where(is_of(WaitlistEntry.customer_email, email), ~_is_waiting())
            .order_by(WaitlistEntry.id)
            .limit(forget.BATCH)
            .with_for_update()
        ).all()
        words = {email} | {row.customer_name for row in bookings} | {row.customer_name for row in entries}
        if bookings:
            forget.forget_bookings(session, bookings)
        if entries:
            forget.forget_entries(session, entries)
        _forget_codes(session, email)
        forget_address(session, email)
        forget_mails(session, booking_ids=(), entry_ids=(), email=email)
        forget_mentions(session, words)
        forget.forget_titles(session, words)
        counted = {"bookings": Erasure.bookings + len(bookings), "entries": Erasure.entries + len(entries)}
        session.execute(update(Erasure).where(Erasure.id == erasure_id).values(**counted))
        return bool(bookings or entries)

    return transaction(work)


def _forget_codes(session: Session, email: str) -> None:
    """Codes that were mailed, and the visits that they opened, end at once."""
    ids = session.scalars(select(MailedCode.id).where(is_of(MailedCode.email, email))).all()
    forget.forget_codes_in_outbox(session, ids)
    session.execute(delete(MailedCode).where(MailedCode.id.in_(ids)))


def _finish(session: Session, erasure_id: int) -> None:
    session.execute(update(Erasure).where(Erasure.id == erasure_id).values(sealed_email=None, erased_at=now_utc()))


def _is_expected(session: Session, email: str, *, now: datetime) -> bool:
    """Somebody is expected, or waits, under this address after all."""
    found = or_(_to_come(email, now=now).exists(), _waiting(email).exists())
    return bool(session.scalar(select(found)))


def _to_come(email: str, *, now: datetime) -> Select[int]:
    return (
        select(Booking.id)
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(is_of(Booking.customer_email, email), Booking.status.in_(STANDING), Appointment.start_at > now)
        .order_by(Booking.id)
    )  # fmt: skip


def _waiting(email: str) -> Select[int]:
    return select(WaitlistEntry.id).where(is_of(WaitlistEntry.customer_email, email), _is_waiting())


def _is_waiting() -> ColumnElement[bool]:
    return WaitlistEntry.status.in_(("waiting", "offered"))


def _is_stored(session: Session, email: str) -> bool:
    columns = (Booking.customer_email, WaitlistEntry.customer_email, Mail.recipient, MailedCode.email)
    found = or_(*(select(column).where(is_of(column, email)).exists() for column in columns))
    if not email or "\x00" in email:
        return False
    return bool(session.scalar(select(found))) or forget.is_told_of(session, {email})


def _place(erasure_id: int) -> str:
    return f"erasure/{erasure_id}/email"
