"""Builds the engine's `Demand` from the tables; nobody else does. Pages and bookings ask this all the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple, cast

from sqlalchemy.orm import Session

from portal.availability.model import Assignment, Demand, OpenAppointment, SlotRules, TimeRange, Timetable
from portal.booking import statements
from portal.booking.models import Booking
from portal.booking.statements import rows
from portal.booking.time.joinable import count_made, find_standing
from portal.business.models import Service
from portal.intervals import Interval

Busy = Mapping[int, Sequence[Interval]]


class StaleCalendar(NamedTuple):
    """A busy source whose last good read is older than its freshness allows."""

    id: int
    resource_id: int
    when_unreadable: str


@dataclass(slots=True)
class Facts:
    """What is set about the time of a service's resources. `lists` holds active ones only, list by list."""

    lists: list[list[int]] = field(default_factory=lambda: [[]])
    zones: dict[int, str] = field(default_factory=dict)
    weekly: dict[int, dict[int, tuple[TimeRange, ...]]] = field(default_factory=lambda: defaultdict(dict))
    overrides: dict[int, dict[date, tuple[TimeRange, ...]]] = field(default_factory=lambda: defaultdict(dict))
    business_zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to ask the engine. `moving` is a booking whose own time counts as free; `extra_busy` is what a last look found."""

    window: Interval
    resource_id: int | None = None
    party_size: int = 1
    moving: Booking | None = None
    extra_busy: Busy = field(default_factory=dict)
    looked_at: frozenset[int] = frozenset()
    """Calendars that were read this very moment, whatever their last full read."""
    stale: Sequence[StaleCalendar] | None = None
    """What `stale_calendars` says of the resources, where the caller has asked already."""
    is_swept: bool = False
    """The expired holds of the resources have just been deleted, so none need be looked for."""
    facts: Facts | None = None
    """What is set about the service's time around the window, where the caller has read it already."""
    for_waitlist: bool = False
    """The waitlist itself asks: seats that are kept for those who wait count as free."""


def build_demand(session: Session, service: Service, question: Question, *, now: datetime) -> Demand:
    """Everything the engine needs to answer `question` for `service`; about five small queries."""
    reach = _reach(service, question.window)
    facts = question.facts or read_facts(session, service, question.window)
    lists = facts.lists
    if question.resource_id is not None and service.assignment == "choose":
        lists = [[i for i in lists[0] if i == question.resource_id], *lists[1:]]
    ids = sorted({resource_id for members in lists for resource_id in members})
    blocked = _blocked(session, ids, question, now=now)
    is_fixed = service.timing == "fixed"
    rules = slot_rules(service, zone=facts.business_zone)
    # What takes the time of its resources does not matter where no new appointment is made.
    free = [] if is_fixed else _not_counted(session, question)
    busy = {} if is_fixed else _busy(session, ids, reach, free=free, extra=question.extra_busy)
    tables = _timetables(ids, reach, facts=facts, busy=busy, blocked=blocked)
    counts = rules.has_limits and not is_fixed
    made_on = count_made(session, service, question.window, zone=rules.zone, free=free) if counts else {}
    return Demand(
        window=question.window,
        rules=rules,
        assignment=cast(Assignment, service.assignment),
        resources=tuple(tables[i] for i in lists[0]),
        also_needs=tuple(tuple(tables[i] for i in members) for members in lists[1:]),
        capacity=service.capacity,
        party_size=question.party_size,
        open_appointments=_standing(session, service, question, blocked, now=now),
        is_fixed=is_fixed,
        made_on=made_on,
        chosen=question.resource_id,
    )


def read_facts(session: Session, service: Service, window: Interval) -> Facts:
    """One statement for all that is set about the time of the service's resources around the window."""
    reach = _reach(service, window)
    margin = timedelta(days=2)  # local dates may be a day off from UTC's, on either side
    dates = {"first_on": reach.start.date() - margin, "last_on": reach.end.date() + margin}
    facts = Facts()
    needs = []
    for kind, a, b, c, d, text in rows(session, statements.timetable_facts(), service_id=service.id, **dates):
        if kind == 1:
            needs.append((a, c, b, bool(d)))
            facts.zones[b] = text
        elif kind == 2:
            facts.weekly[a][b] = (*facts.weekly[a].get(b, ()), _time_range(c, d))
        elif kind == 3:
            days, on_date = facts.overrides[a], date.fromisoformat(text)
            ranges = days.get(on_date, ())
            days[on_date] = ranges if b is None else (*ranges, _time_range(b, c))
        else:
            facts.business_zone = text
    facts.lists = _lists((list_no, id_, is_active) for list_no, _, id_, is_active in sorted(needs))
    return facts


def needed_lists(session: Session, service_id: int) -> list[list[int]]:
    """Ids of active resources, list by list (0 is the main one), each in its order."""
    return _lists(row for row in rows(session, statements.needs(), service_id=service_id))


def slot_rules(service: Service, *, zone: str) -> SlotRules:
    """The service's way of cutting time, as the engine wants it."""
    return SlotRules(
        duration=timedelta(minutes=service.duration),
        step=timedelta(minutes=service.step),
        buffer_before=timedelta(minutes=service.buffer_before),
        buffer_after=timedelta(minutes=service.buffer_after),
        notice=timedelta(minutes=service.notice),
        horizon=timedelta(days=service.horizon),
        zone=zone,
        per_day=service.per_day,
        per_week=service.per_week,
    )


def stale_calendars(session: Session, resource_ids: Iterable[int], *, now: datetime) -> list[StaleCalendar]:
    """The busy sources of these resources that count as unreadable at `now`."""
    return [
        StaleCalendar(id_, resource_id, rule)
        for id_, resource_id, rule, freshness, last_read_at in rows(
            session, statements.sources(), ids=list(resource_ids)
        )
        if last_read_at is None or last_read_at < now - timedelta(seconds=freshness)
    ]


def _reach(service: Service, window: Interval) -> Interval:
    """The window with room for the service itself and its buffers on both sides."""
    room = timedelta(minutes=service.duration + service.buffer_before + service.buffer_after)
    return window.widened(before=room, after=room)


def _lists(needs: Iterable[tuple[int, int, bool]]) -> list[list[int]]:
    """(list_no, resource_id, is_active) in their order -> the ids of the active ones, list by list."""
    lists: list[list[int]] = [[]]
    for list_no, resource_id, is_active in needs:
        while len(lists) <= list_no:
            lists.append([])
        if is_active:
            lists[list_no].append(resource_id)
    return lists


def _timetables(
    ids: list[int], reach: Interval, *, facts: Facts, busy: Busy, blocked: Set[int]
) -> dict[int, Timetable]:
    return {
        id_: Timetable(
            resource_id=id_,
            zone=facts.zones[id_],
            weekly=facts.weekly[id_],
            overrides=facts.overrides[id_],
            busy=busy.get(id_, ()),
            blocked=(reach,) if id_ in blocked else (),
        )
        for id_ in ids
    }


def _not_counted(session: Session, question: Question) -> list[int]:
    """Appointments whose time counts as free: those with nothing in them but expired holds, and that of the booking which moves; no fixed one."""
    free = [] if question.is_swept else [row.appointment_id for row in rows(session, statements.only_expired())]
    moving = question.moving
    if (
        moving is not None
        and not moving.appointment.is_fixed
        and not any(rows(session, statements.others(), appointment_id=moving.appointment_id, booking_id=moving.id))
    ):
        free.append(moving.appointment_id)
    return free


def _busy(
    session: Session, ids: list[int], reach: Interval, *, free: list[int], extra: Busy
) -> dict[int, list[Interval]]:
    busy: dict[int, list[Interval]] = defaultdict(list)
    reached = {"ids": ids, "start": reach.start, "end": reach.end}
    for resource_id, start_at, end_at, appointment_id in rows(session, statements.taken(), **reached):
        if appointment_id not in free:
            busy[resource_id].append(Interval(start_at, end_at))
    for resource_id, start_at, end_at in rows(session, statements.outside(), **reached):
        busy[resource_id].append(Interval(start_at, end_at))
    for resource_id, intervals in extra.items():
        busy[resource_id] += intervals
    return busy


def _blocked(session: Session, ids: list[int], question: Question, *, now: datetime) -> set[int]:
    """Unknown is not free: where the rule says *stop offering*, a calendar that cannot be read shuts everything."""
    stale = stale_calendars(session, ids, now=now) if question.stale is None else question.stale
    return {row.resource_id for row in stale if row.when_unreadable == "stop" and row.id not in question.looked_at}


def _standing(
    session: Session, service: Service, question: Question, blocked: Set[int], *, now: datetime
) -> tuple[OpenAppointment, ...]:
    """What stands for people to join; nothing is asked of the database where each customer has the appointment to themselves."""
    if service.capacity == 1 and service.timing != "fixed":
        return ()
    return find_standing(
        session,
        service,
        question.window,
        now=now,
        own=question.moving.appointment_id if question.moving else None,
        extra_busy=question.extra_busy,
        unknown=blocked,
        for_waitlist=question.for_waitlist,
    )


@cache
def _time_range(starts: int, ends: int) -> TimeRange:
    return TimeRange(starts, ends)
