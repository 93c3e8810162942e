"""Making an offer: a held booking takes the seats, and the customer is told. Inside a transaction that holds the service's locks."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, Booking, Offer, Seat, WaitlistEntry
from portal.booking.time.wish import Place, find_place, read_wish, sit_down
from portal.business.models import Resource, Service
from portal.database.engine import database_now
from portal.errors import SlotTaken
from portal.intervals import Interval
from portal.language.say import say
from portal.security import new_token, token_hash
from portal.waitlist.plan import Vacancy
from portal.waitlist.steps import tell_entry


def make_offer(
    session: Session,
    service: Service,
    entry: WaitlistEntry,
    vacancy: Vacancy,
    *,
    length: timedelta,
    now: datetime,
    by: str = "portal",
    resource_id: int | None = None,
) -> Offer:
    """Hold the vacancy's seats for the entry; `resource_id` says who is to give it where the entry does not care. Raises SlotTaken
    when they are not to be had after all; nothing has changed then.

    The hold belongs to nobody's browser: its token is thrown away. It ends by the database's clock, as all holds do.
    """
    ends_at = database_now(session) + length
    place = _place(session, service, entry, vacancy, person_id=entry.resource_id or resource_id, now=now)
    booking = Booking(
        public_id=secrets.token_hex(16), status="held", party_size=entry.party_size, sequence=0, created_at=now,
        hold_hash=token_hash(new_token()), held_until=ends_at,
    )  # fmt: skip
    sit_down(session, place, booking)
    offer = Offer(
        entry_id=entry.id, booking_id=booking.id, appointment_id=place.appointment_id,
        resource_id=place.resource_ids[0] if place.resource_ids else None, start_at=vacancy.start_at,
        end_at=vacancy.end_at, party_size=entry.party_size, made_by=by, made_at=now, ends_at=ends_at,
    )  # fmt: skip
    session.add(offer)
    entry.status = "offered"
    session.flush()
    tell_entry(session, entry, "offered", offer_id=offer.id)
    # A subject of its own: entries of one subject are done in order, and this one waits for hours.
    outbox.record(session, "waitlist.look", f"offer:{offer.id}", not_before=ends_at, cause="lapsed")
    return offer


def _place(
    session: Session, service: Service, entry: WaitlistEntry, vacancy: Vacancy, *, person_id: int | None, now: datetime
) -> Place:
    """Seats in the appointment that stands there; else a new appointment, which must be one that the engine offers."""
    standing = _standing(session, service, entry, vacancy, person_id=person_id)
    if standing is not None:
        ids = tuple(row.resource_id for row in standing.resources)
        interval = Interval(standing.start_at, standing.end_at)
        return Place(standing.id, interval, ids, standing.capacity, is_new=False, stale=())
    person = session.get(Resource, person_id) if person_id else None
    wish = read_wish(
        service, vacancy.start_at, resource_slug=person.slug if person else None, party_size=entry.party_size
    )
    return find_place(session, wish, now=now)


def _standing(
    session: Session, service: Service, entry: WaitlistEntry, vacancy: Vacancy, *, person_id: int | None
) -> Appointment | None:
    """The vacancy's appointment; or one that was opened at its start since (by the offer before this one) and has the seats.

    Its row is locked: who cancels the last booking of a group closes it without the lock of its resources.
    """
    if vacancy.appointment_id is not None:
        appointment = session.get(Appointment, vacancy.appointment_id, populate_existing=True, with_for_update=True)
        if appointment is None or not appointment.is_active:
            raise SlotTaken(say("This appointment does not take place any more."))
        return appointment
    if service.capacity == 1:
        return None
    taken = select(func.count()).where(Seat.appointment_id == Appointment.id).scalar_subquery()
    at_the_start = select(Appointment).where(
        Appointment.service_id == service.id,
        Appointment.is_active,
        Appointment.start_at == vacancy.start_at,
        Appointment.capacity - taken >= entry.party_size,
    )
    for appointment in session.scalars(at_the_start.order_by(Appointment.id).with_for_update()):
        people = [row.resource_id for row in appointment.resources if row.list_no == 0]
        if person_id is None or person_id in people:
            return appointment
    return None
