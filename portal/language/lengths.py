"""Lengths of time as staff type and read them: "1 day 2 hours", "90 minutes", "45". Pure; a length is a whole number of minutes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

_UNITS = {"w": 7 * 1440, "d": 1440, "h": 60, "m": 1}
_NAMES = (("day", 1440), ("hour", 60), ("minute", 1))
_PART = re.compile(r"(\d{1,6}(?!\d))\s*(weeks?|w|days?|d|hours?|hrs?|h|minutes?|mins?|m)?", re.IGNORECASE)


def read_length(text: str) -> int | None:
    """The minutes of a length; a bare number is minutes, nothing at all is 0. None for what is no length."""
    text = re.sub(r"\band\b", " ", text, flags=re.IGNORECASE).strip()
    minutes, position = 0, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            return None
        minutes += int(part[1]) * _UNITS[(part[2] or "m")[0].lower()]
        position = part.end() + len(text[part.end() :]) - len(text[part.end() :].lstrip())
    return minutes


def read_lengths(text: str) -> list[int] | None:
    """The lengths of a list with commas, semicolons or lines between them, longest first, each once. None when one of them is no length."""
    lengths = [read_length(part) for part in re.split(r"[,;\n]", text) if part.strip()]
    known = [length for length in lengths if length is not None]
    return sorted(set(known), reverse=True) if len(known) == len(lengths) else None


def length_text(minutes: int) -> str:
    """ "1 day 2 hours"; "0 minutes" for none."""
    parts = []
    for name, size in _NAMES:
        count, minutes = divmod(minutes, size)
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
    return " ".join(parts) or "0 minutes"


def lengths_text(lengths: Sequence[int]) -> str:
    """ "1 day, 2 hours" """
    return ", ".join(length_text(minutes) for minutes in sorted(lengths, reverse=True))


def words(age: timedelta) -> str:
    """An age for people: "45 seconds", "3 minutes", "2 days"."""
    seconds = max(int(age.total_seconds()), 0)
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            number = seconds // size
            return f"{number} {name}{'s' if number != 1 else ''}"
    return "0 seconds"
