"""Accounts for the demo: Clara and Ben, with a believable fortnight from today, so that connecting their "Google" closes real-looking slots."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from providers.standins.google import times
from providers.standins.google.events import writes
from providers.standins.google.model import Account, Calendar, World
from providers.standins.google.people import week

Json = dict[str, Any]


class Plan(NamedTuple):
    """An event: on which working days of the fortnight (0 is today), when, how long."""

    days: tuple[int, ...]
    start: str
    minutes: int
    title: str
    more: Json = {}  # noqa: RUF012  (never changed)


_FREE: Json = {"transparency": "transparent"}
CLARA = (
    Plan((1, 8), "09:30", 45, "Supplier call"),
    Plan((2,), "12:00", 90, "Dentist", {"location": "Calle Mayor 12"}),
    Plan((3,), "16:00", 60, "Interview: second stylist"),
    Plan((4,), "10:00", 30, "Bank appointment"),
    Plan((5,), "15:30", 60, "Pick up samples"),
    Plan((7,), "11:00", 120, "First-aid course"),
    Plan((9,), "09:00", 60, "Accountant"),
    Plan((1,), "13:00", 60, "Lunch with Marta, maybe", _FREE),
)
BEN = (
    Plan((1,), "11:00", 60, "Physiotherapy"),
    Plan((2, 9), "17:00", 60, "School run"),
    Plan((4,), "09:00", 180, "Workshop: colour theory"),
    Plan((6,), "14:00", 45, "Car inspection"),
    Plan((8,), "12:30", 60, "Lunch with the landlord"),
)


def demo(world: World, zone: str) -> None:
    """Two accounts, each with a private calendar beside the own one; Clara also sees a calendar of holidays that she cannot change."""
    clara, ben = (world.account(email, zone=zone) for email in ("clara@gmail.example", "ben@gmail.example"))
    today = week.today(zone)
    for account, plans in ((clara, CLARA), (ben, BEN)):
        _fill(world, account, world.calendars[account.email], plans, today)
    _weekly(world, clara, "Team meeting", today, "09:00", 30, guests=(ben.email,))
    family = _calendar(world, clara, "Family", "family")
    _fill(
        world,
        clara,
        family,
        (Plan((3,), "18:00", 90, "School play"), Plan((6,), "20:00", 120, "Dinner at Lucía's")),
        today,
    )
    sports = _calendar(world, ben, "Sports", "sports")
    _fill(world, ben, sports, (Plan((2, 5, 9), "07:30", 60, "Swimming"),), today)
    holidays = Calendar(
        "es.holiday@group.v.calendar.google.com", "Holidays", zone, owner=clara.email, makes_meetings=False
    )
    world.add_calendar(holidays, role="reader")
    day = _workday(today, 10)
    body = {
        "summary": "Local holiday",
        "start": {"date": f"{day}"},
        "end": {"date": f"{day + timedelta(days=1)}"},
        **_FREE,
    }
    writes.insert(world, clara, holidays, body, {})


def _calendar(world: World, account: Account, name: str, key: str) -> Calendar:
    calendar = Calendar(f"c_{key}@group.calendar.google.com", name, account.zone, owner=account.email)
    world.add_calendar(calendar)
    return calendar


def _fill(world: World, account: Account, calendar: Calendar, plans: tuple[Plan, ...], today: date) -> None:
    for plan in plans:
        for number in plan.days:
            spans = _span(_workday(today, number), plan.start, plan.minutes, account.zone)
            writes.insert(world, account, calendar, {"summary": plan.title, **spans, **plan.more}, {})


def _weekly(
    world: World, account: Account, title: str, today: date, start: str, minutes: int, *, guests: tuple[str, ...]
) -> None:
    body = {
        "summary": title,
        **_span(week.monday(today), start, minutes, account.zone),
        "recurrence": ["RRULE:FREQ=WEEKLY"],
    }
    people = [{"email": email, "responseStatus": "accepted"} for email in (account.email, *guests)]
    writes.insert(world, account, world.calendars[account.email], {**body, "attendees": people}, {})


def _span(day: date, start: str, minutes: int, zone: str) -> Json:
    at = datetime.combine(day, time.fromisoformat(start), times.zone_of(zone))
    return {
        name: {"dateTime": times.written(moment, zone), "timeZone": zone}
        for name, moment in (("start", at), ("end", at + timedelta(minutes=minutes)))
    }


def _workday(today: date, number: int) -> date:
    """The working day that many working days after today; 0 is today, or Monday at a weekend."""
    day = today + timedelta(days=max(0, 7 - today.weekday()) if today.weekday() >= 5 else 0)
    weeks, rest = divmod(day.weekday() + number, 5)
    return week.monday(day) + timedelta(days=7 * weeks + rest)
