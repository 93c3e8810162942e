"""How long a DURATION is, also when it is written badly. Pure; called by `times` and `expand`.

RFC 5545 section 3.3.6 is strict; programs are not. What can only mean one thing is read as that; of two plausible lengths the longer one.
"""

from __future__ import annotations

import re
from datetime import timedelta

_SIGNED = re.compile(r"([+-]?)P?(.*)", re.DOTALL)
_SOUND = re.compile(
    r"\+?P(?:\d+Y)?(?:\d+M)?(?:\d+W)?(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:[.,]\d+)?S)?)?", re.IGNORECASE
)
_PART = re.compile(r"(\d{1,9}(?:[.,]\d{1,6})?)([YWDHMS]?)")
_CLOCK = re.compile(r"(\d{1,4}):(\d\d)(?::(\d\d))?")
_DAYS = {"Y": 366, "W": 7, "D": 1, "M": 31}
_SECONDS = {"H": 3600, "M": 60, "S": 1}
_FEW_SECONDS = 300
"""A bare number below this is one of minutes: nobody has an appointment of ninety seconds."""


class Unreadable(ValueError):
    """A date, time or duration that says nothing. Stays inside the iCalendar mapping."""


def read_duration(value: str) -> tuple[timedelta, timedelta]:
    """(days on the wall clock, exact time) of a DURATION; never negative. Raises Unreadable, OverflowError."""
    text = re.sub(r"\s", "", value.upper())
    match = _SIGNED.fullmatch(text)
    days_text, _, time_text = (match[2] if match else "").partition("T")
    days_text = re.sub(r"^(\d{4})-(\d\d)-(\d\d)$", r"\1Y\2M\3D", days_text)
    if not text or not (days_text or time_text):
        raise Unreadable(f"“{value[:40]}” is no duration.")
    days, seconds = _days(days_text, has_time=bool(time_text), value=value)
    return timedelta(days=days), timedelta(seconds=seconds + _seconds(time_text, value))


def is_sound(value: str) -> bool:
    """True for a duration whose meaning is beyond doubt, by ISO 8601 if not by the RFC."""
    return _SOUND.fullmatch(value.strip()) is not None


def _days(text: str, *, has_time: bool, value: str) -> tuple[float, float]:
    """(days, seconds) of the part before the T, which some programs leave out: “P1H”."""
    days, seconds, parts = 0.0, 0.0, _parts(text, value)
    is_date = has_time or any(unit in "YD" for _, unit in parts if unit)
    for number, unit in parts:
        if unit == "M" and not is_date:
            seconds += number * 60
        elif unit in _DAYS:
            days += number * _DAYS[unit]
        else:
            seconds += number * _SECONDS[unit] if unit else _bare(number)
    whole = int(days)
    return whole, seconds + (days - whole) * 86_400


def _seconds(text: str, value: str) -> float:
    if (clock := _CLOCK.fullmatch(text)) is not None:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3] or 0)
    seconds, smaller = 0.0, 0.0
    for number, unit in _parts(text, value):
        if not unit:
            seconds += number * smaller if smaller else _bare(number)
        elif unit in _SECONDS:
            seconds += number * _SECONDS[unit]
            smaller = _SECONDS[unit] / 60
        else:
            seconds += number * _DAYS[unit] * 86_400
    return seconds


def _bare(number: float) -> float:
    """A number without a unit: seconds, or minutes where those would be too few."""
    return number * 60 if number < _FEW_SECONDS else number


def _parts(text: str, value: str) -> list[tuple[float, str]]:
    found = [(float(match[1].replace(",", ".")), match[2]) for match in _PART.finditer(text)]
    if _PART.sub("", text):
        raise Unreadable(f"“{value[:40]}” is no duration.")
    return found
