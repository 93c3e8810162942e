"""The kinds of fields that only seed files have: working hours, days and times, names of resources. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from marshmallow import ValidationError, fields

from portal.business.fields.base import Fields, Kind
from portal.business.fields.bounds import MOST_SEATS
from portal.business.fields.faults import Fault, wrong
from portal.business.fields.kinds import Many, Whole
from portal.seed.values import WEEKDAYS, Range

ROLES = ("busy", "destination")
_RANGE = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


class Tables(Kind, fields.List[Any]):
    """An array of tables: `[[service.question]]`. None when it is not there."""

    def __init__(self, inside: type[Fields], **more: Any) -> None:
        super().__init__("", default=[], cls_or_instance=fields.Nested(inside), **more)

    def _deserialize(self, value: Any, *place: Any, **more: Any) -> list[Any]:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise wrong("tables")
        return super()._deserialize(value, *place, **more)


class Hours(Kind):
    """Ranges of work by weekday (0 = Monday)."""

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> dict[int, tuple[Range, ...]]:
        found: dict[int, tuple[Range, ...]] = {}
        errors: dict[str, Any] = {}
        for name, ranges in entries(value):
            try:
                if name not in WEEKDAYS:
                    raise wrong("weekday")
                found[WEEKDAYS.index(name)] = read_ranges(ranges)
            except ValidationError as error:
                errors[name] = error.messages
        if errors:
            raise ValidationError(errors)
        return {day: ranges for day, ranges in sorted(found.items()) if ranges}


class Overrides(Kind):
    """Ranges of work by date, in place of the weekly hours; none means closed."""

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> dict[date, tuple[Range, ...]]:
        found: dict[date, tuple[Range, ...]] = {}
        errors: dict[str, Any] = {}
        for name, ranges in entries(value):
            day = read_day(name)
            try:
                if day is None:
                    raise wrong("date", is_key=True)
                found[day] = read_ranges(ranges)
            except ValidationError as error:
                errors[name] = error.messages
        if errors:
            raise ValidationError(errors)
        return found


class Day(Kind):
    """A date, written with or without quotes. `code` says what is wrong with another value."""

    def __init__(self, *, code: str = "day", **more: Any) -> None:
        super().__init__(**more)
        self.code = code

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> date:
        day = read_day(value)
        if day is None:
            raise wrong(self.code)
        return day


class Days(Many):
    """Several dates."""

    def __init__(self, *, code: str, **more: Any) -> None:
        super().__init__("", Day(code=code), default=[], **more)


class Secret(Kind, fields.String):
    """A password: nothing of it is changed."""

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> str:
        if not isinstance(value, str):
            raise wrong("text")
        return value.strip()


class Moment(Kind):
    """A day and a time of it: "2027-01-10 10:00", or TOML's own 2027-01-10 10:00:00 without an offset."""

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> tuple[date, int]:
        words = str(value).replace("T", " ")[:16].split(" ")
        on = read_day(words[0]) if len(words) == 2 and getattr(value, "tzinfo", None) is None else None
        if on is None:
            raise wrong("moment")
        return on, read_time(words[1])


class Time(Kind):
    """A time of day, as minutes."""

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> int:
        if not isinstance(value, str):
            raise wrong("text")
        return read_time(value.strip())


class Weekday(Kind):
    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> int:
        if not isinstance(value, str) or value not in WEEKDAYS:
            raise wrong("one_of", choices=f"{', '.join(WEEKDAYS[:-1])} or {WEEKDAYS[-1]}", advice="")
        return WEEKDAYS.index(value)


class Slug(Kind, fields.String):
    """The slug of a resource; whether there is one of it is checked with the whole file."""

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> str:
        if not isinstance(value, str):
            raise wrong("no_resource")
        return value.strip()


class Role(Kind, fields.String):
    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> str:
        if value not in ROLES:
            raise wrong("role")
        return str(value)


class Roles(Kind, fields.List[Any]):
    """What a calendar is for; both when it is left out."""

    def __init__(self) -> None:
        super().__init__("", default=list(ROLES), cls_or_instance=Role())

    def _deserialize(self, value: Any, *place: Any, **more: Any) -> list[Any]:
        if not isinstance(value, list):
            raise wrong("list")
        if not value:
            raise wrong("no_roles")
        return super()._deserialize(value, *place, **more)


class ListOfSlugs(Many):
    """One of the lists in `also_needs`."""

    def _deserialize(self, value: Any, *place: Any, **more: Any) -> list[Any]:
        if not isinstance(value, list) or not value:
            raise wrong("lists")
        return super()._deserialize(value, *place, **more)


class Lists(Kind, fields.List[Any]):
    """Lists of resources, of each of which one is needed as well."""

    def __init__(self, *, most: int) -> None:
        super().__init__("", default=[], cls_or_instance=ListOfSlugs("", Slug(), most=1000), check=[])
        self.most = most

    def _deserialize(self, value: Any, *place: Any, **more: Any) -> list[Any]:
        if not isinstance(value, list):
            raise wrong("list")
        if len(value) > self.most:
            raise wrong("many", longest=self.most, length=len(value))
        return super()._deserialize(value, *place, **more)


def seats() -> Whole:
    """Of one date; without it, it has the service's."""
    return Whole("Seats", least=1, most=MOST_SEATS, default=None)


def entries(value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise wrong("entries")
    return list(value.items())


def read_day(value: Any) -> date | None:
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


def read_time(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None or int(match[2]) % 5:
        raise wrong("time")
    return int(match[1]) * 60 + int(match[2])


def read_ranges(value: Any) -> tuple[Range, ...]:
    """Sorted working ranges that do not overlap."""
    if not isinstance(value, list):
        raise wrong("ranges")
    ranges: list[Range] = []
    errors: dict[int, list[Fault]] = {}
    for number, item in enumerate(value):
        found = _range(item)
        if found is None:
            errors[number] = [Fault("working")]
        elif any(found[0] < other[1] and other[0] < found[1] for other in ranges):
            errors[number] = [Fault("overlap")]
        else:
            ranges.append(found)
    if errors:
        raise ValidationError(errors)
    return tuple(sorted(ranges))


def _range(value: Any) -> Range | None:
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    hour, minute, end_hour, end_minute = map(int, match.groups())
    starts, ends = hour * 60 + minute, end_hour * 60 + end_minute
    fits = minute < 60 and end_minute < 60 and starts < ends <= 1440 and starts % 5 == ends % 5 == 0
    return (starts, ends) if fits else None
