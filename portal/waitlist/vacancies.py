"""Which seats are free, and who waits for them: the plan's input, read from the tables. Changes nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from portal.availability.slots import offer_slots
from portal.booking.demand import Question, build_demand, stale_calendars
from portal.booking.models import Appointment, AppointmentResource, Booking, Offer, Seat, WaitlistEntry
from portal.business.models import Business, Service
from portal.calendars.models import BusyInterval, Calendar
from portal.db import database_clock
from portal.intervals import Interval, merge
from portal.waitlist.plan import Rules, Vacancy, Waiting, Wanted, window_of

TO_COME = ("pending", "confirmed")


def rules_of(service: Service) -> Rules:
    """How the service makes offers. Without a waitlist it makes none, whoever still waits."""
    return Rules(
        minutes=service.offer_minutes,
        notice=timedelta(minutes=service.notice),
        is_paused=service.is_waitlist_paused or not service.has_waitlist,
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
    is_expired = and_(Booking.status == "held", Booking.held_until < database_clock())
    taken = func.count(Seat.seat_no).filter(~is_expired)
    rows = session.execute(
        select(Appointment.id, Appointment.start_at, Appointment.end_at, Appointment.claim_start_at,
               Appointment.claim_end_at, Appointment.capacity, Appointment.is_fixed, taken.label("taken"))
        .outerjoin(Seat, Seat.appointment_id == Appointment.id)
        .outerjoin(Booking, Booking.id == Seat.booking_id)
        .where(Appointment.service_id == service.id, Appointment.is_active, Appointment.start_at > now)
        .group_by(Appointment.id, Appointment.start_at, Appointment.end_at, Appointment.claim_start_at,
                  Appointment.claim_end_at, Appointment.capacity, Appointment.is_fixed)
        .having((taken > 0) | Appointment.is_fixed)
    ).all()  # fmt: skip
    left = {row.id: row.capacity + extra.get(row.id, 0) - row.taken for row in rows}
    rows = [row for row in rows if left[row.id] > 0]
    people, members = _members(session, [row.id for row in rows])
    shut = _shut(session, rows, members, now=now)
    return [
        Vacancy(
            start_at=row.start_at, end_at=row.end_at, seats=left[row.id], people=tuple(people[row.id]),
            appointment_id=row.id,
        )
        for row in rows
        if row.id not in shut
    ]  # fmt: skip


def _members(session: Session, ids: Sequence[int]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """By appointment: its main resources, and all of them."""
    people: dict[int, list[int]] = defaultdict(list)
    members: dict[int, list[int]] = defaultdict(list)
    if not ids:
        return people, members
    member = AppointmentResource
    rows = session.execute(
        select(member.appointment_id, member.resource_id, member.list_no)
        .where(member.appointment_id.in_(ids))
        .order_by(member.appointment_id, member.list_no, member.resource_id)
    )
    for appointment_id, resource_id, list_no in rows:
        members[appointment_id].append(resource_id)
        if list_no == 0:
            people[appointment_id].append(resource_id)
    return people, members


def _shut(session: Session, rows: Sequence[Any], members: Mapping[int, list[int]], *, now: datetime) -> set[int]:
    """Appointments over which an outside event stands, or whose calendars cannot be read under the rule *stop offering*."""
    if not rows:
        return set()
    ids = sorted({resource_id for resources in members.values() for resource_id in resources})
    unknown = {each.resource_id for each in stale_calendars(session, ids, now=now) if each.when_unreadable == "stop"}
    busy: dict[int, list[Interval]] = defaultdict(list)
    outside = (
        select(BusyInterval.resource_id, BusyInterval.start_at, BusyInterval.end_at)
        .join(Calendar, Calendar.id == BusyInterval.calendar_id)
        .where(
            BusyInterval.resource_id.in_(ids),
            Calendar.is_busy_source,
            BusyInterval.end_at > min(row.claim_start_at for row in rows),
            BusyInterval.start_at < max(row.claim_end_at for row in rows),
        )
    )
    for resource_id, start_at, end_at in session.execute(outside):
        busy[resource_id].append(Interval(start_at, end_at))
    shut = set()
    for row in rows:
        claimed = Interval(row.claim_start_at, row.claim_end_at)
        if any(i in unknown or any(each.overlaps(claimed) for each in busy[i]) for i in members[row.id]):
            shut.add(row.id)
    return shut


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
    address = func.lower(Booking.customer_email)
    bookings = (
        select(address, Appointment.start_at)
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(
            Appointment.service_id == service.id,
            Appointment.start_at > now,
            Booking.status.in_(TO_COME),
            address.in_(addresses),
        )
    )
    for email, start_at in session.execute(bookings):
        booked[email].add(start_at)
        counts[email] += 1
    offered_to = func.lower(WaitlistEntry.customer_email)
    offers = (
        select(offered_to, Offer.start_at)
        .join(WaitlistEntry, WaitlistEntry.id == Offer.entry_id)
        .where(WaitlistEntry.service_id == service.id, Offer.state == "open", offered_to.in_(addresses))
    )
    for email, start_at in session.execute(offers):
        booked[email].add(start_at)
    return booked, counts
