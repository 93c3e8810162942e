"""A fortnight of believable events for the two members of staff of the demo. Pure: from dates to iCalendar texts.

Among them is what calendars really hold: series with exceptions, all-day events that block and such that do not, cancelled ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Madrid")
FORTNIGHT = timedelta(days=14)
ZONE_TEXT = """BEGIN:VTIMEZONE
TZID:Europe/Madrid
BEGIN:STANDARD
DTSTART:19961027T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
TZNAME:CET
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19810329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
TZNAME:CEST
END:DAYLIGHT
END:VTIMEZONE
"""
WORKDAYS = {"freq": "weekly", "byday": ["MO", "TU", "WE", "TH", "FR"]}


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: `at` is a local time, or None for the whole day; `more` are further iCalendar properties."""

    summary: str
    on: date
    at: time | None = None
    minutes: int = 60
    days: int = 1
    more: tuple[tuple[str, Any], ...] = ()


def fortnight(person: str, first: date) -> Iterator[tuple[str, bytes]]:
    """(UID, VCALENDAR) for each event of "ana" or "ben" in the fortnight from `first`. Series have no end and always the same UID."""
    makers = {"ana": _ana, "ben": _ben}
    for entry in makers[person](first):
        is_series = any(name == "rrule" for name, _ in entry.more)
        slug = re.sub("[^a-z0-9]+", "-", entry.summary.lower().replace("'", ""))
        uid = f"{person}-{slug}" if is_series else f"{person}-{slug}-{entry.on}"
        yield uid, _calendar(uid, entry)


def _ana(first: date) -> list[Entry]:
    monday = first - timedelta(days=first.weekday())
    return [
        Entry("Stand-up", monday, time(9, 30), 15, more=(("rrule", WORKDAYS),)),
        Entry("Lunch", monday, time(13, 0), 60, more=(("rrule", WORKDAYS),)),
        Entry("School run", monday + timedelta(days=1), time(16, 30), 45, more=(("rrule", {"freq": "weekly", "byday": ["TU", "TH"]}),)),
        Entry("Mum's birthday", _workday(first, 3), more=(("rrule", {"freq": "yearly"}), ("transp", "TRANSPARENT"))),
        Entry("Dentist", _workday(first, 1), time(16, 0), 50),
        Entry("Accountant", _workday(first, 2), time(11, 0), 60, more=(("location", "Calle Mayor 3"),)),
        Entry("Call with the landlord", _workday(first, 4), time(10, 0), 30, more=(("status", "CANCELLED"),)),
        Entry("Yoga mats arrive", _workday(first, 5), time(9, 0), 480, more=(("transp", "TRANSPARENT"),)),
        Entry("Training in Toledo", _workday(first, 8)),
        Entry("Coffee with Carmen", _workday(first, 9), time(17, 0), 60),
    ]  # fmt: skip


def _ben(first: date) -> list[Entry]:
    monday = first - timedelta(days=first.weekday())
    return [
        Entry("Stand-up", monday, time(9, 30), 15, more=(("rrule", WORKDAYS),)),
        Entry("Lunch", monday, time(14, 0), 45, more=(("rrule", WORKDAYS),)),
        Entry("Climbing", monday, time(17, 30), 90, more=(("rrule", {"freq": "weekly", "byday": ["MO", "WE"]}),)),
        Entry("Bicycle to the workshop", _workday(first, 0), time(12, 0), 30),
        Entry("Physiotherapy congress", _workday(first, 6), days=2),
        Entry("Parents' evening", _workday(first, 3), time(18, 0), 90),
        Entry("Team meeting", _workday(first, 2), time(15, 0), 60, more=(("status", "TENTATIVE"),)),
        Entry("Doctor", _workday(first, 9), time(11, 15), 45),
    ]  # fmt: skip


def _workday(first: date, number: int) -> date:
    """The `number`-th working day from `first` on, counted from 0."""
    day = first
    while True:
        if day.weekday() < 5:
            if number == 0:
                return day
            number -= 1
        day += timedelta(days=1)


def _calendar(uid: str, entry: Entry) -> bytes:
    from icalendar import Calendar, Event, Timezone

    event = Event()
    event.add("uid", uid)
    event.add("dtstamp", datetime.combine(entry.on, time(0), UTC))
    event.add("summary", entry.summary)
    if entry.at is None:
        event.add("dtstart", entry.on)
        event.add("dtend", entry.on + timedelta(days=entry.days))
    else:
        start = datetime.combine(entry.on, entry.at, ZONE)
        event.add("dtstart", start)
        event.add("dtend", start + timedelta(minutes=entry.minutes))
    for name, value in entry.more:
        event.add(name, value)
    calendar = Calendar()
    calendar.add("prodid", "-//Lockstep//demo//")
    calendar.add("version", "2.0")
    if entry.at is not None:
        calendar.add_component(Timezone.from_ical(ZONE_TEXT))
    calendar.add_component(event)
    text: bytes = calendar.to_ical()
    return text
