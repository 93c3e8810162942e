"""Which seats are free, and who waits for them: the plan's input, read from the tables. Changes nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.availability.slots import offer_slots
from portal.booking.models import STANDING, Appointment, AppointmentResource, Booking, Offer, WaitlistEntry
from portal.booking.time.demand import Question, build_demand, stale_calendars
from portal.booking.time.joinable import find_standing
from portal.business.models import Business, Service
from portal.database.engine import small_letters
from portal.intervals import Interval, merge
from portal.waitlist.plan import Rules, Vacancy, Waiting, Wanted, window_of
from portal.waitlist.steps import resource_locks

FAR = timedelta(days=3650)
"""Whoever waits for an appointment waits for it however far ahead it stands."""


def rules_of(service: Service) -> Rules:
    """How the service makes offers. Without a waitlist, or closed, it makes none, whoever still waits."""
    return Rules(
        minutes=service.offer_minutes,
        notice=timedelta(minutes=service.notice),
        is_paused=service.is_waitlist_paused or not service.has_waitlist or not service.is_active,
    )


def business_zone(session: Session) -> str:
    """The zone in which days and weeks are meant."""
    return session.scalar(select(Business.zone)) or "UTC"


def wanted_by(session: Session, entries: Sequence[WaitlistEntry]) -> dict[int, Wanted]:
    """What each entry waits for, by its id."""
    zone = business_zone(session)
    ids = {entry.appointment_id for entry in entries if entry.appointment_id is not None}
    fixed = set(session.scalars(select(Appointment.id).where(Appointment.id.in_(ids), Appointment.is_fixed)))
    return {entry.id: wanted_of(entry, zone=zone, is_fixed=entry.appointment_id in fixed) for entry in entries}


def wanted_of(entry: WaitlistEntry, *, zone: str, is_fixed: bool) -> Wanted:
    """A fixed appointment is waited for wherever staff move it; any other comes and goes with its bookings, so its time is what counts."""
    if entry.wish != "appointment":
        return Wanted(window=window_of(entry.wish, entry.wish_on, zone=zone), resource_id=entry.resource_id)
    if is_fixed:
        return Wanted(appointment_id=entry.appointment_id)
    return Wanted(start_at=entry.start_at, resource_id=entry.resource_id)


def waiting_of(session: Session, service: Service, entries: Sequence[WaitlistEntry], *, now: datetime) -> list[Waiting]:
    """The entries that wait (and have no open offer), with what keeps them from being offered something."""
    queue = [entry for entry in entries if entry.status == "waiting"]
    if not queue:
        return []
    wanted = wanted_by(session, queue)
    refused = _refused(session, [entry.id for entry in queue])
    booked, counts = _booked(session, service, {entry.customer_email.lower() for entry in queue}, now=now)
    return [
        Waiting(
            entry_id=entry.id,
            joined_at=entry.joined_at,
            customer=entry.customer_email.lower(),
            party_size=entry.party_size,
            wanted=wanted[entry.id],
            refused=frozenset(refused[entry.id]),
            booked=frozenset(booked[entry.customer_email.lower()]),
            is_limited=service.per_customer is not None
            and counts[entry.customer_email.lower()] >= service.per_customer,
        )
        for entry in queue
    ]


def find_vacancies(
    session: Session,
    service: Service,
    wishes: Collection[Wanted],
    *,
    now: datetime,
    is_swept: bool,
    extra: Mapping[int, int] | None = None,
) -> list[Vacancy]:
    """All seats that could be offered for these wishes: in standing appointments and, where times are computed, in new ones.

    `is_swept`: the expired holds have just been deleted. `extra` are seats to imagine, by appointment.
    """
    if not wishes:
        return []
    found = _standing(session, service, now=now, extra=extra or {})
    if service.timing == "slots":
        for window in _windows(service, wishes, now=now):
            found += _new(session, service, window, now=now, is_swept=is_swept)
    return found


def _standing(session: Session, service: Service, *, now: datetime, extra: Mapping[int, int]) -> list[Vacancy]:
    """Free seats of the appointments that stand already, fixed ones and groups; none where an outside event or a rule shuts the time."""
    if service.capacity == 1 and service.timing != "fixed":
        return []
    ids = resource_locks(session, service.id)
    unknown = {each.resource_id for each in stale_calendars(session, ids, now=now) if each.when_unreadable == "stop"}
    found = find_standing(
        session, service, Interval(now, now + FAR), now=now, own=None, extra_busy={}, unknown=unknown, for_waitlist=True
    )
    seats = [(each.id, each.seats_left + extra.get(each.id, 0), each) for each in found if each.id is not None]
    free = [
        (id_, left, each.interval)
        for id_, left, each in seats
        if left > 0 and each.interval.start > now and not (each.is_taken or each.is_unknown)
    ]
    people = _people(session, [id_ for id_, _, _ in free])
    return [
        Vacancy(start_at=start, end_at=end, seats=left, people=tuple(people[id_]), appointment_id=id_)
        for id_, left, (start, end) in free
    ]


def _people(session: Session, ids: Sequence[int]) -> dict[int, list[int]]:
    """The main resources of each appointment."""
    people: dict[int, list[int]] = defaultdict(list)
    member = AppointmentResource
    main = select(member.appointment_id, member.resource_id).where(member.appointment_id.in_(ids), member.list_no == 0)
    for appointment_id, resource_id in session.execute(main.order_by(member.resource_id)) if ids else ():
        people[appointment_id].append(resource_id)
    return people


def _windows(service: Service, wishes: Iterable[Wanted], *, now: datetime) -> list[Interval]:
    """The stretches in which somebody wants an appointment to start, as far as the service offers any."""
    reach = Interval(now, now + timedelta(days=service.horizon))
    windows = []
    for wanted in wishes:
        if wanted.appointment_id is not None:
            continue
        at = wanted.start_at
        window = Interval(at, at + timedelta(minutes=5)) if at is not None else wanted.window or reach
        windows.append(Interval(max(window.start, reach.start), min(window.end, reach.end)))
    return merge(windows)


def _new(session: Session, service: Service, window: Interval, *, now: datetime, is_swept: bool) -> list[Vacancy]:
    """The appointments that the engine would open. Standing ones are left out here: they are counted seat by seat."""
    demand = build_demand(session, service, Question(window=window, is_swept=is_swept), now=now)
    slots = offer_slots(replace(demand, open_appointments=()), now=now)
    before, after = timedelta(minutes=service.buffer_before), timedelta(minutes=service.buffer_after)
    return [
        Vacancy(
            start_at=slot.interval.start,
            end_at=slot.interval.end,
            seats=service.capacity,
            people=slot.choices,
            also=slot.also,
            claimed=slot.interval.widened(before=before, after=after),
            together=service.assignment == "all",
        )
        for slot in slots
    ]


def _refused(session: Session, ids: Sequence[int]) -> dict[int, set[datetime]]:
    """The starts that were offered to these entries in vain."""
    refused: dict[int, set[datetime]] = defaultdict(set)
    over = select(Offer.entry_id, Offer.start_at).where(
        Offer.entry_id.in_(ids), Offer.state.in_(("declined", "lapsed"))
    )
    for entry_id, start_at in session.execute(over):
        refused[entry_id].add(start_at)
    return refused


def _booked(
    session: Session, service: Service, addresses: Collection[str], *, now: datetime
) -> tuple[dict[str, set[datetime]], Counter[str]]:
    """By e-mail address: the starts at which it has a booking of the service, or is being offered one; and how many bookings to come."""
    booked: dict[str, set[datetime]] = defaultdict(set)
    counts: Counter[str] = Counter()
    address = small_letters(Booking.customer_email)
    bookings = (
        select(address, Appointment.start_at)
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(
            Appointment.service_id == service.id,
            Appointment.start_at > now,
            Booking.status.in_(STANDING),
            address.in_(addresses),
        )
    )
    for email, start_at in session.execute(bookings):
        booked[email].add(start_at)
        counts[email] += 1
    offered_to = small_letters(WaitlistEntry.customer_email)
    offers = (
        select(offered_to, Offer.start_at)
        .join(WaitlistEntry, WaitlistEntry.id == Offer.entry_id)
        .where(WaitlistEntry.service_id == service.id, Offer.state == "open", offered_to.in_(addresses))
    )
    for email, start_at in session.execute(offers):
        booked[email].add(start_at)
    return booked, counts
