"""How much work a recurrence rule is, found out before any of it is done. Pure; called by `ical_expand`.

The libraries expand whatever they are given: every second for ever, or the search for a 30 February until the
year 9999. So a rule is weighed first. Rule parts are those of RFC 5545 section 3.3.10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

MAX_OCCURRENCES = 2_000
"""More than this in one window, and the whole span counts as busy instead."""

MAX_STEPS = 100_000
"""Periods between the start of a series and the end of the window; the libraries walk through each of them."""

_HOURS = {"HOURLY": 1, "DAILY": 24, "WEEKLY": 168, "MONTHLY": 720, "YEARLY": 8760}
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_PARTS = frozenset(
    {
        "FREQ", "INTERVAL", "COUNT", "UNTIL", "BYSECOND", "BYMINUTE", "BYHOUR", "BYDAY", "BYMONTHDAY", "BYYEARDAY",
        "BYWEEKNO", "BYMONTH", "BYSETPOS", "WKST", "BYEASTER",
    }
)  # fmt: skip


class BadRule(ValueError):
    """A recurrence rule that says nothing. Stays inside the iCalendar mapping."""


class TooMuch(ValueError):
    """A recurrence rule that means more occurrences than anybody can have. Stays inside the mapping."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A recurrence rule taken apart; `parts` holds what was not turned into a field."""

    text: str
    freq: str
    interval: int
    count: int | None
    until: str | None
    parts: Mapping[str, tuple[str, ...]]

    def numbers(self, name: str) -> tuple[int, ...]:
        """The whole numbers of one part, none when it is missing."""
        return tuple(int(value) for value in self.parts.get(name, ()))


def read_rule(value: str) -> Rule:
    """A RRULE taken apart. Raises BadRule."""
    parts: dict[str, tuple[str, ...]] = {}
    for part in value.strip().upper().strip(";").split(";"):
        name, _, values = part.partition("=")
        if name.strip() in _PARTS:
            parts[name.strip()] = tuple(item.strip() for item in values.split(",") if item.strip())
        elif not name.strip().startswith("X-"):
            raise BadRule(f"“{part[:40]}” is not known in a rule.")
    freq = "".join(parts.pop("FREQ", ()))
    if freq not in _HOURS and freq not in ("MINUTELY", "SECONDLY"):
        raise BadRule("It does not say how often.")
    interval = _positive(parts.pop("INTERVAL", ("1",)), "INTERVAL")
    count = _positive(parts.pop("COUNT"), "COUNT") if "COUNT" in parts else None
    until = "".join(parts.pop("UNTIL", ())) or None
    if until is not None and not re.fullmatch(r"\d{8}(T\d{6}Z?)?", until):
        raise BadRule("Its last day is no date.")
    _check_values(parts)
    return Rule(value.strip(), freq, interval, count, until, parts)


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
    if rule.until is not None:
        # A day more, for the last day may be meant in another zone.
        last = min(last, _day_of(rule.until) + timedelta(days=1))
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


def _positive(values: tuple[str, ...], name: str) -> int:
    if len(values) == 1 and values[0].isascii() and values[0].isdigit() and 0 < int(values[0][:10]) < 10**9:
        return int(values[0])
    raise BadRule(f"Its {name} makes no sense.")


def _check_values(parts: Mapping[str, tuple[str, ...]]) -> None:
    for name, values in parts.items():
        if not values or len(values) > 400:
            raise BadRule(f"Its {name} makes no sense.")
        pattern = {"BYDAY": r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", "WKST": r"MO|TU|WE|TH|FR|SA|SU"}
        for value in values:
            if not re.fullmatch(pattern.get(name, r"[+-]?\d{1,4}"), value):
                raise BadRule(f"Its {name} makes no sense.")


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


def _day_of(value: str) -> date:
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:8]))
    except ValueError as error:
        raise BadRule("Its last day is no date.") from error


def _days_in_month(day: date) -> int:
    return ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day


def _year_day(day: date) -> int:
    return day.timetuple().tm_yday


def _days_in_year(day: date) -> int:
    return day.replace(month=12, day=31).timetuple().tm_yday
