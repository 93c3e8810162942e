"""How much work a recurrence rule is, found out before any of it is done. Pure; called by `expand`.

The libraries expand whatever they are given: every second for ever, or the search for a 30 February until the
year 9999. So a rule is weighed first. Rule parts are those of RFC 5545 section 3.3.10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

MAX_OCCURRENCES = 2_000
"""More than this in one window, and the whole span counts as busy instead."""

MAX_STEPS = 100_000
"""Periods between the start of a series and the end of the window; the libraries walk through each of them."""

_HOURS = {"HOURLY": 1, "DAILY": 24, "WEEKLY": 168, "MONTHLY": 720, "YEARLY": 8760}
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


class BadRule(ValueError):
    """A recurrence rule that says nothing. Stays inside the iCalendar mapping."""


class TooMuch(ValueError):
    """A recurrence rule that means more occurrences than anybody can have. Stays inside the mapping."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A recurrence rule taken apart; `parts` holds what was not turned into a field.

    `last` is its last moment on the wall clock of the series. With `forward_from`, what falls on another day of the month than this one
    stands for a day that the month does not have, and moves on by a day (RFC 7529, SKIP=FORWARD).
    """

    freq: str
    interval: int
    count: int | None
    last: datetime | None
    parts: Mapping[str, tuple[str, ...]]
    forward_from: int | None = None

    @property
    def text(self) -> str:
        """The rule as the library takes it."""
        parts = [f"FREQ={self.freq}", f"INTERVAL={self.interval}"]
        parts += [f"COUNT={self.count}"] if self.count is not None else []
        parts += [f"UNTIL={self.last:%Y%m%dT%H%M%S}"] if self.last is not None else []
        return ";".join([*parts, *(f"{name}={','.join(values)}" for name, values in self.parts.items())])

    def numbers(self, name: str) -> tuple[int, ...]:
        """The whole numbers of one part, none when it is missing."""
        return tuple(int(value) for value in self.parts.get(name, ()))


def check_effort(rule: Rule, start: datetime, window: tuple[datetime, datetime]) -> None:
    """Raises TooMuch where expanding would not end within reason. All times are naive, on one wall clock."""
    if rule.freq in ("MINUTELY", "SECONDLY"):
        raise TooMuch("It repeats more often than hourly.")
    times = _times_per_period(rule)
    hours = _HOURS[rule.freq] * rule.interval
    inside = max(0.0, (window[1] - max(window[0], start)).total_seconds() / 3600)
    occurrences = (int(inside / hours) + 1) * times
    if min(occurrences, rule.count or occurrences) > MAX_OCCURRENCES:
        raise TooMuch(f"It repeats more than {MAX_OCCURRENCES:,} times.")
    steps = max(0.0, (window[1] - start).total_seconds() / 3600) / hours
    if min(steps, rule.count or steps) > MAX_STEPS:
        raise TooMuch("It has repeated for too long.")


def may_fall_between(rule: Rule, start: datetime, window: tuple[datetime, datetime]) -> bool:
    """False only when the rule certainly has no occurrence that starts in `window` (naive, ends included).

    Looks at whole days alone. This is what keeps a rule that can never be fulfilled from being tried until
    the year 9999, and it makes yearly birthdays cheap.
    """
    first, last = max(window[0], start).date(), window[1].date()
    if rule.last is not None:
        last = min(last, rule.last.date())
    if (last - first).days > 3660:
        return True
    return any(_may_fall_on(rule, start.date(), first + timedelta(days=n)) for n in range((last - first).days + 1))


def _may_fall_on(rule: Rule, start: date, day: date) -> bool:
    months, month_days, year_days = rule.numbers("BYMONTH"), rule.numbers("BYMONTHDAY"), rule.numbers("BYYEARDAY")
    weekdays = rule.parts.get("BYDAY", ())
    has_days = bool(month_days or year_days or weekdays or rule.parts.keys() & {"BYWEEKNO", "BYEASTER"})
    if rule.freq == "YEARLY" and not has_days:
        months, month_days = months or (start.month,), (start.day,)
    if rule.freq == "MONTHLY" and not has_days:
        month_days = (start.day,)
    if rule.freq == "WEEKLY" and not has_days:
        weekdays = (_WEEKDAYS[start.weekday()],)
    if rule.freq == "DAILY" and (day - start).days % rule.interval:
        return False
    return (
        (not months or day.month in months)
        and (not month_days or day.day in month_days or day.day - _days_in_month(day) - 1 in month_days)
        and (not year_days or bool({_year_day(day), _year_day(day) - _days_in_year(day) - 1} & {*year_days}))
        and (not weekdays or any(name[-2:] == _WEEKDAYS[day.weekday()] for name in weekdays))
    )


def _times_per_period(rule: Rule) -> int:
    """An upper bound of how often the rule falls into one of its periods."""
    times = 1
    for name in ("BYHOUR", "BYMINUTE", "BYSECOND"):
        times *= max(1, len(rule.parts.get(name, ())))
    days = {"HOURLY": 1, "DAILY": 1, "WEEKLY": 7, "MONTHLY": 31, "YEARLY": 366}[rule.freq]
    named = sum(len(rule.parts.get(name, ())) for name in ("BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH"))
    if not named:
        return times
    if rule.freq == "WEEKLY":
        days = max(1, len(set(rule.parts.get("BYDAY", ()))))
    elif rule.freq == "MONTHLY" and "BYDAY" not in rule.parts:
        days = max(1, len(rule.parts.get("BYMONTHDAY", ())))
    return times * days


def _days_in_month(day: date) -> int:
    return ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day


def _year_day(day: date) -> int:
    return day.timetuple().tm_yday


def _days_in_year(day: date) -> int:
    return day.replace(month=12, day=31).timetuple().tm_yday
