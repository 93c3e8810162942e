"""What is stored about one customer, who is known by the e-mail address alone, in whatever letters. Reads only.

A customer has no row: whoever has booked, or waits, with an address is its customer. Letters are compared by
`portal.database.engine.small_letters`, alike on both databases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session, contains_eager, joinedload

from portal.booking.models import Appointment, Booking, WaitlistEntry
from portal.database.engine import small_letters
from portal.errors import NotFound

PAGE_SIZE = 25


@dataclass(frozen=True, slots=True)
class Found:
    """One customer in a list. `key` names them in addresses of pages: the public id of one of their bookings or entries."""

    key: str
    name: str
    email: str
    bookings: int
    visits: int
    missed: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How often a customer came, did not come, and is expected."""

    visits: int
    missed: int
    upcoming: int
    cancelled: int


def is_of(column: InstrumentedAttribute[str], email: str) -> ColumnElement[bool]:
    """Whether the column holds this address, in whatever letters."""
    return small_letters(column) == small_letters(email)


def has_anything(session: Session, email: str) -> bool:
    """Whether anybody booked or waits with this address."""
    if not email or "\x00" in email:
        return False
    booked = exists().where(is_of(Booking.customer_email, email), Booking.status != "held")
    waits = exists().where(is_of(WaitlistEntry.customer_email, email))
    return bool(session.scalar(select(or_(booked, waits))))


def bookings_of(session: Session, email: str, *, limit: int | None = None) -> list[Booking]:
    """All bookings of an address that were made for good, the latest first."""
    statement = (
        select(Booking)
        .join(Booking.appointment)
        .join(Appointment.service)
        .options(contains_eager(Booking.appointment).contains_eager(Appointment.service))
        .where(is_of(Booking.customer_email, email), Booking.customer_email != "", Booking.status != "held")
        .order_by(Appointment.start_at.desc(), Booking.id.desc())
    )
    return list(session.scalars(statement.limit(limit)))


def entries_of(session: Session, email: str, *, limit: int | None = None) -> list[WaitlistEntry]:
    """All waitlist entries of an address, the latest first."""
    statement = (
        select(WaitlistEntry)
        .options(joinedload(WaitlistEntry.service))
        .where(is_of(WaitlistEntry.customer_email, email), WaitlistEntry.customer_email != "")
        .order_by(WaitlistEntry.joined_at.desc(), WaitlistEntry.id.desc())
    )
    return list(session.scalars(statement.limit(limit)))


def counts_of(session: Session, email: str, *, now: datetime) -> Counts:
    """In one statement."""
    upcoming = and_(Booking.status.in_(("pending", "confirmed")), Appointment.end_at > now)
    row = session.execute(
        select(
            _count(Booking.status == "completed"), _count(Booking.status == "no_show"), _count(upcoming), _count(Booking.status == "cancelled")
        )
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(is_of(Booking.customer_email, email), Booking.customer_email != "")
    ).one()  # fmt: skip
    return Counts(*(int(number) for number in row))


def find_customers(session: Session, *, search: str, page: int) -> tuple[list[Found], int]:
    """One page of customers, the last to book first, and how many there are. `search` looks in names and addresses."""
    rows = _stored_rows()
    address = small_letters(rows.c.email)
    grouped = select(
        address.label("address"), func.max(rows.c.start_at).label("last_at"),
        func.sum(rows.c.is_booking).label("bookings"), func.sum(rows.c.came).label("visits"), func.sum(rows.c.missed).label("missed"),
    ).group_by(address)  # fmt: skip
    if search:
        columns = (rows.c.name, rows.c.email)
        matches = or_(*(small_letters(column).contains(search.lower(), autoescape=True) for column in columns))
        grouped = grouped.where(address.in_(select(small_letters(rows.c.email)).where(matches)))
    total = session.scalar(select(func.count()).select_from(grouped.subquery())) or 0
    newest_first = grouped.order_by(func.max(rows.c.made_at).desc(), address)
    shown = session.execute(newest_first.limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)).all()
    newest = _newest_of(session, [row.address for row in shown])
    return [_found(row, newest[row.address]) for row in shown], total


def email_of(session: Session, key: str) -> str:
    """The address of the customer whom `Found.key` names. Raises NotFound, also when they were erased."""
    for model in (Booking, WaitlistEntry):
        email = session.scalar(select(model.customer_email).where(model.public_id == key))
        if email:
            return str(email)
    raise NotFound("There is no such customer (any more).")


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _stored_rows() -> Any:
    """Bookings and waitlist entries in one form."""
    bookings = (
        select(
            Booking.id.label("id"), Booking.customer_email.label("email"), Booking.customer_name.label("name"),
            Booking.created_at.label("made_at"), Appointment.start_at.label("start_at"), _as_number(Booking.status != "held").label("is_booking"),
            _as_number(Booking.status == "completed").label("came"), _as_number(Booking.status == "no_show").label("missed"),
        )
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(Booking.customer_email != "")
    )  # fmt: skip
    nothing = _as_number(WaitlistEntry.id.is_(None))
    entries = select(
        WaitlistEntry.id, WaitlistEntry.customer_email, WaitlistEntry.customer_name, WaitlistEntry.joined_at, WaitlistEntry.joined_at,
        nothing, nothing, nothing,
    ).where(WaitlistEntry.customer_email != "")  # fmt: skip
    return union_all(bookings, entries).subquery()


def _as_number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _newest_of(session: Session, addresses: Sequence[str]) -> dict[str, Any]:
    """The newest booking or entry of each of these addresses, which are in lower case."""
    found: dict[str, Any] = {}
    for model, made_at in ((Booking, Booking.created_at), (WaitlistEntry, WaitlistEntry.joined_at)):
        address = small_letters(model.customer_email)
        columns = (model.public_id, model.customer_name, model.customer_email, made_at.label("made_at"))
        statement = select(address.label("address"), *columns).where(address.in_(addresses)).order_by(made_at, model.id)
        for row in session.execute(statement):
            if row.address not in found or row.made_at >= found[row.address].made_at:
                found[row.address] = row
    return found


def _found(row: Any, newest: Any) -> Found:
    return Found(
        key=newest.public_id,
        name=newest.customer_name,
        email=newest.customer_email,
        bookings=int(row.bookings),
        visits=int(row.visits),
        missed=int(row.missed),
        last_at=row.last_at if int(row.bookings) else None,
    )
