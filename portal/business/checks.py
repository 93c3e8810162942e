"""Checks of single texts in a seed file. Pure. Each gives a sentence part when the text does not fit, or None; two of them give the value."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

# First parts of addresses that are the portal's own: a service of that name could not be reached.


Range: TypeAlias = tuple[int, int]
"""A working range `[starts, ends)` in minutes from local midnight."""


RESERVED_SLUGS = frozenset({
    "admin", "api", "b", "embed", "healthz", "hooks", "language", "metrics", "mine", "readyz", "robots-txt", "setup", "static", "u", "w",
})  # fmt: skip

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_RANGE = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")


def check_slug(value: str) -> str | None:
    return (
        None if _SLUG.fullmatch(value) else f"must be lower-case letters, digits and single hyphens, not {shown(value)}"
    )


def check_service_slug(value: str) -> str | None:
    if value in RESERVED_SLUGS:
        return f"must be another word: /{value} is an address of the portal itself"
    return check_slug(value)


def check_zone(value: str) -> str | None:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown, not a name at all, a folder
        return f'must be a time zone such as "Europe/Madrid", not {shown(value)}'
    return None


def check_language(value: str) -> str | None:
    return (
        None
        if re.fullmatch(r"[a-z]{2,3}(?:-[A-Z]{2})?", value)
        else f'must be a code such as "en" or "pt-BR", not {shown(value)}'
    )


def check_email(value: str) -> str | None:
    return (
        None if re.fullmatch(r"[^@\s,;<>]+@[^@\s,;<>]+", value) else f"must be one e-mail address, not {shown(value)}"
    )


def check_url(value: str) -> str | None:
    return (
        None
        if re.fullmatch(r"https?://[^\s/@]+(?:/\S*)?", value)
        else f'must be an address such as "https://…" without a name or password in it, not {shown(value)}'
    )


def read_day(value: Any) -> date | None:
    """A date, written with or without quotes."""
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


def read_range(value: Any) -> Range | None:
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    hour, minute, end_hour, end_minute = map(int, match.groups())
    starts, ends = hour * 60 + minute, end_hour * 60 + end_minute
    fits = minute < 60 and end_minute < 60 and starts < ends <= 1440 and starts % 5 == ends % 5 == 0
    return (starts, ends) if fits else None


def shown(value: Any) -> str:
    """A value as it stood in the file, about."""
    if isinstance(value, str):
        return f"“{value[:60]}”"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    return str(value)
