"""The time zone that a VTIMEZONE describes. Pure; called by `zones`.

Read here and not by the icalendar library, which walks through every year since 1601 for each question. Only the years that are asked
for are worked out, so a calendar in which each object brings another description costs little.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from dateutil.rrule import rrulestr

_OFFSET = re.compile(r"([+-]?)(\d\d):?(\d\d)?:?(\d\d)?")
_WALL = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)T?(\d\d):?(\d\d):?(\d\d)?Z?")
_UNTIL = re.compile(r"UNTIL=([^;]*)")
_MAX_DATES = 2_000


class BadZone(ValueError):
    """A description that cannot be used. Stays inside the iCalendar mapping."""


class _Change(NamedTuple):
    """From `onset`, on the clock that held until then, the offset is another."""

    onset: datetime
    before: timedelta
    after: timedelta


class _Observance(NamedTuple):
    first: _Change
    dates: tuple[_Change, ...]
    rules: tuple[str, ...]


class DescribedZone(tzinfo):
    """A zone with the rules of a VTIMEZONE. Clocks that skip or repeat an hour are read as RFC 5545 says (PEP 495)."""

    def __init__(self, name: str, observances: list[_Observance]) -> None:
        self.key = name
        self._observances = observances
        self._years: dict[int, list[_Change]] = {}

    def utcoffset(self, at: datetime | None) -> timedelta:
        """The offset of a wall-clock time."""
        if at is None:
            return timedelta(0)
        wall, changes = at.replace(tzinfo=None, fold=0), self._around(at.year)
        # Where the clock jumps ahead, times that do not exist keep the old offset; where it goes back, the first counts.
        place = bisect_right(changes, wall, key=_second_reading if at.fold else _first_reading)
        return changes[place - 1].after if place else changes[0].before

    def dst(self, at: datetime | None) -> timedelta:
        """Unknown: a description tells offsets, and names at best."""
        return timedelta(0)

    def tzname(self, at: datetime | None) -> str:
        """The name it goes by."""
        return self.key

    def fromutc(self, at: datetime) -> datetime:
        """An instant on this zone's wall clock."""
        changes = self._around(at.year)
        place = bisect_right(changes, at.replace(tzinfo=None, fold=0), key=_instant)
        offset = changes[place - 1].after if place else changes[0].before
        local = at + offset
        return local if self.utcoffset(local) == offset else local.replace(fold=1)

    def _around(self, year: int) -> list[_Change]:
        if year not in self._years:
            found = {change for observance in self._observances for change in _changes_near(observance, year)}
            self._years[year] = sorted(found, key=_instant)
        return self._years[year]


@lru_cache(maxsize=512)
def described_zones(text: str) -> tuple[DescribedZone, ...]:
    """The zones of these lines, one for each VTIMEZONE; several that share a name should not be, and are. Raises BadZone."""
    blocks = re.split(r"^BEGIN:VTIMEZONE.*$", text, flags=re.MULTILINE | re.IGNORECASE)
    try:
        zones = tuple(_zone(block) for block in dict.fromkeys(block.strip() for block in blocks) if block)
        for zone in zones:
            zone.utcoffset(datetime(2027, 1, 1))  # noqa: DTZ001
    except BadZone:
        raise
    except Exception as error:
        # A stranger's rules may break the library that follows them in any way.
        raise BadZone("Its rules cannot be followed.") from error
    return zones


def location_of(text: str) -> str | None:
    """The place whose zone it is, where the description names one beside its rules."""
    found = re.search(r"^X-LIC-LOCATION[^:\n]*:(.+)$", text, re.MULTILINE | re.IGNORECASE)
    return found[1].strip() if found else None


def _zone(block: str) -> DescribedZone:
    name = re.search(r"^TZID[^:\n]*:(.*)$", block, re.MULTILINE | re.IGNORECASE)
    parts = re.findall(r"^BEGIN:(?:STANDARD|DAYLIGHT)\s*$(.*?)^END:", block, re.MULTILINE | re.DOTALL | re.IGNORECASE)
    if not parts:
        raise BadZone("It has no rules.")
    return DescribedZone(name[1].strip() if name else "", [_observance(part) for part in parts])


def _observance(part: str) -> _Observance:
    lines = [line.partition(":") for line in part.split("\n") if ":" in line]
    values = [(head.partition(";")[0].strip().upper(), value.strip()) for head, _, value in lines]
    said = dict(reversed(values))
    before, after = _offset(said.get("TZOFFSETFROM", said.get("TZOFFSETTO", ""))), _offset(said.get("TZOFFSETTO", ""))
    rules = tuple(_without_litter(value) for name, value in values if name == "RRULE")
    if any("FREQ=YEARLY" not in rule for rule in rules):
        # Zones change by the year. Anything finer is a mistake or a trap that would be expanded without end.
        raise BadZone("Its rules are no rules of a time zone.")
    dates = [date for name, value in values if name == "RDATE" for date in value.split(",")][:_MAX_DATES]
    return _Observance(
        _Change(_wall(said.get("DTSTART", "")), before, after),
        tuple(_Change(_wall(date), before, after) for date in dates),
        rules,
    )


def _without_litter(rule: str) -> str:
    parts = re.sub(r"\s", "", rule.upper()).split(";")
    return ";".join(part for part in parts if part.partition("=")[2] and not part.startswith("X-"))


def _changes_near(observance: _Observance, year: int) -> list[_Change]:
    """The changes that can decide about a time in this year: its own, those of the years beside it, and single dates."""
    first = observance.first
    found = [first, *observance.dates]
    for rule in observance.rules:
        last = _last(rule, first)
        latest = min(year + 1, last.year) if last else year + 1
        for onset in _onsets(rule, first.onset, range(latest - 3, latest + 1)):
            if last is None or onset - first.before <= last:
                found.append(first._replace(onset=onset))
    return found


def _onsets(rule: str, first: datetime, years: range) -> list[datetime]:
    endless = _UNTIL.sub("", rule).replace(";;", ";").strip(";")
    start = datetime(max(years.start, first.year), 1, 1)  # noqa: DTZ001
    if "INTERVAL" not in rule.replace("INTERVAL=1;", "").removesuffix("INTERVAL=1") and "COUNT" not in rule:
        # What happens every year may as well have begun this year.
        first = _in_year(first, start.year)
    return list(rrulestr(endless, dtstart=first).between(start, datetime(years.stop, 1, 1), inc=True))  # noqa: DTZ001


def _in_year(wall: datetime, year: int) -> datetime:
    try:
        return wall.replace(year=max(year, wall.year))
    except ValueError:
        return wall


def _last(rule: str, first: _Change) -> datetime | None:
    """The instant, without its zone, after which a rule holds no longer."""
    found = _UNTIL.search(rule)
    if found is None:
        return None
    value = found[1].strip()
    if len(value) == 8:
        return _wall(f"{value}T235959") - first.before
    return _wall(value) - (timedelta(0) if value.endswith("Z") else first.before)


def _offset(value: str) -> timedelta:
    sign, digits = re.match(r"([+-]?)(.*)", value.strip(), re.DOTALL).groups()  # type: ignore[union-attr]
    # “-500” and “-5” have lost their first figure.
    match = _OFFSET.fullmatch(sign + (f"0{digits}" if len(digits) in (1, 3) else digits))
    if match is None:
        raise BadZone("An offset cannot be read.")
    offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0), seconds=int(match[4] or 0))
    if offset >= timedelta(hours=24):
        raise BadZone("An offset cannot be true.")
    return -offset if match[1] == "-" else offset


def _wall(value: str) -> datetime:
    match = _WALL.match(value.strip().upper())
    if match is None:
        raise BadZone("A date cannot be read.")
    try:
        return datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError as error:
        raise BadZone("A date cannot be read.") from error


def _instant(change: _Change) -> datetime:
    try:
        return change.onset - change.before
    except OverflowError:
        return datetime.min if change.onset.year < 2 else datetime.max  # noqa: DTZ901


def _first_reading(change: _Change) -> datetime:
    return change.onset + max(timedelta(0), change.after - change.before)


def _second_reading(change: _Change) -> datetime:
    return change.onset + min(timedelta(0), change.after - change.before)


@lru_cache(maxsize=4096)
def agree(one: tzinfo, other: tzinfo, start: datetime, days: int) -> bool:
    """Whether two zones show the same time on each of these days, and around each change of their clocks to the hour."""
    before = None
    for number in range(days + 1):
        at = (start + timedelta(days=number)).astimezone(UTC)
        shown = (at.astimezone(one).utcoffset(), at.astimezone(other).utcoffset())
        if shown[0] != shown[1]:
            return False
        if before is not None and shown != before and not _agree_within_a_day(one, other, at):
            return False
        before = shown
    return True


def _agree_within_a_day(one: tzinfo, other: tzinfo, end: datetime) -> bool:
    hours = [end - timedelta(hours=number) for number in range(24)]
    return all(at.astimezone(one).utcoffset() == at.astimezone(other).utcoffset() for at in hours)
