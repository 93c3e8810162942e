"""Finds what the picker of days and times shows: asks the queries, and hands the slots to `view.py`. Used by booking and moving alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from portal.availability.model import Slot
from portal.booking.models import Booking
from portal.booking.statements import rows
from portal.booking.time import queries
from portal.booking.time.full import NOTHING_FULL, Full, find_full
from portal.business.models import Resource, Service, ServiceResource
from portal.language import dates
from portal.language.say import say
from portal.public.booking import view
from portal.public.booking.view import Choice, Day, Month, Time
from portal.web.site import Site

SOONEST = 5
A_WEEK = timedelta(days=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for: an address of a page, understood. `problems` are sentences about what could not be understood."""

    session: Session
    service: Service
    locale: Locale
    choice: Choice
    problems: list[str]
    people: Sequence[Any]
    """(id, slug, name) of those whom the customer may choose from; empty where there is no choice."""
    resource_id: int | None
    moving: Booking | None
    capacity: int
    """How many people can come together at best."""
    now: datetime

    @property
    def today(self) -> date:
        return self.now.astimezone(ZoneInfo(self.choice.zone)).date()

    @property
    def last_day(self) -> date:
        return (self.now + timedelta(days=self.service.horizon)).astimezone(ZoneInfo(self.choice.zone)).date()

    def zone_label(self, zone: str) -> str:
        return dates.zone_label(zone, dates.day_starts_at(self.choice.day or self.today, zone) + timedelta(hours=12))

    def zone_in_words_on(self, on: date) -> str:
        """The zone with its offset at noon of that day."""
        zone = self.choice.zone
        return dates.zone_in_words(zone, dates.day_starts_at(on, zone) + timedelta(hours=12))

    @property
    def duration(self) -> str:
        return dates.duration(self.service.duration)

    @property
    def most_people(self) -> int:
        return min(self.capacity, view.MOST_PEOPLE)

    @property
    def cannot_be_known(self) -> bool:
        """A calendar that is needed cannot be read, and its rule is to offer nothing then."""
        return queries.is_unknown(self.session, self.service, resource_id=self.resource_id, now=self.now)

    @property
    def has_waitlist(self) -> bool:
        """Whether what is full can be waited for; who moves a booking has a place already."""
        return self.service.has_waitlist and self.moving is None

    def opened_at(self, instant: datetime | None) -> Search:
        """The same, open at the day of that instant unless it is open somewhere already."""
        if instant is None or self.choice.day or self.choice.month:
            return self
        return replace(self, choice=replace(self.choice, day=instant.astimezone(ZoneInfo(self.choice.zone)).date()))

    def without_own(self, slots: list[Slot]) -> list[Slot]:
        """Without the time that a booking which is being moved has already."""
        if self.moving is None:
            return slots
        own = self.moving.appointment.start_at
        return [slot for slot in slots if slot.interval.start != own]

    def wanted(self) -> dict[str, Any]:
        """What every question to the queries has in common."""
        return {
            "now": self.now,
            "resource_id": self.resource_id,
            "party_size": self.choice.people,
            "moving": self.moving,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A whole page of times. `day` is None when nothing at all is free; `jump` says why another day is open than one may expect.
    `can_wait` says that something in the month is full and can be waited for; `sooner` is a full date before the first free one, in words."""

    soonest: list[Time]
    month: Month
    day: Day | None
    jump: str = ""
    can_wait: bool = False
    sooner: tuple[date, str] | None = None


def open_search(
    session: Session,
    service: Service,
    asked: Mapping[str, str],
    *,
    site: Site,
    now: datetime,
    moving: Booking | None = None,
    usual_zone: str = "",
) -> Search:
    """Understand what an address (or a form) asks for. Never fails: what cannot be had is said in `problems`."""
    may_choose = service.assignment == "choose" and moving is None
    people = rows(session, _people(), service_id=service.id) if may_choose else []
    capacity = queries.largest_capacity(session, service, now=now)
    choice, problems = view.read_choice(
        asked,
        business_zone=site.zone,
        resources={row.slug for row in people},
        capacity=capacity,
        usual_zone=usual_zone,
    )
    ids = {row.slug: row.id for row in people}
    resource_id = ids.get(choice.resource)
    if moving is not None:
        choice = replace(choice, people=moving.party_size, resource="")
        resource_id = _present_person(session, moving)
    return Search(
        session=session,
        service=service,
        locale=dates.present_locale(),
        choice=choice,
        problems=problems,
        people=people if len(people) > 1 else [],
        resource_id=resource_id,
        moving=moving,
        capacity=capacity,
        now=now,
    )


def find_day(search: Search) -> Day | None:
    """The chosen day's times, or the first free day's; None when nothing is free up to the horizon."""
    on = search.choice.day
    if on is not None:
        days = _days(on, on, search)
        return _show_day(on, days, search, full=_full(days, search))
    days = _days(search.today, search.today + A_WEEK, search)
    on = _first_free(days)
    if on is None:
        later = _soonest_of_all(search, 1)
        on = _local_date(later[0], search) if later else None
    if on is None:
        return None
    days = {on: days[on]} if on in days else _days(on, on, search)
    return _show_day(on, days, search, full=_full(days, search))


def find_page(search: Search) -> Found:
    """Everything: the soonest times, a month with counts, and the times of the chosen or first free day."""
    choice, today = search.choice, search.today
    wanted_on = choice.day or choice.month or today
    first = wanted_on.replace(day=1)
    days = _days_of_month(first, search)
    soonest = _soonest(days, search)
    if choice.day is None and choice.month is None:
        # The page opens at the first free day, wherever it is; where nothing is free at the first that can be waited for.
        wanted_on = (_local_date(soonest[0], search) if soonest else first_full(search)) or today
        if wanted_on.replace(day=1) != first:
            first = wanted_on.replace(day=1)
            days = _days_of_month(first, search)
    full = _full(days, search)
    on = choice.day or _first_free(days, since=first) or (None if choice.month else wanted_on)
    day = _show_day(on, days, search, full=full) if on and (soonest or full.dates) else None
    chosen = day.on if day else None
    return Found(
        soonest=view.show_times(soonest, choice, search.locale, capacity=search.capacity, with_date=True, today=today),
        month=view.show_month(
            first,
            days,
            search.locale,
            today=today,
            chosen=chosen,
            last=search.last_day,
            full=full.dates,
            is_open=choice.day is None and choice.month is not None,
        ),
        day=day,
        jump=_why_this_day(day, soonest, search),
        can_wait=bool(full.dates),
        sooner=_sooner(soonest, search),
    )


def nearest(search: Search, instant: datetime) -> list[Slot]:
    """The three free slots nearest to an instant; the first may be that very time."""
    return search.without_own(queries.nearest_slots(search.session, search.service, instant=instant, **search.wanted()))


def first_full(search: Search) -> date | None:
    """The first date up to the horizon that can be waited for. Asked when nothing at all is free."""
    days: dict[date, list[Slot]] = {search.today: [], search.last_day: []}
    return min(_full(days, search).dates, default=None)


@cache
def _people() -> Any:
    """The active resources of a service's main list. A statement built once, as all that pages ask again and again."""
    return (
        select(Resource.id, Resource.slug, Resource.name)
        .join(ServiceResource, ServiceResource.resource_id == Resource.id)
        .where(ServiceResource.service_id == bindparam("service_id"), ServiceResource.list_no == 0, Resource.is_active)
        .order_by(ServiceResource.position, ServiceResource.id)
    )


def _days_of_month(first: date, search: Search) -> dict[date, list[Slot]]:
    """Free slots of each day of a month's whole weeks, as far as they lie between today and the last day that can be booked."""
    monday, sunday = view.weeks_of_month(first, search.locale)
    from_on, to_on = max(monday, search.today), min(sunday, search.last_day)
    return _days(from_on, to_on, search) if from_on <= to_on else {}


def _days(from_on: date, to_on: date, search: Search) -> dict[date, list[Slot]]:
    zone = search.choice.zone
    days = queries.free_days(search.session, search.service, from_on=from_on, to_on=to_on, zone=zone, **search.wanted())
    return {on: search.without_own(slots) for on, slots in days.items()}


def _soonest(days: Mapping[date, list[Slot]], search: Search) -> list[Slot]:
    """From the month at hand when it begins today and has enough; else the queries search on."""
    if search.today in days:
        found = [slot for on in sorted(days) for slot in days[on]][:SOONEST]
        if len(found) == SOONEST:
            return found
    return _soonest_of_all(search, SOONEST)


def _soonest_of_all(search: Search, limit: int) -> list[Slot]:
    """One more is asked for than wanted: the own time of who moves a booking may be among them."""
    found = queries.soonest_slots(search.session, search.service, limit=limit + 1, **search.wanted())
    return search.without_own(found)[:limit]


def _first_free(days: Mapping[date, list[Slot]], *, since: date = date.min) -> date | None:
    """The first free one; of a month (`since` its first day) without the days of other months that fill up its weeks."""
    until = view.next_month(since) if since > date.min else date.max
    return min((on for on, slots in days.items() if slots and since <= on < until), default=None)


def _full(days: Mapping[date, list[Slot]], search: Search) -> Full:
    """What can be waited for on these days; nothing where there is no waitlist, and nothing asked of the database then."""
    if not search.has_waitlist or not days:
        return NOTHING_FULL
    return find_full(
        search.session,
        search.service,
        days,
        zone=search.choice.zone,
        now=search.now,
        resource_id=search.resource_id,
        party_size=search.choice.people,
    )


def _sooner(soonest: list[Slot], search: Search) -> tuple[date, str] | None:
    """The first full date before the first free one, of a service with fixed dates: who opens its page would not come to it."""
    on = _local_date(soonest[0], search) if soonest and search.service.timing == "fixed" else search.today
    if on <= search.today or not search.has_waitlist:
        return None
    before: dict[date, list[Slot]] = {search.today: [], on - timedelta(days=1): []}
    full = min(_full(before, search).dates, default=None)
    return (full, dates.day_and_month(full, search.locale)) if full and full != search.choice.day else None


def _show_day(on: date, days: Mapping[date, list[Slot]], search: Search, *, full: Full) -> Day:
    zone, locale = search.choice.zone, search.locale
    return view.show_day(
        on,
        days.get(on, []),
        search.choice,
        locale,
        capacity=search.capacity,
        today=search.today,
        full=[
            view.show_full(row.interval.start, zone, locale, left=row.left, waiting=row.waiting)
            for row in full.appointments.get(on, ())
        ],
        is_full=on in full.days,
    )


def _local_date(slot: Slot, search: Search) -> date:
    return slot.interval.start.astimezone(ZoneInfo(search.choice.zone)).date()


def _why_this_day(day: Day | None, soonest: list[Slot], search: Search) -> str:
    """A sentence where the open day is not the one that a visitor would expect."""
    if not soonest:
        return ""
    first = dates.day_and_month(_local_date(soonest[0], search), search.locale)
    if day is None:
        return say("Nothing is free in this month. The first free day is %(day)s.", day=first)
    if day.count:
        return ""
    if day.on < search.today:
        return say("This day is over. The first free day is %(day)s.", day=first)
    if day.on > search.last_day:
        last = dates.long_date(search.last_day, search.locale)
        return say("Times can be booked up to %(last)s. The first free day is %(day)s.", last=last, day=first)
    return say("The first free day is %(day)s.", day=first)


def _present_person(session: Session, booking: Booking) -> int | None:
    """Who gives it now keeps giving it, where customers choose; elsewhere anybody may."""
    service = booking.appointment.service
    if service.assignment != "choose" or service.timing == "fixed":
        return None
    person = queries.present_person(session, booking.appointment)
    return person.id if person else None
