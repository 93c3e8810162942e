"""What the public pages show, as plain values: days, months, parts of the day, times in words. Pure.

Built by `picker.py` from slots, read by the templates. "Local" is always the zone that the visitor chose (`Choice.zone`).
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from babel import Locale

from portal.availability.model import Slot
from portal.language import dates
from portal.language.say import capital, say, say_later, say_n
from portal.web.instants import instant_text

MOST_PEOPLE = 12
"""Longer lists of party sizes help nobody; larger parties call."""
_ANY = 99_999
_PARTS = ((say_later("Night"), 5), (say_later("Morning"), 12), (say_later("Afternoon"), 17), (say_later("Evening"), 24))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the address of a page says: which day (or month), in which zone, with whom, how many people."""

    business_zone: str
    zone: str
    usual_zone: str = ""
    """The zone in which the page opens when its address names none; the business's where nothing else is known of the visitor."""
    day: date | None = None
    month: date | None = None
    resource: str = ""
    people: int = 1

    def query(self, *, seen: str = "", appointment: str = "", **changes: Any) -> str:
        """The same choice, or a changed one, as a query string; what goes without saying is left out."""
        new = replace(self, **changes)
        parts = {
            "day": new.day.isoformat() if new.day else "",
            "month": f"{new.month:%Y-%m}" if new.month else "",
            "zone": "" if new.zone == (new.usual_zone or new.business_zone) else new.zone,
            "resource": new.resource,
            "people": "" if new.people == 1 else str(new.people),
            "seen": seen,
            "appointment": appointment,
        }
        text = urlencode({key: value for key, value in parts.items() if value}, safe="/")
        return f"?{text}" if text else ""


@dataclass(frozen=True, slots=True)
class Time:
    """One time that can be taken. `value` is what its button sends; `day` is named in lists over several days; `note` tells twin
    times and free places apart."""

    value: str
    label: str
    day: str = ""
    note: str = ""

    @property
    def id(self) -> str:
        return "at-" + self.value.replace(":", "").replace("-", "")


@dataclass(frozen=True, slots=True)
class FullTime:
    """A time with too few free seats: `left` of them, and so many `waiting`. `value` names it in the address of its waitlist."""

    value: str
    label: str
    left: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    times: tuple[Time, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The chosen day. `version` changes whenever its times do, so that an open page knows whether there is news.

    `full` are its full appointments, `is_full` says that every time of it is taken; filled in where there is a waitlist.
    """

    on: date
    title: str
    summary: str
    parts: tuple[Part, ...]
    count: int
    note: str
    version: str
    full: tuple[FullTime, ...] = ()
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    on: date
    name: str
    count: int
    is_today: bool
    is_chosen: bool
    is_full: bool = False
    is_beside: bool = False
    """Of the month before or after: it fills up the week."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month as weeks of seven cells, with the days of other months that fill up its weeks; None where such a day cannot be booked.
    Weeks that are over are left out. `is_open` says that a narrow screen shows it whole, and not only the week of the chosen day."""

    title: str
    first: date
    earliest: date
    latest: date
    """The first days of the first and the last month that can be looked at."""
    weekdays: Sequence[tuple[str, str]]
    weeks: Sequence[Sequence[Cell | None]]
    previous: tuple[date, str] | None
    next: tuple[date, str] | None
    count: int
    is_open: bool = False


def read_choice(
    asked: Mapping[str, str],
    *,
    business_zone: str,
    resources: Collection[str],
    capacity: int,
    usual_zone: str = "",
) -> tuple[Choice, list[str]]:
    """What an address asks for, and a sentence for each part of it that cannot be had (the usual is taken instead).

    The sentences never repeat what was typed: these pages are compressed, and what stands next to secrets must not be chosen by others.
    """
    problems: list[str] = []
    choice = Choice(business_zone=business_zone, zone=usual_zone or business_zone, usual_zone=usual_zone)
    zone, resource, people = (asked.get(key, "") for key in ("zone", "resource", "people"))
    if zone and dates.is_zone(zone):
        choice = replace(choice, zone=zone)
    elif zone:
        place = dates.city(choice.zone)
        problems.append(say("We do not know that time zone, so times are shown as they are in %(place)s.", place=place))
    if resource in resources:
        choice = replace(choice, resource=resource)
    elif resource:
        problems.append(say("The person you asked for cannot be chosen here any more. You see everybody’s times."))
    if people:
        most = min(capacity, MOST_PEOPLE)
        choice = replace(choice, people=_whole_number(people, least=1, most=most))
        if _whole_number(people, least=1, most=_ANY) > most:
            problems.append(say_n("One person can come.", "At most %(number)s can come together.", most))
    day, month = _date(asked.get("day", "")), _date(f"{asked['month']}-01" if asked.get("month") else "")
    if (asked.get("day") and not day) or (asked.get("month") and not month):
        problems.append(say("We could not read the date in this address, so you see the first free day."))
    return replace(choice, day=day, month=month), problems


def show_times(
    slots: Iterable[Slot],
    choice: Choice,
    locale: Locale,
    *,
    capacity: int = 1,
    with_date: bool = False,
    today: date | None = None,
) -> list[Time]:
    """Slots as times on the visitor's clock. Times that the clock shows twice carry their offset; groups say how many places are left."""
    zone = ZoneInfo(choice.zone)
    times = []
    for slot in slots:
        local = slot.interval.start.astimezone(zone)
        day = _near(local.date(), today, locale) if with_date else ""
        notes = [dates.offset(local)] if dates.happens_twice(local) else []
        if capacity > 1:
            notes.append(_seats(slot.seats_left))
        value, label = instant_text(slot.interval.start), dates.clock(local, locale)
        times.append(Time(value, label, day, ", ".join(notes)))
    return times


def show_day(
    on: date,
    slots: Sequence[Slot],
    choice: Choice,
    locale: Locale,
    *,
    capacity: int = 1,
    today: date | None = None,
    full: Sequence[FullTime] = (),
    is_full: bool = False,
) -> Day:
    """The times of one local day, by parts of the day."""
    zone = ZoneInfo(choice.zone)
    times = show_times(slots, choice, locale, capacity=capacity)
    hours = [slot.interval.start.astimezone(zone).hour for slot in slots]
    title = dates.day_and_month(on, locale)
    if today and on.year != today.year:
        title = dates.long_date(on, locale)
    return Day(
        on=on,
        title=capital(title),
        summary=_summary(len(times), title),
        parts=tuple(_parts(times, hours)),
        count=len(times),
        note=_note_on_clocks(on, choice.zone, locale),
        version=_version([time.value + time.note for time in times] + [str(time) for time in full]),
        full=tuple(full),
        is_full=is_full,
    )


def show_full(start_at: datetime, zone: str, locale: Locale, *, left: int, waiting: int) -> FullTime:
    """A full appointment on the visitor's clock."""
    return FullTime(instant_text(start_at), dates.clock(start_at.astimezone(ZoneInfo(zone)), locale), left, waiting)


def show_month(
    first: date,
    days: Mapping[date, Sequence[Slot]],
    locale: Locale,
    *,
    today: date,
    chosen: date | None,
    last: date,
    full: Collection[date] = (),
    is_open: bool = False,
) -> Month:
    """A month with the number of free times of each day. `last` is the last local date that can be booked at all; on the dates
    of `full` there is a waitlist to join."""
    from_on, to_on = weeks_of_month(first, locale)

    def cell(on: date) -> Cell | None:
        is_beside = on.replace(day=1) != first
        if is_beside and not today <= on <= last:
            return None
        count = len(days.get(on, ()))
        none = say("full, with a waitlist") if on in full else say("none free")
        free = say_n("1 time free", "%(number)s times free", count) if count else none
        name = f"{dates.long_date(on, locale)}, {free}"
        return Cell(on, name, count, on == today, on == chosen, on in full, is_beside)

    cells = [cell(from_on + timedelta(days=n)) for n in range((to_on - from_on).days + 1)]
    weeks = [cells[i : i + 7] for i in range(0, len(cells), 7)]
    before, after = previous_month(first), next_month(first)
    return Month(
        title=capital(dates.month_name(first, locale)),
        first=first,
        earliest=min(first, today.replace(day=1)),
        latest=max(first, last.replace(day=1)),
        weekdays=dates.weekday_names(locale),
        weeks=[week for week in weeks if not _is_over(week, today)] or weeks,
        previous=(before, dates.month_name(before, locale)) if first > today else None,
        next=(after, dates.month_name(after, locale)) if after <= last else None,
        count=sum(each.count for each in cells if each and not each.is_beside),
        is_open=is_open,
    )


def weeks_of_month(first: date, locale: Locale) -> tuple[date, date]:
    """The first and the last day of the whole weeks that a month touches."""
    last = next_month(first) - timedelta(days=1)
    before = (first.weekday() - locale.first_week_day) % 7
    after = (locale.first_week_day - 1 - last.weekday()) % 7
    return first - timedelta(days=before), last + timedelta(days=after)


def when(start_at: datetime, end_at: datetime, zone: str, locale: Locale) -> dict[str, str]:
    """An appointment's time in words: `day`, `time` ("10:30 – 11:00") and `zone` ("Madrid time (UTC+1)")."""
    local, end = start_at.astimezone(ZoneInfo(zone)), end_at.astimezone(ZoneInfo(zone))
    ends_on = f"{dates.short_date(end.date(), locale)}, " if end.date() != local.date() else ""
    return {
        "day": capital(dates.long_date(local.date(), locale)),
        "time": f"{dates.clock(local, locale)} – {ends_on}{dates.clock(end, locale)}",
        "zone": dates.zone_in_words(zone, start_at),
    }


def next_month(on: date) -> date:
    return (on.replace(day=1) + timedelta(days=32)).replace(day=1)


def previous_month(on: date) -> date:
    return (on.replace(day=1) - timedelta(days=1)).replace(day=1)


def _version(parts: Sequence[str]) -> str:
    return f"{zlib.crc32('|'.join(parts).encode()):08x}"


def _is_over(week: Sequence[Cell | None], today: date) -> bool:
    """Weeks of the past are no use to anybody, and push the times down the page."""
    return all(cell is None or cell.on < today for cell in week)


def _parts(times: Sequence[Time], hours: Sequence[int]) -> Iterable[Part]:
    begins = 0
    for name, ends in _PARTS:
        members = tuple(time for time, hour in zip(times, hours, strict=True) if begins <= hour < ends)
        if members:
            yield Part(say(name), members)
        begins = ends


def _seats(left: int) -> str:
    return say("last place") if left == 1 else say_n("%(number)s place left", "%(number)s places left", left)


def _near(on: date, today: date | None, locale: Locale) -> str:
    """Today, Tomorrow, or Thu 3 Dec"""
    if today and on == today:
        return say("Today")
    if today and on == today + timedelta(days=1):
        return say("Tomorrow")
    return capital(dates.short_date(on, locale))


def _note_on_clocks(on: date, zone: str, locale: Locale) -> str:
    """A warning near a change of summer time, for who plans a trip or a call by the clock."""
    change = dates.clock_change(on, zone)
    if change is None:
        return ""
    day, shift = change
    words = {
        "place": dates.city(zone),
        "duration": dates.duration(abs(shift) // timedelta(minutes=1)),
        "day": dates.day_and_month(day, locale),
    }
    if shift > timedelta(0):
        return say("The clocks in %(place)s go forward by %(duration)s on %(day)s.", **words)
    return say("The clocks in %(place)s go back by %(duration)s on %(day)s.", **words)


def _summary(count: int, day: str) -> str:
    """What is announced when the times of a day have been fetched."""
    if not count:
        return say("No free times on %(day)s", day=day)
    return say_n("1 time free on %(day)s", "%(number)s times free on %(day)s", count, day=day)


def _whole_number(text: str, *, least: int, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else least
    return max(least, min(number, most))


def _date(text: str) -> date | None:
    try:
        on = date.fromisoformat(text)
    except ValueError:
        return None
    return on if 2000 <= on.year <= 2200 else None
