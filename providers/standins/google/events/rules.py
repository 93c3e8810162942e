"""What an event must be like, beyond its schema: recurrence, links, and the rules of the special event types.

Sources: guides/calendar-status (out of office, focus time, working location), guides/event-types, `Event` in the discovery document.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from providers.standins.google.events import expand
from providers.standins.google.model import Calendar
from providers.standins.google.problems import Refused, invalid

Json = dict[str, Any]
TYPES = ("default", "outOfOffice", "focusTime", "workingLocation", "birthday", "fromGmail")
_OWN_PROPERTIES = {
    "outOfOffice": "outOfOfficeProperties", "focusTime": "focusTimeProperties",
    "workingLocation": "workingLocationProperties", "birthday": "birthdayProperties",
}  # fmt: skip


def check(body: Json, calendar: Calendar, *, old: Json | None) -> None:
    """Raises Refused for an event that Google would not store."""
    if body.get("recurrence"):
        if "recurringEventId" in body:
            raise invalid("An occurrence cannot repeat itself.", "recurrence")
        expand.check(body, calendar.zone)
    url = body.get("source", {}).get("url")
    if url is not None and not url.startswith(("https://", "http://")):
        raise invalid("Invalid source URL.", "source.url")
    for name, allowed in _ENUMS.items():
        if body.get(name, allowed[0]) not in allowed:
            raise invalid(f"Invalid value for: {name}", name)
    _check_type(body, calendar, is_new=old is None)


def _check_type(body: Json, calendar: Calendar, *, is_new: bool) -> None:
    kind = body["eventType"]
    if kind not in TYPES:
        raise invalid("Invalid value for: eventType", "eventType")
    if kind == "fromGmail" and is_new:
        raise Refused("eventTypeRestriction", "Events of this type cannot be created.", status=400)
    if kind != "default" and not calendar.is_primary:
        raise Refused("eventTypeRestriction", "Events of this type stand in primary calendars only.", status=400)
    for other, properties in _OWN_PROPERTIES.items():
        if properties in body and other != kind:
            raise Refused("eventTypeRestriction", f"Only events of type {other} have {properties}.", status=400)
    problem = _PROBLEMS[kind](body) if kind in _PROBLEMS else ""
    if problem:
        raise Refused(f"malformed{kind[0].upper()}{kind[1:]}Event", problem, status=400)


def _out_of_office(body: Json) -> str:
    if "date" in body["start"]:
        return "An out of office event must have a start and an end time."
    return "An out of office event must be opaque." if body.get("transparency") else ""


def _focus_time(body: Json) -> str:
    if "date" in body["start"]:
        return "A focus time event must have a start and an end time."
    return "A focus time event must be opaque." if body.get("transparency") else ""


def _working_location(body: Json) -> str:
    if body.get("visibility") != "public":
        return "A working location event must have a visibility setting of public."
    if body.get("transparency") != "transparent":
        return "A working location event must be transparent."
    return "" if body.get("workingLocationProperties", {}).get("type") else "A working location event needs a location."


def _birthday(body: Json) -> str:
    if "date" not in body["start"] or _days(body) != 1:
        return "A birthday event must span an all-day duration of one day."
    if body.get("visibility") != "private" or body.get("transparency") != "transparent":
        return "A birthday event must be private and transparent."
    yearly = any("FREQ=YEARLY" in line for line in body.get("recurrence", ()))
    return "" if yearly or "recurringEventId" in body else "A birthday event must repeat annually."


def _days(body: Json) -> int:
    return (date.fromisoformat(body["end"]["date"]) - date.fromisoformat(body["start"]["date"])).days


_PROBLEMS: dict[str, Callable[[Json], str]] = {
    "outOfOffice": _out_of_office, "focusTime": _focus_time, "workingLocation": _working_location, "birthday": _birthday,
}  # fmt: skip
_ENUMS = {
    "transparency": ("opaque", "transparent"),
    "visibility": ("default", "public", "private", "confidential"),
}
