"""Bookings that staff make from what a calendar holds: of a time and people that were booked before, and of which the database lost track.

Called inside a write transaction that holds the locks of the resources. No rule of the service is asked, and no outside event: the
appointment stands already, and only another booking can be in its way.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.booking import rules
from portal.booking.models import Appointment, Booking
from portal.booking.steps import Request, fill_in, tell_of_new
from portal.booking.time import claims
from portal.booking.time.wish import TAKEN
from portal.business.models import Service
from portal.errors import NotFound, SlotTaken
from portal.intervals import Interval
from portal.language.say import say

NO_ADDRESS = "nobody@invalid.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What takes place, when, and whose time it takes."""

    service_id: int
    interval: Interval
    resource_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Who comes, with how many. An empty e-mail address: nobody is mailed."""

    customer: rules.Customer
    party_size: int = 1


def take_up_in(
    session: Session, wanted: Wanted, people: Sequence[Person], *, appointment_id: int | None, now: datetime
) -> int:
    """Confirmed bookings of these people, in this appointment or a new one; returns its id. Raises Invalid, SlotTaken."""
    checked = [replace(person, customer=_checked(person.customer)) for person in people]
    service = session.get(Service, wanted.service_id)
    if service is None:
        raise NotFound(say("There is no such service here. It may have been renamed or closed."))
    seats = sum(person.party_size for person in checked)
    try:
        with session.begin_nested():
            is_new = appointment_id is None
            if appointment_id is None:
                capacity = max(service.capacity, seats)
                appointment_id = claims.stand(
                    session, service, wanted.interval, _members(service, wanted.resource_ids),
                    capacity=capacity, is_fixed=service.timing == "fixed",
                )  # fmt: skip
            appointment = session.get_one(Appointment, appointment_id)
            for person in checked:
                _seat(session, appointment, person, is_new=is_new, now=now)
                is_new = False
    except IntegrityError:
        raise SlotTaken(say(TAKEN)) from None
    appointment.version = Appointment.version + 1
    return appointment_id


def _seat(session: Session, appointment: Appointment, person: Person, *, is_new: bool, now: datetime) -> None:
    booking = Booking(
        public_id=secrets.token_hex(16), appointment_id=appointment.id, status="held", party_size=person.party_size,
        sequence=0, created_at=now,
    )  # fmt: skip
    session.add(booking)
    session.flush()
    key = secrets.token_hex(16)
    fill_in(booking, person.customer, request=Request(key, key, "staff", {}))
    booking.status, booking.confirmed_at = "confirmed", now
    claims.take_seats(session, booking, capacity=appointment.capacity, is_new=is_new)
    tell_of_new(session, booking, "booked", by="staff", publish=True)


def _checked(customer: rules.Customer) -> rules.Customer:
    """Staff may not know the address."""
    if customer.email:
        return rules.check_customer(customer)
    return replace(rules.check_customer(replace(customer, email=NO_ADDRESS)), email="")


def _members(service: Service, resource_ids: Sequence[int]) -> list[tuple[int, int]]:
    """(list_no, resource_id): each in the list of the service that it stands in, the first one's where it is in none."""
    lists = {need.resource_id: need.list_no for need in reversed(service.needs)}
    return [(lists.get(resource_id, 0), resource_id) for resource_id in sorted(set(resource_ids))]
