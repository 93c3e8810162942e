"""A class of few seats, people who wait for it, and short ways to act. Shared by the waitlist's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from portal.availability.model import Slot
from portal.booking.models import Appointment, Booking, Offer, Seat, WaitlistEntry, WaitlistReceipt
from portal.booking.operations import Customer, book, cancel_booking
from portal.booking.time import claims
from portal.business.models import Resource, Service
from portal.database.engine import begin_write
from portal.extensions import db
from portal.intervals import Interval
from portal.outbox import OutboxEntry
from portal.waitlist import operations as waitlist
from tests.factories import make_resource, make_service

NOW = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)  # a Monday; Madrid is an hour ahead
TEN = datetime(2027, 3, 8, 9, 0, tzinfo=UTC)
"""When the class of `make_class` begins, a week ahead."""


def make_class(
    capacity: int = 2, *, start_at: datetime = TEN, resource: Resource | None = None, **values
) -> Appointment:
    """A fixed appointment of a service with a waitlist."""
    resource = resource or make_resource()
    values = {"duration": 60, "step": 60, "capacity": capacity, "timing": "fixed", "has_waitlist": True, **values}
    service = make_service([resource], **values)
    return add_date(service, resource, start_at=start_at, capacity=capacity)


def add_date(service: Service, resource: Resource, *, start_at: datetime, capacity: int) -> Appointment:
    """One more date of a service."""
    session = db.session()
    session.rollback()
    begin_write(session)
    slot = Slot(Interval(start_at, start_at + timedelta(minutes=service.duration)), (resource.id,), (), capacity)
    id_ = claims.open_appointment(session, service, slot, resources=[resource.id])
    session.execute(update(Appointment).where(Appointment.id == id_).values(is_fixed=True, capacity=capacity))
    session.commit()
    return session.get_one(Appointment, id_)


def guest(name: str) -> Customer:
    return Customer(name, f"{name.lower()}@example.org")


def take(appointment: Appointment, name: str, *, party_size: int = 1, now: datetime = NOW) -> int:
    """A booking in that appointment, straight into its seats: tests of the waitlist need not ask the page."""
    session = db.session()
    id_, capacity = appointment.id, appointment.capacity
    session.rollback()
    begin_write(session)
    booking = Booking(
        public_id=f"{name}-{id_}", appointment_id=id_, status="confirmed", party_size=party_size, sequence=0,
        customer_name=name, customer_email=guest(name).email, created_at=now, confirmed_at=now,
    )  # fmt: skip
    session.add(booking)
    session.flush()
    claims.take_seats(session, booking, capacity=capacity)
    session.commit()
    return booking.id


def wait(appointment: Appointment, name: str, *, party_size: int = 1, now: datetime = NOW, **more) -> waitlist.Joined:
    """Join the waitlist of that appointment, or with `wish=` for something else."""
    service = appointment.service
    wish = more.pop("wish", "appointment")
    if wish == "appointment":
        more.setdefault("appointment_start_at", appointment.start_at)
    return waitlist.join(
        service_slug=service.slug, wish=wish, customer=more.pop("customer", guest(name)), party_size=party_size,
        idempotency_key=more.pop("key", f"{name}-{wish}-{appointment.id}-{now}"), now=now, **more,
    )  # fmt: skip


def look(service_id: int, *, now: datetime = NOW, cause: str = "cancelled") -> list[int]:
    return waitlist.look(service_id, cause=cause, now=now)


def cancel(booking_id: int, *, now: datetime = NOW) -> None:
    cancel_booking(booking_id, by="staff", now=now)


def entry(joined: waitlist.Joined) -> WaitlistEntry:
    db.session.rollback()
    return db.session.get(WaitlistEntry, joined.entry_id)


def offers(**where) -> list[Offer]:
    db.session.rollback()
    return list(db.session.scalars(select(Offer).filter_by(**where).order_by(Offer.id)))


def receipts() -> list[WaitlistReceipt]:
    db.session.rollback()
    return list(db.session.scalars(select(WaitlistReceipt).order_by(WaitlistReceipt.id)))


def why(receipt: WaitlistReceipt) -> list[str]:
    return [line["why"] for line in receipt.considered]


def news() -> list[tuple[str, str]]:
    """(news, reason) of all that waiting people are told, in order."""
    db.session.rollback()
    entries = db.session.scalars(select(OutboxEntry).filter_by(topic="notify.waitlist").order_by(OutboxEntry.id))
    return [(each.payload["news"], each.payload["reason"]) for each in entries]


def run_out(offer: Offer) -> None:
    """The offer's time is over by the database's clock."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    db.session.rollback()
    begin_write(db.session())
    db.session.execute(update(Booking).where(Booking.id == offer.booking_id).values(held_until=past))
    db.session.execute(update(Offer).where(Offer.id == offer.id).values(ends_at=past))
    db.session.commit()


def seats(appointment_id: int) -> int:
    db.session.rollback()
    return len(db.session.scalars(select(Seat).filter_by(appointment_id=appointment_id)).all())


__all__ = [
    "NOW", "TEN", "add_date", "book", "cancel", "entry", "guest", "look", "make_class", "news", "offers", "receipts", "run_out",
    "seats", "take", "wait", "waitlist", "why",
]  # fmt: skip
