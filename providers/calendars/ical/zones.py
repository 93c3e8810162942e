"""Which time zone a TZID means. Pure; called by `times`.

First match wins:

1. the VTIMEZONE that the object brings along, whatever else its name may mean (“EST” with summer time); where it names a place of the
   IANA database and shows other times than that, as programs with old or shortened rules write it, both count;
2. what the name means by itself, by `zone_names`; where that is more than one zone, all of them count;
3. an offset written into the name, with an hour of doubt;
4. the only VTIMEZONE that came along, and the zone of the calendar: both count;
5. the zone of the calendar.

From the third on it is a guess. Guesses, and names with several meanings that lead to other times, are said.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from providers.calendars.base import Span
from providers.calendars.ical.zone_names import alike, named_zone, named_zones, offset_in_name, spellings
from providers.calendars.ical.zone_rules import BadZone, DescribedZone, agree, described_zones, location_of

_OFFSET_ERROR = timedelta(hours=1)
_SAMPLE: Span = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


class ZoneReading(NamedTuple):
    """A zone, how far it may be wrong, and a sentence when it had to be guessed."""

    zone: tzinfo
    error: timedelta = timedelta(0)
    problem: str | None = None
    is_floating: bool = False


class ZoneBook:
    """The zones of one object: its own VTIMEZONEs, its default zone, and the zone of the calendar it lies in.

    A name may have several meanings. `choice` says which one this book gives: the likeliest is 0; `choices` counts how many there were to
    choose from among the names that were asked for. `window` is the time in which two zones must agree to count as one.
    """

    def __init__(
        self,
        *,
        own: dict[str, list[str]],
        default_name: str | None,
        calendar_zone: tzinfo,
        window: Span = _SAMPLE,
        choice: int = 0,
    ) -> None:
        self._own = own
        self._window = window
        self._choice = choice
        self._calendar_zone = calendar_zone
        self._readings: dict[str, ZoneReading] = {}
        self.choices = 1
        self._whole_days: ZoneReading | None = None
        default = self.read(default_name) if default_name else None
        self.default = default.zone if default is not None else calendar_zone

    def read(self, tzid: str) -> ZoneReading:
        """The zone of a TZID; a guess is marked as one. Never raises."""
        if tzid not in self._readings:
            self._readings[tzid] = self._chosen(self._meanings(tzid))
        return self._readings[tzid]

    def in_utc(self, tzid: str) -> ZoneReading:
        """The zone of a time that says both UTC and a TZID, which it must not: UTC, or else that zone."""
        key = f"{tzid}\0"
        if key not in self._readings:
            named = [reading for reading in self._meanings(tzid) if reading.problem is None]
            self._readings[key] = self._chosen([ZoneReading(UTC), *named])
        return self._readings[key]

    def floating(self) -> ZoneReading:
        """The zone of a time that names none."""
        said = f"It names no time zone: it was read in {zone_name(self.default)}."
        return ZoneReading(self.default, problem=said, is_floating=True)

    def of_whole_days(self) -> ZoneReading:
        """The zone of dates: that of the calendar, where people see them; and that of the file, where it names another."""
        if self._whole_days is None:
            zones = dict.fromkeys([self._calendar_zone, self.default])
            self._whole_days = self._chosen([ZoneReading(zone) for zone in zones])
        return self._whole_days

    def _chosen(self, readings: list[ZoneReading]) -> ZoneReading:
        self.choices = max(self.choices, len(readings))
        return readings[min(self._choice, len(readings) - 1)]

    def _meanings(self, tzid: str) -> list[ZoneReading]:
        problem = None
        if (lines := self._described(tzid)) is not None:
            try:
                return [ZoneReading(zone) for zone in self._brought_along(tzid, "\n".join(lines))]
            except BadZone as error:
                problem = f"What it says of its time zone “{tzid[:60]}” cannot be used. {error}"
        if zones := named_zones(tzid):
            return [ZoneReading(zone, problem=problem) for zone in zones]
        return self._guesses(tzid, problem)

    def _described(self, tzid: str) -> list[str] | None:
        if not self._own or tzid in self._own:
            return self._own.get(tzid)
        asked = set(spellings(tzid))
        return next((lines for name, lines in self._own.items() if not asked.isdisjoint(spellings(name))), None)

    def _brought_along(self, tzid: str, text: str) -> list[tzinfo]:
        """The zone that the object describes, and the place that its name or location stands for, where that is another."""
        place = _place(tzid) or _place(location_of(text) or "")
        try:
            zones: tuple[DescribedZone, ...] = described_zones(text)
        except BadZone:
            if place is not None and "BEGIN:STANDARD" not in text.upper() and "BEGIN:DAYLIGHT" not in text.upper():
                # Nothing but a name: some programs write no more.
                return [place]
            raise
        if place is None:
            return list(zones)
        others = [zone for zone in zones if not _agree_in(self._window, zone, place)]
        return [*others, place]

    def _guesses(self, tzid: str, problem: str | None) -> list[ZoneReading]:
        said = f"Its time zone “{tzid[:60]}” is not known"
        offset = offset_in_name(tzid)
        if offset is not None:
            return [ZoneReading(offset, _OFFSET_ERROR, f"{said}: an hour of doubt was added.")]
        guess = ZoneReading(self._calendar_zone, problem=f"{said}: it was read in {zone_name(self._calendar_zone)}.")
        if len(self._own) == 1 and problem is None:
            # The only zone that came along is likely to be the one that is meant.
            (lines,) = self._own.values()
            try:
                zone = described_zones("\n".join(lines))[0]
            except BadZone:
                return [guess]
            return [ZoneReading(zone, problem=f"{said}: the one that came along was taken."), guess]
        return [guess._replace(problem=f"{problem} {guess.problem}" if problem else guess.problem)]


def name_of_own_zone(own: dict[str, list[str]]) -> str | None:
    """The IANA name of the zone that a VTIMEZONE describes, by its rules if its own name means other times; or None."""
    for tzid in own:
        reading = ZoneBook(own=own, default_name=None, calendar_zone=UTC).read(tzid)
        known = [reading.zone] if isinstance(reading.zone, ZoneInfo) else alike(reading.zone)
        same = (zone for zone in known if reading.problem is None and _agree_in(_SAMPLE, zone, reading.zone))
        if isinstance(found := next(same, None), ZoneInfo):
            return found.key
    return None


def zone_name(zone: tzinfo) -> str:
    """A zone's name for people."""
    return getattr(zone, "key", None) or str(zone)


def _agree_in(window: Span, one: tzinfo, other: tzinfo) -> bool:
    return agree(one, other, window[0], (window[1] - window[0]).days + 1)


def _place(name: str) -> tzinfo | None:
    """The IANA zone that is named after a place. Of other names, such as EST, the object's own description knows more."""
    return named_zone(name) if "/" in name else None


__all__ = ["ZoneBook", "ZoneReading", "named_zone", "zone_name"]
