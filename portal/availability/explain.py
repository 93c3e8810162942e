"""Why a slot is not offered, in words for the admin who wonders and for the API's `availability/explain`. Pure.

The reasons are empty if and only if the engine offers a slot at that instant (a property test holds them together).
Sentences name times in the service's zone and leave the name of the resource to the caller. They tell when a resource
is taken, so they are for people who may know that.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

from portal.availability.hours import to_instant, to_seconds, wall_clock
from portal.availability.model import Demand, OpenAppointment, Timetable
from portal.availability.resources import Agenda, Crew, gather, search_between, whose
from portal.availability.slots import at_instant, free_ids, offer_slots, served
from portal.intervals import Interval, merge


class ReasonCode(StrEnum):
    """What can stand against a slot."""

    PARTY_TOO_LARGE = "party_too_large"
    OUTSIDE_WINDOW = "outside_window"
    PAST = "past"
    TOO_SOON = "too_soon"
    TOO_FAR = "too_far"
    NO_RESOURCE = "no_resource"
    FULL = "full"
    NO_APPOINTMENT = "no_appointment"
    NOT_CHOSEN = "not_chosen"
    DAY_FULL = "day_full"
    WEEK_FULL = "week_full"
    DAY_CLOSED = "day_closed"
    NOT_WORKING = "not_working"
    ENDS_AFTER_HOURS = "ends_after_hours"
    NOT_A_START = "not_a_start"
    TAKEN = "taken"
    BUFFER_TAKEN = "buffer_taken"
    UNKNOWN = "unknown"
    NO_COMBINATION = "no_combination"


class Reason(NamedTuple):
    """One thing that stands against the slot, at one resource if `resource_id` is given."""

    code: ReasonCode
    sentence: str
    resource_id: int | None = None


def explain(demand: Demand, instant: datetime, *, now: datetime) -> list[Reason]:
    """Why no slot that starts at `instant` is offered at `now`; empty if one is."""
    if offer_slots(at_instant(demand, instant), now=now):
        return []
    reasons = [*_about_the_question(demand, instant, now), *_about_open_appointments(demand, instant)]
    if instant.microsecond:
        return [*reasons, Reason(ReasonCode.NOT_A_START, "Slots start on a full second.")]
    if demand.is_fixed:
        return reasons
    reasons += _about_limits(demand, instant)
    second = to_seconds(instant)
    crew = gather(demand, search_between(second, second + 1, demand.rules))
    return [*reasons, *_about_resources(demand, crew, second)]


def _about_the_question(demand: Demand, instant: datetime, now: datetime) -> Iterator[Reason]:
    rules, zone = demand.rules, demand.rules.zone
    if demand.party_size > demand.capacity and not demand.is_fixed:
        sentence = f"The party of {demand.party_size} is larger than the {demand.capacity} that fit."
        yield Reason(ReasonCode.PARTY_TOO_LARGE, sentence)
    if not demand.window.start <= instant < demand.window.end:
        yield Reason(ReasonCode.OUTSIDE_WINDOW, "It lies outside the time that was looked at.")
    if instant < now:
        yield Reason(ReasonCode.PAST, "It is in the past.")
    elif instant < now + rules.notice:
        sentence = f"It is too soon: the earliest start is now {_spoken(now + rules.notice, zone)}."
        yield Reason(ReasonCode.TOO_SOON, sentence)
    if instant >= now + rules.horizon:
        sentence = f"It is too far ahead: slots are offered until {_spoken(now + rules.horizon, zone)}."
        yield Reason(ReasonCode.TOO_FAR, sentence)


def _about_open_appointments(demand: Demand, instant: datetime) -> Iterator[Reason]:
    standing = [each for each in demand.heeded if each.interval.start == instant]
    if demand.is_fixed and not standing:
        yield Reason(ReasonCode.NO_APPOINTMENT, "No appointment of this service begins then: its dates are fixed.")
    for appointment in standing:
        yield from _about_one(demand, appointment)


def _about_one(demand: Demand, appointment: OpenAppointment) -> Iterator[Reason]:
    zone = demand.rules.zone
    if not whose(appointment, demand):
        if demand.is_fixed:
            yield Reason(ReasonCode.NOT_CHOSEN, "The appointment that begins then is given by somebody else.")
        return
    if appointment.seats_left < demand.party_size:
        sentence = f"Too few seats are left: {appointment.seats_left}, and {demand.party_size} are wanted."
        yield Reason(ReasonCode.FULL, sentence)
    if appointment.is_taken:
        sentence = f"An event in the calendar stands over the appointment {_span(appointment.interval, zone)}."
        yield Reason(ReasonCode.TAKEN, sentence)
    if appointment.is_unknown:
        sentence = "A calendar cannot be read, so a rule keeps the appointment shut: nobody knows what stands over it."
        yield Reason(ReasonCode.UNKNOWN, sentence)


def _about_limits(demand: Demand, instant: datetime) -> Iterator[Reason]:
    on = wall_clock(instant, demand.rules.zone).date()
    if demand.is_full_day(on):
        sentence = f"{on} has as many appointments of this service as one day may have: {demand.rules.per_day}."
        yield Reason(ReasonCode.DAY_FULL, sentence)
    if demand.is_full_week(on):
        sentence = (
            f"The week of {on} has as many appointments of this service as one week may have: {demand.rules.per_week}."
        )
        yield Reason(ReasonCode.WEEK_FULL, sentence)


def _about_resources(demand: Demand, crew: Crew, start: int) -> Iterator[Reason]:
    if not crew.main or not all(crew.also):
        sentence = "A list from which the service needs a resource has nobody in it, or not the one chosen."
        yield Reason(ReasonCode.NO_RESOURCE, sentence)
    timetables = {each.resource_id: each for each in chain(demand.resources, *demand.also_needs)}
    together = demand.assignment == "all"
    by_agenda = [
        list(_about(timetables[agenda.resource_id], agenda, start, own_grid=not together or place == 0))
        for place, agenda in enumerate(crew.main)
    ]
    # Alone, one who can is enough, and then it does not matter why others cannot.
    can_give = all(not reasons for reasons in by_agenda) if together else not all(by_agenda)
    if not can_give:
        yield from chain.from_iterable(by_agenda)
    lists = free_ids(crew, start)
    for agendas, free in zip(crew.also, lists, strict=True):
        for agenda in () if free else agendas:
            yield from _about(timetables[agenda.resource_id], agenda, start, own_grid=False)
    if can_give and crew.main and all(lists) and not any(served(demand, crew)):
        sentence = "The same resource would be needed twice: those that are free do not go round."
        yield Reason(ReasonCode.NO_COMBINATION, sentence)


def _about(timetable: Timetable, agenda: Agenda, start: int, *, own_grid: bool) -> Iterator[Reason]:
    yield from _about_hours(timetable, agenda, start, own_grid=own_grid)
    if not agenda.is_free(start):
        yield from _about_taken_time(timetable, agenda, start)


def _about_hours(timetable: Timetable, agenda: Agenda, start: int, *, own_grid: bool) -> Iterator[Reason]:
    id_, zone = timetable.resource_id, timetable.zone
    clock = wall_clock(to_instant(start), zone)
    if not agenda.works(start, start + 1):
        if timetable.overrides.get(clock.date()) == ():
            yield Reason(ReasonCode.DAY_CLOSED, f"{clock:%Y-%m-%d} is closed.", id_)
        else:
            yield Reason(ReasonCode.NOT_WORKING, f"{clock:%H:%M} ({zone}) is outside the working hours.", id_)
    elif not agenda.works(start, start + agenda.search.duration):
        yield Reason(ReasonCode.ENDS_AFTER_HOURS, "It would not end within the working hours.", id_)
    if own_grid and agenda.works(start, start + 1) and not agenda.is_on_grid(start):
        minutes = agenda.search.step // 60
        sentence = f"No slot begins then: they begin every {minutes} minutes from the start of the working hours."
        yield Reason(ReasonCode.NOT_A_START, sentence, id_)


def _about_taken_time(timetable: Timetable, agenda: Agenda, start: int) -> Iterator[Reason]:
    id_, zone = timetable.resource_id, timetable.zone
    slot = Interval(to_instant(start), to_instant(start + agenda.search.duration))
    reach = Interval(*map(to_instant, agenda.reach(start)))
    for span in merge(each for each in timetable.busy if each.overlaps(reach)):
        if span.overlaps(slot):
            yield Reason(ReasonCode.TAKEN, f"Taken {_span(span, zone)}.", id_)
        else:
            sentence = f"No room for the buffer around the slot: taken {_span(span, zone)}."
            yield Reason(ReasonCode.BUFFER_TAKEN, sentence, id_)
    for span in merge(each for each in timetable.blocked if each.overlaps(reach)):
        sentence = f"Nobody knows whether it is free, so a rule keeps it shut {_span(span, zone)}."
        yield Reason(ReasonCode.UNKNOWN, sentence, id_)


def _span(span: Interval, zone: str) -> str:
    return f"from {_spoken(span.start, zone)} to {_spoken(span.end, zone)}"


def _spoken(instant: datetime, zone: str) -> str:
    return f"{wall_clock(instant, zone):%Y-%m-%d %H:%M} ({zone})"
