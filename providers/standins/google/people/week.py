"""A person's week, as her calendar page shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from providers.standins.google import times
from providers.standins.google.api import listing
from providers.standins.google.model import ROLES, Account, Json, World


@dataclass(frozen=True, slots=True)
class Row:
    """One event on one day. `start` and `end` are for the fields of its form."""

    event_id: str
    calendar_id: str
    calendar: str
    title: str
    when: str
    start: str
    minutes: int
    is_all_day: bool
    may_change: bool
    notes: tuple[str, ...]
    meeting_url: str


@dataclass(frozen=True, slots=True)
class Day:
    on: date
    rows: list[Row]


def monday(day: date) -> date:
    """The Monday of a day's week."""
    return day - timedelta(days=day.weekday())


def today(zone: str) -> date:
    return times.now().astimezone(times.zone_of(zone)).date()


def week(world: World, account: Account, first: date) -> list[Day]:
    """Seven days from `first`, in the account's zone; an event over midnight stands on each of its days."""
    zone = times.zone_of(account.zone)
    start_at, end_at = (datetime.combine(day, time(), zone) for day in (first, first + timedelta(days=7)))
    window = {
        "timeMin": times.stamp(start_at),
        "timeMax": times.stamp(end_at),
        "singleEvents": True,
        "orderBy": "startTime",
    }
    days = {first + timedelta(days=n): list[tuple[datetime, Row]]() for n in range(7)}
    for entry in account.entries.values():
        if entry.is_deleted:
            continue
        calendar = world.calendars[entry.calendar_id]
        may_change = ROLES.index(entry.role) >= ROLES.index("writer")
        for body in listing.list_all(calendar, window, "").bodies:
            start, end = (times.instant_of(body[n], calendar.zone) for n in ("start", "end"))
            for day in _days(body, start, end, account.zone):
                if day in days:
                    days[day].append((start, _row(body, account, calendar.summary, calendar.id, may_change=may_change)))
    return [Day(day, [row for _, row in sorted(found, key=lambda pair: pair[0])]) for day, found in days.items()]


def event_times(on: str, start: str, minutes: int, zone: str, *, is_all_day: bool) -> Json:
    """`start` and `end` of an event from the fields of a form. Raises ValueError."""
    day = date.fromisoformat(on)
    if is_all_day:
        return {"start": {"date": day.isoformat()}, "end": {"date": (day + timedelta(days=1)).isoformat()}}
    at = datetime.combine(day, time.fromisoformat(start), times.zone_of(zone)).astimezone(UTC)
    end = at + timedelta(minutes=max(minutes, 5))
    return {
        name: {"dateTime": times.written(moment, zone), "timeZone": zone} for name, moment in (("start", at), ("end", end))
    }  # fmt: skip


def _days(body: Json, start: datetime, end: datetime, zone: str) -> list[date]:
    if "date" in body["start"]:
        first, last = (
            date.fromisoformat(body["start"]["date"]),
            date.fromisoformat(body["end"]["date"]) - timedelta(days=1),
        )
    else:
        tz = times.zone_of(zone)
        first = start.astimezone(tz).date()
        last = max(first, (end - timedelta(seconds=1)).astimezone(tz).date())
    return [first + timedelta(days=n) for n in range(min((last - first).days, 60) + 1)]


def _row(body: Json, account: Account, name: str, calendar_id: str, *, may_change: bool) -> Row:
    tz = times.zone_of(account.zone)
    is_all_day = "date" in body["start"]
    start, end = (times.instant_of(body[n], account.zone).astimezone(tz) for n in ("start", "end"))
    return Row(
        event_id=body["id"],
        calendar_id=calendar_id,
        calendar=name,
        title=body.get("summary", "(No title)"),
        when="All day" if is_all_day else f"{start:%H:%M}–{end:%H:%M}",
        start=f"{start:%Y-%m-%dT%H:%M}",
        minutes=round((end - start) / timedelta(minutes=1)),
        is_all_day=is_all_day,
        may_change=may_change,
        notes=tuple(_notes(body)),
        meeting_url=body.get("hangoutLink", ""),
    )


def _notes(body: Json) -> list[str]:
    notes = ["repeats"] if "recurringEventId" in body else []
    notes += ["shown as free"] if body.get("transparency") == "transparent" else []
    notes += [body["location"]] if body.get("location") else []
    if any(guest.get("self") and guest["responseStatus"] == "declined" for guest in body.get("attendees", [])):
        notes.append("you declined")
    return notes
