"""Times as Google writes them (EventDateTime), and instants. Pure.

A timed one stands in the offset of the calendar's zone, whatever offset it came with; a date has no instant of its own and is read in the
calendar's zone. Fractions of seconds are dropped.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from providers.standins.google.problems import invalid

Json = dict[str, Any]


def now() -> datetime:
    """The stand-in's clock."""
    return datetime.now(UTC)


@lru_cache(maxsize=1000)
def zone_of(name: str, field: str = "timeZone") -> ZoneInfo:
    """Raises Refused for a zone that does not exist."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise invalid(f"Invalid time zone definition: {name}", field) from None


def instant(text: str) -> datetime:
    """An RFC 3339 time with offset, in UTC."""
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def instant_of(value: Json, calendar_zone: str) -> datetime:
    """The instant at which a stored start or end lies."""
    if "date" in value:
        return midnight(date.fromisoformat(value["date"]), calendar_zone)
    return instant(value["dateTime"])


def midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), zone_of(zone)).astimezone(UTC)


def written(at: datetime, zone: str) -> str:
    """RFC 3339 in the offset of a zone."""
    return at.astimezone(zone_of(zone)).isoformat(timespec="seconds").replace("+00:00", "Z")


def stamp(at: datetime) -> str:
    """`created`, `updated`: UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stored(given: Json, name: str, calendar_zone: str) -> Json:
    """A start or end as it is kept, from what the caller sent. Raises Refused."""
    value = {key: part for key, part in given.items() if part is not None}
    if "date" in value and "dateTime" in value:
        raise invalid(f"Invalid {name} time.", name)
    if "date" in value:
        return {"date": value["date"]}
    if "dateTime" not in value:
        raise invalid(f"Missing {name} time.", name)
    zone = value.get("timeZone") or calendar_zone
    wall = datetime.fromisoformat(value["dateTime"].upper()).replace(microsecond=0)
    if wall.tzinfo is None:
        if "timeZone" not in value:
            raise invalid(f"Missing time zone definition for {name} time.", name)
        wall = wall.replace(tzinfo=zone_of(zone, f"{name}.timeZone"))
    zone_of(zone, f"{name}.timeZone")
    return {"dateTime": written(wall, calendar_zone), "timeZone": zone}


def shifted(value: Json, by: timedelta, calendar_zone: str) -> Json:
    """A stored time, moved."""
    if "date" in value:
        return {"date": (date.fromisoformat(value["date"]) + by).isoformat()}
    return {**value, "dateTime": written(instant(value["dateTime"]) + by, calendar_zone)}
