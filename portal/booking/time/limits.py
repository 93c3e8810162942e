"""How many bookings one customer may have of a service. Asked under the lock when a booking is made; limits per day and week are the engine's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from portal.booking.models import STANDING, Appointment, Booking
from portal.booking.time.demand import needed_lists
from portal.business.models import Service
from portal.database.engine import small_letters
from portal.errors import LimitReached
from portal.language.say import say_n


def check_per_customer(session: Session, service: Service, email: str, *, now: datetime) -> None:
    """One address has at most `service.per_customer` bookings to come, pending ones included and held ones not. Raises LimitReached.

    The caller holds the locks of `limit_locks`: two bookings at once would both find room else.
    """
    limit = service.per_customer
    if limit is None:
        return
    to_come = to_come_of(email, service_id=service.id, now=now).with_only_columns(func.count(Booking.id)).order_by(None)
    if session.scalars(to_come).one() >= limit:
        raise LimitReached(
            say_n(
                "With this e-mail address, one booking to come is as many as we take for “%(service)s”. "
                "To take another time instead, move that one: the link is in its e-mail.",
                "With this e-mail address, %(number)s bookings to come are as many as we take for “%(service)s”. "
                "To take another time instead, move or cancel one of them: the links are in their e-mails.",
                limit,
                service=service.name,
            )
        )


def to_come_of(email: str, *, service_id: int, now: datetime) -> Select[Booking]:
    """The bookings of this address that count, the next one first."""
    return (
        select(Booking)
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(
            Appointment.service_id == service_id,
            Appointment.start_at > now,
            Booking.status.in_(STANDING),
            small_letters(Booking.customer_email) == email.lower(),
        )
        .order_by(Appointment.start_at, Booking.id)
    )


def limit_locks(session: Session, service: Service, resource_ids: Iterable[int]) -> tuple[int, ...]:
    """The resources to lock for a booking that may take `resource_ids`: where bookings are limited, by customer, day or week, all of the
    service, so that bookings of other people's time come one after the other too."""
    ids = set(resource_ids)
    if any(limit is not None for limit in (service.per_customer, service.per_day, service.per_week)):
        ids |= {resource_id for members in needed_lists(session, service.id) for resource_id in members}
    return tuple(sorted(ids))
