"""Joining a waitlist: what may be wished for, and who may wait. One transaction under the lock of the service's resources."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from portal.availability.model import Slot
from portal.booking import rules
from portal.booking.models import Appointment, WaitlistEntry
from portal.booking.operations import check_details
from portal.booking.rules import Customer
from portal.booking.time.full import possible_days
from portal.booking.time.queries import find_service, free_slots, main_resources
from portal.business.models import Resource, Service
from portal.clock import now_utc
from portal.database.engine import small_letters, write_transaction
from portal.errors import Invalid, NotFound, Refused, RepeatedDifferently, SlotFree
from portal.extensions import current_sealer, db
from portal.intervals import Interval
from portal.language import dates
from portal.language.say import say, say_n
from portal.outbox import OutboxEntry
from portal.security import new_token, token_hash
from portal.waitlist.plan import window_of
from portal.waitlist.steps import LIVE, entry_token, open_offer, resource_locks, tell_entry, token_place
from portal.waitlist.vacancies import business_zone

WISHES = ("appointment", "day", "week", "any")
MOST_MAILS = 3
"""So many mails of the waitlist within an hour, and who asks to wait for the same once more has no further one sent."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A place in the queue. `token` is that of the entry's link; it is for mails alone, since an address that waits already must not be known by
    the answer, nor its link be shown to whoever typed the address. `is_repeat`: the entry stood before."""

    entry_id: int
    token: str
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What is waited for, read and found possible. `window` holds the starts that would do."""

    service_id: int
    wish: str
    window: Interval
    wish_on: date | None
    start_at: datetime | None
    resource_id: int | None
    party_size: int


def join(
    *,
    service_slug: str,
    wish: str,
    customer: Customer,
    party_size: int,
    idempotency_key: str,
    now: datetime,
    appointment_start_at: datetime | None = None,
    wish_on: date | None = None,
    resource_slug: str | None = None,
    answers: Mapping[str, Any] | None = None,
    note: str = "",
) -> Joined:
    """Wait for an appointment (`appointment_start_at`), a day or a week (`wish_on`, any day of it), or whatever becomes free ("any").

    An address waits once for the same: its entry stays as it is, and its link is mailed again, `MOST_MAILS` an hour at most.
    Raises Invalid (fields wish, wish_on, appointment_start_at, party_size, those of the customer and the answers), NotFound, SlotFree (with
    `nearest`) when it can be booked right now, RepeatedDifferently, and Refused when the service has no waitlist.
    """
    if note:
        customer = replace(customer, note=note)
    asked = {"service": service_slug, "wish": wish, "party_size": party_size, "start": appointment_start_at}
    asked |= {"on": wish_on, "resource": resource_slug}
    key = rules.check_key(idempotency_key)
    digest = rules.request_digest(customer=customer, answers=answers or {}, **asked)
    if repeat := _earlier(db.session(), key, digest):
        return repeat
    service = find_service(db.session(), service_slug)
    if not service.has_waitlist:
        raise Refused(say("There is no waitlist for “%(service)s”.", service=service.name))
    customer, kept = check_details(service, customer, answers or {})
    what = read_wish(
        service, wish, start_at=appointment_start_at, wish_on=wish_on, resource_slug=resource_slug,
        party_size=party_size, now=now,
    )  # fmt: skip
    locks = resource_locks(db.session(), service.id)

    def work(session: Session) -> Joined:
        if repeat := _earlier(session, key, digest):
            return repeat
        _refuse_if_free(session, what, now=now)
        if (entry := _find_same(session, what, customer)) is not None:
            return _tell_again(session, entry)
        return _add(session, what, customer, kept, key=key, digest=digest, now=now)

    return write_transaction(locks, work)


def read_wish(
    service: Service,
    wish: str,
    *,
    start_at: datetime | None,
    wish_on: date | None,
    resource_slug: str | None,
    party_size: int,
    now: datetime,
) -> Asked:
    """What is wished for, if it could ever come true. Raises Invalid, NotFound (a person who cannot be chosen)."""
    session: Session = db.session()
    window = _window(session, service, wish, start_at=start_at, wish_on=wish_on, now=now)
    person = _person(session, service, resource_slug)
    asked = Asked(
        service_id=service.id, wish=wish, window=window, wish_on=wish_on if wish in ("day", "week") else None,
        start_at=start_at if wish == "appointment" else None, resource_id=person.id if person else None,
        party_size=party_size,
    )  # fmt: skip
    largest = _largest(session, service, asked, now=now)
    if largest == 0:
        field = "appointment_start_at" if wish == "appointment" else "wish_on"
        sentence = say("Nothing takes place then, so there is nothing to wait for. Please choose another time.")
        raise Invalid(sentence, fields={field: sentence})
    if not 1 <= party_size <= largest:
        sentence = say_n("One person can come.", "At most %(number)s can come together.", largest)
        raise Invalid(sentence, fields={"party_size": sentence})
    return asked


def _window(
    session: Session, service: Service, wish: str, *, start_at: datetime | None, wish_on: date | None, now: datetime
) -> Interval:
    """The starts that would do, clipped to what is still to come."""
    if wish not in WISHES:
        sentence = say("Please choose what you want to wait for.")
        raise Invalid(sentence, fields={"wish": sentence})
    if wish == "appointment":
        if start_at is None or start_at <= now:
            sentence = say("This appointment has begun already. Please choose another time.")
            raise Invalid(sentence, fields={"appointment_start_at": sentence})
        return Interval(start_at, start_at + timedelta(minutes=5))
    reach = Interval(now, now + timedelta(days=service.horizon))
    if wish == "any":
        return reach
    zone = business_zone(session)
    wanted = window_of(wish, wish_on, zone=zone)
    if wanted is None or wanted.end <= now or wanted.start >= reach.end:
        last = reach.end.astimezone(ZoneInfo(zone)).date()
        sentence = say("Please choose a day from today to %(day)s.", day=dates.long_date(last, dates.present_locale()))
        raise Invalid(sentence, fields={"wish_on": sentence})
    return Interval(max(wanted.start, now), min(wanted.end, reach.end))


def _person(session: Session, service: Service, slug: str | None) -> Resource | None:
    if not slug or service.assignment != "choose":
        return None
    for resource in main_resources(session, service):
        if resource.slug == slug:
            return resource
    raise NotFound(say("This person cannot be chosen for this service any more. Please choose again."))


def _largest(session: Session, service: Service, asked: Asked, *, now: datetime) -> int:
    """The largest party that could come in the window if nobody else did; 0 when nothing takes place then."""
    is_fixed = service.timing == "fixed"
    standing = select(func.max(Appointment.capacity)).where(
        Appointment.service_id == service.id,
        Appointment.is_active,
        Appointment.start_at >= asked.window.start,
        Appointment.start_at < asked.window.end,
        Appointment.is_fixed if is_fixed else or_(Appointment.is_fixed, Appointment.capacity > 1),
    )
    largest = session.scalar(standing) or 0
    if is_fixed:
        return largest
    possible = possible_days(session, service, window=asked.window, zone="UTC", now=now, resource_id=asked.resource_id)
    return max(largest, service.capacity) if largest or possible else 0


def _refuse_if_free(session: Session, asked: Asked, *, now: datetime) -> None:
    """Whoever can book has nothing to wait for. What is kept for those who wait already is not free."""
    service = session.get_one(Service, asked.service_id)
    free: list[Slot] = free_slots(
        session, service, window=asked.window, now=now, resource_id=asked.resource_id, party_size=asked.party_size
    )
    if free:
        raise SlotFree(say("There is something free just now: you can book it at once."), nearest=free[:3])


def _find_same(session: Session, asked: Asked, customer: Customer) -> WaitlistEntry | None:
    """A fixed appointment is the same wherever it was moved since, and another one at its old time is not."""
    standing = session.get(Appointment, _standing(session, asked) or 0)
    same = select(WaitlistEntry).where(
        WaitlistEntry.service_id == asked.service_id,
        WaitlistEntry.status.in_(LIVE),
        small_letters(WaitlistEntry.customer_email) == customer.email.lower(),
        WaitlistEntry.wish == asked.wish,
        WaitlistEntry.wish_on.is_not_distinct_from(asked.wish_on),
        WaitlistEntry.appointment_id == standing.id
        if standing is not None and standing.is_fixed
        else WaitlistEntry.start_at.is_not_distinct_from(asked.start_at),
        WaitlistEntry.resource_id.is_not_distinct_from(asked.resource_id),
    )
    return session.scalar(same.order_by(WaitlistEntry.id).limit(1))


def _tell_again(session: Session, entry: WaitlistEntry) -> Joined:
    """Have the newest news of the entry mailed once more, with its link; nobody can fill another's mailbox by that."""
    mine = select(WaitlistEntry.id).where(small_letters(WaitlistEntry.customer_email) == entry.customer_email.lower())
    lately = select(func.count(OutboxEntry.id)).where(
        OutboxEntry.topic == "notify.waitlist",
        OutboxEntry.subject.in_([f"entry:{id_}" for id_ in session.scalars(mine)]),
        OutboxEntry.created_at > now_utc() - timedelta(hours=1),
    )
    if (session.scalar(lately) or 0) < MOST_MAILS:
        offer = open_offer(session, entry)
        tell_entry(session, entry, "offered" if offer else "joined", offer_id=offer.id if offer else None)
    return Joined(entry.id, entry_token(entry), is_repeat=True)


def _add(
    session: Session, asked: Asked, customer: Customer, answers: dict[str, Any], *, key: str, digest: str, now: datetime
) -> Joined:
    token = new_token()
    entry = WaitlistEntry(
        public_id=secrets.token_hex(16), service_id=asked.service_id, wish=asked.wish, wish_on=asked.wish_on,
        start_at=asked.start_at, appointment_id=_standing(session, asked), resource_id=asked.resource_id,
        party_size=asked.party_size, status="waiting", customer_name=customer.name, customer_email=customer.email,
        customer_phone=customer.phone, customer_zone=customer.zone, customer_language=customer.language,
        note=customer.note, answers=answers, token_hash=token_hash(token), idempotency_key=key, request_digest=digest,
        sequence=0, joined_at=now,
    )  # fmt: skip
    entry.sealed_token = current_sealer().seal(token, place=token_place(entry))
    session.add(entry)
    session.flush()
    tell_entry(session, entry, "joined")
    return Joined(entry.id, token)


def _standing(session: Session, asked: Asked) -> int | None:
    """The appointment that stands at the start wished for, with the person wished for."""
    if asked.start_at is None:
        return None
    found = select(Appointment).where(
        Appointment.service_id == asked.service_id, Appointment.is_active, Appointment.start_at == asked.start_at
    )
    for appointment in session.scalars(found.order_by(Appointment.id)):
        if asked.resource_id is None or asked.resource_id in {row.resource_id for row in appointment.resources}:
            return appointment.id
    return None


def _earlier(session: Session, key: str, digest: str) -> Joined | None:
    """What the same request achieved before. Raises RepeatedDifferently when the key was used for another one."""
    entry = session.scalar(select(WaitlistEntry).where(WaitlistEntry.idempotency_key == key))
    if entry is None:
        return None
    if entry.request_digest != digest:
        raise RepeatedDifferently(say("This was sent before with other content. Please begin again."))
    return Joined(entry.id, entry_token(entry), is_repeat=True)
