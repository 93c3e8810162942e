"""What staff do with a waitlist: offer by hand, take somebody off, pause it, see what would be offered; and the look that never fails anybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, WaitlistEntry
from portal.booking.time import claims
from portal.booking.time.queries import find_service
from portal.business.models import Service
from portal.clock import now_utc
from portal.database.engine import transaction, write_transaction
from portal.errors import Invalid, NotAllowedNow
from portal.extensions import db
from portal.waitlist import plan
from portal.waitlist.allot import keep_receipts, live_entries, look_quietly, settle_offers
from portal.waitlist.customer_answers import take_off
from portal.waitlist.offering import make_offer
from portal.waitlist.plan import Considered, Receipt, Vacancy, Waiting
from portal.waitlist.steps import found_entry, locked_entry, open_offer, resource_locks
from portal.waitlist.vacancies import find_vacancies, rules_of, waiting_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WouldOffer:
    """What the dry run foresees for one entry: `length` is how long the offer would hold the seats from now on."""

    entry_id: int
    customer_name: str
    customer_email: str
    party_size: int
    start_at: datetime
    end_at: datetime
    appointment_id: int | None
    length: timedelta


def offer_by_hand(
    entry_id: int,
    *,
    now: datetime,
    appointment_id: int | None = None,
    start_at: datetime | None = None,
    resource_id: int | None = None,
) -> int:
    """Offer seats to this entry before all others: in a standing appointment, or at a time that is free. The receipt says "by hand".

    `resource_id` is who gives it, where the entry would take anyone and the service lets people choose. Works while the waitlist is paused,
    and whatever the entry wished for. Returns the offer's id. Raises NotFound, Invalid, NotAllowedNow (the entry does not wait), SlotTaken.
    """
    session: Session = db.session()
    service_id = found_entry(session, entry_id).service_id
    vacancy = _vacancy(session, service_id, appointment_id=appointment_id, start_at=start_at, now=now)
    locks = resource_locks(session, service_id)

    def work(session: Session) -> int:
        claims.drop_expired_holds(session, locks)
        settle_offers(session, service_id, now=now)
        entry, service = locked_entry(session, entry_id), session.get_one(Service, service_id)
        if entry.status != "waiting":
            has_offer = open_offer(session, entry) is not None
            raise NotAllowedNow("They have an open offer already." if has_offer else "They do not wait any more.")
        length = _length_by_hand(service, vacancy.start_at, now=now)
        offer = make_offer(
            session, service, entry, vacancy, length=length, now=now, by="staff", resource_id=resource_id
        )
        line = Considered(entry.id, entry.party_size, plan.OFFERED, plan.BY_HAND)
        keep_receipts(session, service, [Receipt(vacancy, (line,))], cause="by hand", now=now)
        return offer.id

    return write_transaction(locks, work)


def remove(entry_id: int, *, now: datetime | None = None) -> None:
    """Take somebody off the waitlist; they are told. For an entry that has ended it changes nothing. Raises NotFound."""
    moment = now or now_utc()
    session: Session = db.session()
    service_id = found_entry(session, entry_id).service_id
    locks = resource_locks(session, service_id)
    write_transaction(locks, lambda s: take_off(s, locked_entry(s, entry_id), reason="removed", now=moment))
    look_quietly(service_id, cause="removed", now=moment)


def pause(service_slug: str, is_paused: bool) -> None:
    """Make no more offers, or make them again. Open offers stay valid, and people may join meanwhile. Raises NotFound."""

    def work(session: Session) -> None:
        service = find_service(session, service_slug)
        if service.is_waitlist_paused != is_paused:
            service.is_waitlist_paused = is_paused
            outbox.record(session, "waitlist.look", f"service:{service.id}", cause="paused" if is_paused else "resumed")

    transaction(work)


def dry_run(
    service_slug: str, *, now: datetime, appointment_id: int | None = None, more_seats: int = 0
) -> list[WouldOffer]:
    """Who would be offered what if a look came now and the waitlist were not paused; with so many seats more in one appointment, if given.
    Changes nothing. Raises NotFound."""
    session: Session = db.session()
    service = find_service(session, service_slug)
    entries = live_entries(session, service.id)
    waiting = waiting_of(session, service, entries, now=now)
    extra = {appointment_id: more_seats} if appointment_id is not None else {}
    wishes = {each.wanted for each in waiting}
    vacancies = find_vacancies(session, service, wishes, now=now, is_swept=False, extra=extra)
    if appointment_id is not None:
        vacancies = [vacancy for vacancy in vacancies if vacancy.appointment_id == appointment_id]
    return _foresee(service, {entry.id: entry for entry in entries}, vacancies, waiting, now=now)


def _foresee(
    service: Service,
    entries: dict[int, WaitlistEntry],
    vacancies: list[Vacancy],
    waiting: list[Waiting],
    *,
    now: datetime,
) -> list[WouldOffer]:
    rules = plan.Rules(minutes=service.offer_minutes, notice=rules_of(service).notice)
    return [
        WouldOffer(
            entry_id=offering.entry_id,
            customer_name=entries[offering.entry_id].customer_name,
            customer_email=entries[offering.entry_id].customer_email,
            party_size=entries[offering.entry_id].party_size,
            start_at=offering.vacancy.start_at,
            end_at=offering.vacancy.end_at,
            appointment_id=offering.vacancy.appointment_id,
            length=offering.length,
        )
        for offering in plan.decide(vacancies, waiting, rules, now=now).offers
    ]


def _vacancy(
    session: Session, service_id: int, *, appointment_id: int | None, start_at: datetime | None, now: datetime
) -> Vacancy:
    """The place that staff name. Whether it has the seats is found out under the lock."""
    if appointment_id is not None:
        appointment = session.get(Appointment, appointment_id)
        if appointment is None or appointment.service_id != service_id or not appointment.is_active:
            raise Invalid("Please choose an appointment of this service that takes place.")
        return Vacancy(
            start_at=appointment.start_at, end_at=appointment.end_at, seats=appointment.capacity,
            people=tuple(row.resource_id for row in appointment.resources if row.list_no == 0),
            appointment_id=appointment.id,
        )  # fmt: skip
    if start_at is None:
        raise Invalid("Please choose what to offer: an appointment, or a time.")
    service = session.get_one(Service, service_id)
    end_at = start_at + timedelta(minutes=service.duration)
    return Vacancy(start_at=start_at, end_at=end_at, seats=service.capacity, people=())


def _length_by_hand(service: Service, start_at: datetime, *, now: datetime) -> timedelta:
    """Staff may offer later than the rule would, up to the start itself. Raises NotAllowedNow when it has begun."""
    left = start_at - now
    if left <= timedelta(minutes=1):
        raise NotAllowedNow("This appointment has begun already, so nothing of it can be offered.")
    length = plan.offer_length(start_at, minutes=service.offer_minutes, notice=timedelta(0), now=now)
    return length or min(plan.SHORTEST, left)
