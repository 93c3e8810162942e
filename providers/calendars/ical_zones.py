"""Which time zone a TZID means. Pure; called by `ical_times`.

Names in the IANA database count as such. Anything else is looked for, in this order: the VTIMEZONE that the
object brings along, the names that Windows uses, an offset written into the name, and at last the zone of the
calendar: the last two are guesses and said to be so.
"""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from icalendar import Timezone
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

_OFFSET_HINT = re.compile(r"(?:UTC|GMT|Z)?\s*([+-])\s*(\d{1,2}):?(\d{2})?\b", re.IGNORECASE)
_OFFSET_ERROR = timedelta(hours=1)


class ZoneReading(NamedTuple):
    """A zone, how far it may be wrong, and a sentence when it had to be guessed."""

    zone: tzinfo
    error: timedelta = timedelta(0)
    problem: str | None = None


class ZoneBook:
    """The zones of one object: its own VTIMEZONEs, its default zone, and the zone of the calendar it lies in."""

    def __init__(self, *, own: dict[str, list[str]], default_name: str | None, calendar_zone: tzinfo) -> None:
        self._own = own
        default = named_zone(default_name) if default_name else None
        self._calendar_zone = calendar_zone
        self.default = default or calendar_zone

    def read(self, tzid: str) -> ZoneReading:
        """The zone of a TZID; a guess is marked as one. Never raises."""
        zone = named_zone(tzid) or self._zone_brought_along(tzid) or _windows_zone(tzid)
        if zone is not None:
            return ZoneReading(zone)
        offset = _offset_in_name(tzid)
        if offset is not None:
            doubt = f"Its time zone “{tzid[:60]}” is not known: an hour of doubt was added."
            return ZoneReading(offset, _OFFSET_ERROR, doubt)
        guess = zone_name(self._calendar_zone)
        return ZoneReading(
            self._calendar_zone, problem=f"Its time zone “{tzid[:60]}” is not known: it was read in {guess}."
        )

    def floating(self) -> ZoneReading:
        """The zone of a time that names none."""
        return ZoneReading(self.default, problem=f"It names no time zone: it was read in {zone_name(self.default)}.")

    def _zone_brought_along(self, tzid: str) -> tzinfo | None:
        lines = self._own.get(tzid)
        return _zone_from_lines("\r\n".join(lines)) if lines else None


@lru_cache(maxsize=1024)
def named_zone(name: str) -> tzinfo | None:
    """The IANA zone of that name, also when it hides at the end of a path as some programs write it; or None."""
    name = name.strip().strip('"')
    if name.upper() in ("UTC", "Z", "GMT", "ETC/UTC"):
        return UTC
    parts = name.strip("/").split("/")
    for size in range(min(3, len(parts)), 0, -1):
        tail = "/".join(parts[-size:])
        # A single last word is trusted only when it is the whole name: “/x/Eastern” is no zone.
        if size == 1 and len(parts) > 1:
            break
        zone = _iana_zone(tail)
        if zone is not None:
            return zone
    return None


def zone_name(zone: tzinfo) -> str:
    """A zone's name for people."""
    return getattr(zone, "key", None) or str(zone)


def _iana_zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except Exception:
        # Names are strangers' text: KeyError, ValueError, IsADirectoryError and more are possible.
        return None


def _windows_zone(tzid: str) -> tzinfo | None:
    name = WINDOWS_TO_OLSON.get(tzid.strip().strip('"'))
    return _iana_zone(name) if name else None


def _offset_in_name(tzid: str) -> tzinfo | None:
    match = _OFFSET_HINT.search(tzid)
    if match is None:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    if offset >= timedelta(hours=15):
        return None
    return timezone(-offset if match[1] == "-" else offset)


@lru_cache(maxsize=256)
def _zone_from_lines(text: str) -> tzinfo | None:
    """The zone that a VTIMEZONE describes, or None when it cannot be used."""
    location = re.search(r"^X-LIC-LOCATION:(.+)$", text, re.MULTILINE)
    if location is not None and (known := named_zone(location[1])) is not None:
        return known
    if any("FREQ=YEARLY" not in rule.upper() for rule in re.findall(r"^RRULE[;:].*$", text, re.MULTILINE)):
        # Zones change by the year. Anything finer is a mistake or a trap that would be expanded without end.
        return None
    try:
        component = Timezone.from_ical(text)
        if not isinstance(component, Timezone):
            return None
        zone: tzinfo = component.to_tz(lookup_tzid=False)
        zone.utcoffset(None)
    except Exception:
        # A stranger's VTIMEZONE may break the library in any way; then the name alone has to do.
        return None
    return zone
