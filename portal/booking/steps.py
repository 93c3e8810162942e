"""Small steps shared by the operations: loading under lock, ending a booking, confirming it, telling the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, Booking
from portal.booking.rules import By, Customer
from portal.booking.time import claims
from portal.business.models import Service
from portal.database.engine import database_now
from portal.errors import HoldExpired, NotFound
from portal.extensions import current_sealer
from portal.language.say import say, say_later
from portal.security import new_token, token_hash

NOT_KEPT = say_later("This time is not kept for you any more. Please choose a time again.")


def locked(session: Session, booking_id: int) -> Booking:
    """The booking with its row locked, so that two answers to it come one after the other. Raises NotFound."""
    return _existing(session.scalar(select(Booking).where(Booking.id == booking_id).with_for_update()))


def found(session: Session, booking_id: int) -> Booking:
    """The booking as it stands, for reading. Raises NotFound."""
    return _existing(session.get(Booking, booking_id))


def held(session: Session, token: str) -> Booking:
    """The hold with this token. Raises NotFound, or HoldExpired by the database's clock."""
    booking = session.scalar(select(Booking).where(Booking.hold_hash == token_hash(token)))
    if booking is None or booking.status != "held" or booking.held_until is None:
        raise NotFound(say(NOT_KEPT))
    if booking.held_until < database_now(session):
        raise HoldExpired(say("The time was kept for you for as long as possible, and is not kept any more."))
    return booking


@dataclass(frozen=True, slots=True)
class Request:
    """A request to book: its idempotency key and content as digests, where it came from, and further answers."""

    key: str
    digest: str
    channel: str
    answers: Mapping[str, Any]


def fill_in(booking: Booking, customer: Customer, *, request: Request) -> str:
    """Write the customer and the request into the booking; returns the token of its new manage link."""
    booking.customer_name = customer.name
    booking.customer_email = customer.email
    booking.customer_phone = customer.phone
    booking.customer_zone = customer.zone
    booking.customer_language = customer.language
    booking.note = customer.note
    booking.answers = dict(request.answers)
    booking.channel = request.channel
    booking.idempotency_key = request.key
    booking.request_digest = request.digest
    booking.hold_hash = None
    return renew_link(booking)


def renew_link(booking: Booking) -> str:
    """Give the booking a new manage link, which ends the one it had; returns its token."""
    token = new_token()
    booking.manage_hash = token_hash(token)
    booking.sealed_manage_token = current_sealer().seal(token, place=_place(booking))
    return token


def manage_token(booking: Booking) -> str:
    """The token of the booking's manage link, for mails and repeated answers. Raises Invalid when it does not open."""
    return current_sealer().open(booking.sealed_manage_token or "", place=_place(booking))


def end(session: Session, booking: Booking, status: str, *, news: str, by: By, now: datetime, **more: Any) -> None:
    """Give the booking a status that owns nothing, free its time, and tell everybody (`more` goes into what they are told)."""
    booking.status = status
    booking.cancelled_at = now
    booking.cancelled_by = by
    tell(session, booking, news, by=by, **more)
    claims.leave(session, booking)
    tell_waitlist(session, booking.appointment.service, news)


def tell(session: Session, booking: Booking, news: str, *, by: By, publish: bool = True, **more: Any) -> None:
    """A booking has changed: the customer's and the calendars' copies are outdated; record who must be told."""
    booking.appointment.version = Appointment.version + 1  # by the database: another seat may change in the same moment
    booking.sequence += 1
    tell_of_new(session, booking, news, by=by, publish=publish, **more)


def tell_of_new(session: Session, booking: Booking, news: str, *, by: By, publish: bool, **more: Any) -> None:
    """Record who must be told of a booking that nobody outside has seen yet (or whose version was raised already)."""
    payload = {"news": news, "by": by, "sequence": booking.sequence, **more}
    entries = [(topic, f"booking:{booking.id}", payload) for topic in ("notify.customer", "notify.staff")]
    if publish:
        entries.insert(0, ("calendar.publish", f"appointment:{booking.appointment_id}", {}))
    outbox.record_all(session, entries)


def tell_waitlist(session: Session, service: Service, cause: str, *, not_before: datetime | None = None) -> None:
    """Seats or time of the service may be free now, or will be at `not_before`: record that its waitlist is looked at, if it has one.

    `cause` says what freed them in one word: cancelled, refused, moved, released, capacity, planned ...
    """
    if service.has_waitlist:
        outbox.record(session, "waitlist.look", f"service:{service.id}", not_before=not_before, cause=cause)


def _place(booking: Booking) -> str:
    return f"booking/{booking.public_id}/manage_token"


def _existing(booking: Booking | None) -> Booking:
    if booking is None or booking.status == "held":
        raise NotFound(say("There is no such booking."))
    return booking
