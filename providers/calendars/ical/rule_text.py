"""A RRULE as text taken apart, with all the litter that programs leave in it. Pure; called by `expand`.

Rule parts are those of RFC 5545 section 3.3.10 and of RFC 7529. What says nothing (blanks, empty parts, parts of other programs) is left
out. What cannot be understood is left out too, and said: a rule with fewer conditions takes more time, never less. Where a part lists some
values that make sense and some that do not, it is read both ways: with those that do, and without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from providers.calendars.ical.durations import Unreadable
from providers.calendars.ical.rules import BadRule, Rule

MAX_VALUES = 400

_FREQUENCIES = ("SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_GUESSED = {
    "ANNUAL": "YEARLY", "ANNUALLY": "YEARLY", "BIWEEKLY": "WEEKLY", "DAY": "DAILY", "FORTNIGHTLY": "WEEKLY", "HOUR": "HOURLY",
    "MONTH": "MONTHLY", "QUARTERLY": "MONTHLY", "WEEK": "WEEKLY", "WEEKDAYS": "DAILY", "YEAR": "YEARLY",
}  # fmt: skip
_RANGES = {
    "BYSECOND": (0, 60), "BYMINUTE": (0, 59), "BYHOUR": (0, 23), "BYMONTHDAY": (1, 31), "BYYEARDAY": (1, 366),
    "BYWEEKNO": (1, 53), "BYMONTH": (1, 12), "BYSETPOS": (1, 366), "BYEASTER": (0, 366),
}  # fmt: skip
_SIGNED = {"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS", "BYEASTER"}
_KNOWN = {*_RANGES, "BYDAY", "WKST", "FREQ", "INTERVAL", "COUNT", "UNTIL", "RSCALE", "SKIP"}
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)(?:NDAY|ESDAY|DNESDAY|URSDAY|IDAY|TURDAY)?")
_OLD = re.compile(r"(D|W|MP|MD|YM|YD)(\d{1,4})\b(.*)", re.DOTALL)
_GREGORIAN = ("GREGORIAN", "GREGORY", "ISO8601")


class RuleReading(NamedTuple):
    """The rules that one RRULE may mean, all of which count, and what could not be understood."""

    rules: tuple[Rule, ...]
    doubts: tuple[str, ...] = ()


def read_rule(value: str, start: datetime, read_last: Callable[[str], datetime]) -> RuleReading:
    """A RRULE taken apart. `start` is that of the series on its wall clock, onto which `read_last` puts a UNTIL. Raises BadRule when it
    does not say how often.
    """
    parts, doubts = _parts(value)
    freq = _frequency(parts, doubts)
    interval = _whole(parts.pop("INTERVAL", ()), "INTERVAL", doubts) or 1
    count = _whole(parts.pop("COUNT", ()), "COUNT", doubts)
    last = _last(parts.pop("UNTIL", ()), read_last, doubts)
    scale, skip = "".join(parts.pop("RSCALE", ())), "".join(parts.pop("SKIP", ())) or "OMIT"
    _check_scale(scale, freq, parts)
    fewer = {name: values for name, values in parts.items() if len(_sensible(name, values)) == len(values)}
    sensible = {name: found for name, values in parts.items() if (found := _sensible(name, values))}
    if fewer != parts:
        doubts.append("Not all of its days make sense.")
    rules = [Rule(freq, interval, count, last, sensible)]
    if fewer != sensible:
        rules.append(Rule(freq, interval, count, last, fewer))
    if count is not None and last is not None:
        # Nobody may say both, so nobody knows which is meant.
        doubts.append("It says both how often and until when.")
        rules = [*(replace(rule, count=None) for rule in rules), *(replace(rule, last=None) for rule in rules)]
    if skip != "OMIT":
        rules += _skipping(rules[0], skip, start)
    return RuleReading(tuple(rules), tuple(doubts))


def _parts(value: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    parts: dict[str, tuple[str, ...]] = {}
    doubts: list[str] = []
    text = re.sub(r"\s*([;=,])\s*", r"\1", value.strip().upper()).removeprefix("RRULE:")
    if (old := _OLD.match(text)) is not None and "=" not in text:
        return _old_parts(old), ["It is written in an old way."]
    for part in text.split(";"):
        name, _, values = part.partition("=")
        found = tuple(dict.fromkeys(item for item in re.split(r"[,\s]+", values) if item))
        if name in _FREQUENCIES and not values:
            name, found = "FREQ", (name,)
        if name in _KNOWN and found:
            parts[name] = tuple(dict.fromkeys((*parts.get(name, ()), *found)))
        elif name and name not in _KNOWN and not name.startswith("X-"):
            doubts.append(f"“{part[:40]}” is not known in a rule.")
    return parts, doubts


def _frequency(parts: dict[str, tuple[str, ...]], doubts: list[str]) -> str:
    named = parts.pop("FREQ", ())
    known = [name for name in _FREQUENCIES if name in {_GUESSED.get(name, name) for name in named}]
    if not known and "BYDAY" in parts:
        known = ["WEEKLY"]
    if not known:
        raise BadRule("It does not say how often.")
    freq = known[0]
    if named != (freq,):
        doubts.append("It does not say clearly how often.")
    return freq


def _whole(values: tuple[str, ...], name: str, doubts: list[str]) -> int | None:
    if not values:
        return None
    if len(values) == 1 and values[0].isascii() and values[0].isdigit() and 0 < int(values[0][:10]) < 10**9:
        return int(values[0])
    doubts.append(f"Its {name} makes no sense.")
    return None


def _last(values: tuple[str, ...], read_last: Callable[[str], datetime], doubts: list[str]) -> datetime | None:
    if not values:
        return None
    try:
        return max(read_last(value) for value in values[:MAX_VALUES])
    except (Unreadable, OverflowError):
        doubts.append("Its last day is no date.")
        return None


def _check_scale(scale: str, freq: str, parts: dict[str, tuple[str, ...]]) -> None:
    """Days and weeks are the same in all calendars. Months and years of others than ours cannot be followed."""
    follows_months = freq in ("MONTHLY", "YEARLY") or parts.keys() & {"BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"}
    if scale and scale not in _GREGORIAN and follows_months:
        raise BadRule(f"It follows the calendar “{scale[:20]}”, which is not known here.")


def _sensible(name: str, values: tuple[str, ...]) -> tuple[str, ...]:
    """Those values of a part that make sense, as the library takes them."""
    if len(values) > MAX_VALUES:
        return ()
    if name in ("BYDAY", "WKST"):
        found = [match for value in values if (match := _DAY.fullmatch(value))]
        if name == "WKST":
            return tuple(match[2] for match in found[:1])
        return tuple((match[1] or "") + match[2] for match in found if not match[1] or 0 < abs(int(match[1])) <= 53)
    low, high = _RANGES[name]
    numbers = [int(value) for value in values if re.fullmatch(r"[+-]?\d{1,4}", value)]
    allowed = [number for number in numbers if low <= (abs(number) if name in _SIGNED else number) <= high]
    return tuple(str(min(number, 59) if name == "BYSECOND" else number) for number in allowed)


def _skipping(rule: Rule, skip: str, start: datetime) -> list[Rule]:
    """What SKIP adds: where a month lacks the day, the last day before it (BACKWARD) or the first after it (FORWARD)."""
    if rule.freq not in ("MONTHLY", "YEARLY") or rule.parts.keys() & {"BYDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS"}:
        return []
    months = {"BYMONTH": (str(start.month),)} if rule.freq == "YEARLY" else {}
    moved = []
    for day in rule.numbers("BYMONTHDAY") or (start.day,):
        days = tuple(str(number) for number in range(28, day + 1))
        parts = {**months, **rule.parts, "BYMONTHDAY": days, "BYSETPOS": ("-1",)}
        moved += [replace(rule, parts=parts, forward_from=day if skip == "FORWARD" else None)] if day > 28 else []
    return moved


def _old_parts(match: re.Match[str]) -> dict[str, tuple[str, ...]]:
    """The rules of vCalendar 1.0: “D1 #10”, “W2 MO TH 20271231T000000Z”. Of monthly and yearly ones only how often."""
    freq = {"D": "DAILY", "W": "WEEKLY", "M": "MONTHLY", "Y": "YEARLY"}[match[1][0]]
    parts: dict[str, tuple[str, ...]] = {"FREQ": (freq,), "INTERVAL": (match[2],)}
    words = match[3].split()
    if (days := tuple(word for word in words if _DAY.fullmatch(word))) and freq == "WEEKLY":
        parts["BYDAY"] = days
    if (counts := [word[1:] for word in words if word.startswith("#") and word != "#0"]) != []:
        parts["COUNT"] = (counts[0],)
    if (ends := [word for word in words if re.match(r"\d{8}T", word)]) != []:
        parts["UNTIL"] = (ends[0],)
    return parts
