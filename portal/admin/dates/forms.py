"""What staff type about dates: days, times of day and numbers of seats become values. Pure; a field that cannot be read is named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from portal.booking.fixed.occurrences import begins_at
from portal.business.fields.bounds import MOST_SEATS
from portal.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class DateForm:
    """A single date to plan. `start_at` is an instant, `resource` a slug or empty."""

    start_at: datetime
    capacity: int | None
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesForm:
    """A weekly series to plan; `starts` is minutes from midnight."""

    weekday: int
    starts: int
    first_on: date
    last_on: date | None
    capacity: int | None
    resource: str
    except_on: tuple[date, ...]


class Reader:
    """Reads fields one by one and collects what is wrong; `finish` raises Invalid with all of it."""

    def __init__(self, sent: Mapping[str, str]) -> None:
        self.sent, self.errors = sent, dict[str, str]()

    def text(self, name: str) -> str:
        return self.sent.get(name, "").replace("\x00", "").strip()[:200]

    def day(self, name: str, *, is_required: bool = True) -> date | None:
        text = self.text(name)
        on = _date(text)
        if on is None and (text or is_required):
            self.errors[name] = "Please choose a day, like 2027-03-08."
        return on

    def time(self, name: str) -> int:
        """Minutes from midnight; 0 when it cannot be read."""
        match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(?::00)?", self.text(name), re.ASCII)
        if match is None or int(match[2]) % 5:
            self.errors[name] = "Please give a time of day in steps of five minutes, like 18:30."
            return 0
        return int(match[1]) * 60 + int(match[2])

    def number(self, name: str, *, least: int, most: int, is_required: bool = True) -> int | None:
        text = self.text(name)
        if not text and not is_required:
            return None
        number = int(text) if re.fullmatch(r"\d{1,6}", text, re.ASCII) else least - 1
        if not least <= number <= most:
            self.errors[name] = f"Please give a number from {least} to {most}."
        return number

    def days(self, name: str) -> tuple[date, ...]:
        """Several days, apart by commas, blanks or lines."""
        found = [_date(word) for word in re.split(r"[\s,;]+", self.sent.get(name, "").replace("\x00", "")) if word]
        if None in found:
            self.errors[name] = "Please write days like 2027-03-08, apart by commas."
        return tuple(on for on in found if on is not None)

    def finish(self) -> None:
        if self.errors:
            raise Invalid("Nothing is changed yet: please look at these fields.", fields=self.errors)


def read_date(sent: Mapping[str, str], *, zone: str) -> DateForm:
    """Raises Invalid (fields `day`, `time`, `capacity`)."""
    form = Reader(sent)
    start_at = read_start(form, zone=zone)
    capacity = form.number("capacity", least=1, most=MOST_SEATS, is_required=False)
    form.finish()
    return DateForm(start_at=start_at, capacity=capacity, resource=form.text("resource"))


def read_start(form: Reader, *, zone: str) -> datetime:
    """The instant of the fields `day` and `time` on the clock of the zone. Raises Invalid with all that the form has noted."""
    on, starts = form.day("day"), form.time("time")
    start_at = begins_at(on, starts, zone) if on else None
    if on and start_at is None:
        form.errors["day"] = "The calendar of this place left that day out."
    if start_at is None or form.errors:
        form.finish()
    assert start_at is not None
    return start_at


def read_series(sent: Mapping[str, str]) -> SeriesForm:
    """Raises Invalid (fields `weekday`, `starts`, `first_on`, `last_on`, `seats`, `except_on`)."""
    form = Reader(sent)
    weekday, starts = form.number("weekday", least=0, most=6), form.time("starts")
    first_on, last_on = form.day("first_on"), form.day("last_on", is_required=False)
    capacity = form.number("seats", least=1, most=MOST_SEATS, is_required=False)
    except_on = form.days("except_on")
    form.finish()
    assert weekday is not None
    assert first_on is not None
    return SeriesForm(
        weekday=weekday, starts=starts, first_on=first_on, last_on=last_on, capacity=capacity,
        resource=form.text("who"), except_on=except_on,
    )  # fmt: skip


def time_of_day(minutes: int) -> str:
    """18:30, as a form's field holds it."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _date(text: str) -> date | None:
    try:
        on = date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None
    return on if on and 2000 <= on.year <= 2200 else None
