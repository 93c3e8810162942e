"""Questions about services, slots and bookings. Each takes the session first and changes nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.availability.explain import Reason, explain
from portal.availability.model import Slot
from portal.availability.slots import offer_slots
from portal.booking import statements
from portal.booking.models import Appointment, Booking
from portal.booking.statements import rows
from portal.booking.time.demand import Question, build_demand, needed_lists, stale_calendars
from portal.business.models import Resource, Service
from portal.errors import HoldExpired, NotFound
from portal.intervals import Interval
from portal.language.say import say
from portal.security import token_hash

SEARCH_STEP = timedelta(days=7)


def find_service(session: Session, slug: str) -> Service:
    """Raises NotFound; a service that is not active is as good as none."""
    service = session.scalar(statements.service_by_slug(), {"slug": slug})
    if service is None:
        raise NotFound(say("There is no such service here. It may have been renamed or closed."))
    return service


def list_services(session: Session) -> list[Service]:
    """Those that are shown to everybody; hidden ones are found by their address only."""
    shown = select(Service).where(Service.is_active, Service.is_hidden.is_(False))
    return list(session.scalars(shown.order_by(Service.position, Service.id)))


def largest_capacity(session: Session, service: Service, *, now: datetime) -> int:
    """How many people can come together at best: staff may have given single appointments more seats, or fewer, than the service says."""
    if service.capacity == 1 and service.timing != "fixed":
        return 1
    to_come = (Appointment.service_id == service.id, Appointment.is_active, Appointment.start_at > now)
    standing = session.scalar(select(func.max(Appointment.capacity)).where(*to_come))
    if standing is None:
        return service.capacity
    return standing if service.timing == "fixed" else max(service.capacity, standing)


def main_resources(session: Session, service: Service) -> list[Resource]:
    """The active resources of the main list, in its order."""
    ids = needed_lists(session, service.id)[0]
    rows = {row.id: row for row in session.scalars(select(Resource).where(Resource.id.in_(ids)))}
    return [rows[i] for i in ids]


def present_person(session: Session, appointment: Appointment) -> Resource | None:
    """Who gives the appointment now, as long as customers can still choose them for its service."""
    taken = {row.resource_id for row in appointment.resources if row.list_no == 0}
    return next((row for row in main_resources(session, appointment.service) if row.id in taken), None)


def free_slots(
    session: Session,
    service: Service,
    *,
    window: Interval,
    now: datetime,
    resource_id: int | None = None,
    party_size: int = 1,
    moving: Booking | None = None,
) -> list[Slot]:
    """The slots that start within `window`, sorted by start."""
    question = Question(window=window, resource_id=resource_id, party_size=party_size, moving=moving)
    return offer_slots(build_demand(session, service, question, now=now), now=now)


def free_days(
    session: Session,
    service: Service,
    *,
    from_on: date,
    to_on: date,
    zone: str,
    now: datetime,
    resource_id: int | None = None,
    party_size: int = 1,
    moving: Booking | None = None,
) -> dict[date, list[Slot]]:
    """Slots by the local date of their start in `zone`; every date from `from_on` to `to_on`, both included, is there."""
    local = ZoneInfo(zone)
    window = Interval(
        datetime.combine(from_on, time(), local).astimezone(UTC),
        datetime.combine(to_on + timedelta(days=1), time(), local).astimezone(UTC),
    )
    slots = free_slots(
        session, service, window=window, now=now, resource_id=resource_id, party_size=party_size, moving=moving
    )
    days: dict[date, list[Slot]] = {from_on + timedelta(days=n): [] for n in range((to_on - from_on).days + 1)}
    for slot in slots:
        days[slot.interval.start.astimezone(local).date()].append(slot)
    return days


def soonest_slots(
    session: Session,
    service: Service,
    *,
    now: datetime,
    limit: int = 5,
    resource_id: int | None = None,
    party_size: int = 1,
    moving: Booking | None = None,
    after: datetime | None = None,
) -> list[Slot]:
    """The next slots from `after` (default: now) on, searched week by week up to the horizon."""
    found: list[Slot] = []
    start, last = max(after or now, now), now + timedelta(days=service.horizon)
    while len(found) < limit and start < last:
        window = Interval(start, min(start + SEARCH_STEP, last))
        found += free_slots(
            session, service, window=window, now=now, resource_id=resource_id, party_size=party_size, moving=moving
        )
        start = window.end
    return found[:limit]


def nearest_slots(
    session: Session,
    service: Service,
    *,
    instant: datetime,
    now: datetime,
    resource_id: int | None = None,
    party_size: int = 1,
    moving: Booking | None = None,
) -> list[Slot]:
    """The three slots nearest to `instant`, in order of time; looked for within a week on both sides, else the next ones."""
    slots = free_slots(
        session,
        service,
        window=Interval(instant - SEARCH_STEP, instant + SEARCH_STEP),
        now=now,
        resource_id=resource_id,
        party_size=party_size,
        moving=moving,
    )
    if not slots:
        return soonest_slots(
            session, service, now=now, limit=3, resource_id=resource_id, party_size=party_size, moving=moving
        )
    return sorted(sorted(slots, key=lambda slot: abs(slot.interval.start - instant))[:3])


def why_not(session: Session, service: Service, *, instant: datetime, now: datetime) -> list[Reason]:
    """Why a slot at `instant` is not offered; empty when it is."""
    window = Interval(instant, instant + timedelta(minutes=5))
    return explain(build_demand(session, service, Question(window=window), now=now), instant, now=now)


def is_unknown(session: Session, service: Service, *, resource_id: int | None, now: datetime) -> bool:
    """Whether calendars that the service needs cannot be read, so that nothing is offered for their people or rooms."""
    main, *further = needed_lists(session, service.id)
    ids = {*([resource_id] if resource_id else main), *(i for members in further for i in members)}
    return any(calendar.when_unreadable == "stop" for calendar in stale_calendars(session, ids, now=now))


def booking_of_hold(session: Session, token: str, *, now: datetime) -> Booking:
    """The held booking of a hold's token. Raises NotFound, or HoldExpired when its time is over."""
    booking = session.scalar(statements.booking_by_hold(), {"hash": token_hash(token)})
    if booking is None or booking.status != "held" or booking.held_until is None:
        raise NotFound(say("This time is not kept for you any more. Please choose a time again."))
    if booking.held_until < now:
        raise HoldExpired(say("The time was kept for you for as long as possible, and is not kept any more."))
    return booking


def booking_of_manage_token(session: Session, token: str) -> Booking:
    """Raises NotFound for unknown and foreign tokens alike."""
    booking = session.scalar(statements.booking_by_manage_token(), {"hash": token_hash(token)})
    if booking is None:
        raise NotFound(say("This link does not lead to a booking. Please use the newest link from our mails."))
    return booking


def booking_of_public_id(session: Session, public_id: str) -> Booking:
    booking = session.scalar(statements.booking_by_public_id(), {"public_id": public_id})
    if booking is None:
        raise NotFound("There is no booking with this id.")
    return booking


def booking_to_confirm(session: Session, public_id: str) -> Booking | None:
    """One that its customer has to confirm by mail, or has confirmed; None when it is gone. Unlike `booking_of_public_id` not for programs."""
    return session.scalar(select(Booking).where(Booking.public_id == public_id, Booking.manage_hash.is_not(None)))


def sync_state(session: Session, appointment_id: int) -> str:
    """How far the calendars agree: "stuck" before "waiting" before "done"; "none" where no calendar takes it.

    Right after a booking no event link exists yet: then a destination calendar means "waiting". Right after a change the links still tell
    of the version before: then what waits in the outbox does.
    """
    states = {state for (state,) in rows(session, statements.link_states(), appointment_id=appointment_id)}
    for state in ("stuck", "waiting"):
        if state in states:
            return state
    if not states:
        return "waiting" if rows(session, statements.destinations(), appointment_id=appointment_id) else "none"
    if rows(session, statements.still_to_write(), subject=f"appointment:{appointment_id}"):
        return "waiting"
    return "done" if "done" in states else "none"
