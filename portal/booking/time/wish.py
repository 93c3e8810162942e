"""A wished time: what it may take, whether it is offered, and how it is taken under the lock. Used by `portal.booking.operations` and
`portal.booking.move`.

Who takes time locks the resources it may take (`Wish.resource_ids`) before asking the engine here. No outside server is asked in here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar, cast

from sqlalchemy import Table, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.availability.explain import ReasonCode, explain
from portal.availability.model import Demand, Slot
from portal.availability.slots import at_instant, offer_slots
from portal.booking import statements
from portal.booking.models import Appointment, AppointmentResource, Booking
from portal.booking.statements import rows
from portal.booking.time import claims
from portal.booking.time.demand import Facts, Question, StaleCalendar, build_demand, read_facts, stale_calendars
from portal.booking.time.last_look import NOTHING_SEEN, Seen
from portal.booking.time.queries import nearest_slots
from portal.business.models import Service
from portal.calendars.models import BusyInterval, Calendar
from portal.errors import Invalid, NotFound, SlotTaken
from portal.extensions import db
from portal.intervals import Interval
from portal.language.say import say, say_later, say_n

T = TypeVar("T")
TAKEN = say_later("Somebody was quicker: this time has just been taken.")
_OTHERS_HAVE_IT = frozenset(
    {
        ReasonCode.TAKEN, ReasonCode.BUFFER_TAKEN, ReasonCode.FULL, ReasonCode.NO_COMBINATION, ReasonCode.DAY_FULL,
        ReasonCode.WEEK_FULL,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A time that somebody wants, with all the resources that may be needed for it. `claimed` includes the buffers."""

    service_id: int
    interval: Interval
    claimed: Interval
    resource_id: int | None
    party_size: int
    resource_ids: tuple[int, ...]
    moving_id: int | None = None
    facts: Facts | None = None
    """What is set about the service's time, as read with the wish; hours do not change under the lock of bookings anyway."""


def read_wish(
    service: Service,
    start_at: datetime,
    *,
    resource_slug: str | None = None,
    party_size: int = 1,
    moving_id: int | None = None,
) -> Wish:
    """What a request for a time means. Raises NotFound for a person who cannot be chosen, Invalid for a party too large."""
    session: Session = db.session()
    fixed = _fixed_at(session, service, start_at) if service.timing == "fixed" else []
    most = max((row.capacity for row in fixed), default=service.capacity)
    if party_size > most:
        most = max(most, _largest_group(session, service, start_at))
    if not 1 <= party_size <= most:
        sentence = say_n("One person can come.", "At most %(number)s can come together.", most)
        raise Invalid(sentence, fields={"party_size": sentence})
    facts = read_facts(session, service, Interval(start_at, start_at))
    lists = facts.lists
    resource_id = _chosen(session, resource_slug, lists[0]) if resource_slug else None
    main = [resource_id] if resource_id and service.assignment == "choose" else lists[0]
    ids = {
        *main,
        *(i for members in lists[1:] for i in members),
        *(member.resource_id for row in fixed for member in row.resources),
    }
    interval = Interval(
        start_at, max((row.end_at for row in fixed), default=start_at + timedelta(minutes=service.duration))
    )
    return Wish(
        service_id=service.id,
        interval=interval,
        claimed=claims.claimed_by(service, interval),
        resource_id=resource_id,
        party_size=party_size,
        resource_ids=tuple(sorted(ids)),
        moving_id=moving_id,
        facts=facts,
    )


def wish_of(booking: Booking) -> Wish:
    """The time that a booking has already."""
    appointment = booking.appointment
    return Wish(
        service_id=appointment.service_id,
        interval=Interval(appointment.start_at, appointment.end_at),
        claimed=Interval(appointment.claim_start_at, appointment.claim_end_at),
        resource_id=None,
        party_size=booking.party_size,
        resource_ids=tuple(sorted(row.resource_id for row in appointment.resources)),
    )


@dataclass(frozen=True, slots=True)
class Place:
    """The appointment in which a wish comes true, its time claimed; `is_new` when nobody else is in it."""

    appointment_id: int
    interval: Interval
    resource_ids: tuple[int, ...]
    capacity: int
    is_new: bool
    stale: tuple[StaleCalendar, ...]
    """The calendars of the wish's resources that count as unreadable."""


def find_place(session: Session, wish: Wish, *, now: datetime, seen: Seen = NOTHING_SEEN) -> Place:
    """Claim the wished time in a new appointment, or find the group appointment that stands there. Raises SlotTaken."""
    claims.drop_expired_holds(session, wish.resource_ids)
    service = session.get_one(Service, wish.service_id)
    stale = tuple(stale_calendars(session, wish.resource_ids, now=now))
    slot, main = find_slot(session, service, wish, now=now, seen=seen, stale=stale)
    standing = standing_appointment(session, slot)
    if standing is not None:
        ids = tuple(row.resource_id for row in standing.resources)
        return Place(standing.id, slot.interval, ids, standing.capacity, is_new=False, stale=stale)
    appointment_id = claims.open_appointment(session, service, slot, resources=main)
    return Place(appointment_id, slot.interval, (*main, *slot.also), service.capacity, is_new=True, stale=stale)


def sit_down(session: Session, place: Place, booking: Booking) -> None:
    """Store a new booking in its appointment and give it seats. Raises SlotTaken when there are too few.

    One plain insert of what is set, and not the session's unit of work, which takes as long as the rest of the lock's time.
    The object stays outside of the session, with its id.
    """
    booking.appointment_id = place.appointment_id
    values = {name: value for name, value in vars(booking).items() if not name.startswith("_")}
    booking.id = session.connection().execute(_INSERT, values).scalar_one()
    claims.take_seats(session, booking, capacity=place.capacity, is_new=place.is_new)


def find_slot(
    session: Session,
    service: Service,
    wish: Wish,
    *,
    now: datetime,
    seen: Seen = NOTHING_SEEN,
    stale: Sequence[StaleCalendar] | None = None,
) -> tuple[Slot, tuple[int, ...]]:
    """The engine's slot for the wish, and the main resources that will give it. Raises SlotTaken.

    The expired holds of the wish's resources must have been dropped before.
    """
    window = Interval(wish.interval.start, wish.interval.start + timedelta(minutes=5))
    moving = session.get(Booking, wish.moving_id) if wish.moving_id else None
    question = Question(
        window=window,
        resource_id=wish.resource_id,
        party_size=wish.party_size,
        moving=moving,
        extra_busy=seen.busy,
        looked_at=seen.calendars,
        stale=stale,
        is_swept=True,
        facts=wish.facts,
    )
    demand = build_demand(session, service, question, now=now)
    # By its start alone: one that stands already may be longer or shorter than a new one would be.
    slot = next(iter(offer_slots(at_instant(demand, wish.interval.start), now=now)), None)
    if slot is None:
        raise SlotTaken(_refusal(demand, wish.interval.start, now=now))
    if service.assignment == "all":
        return slot, slot.choices
    if slot.also:  # the room and so on were found for the first choice; another one might not fit them
        return slot, slot.choices[:1]
    return slot, (_least_busy(session, slot.choices, wish.interval.start),)


def standing_appointment(session: Session, slot: Slot) -> Appointment | None:
    """The appointment that stands at the slot already, with its row locked, if the slot is some of its free seats; else None.

    Giving seats back needs no lock of resources: the last one to leave may be closing it in this moment. Raises SlotTaken when it is closed.
    """
    if slot.appointment_id is None:
        return None
    standing = session.scalar(
        select(Appointment)
        .where(Appointment.id == slot.appointment_id, Appointment.is_active)
        .with_for_update(of=Appointment)
        .execution_options(populate_existing=True)
    )
    if standing is None:
        raise SlotTaken(say(TAKEN))
    return standing


def check_no_outside_event(session: Session, wish: Wish, *, seen: Seen) -> None:
    """Under the lock: no outside event stands over the wished time. Promise 2 of the README. Raises SlotTaken."""
    known = session.execute(
        select(BusyInterval.start_at, BusyInterval.end_at)
        .join(Calendar, Calendar.id == BusyInterval.calendar_id)
        .where(
            BusyInterval.resource_id.in_(wish.resource_ids),
            Calendar.is_busy_source,
            BusyInterval.end_at > wish.claimed.start,
            BusyInterval.start_at < wish.claimed.end,
        )
    ).first()
    found = (interval for resource_id in wish.resource_ids for interval in seen.busy.get(resource_id, ()))
    if known is not None or any(interval.overlaps(wish.claimed) for interval in found):
        raise SlotTaken(say("An event in the calendar has come over this time just now."))


def with_nearest(wish: Wish, now: datetime, act: Callable[[], T]) -> T:
    """Run `act`; a refusal by the database's keys becomes SlotTaken, and SlotTaken gets the three nearest slots."""
    try:
        return act()
    except IntegrityError:
        # The primary key of a claim or a seat, or PostgreSQL's exclusion constraint: never retried, it is the answer.
        error = SlotTaken(say(TAKEN))
    except SlotTaken as taken:
        error = taken
    error.nearest = _nearest(wish, now)
    raise error


def _refusal(demand: Demand, instant: datetime, *, now: datetime) -> str:
    """Why a time is not to be had, in a sentence that tells nothing about others."""
    codes = {reason.code for reason in explain(demand, instant, now=now)}
    if codes & _OTHERS_HAVE_IT:
        return say(TAKEN)
    if ReasonCode.UNKNOWN in codes:
        return say("A calendar cannot be read at this moment, so this time cannot be promised. Please try again later.")
    return say("This time is not offered.")


def _nearest(wish: Wish, now: datetime) -> list[Slot]:
    session: Session = db.session()
    service = session.get(Service, wish.service_id)
    if service is None:
        return []
    moving = session.get(Booking, wish.moving_id) if wish.moving_id else None
    return nearest_slots(
        session,
        service,
        instant=wish.interval.start,
        now=now,
        resource_id=wish.resource_id,
        party_size=wish.party_size,
        moving=moving,
    )


def _chosen(session: Session, slug: str, ids: list[int]) -> int:
    found = rows(session, statements.chosen(), slug=slug, ids=ids)
    if not found:
        raise NotFound(say("This person cannot be chosen for this service any more. Please choose again."))
    resource_id: int = found[0].id
    return resource_id


def _fixed_at(session: Session, service: Service, start_at: datetime) -> list[Appointment]:
    """The fixed appointments that begin then; mostly one."""
    then = (Appointment.service_id == service.id, Appointment.start_at == start_at)
    return list(session.scalars(select(Appointment).where(*then, Appointment.is_fixed, Appointment.is_active)))


def _largest_group(session: Session, service: Service, start_at: datetime) -> int:
    """The capacity of the group that stands then: staff may have given it more seats than a new one would have."""
    if service.capacity == 1 and service.timing != "fixed":
        return 1
    then = (Appointment.service_id == service.id, Appointment.start_at == start_at, Appointment.is_active)
    return session.scalar(select(func.max(Appointment.capacity)).where(*then)) or 0


def _least_busy(session: Session, choices: tuple[int, ...], instant: datetime) -> int:
    """Who has the fewest appointments around that day; the order of the list decides between equals."""
    if len(choices) == 1:
        return choices[0]
    day = timedelta(hours=12)
    counted = session.execute(
        select(AppointmentResource.resource_id, func.count())
        .where(
            AppointmentResource.resource_id.in_(choices),
            AppointmentResource.is_active,
            AppointmentResource.claim_end_at > instant - day,
            AppointmentResource.claim_start_at < instant + day,
        )
        .group_by(AppointmentResource.resource_id)
    )
    counts = dict(counted.tuples().all())
    return min(choices, key=lambda resource_id: (counts.get(resource_id, 0), choices.index(resource_id)))


_BOOKING = cast(Table, Booking.__table__)
_INSERT = insert(_BOOKING).returning(_BOOKING.c.id)
