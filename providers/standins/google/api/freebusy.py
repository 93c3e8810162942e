"""freeBusy.query: merged busy times of several calendars, with the errors of each inside a 200."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from providers.standins.google import times
from providers.standins.google.api import listing
from providers.standins.google.model import Account, Calendar, World
from providers.standins.google.problems import Refused

Json = dict[str, Any]
MOST_CALENDARS = 50
_NEVER_BUSY = ("workingLocation", "birthday")


def answer(world: World, account: Account, body: Json) -> Json:
    """Raises Refused for a request without a sensible time."""
    for name in ("timeMin", "timeMax"):
        if not body.get(name):
            raise Refused("required", f"Missing {name}.", location=("parameter", name))
    start_at, end_at = times.instant(body["timeMin"]), times.instant(body["timeMax"])
    if start_at >= end_at:
        raise Refused("timeRangeEmpty", location=("parameter", "timeMax"))
    named = [item.get("id", "") for item in body.get("items") or []]
    found = {}
    for number, name in enumerate(named):
        calendar = world.calendars.get(account.email if name == "primary" else name)
        if number >= MOST_CALENDARS:
            found[name] = _trouble("tooManyCalendarsRequested")
        elif calendar is None or account.role(calendar.id) is None:
            found[name] = _trouble("notFound")
        else:
            found[name] = {"busy": _busy(calendar, start_at, end_at, body.get("timeZone") or "UTC")}
    stamps = {"timeMin": times.stamp(start_at), "timeMax": times.stamp(end_at)}
    return {"kind": "calendar#freeBusy", **stamps, "calendars": found}


def _trouble(reason: str) -> Json:
    return {"errors": [{"domain": "global", "reason": reason}], "busy": []}


def _busy(calendar: Calendar, start_at: datetime, end_at: datetime, zone: str) -> list[Json]:
    window = {
        "timeMin": times.stamp(start_at),
        "timeMax": times.stamp(end_at),
        "singleEvents": True,
        "orderBy": "startTime",
    }
    merged: list[tuple[datetime, datetime]] = []
    for body in listing.list_all(calendar, window, "").bodies:
        if not _takes_time(body):
            continue
        start, end = (times.instant_of(body[name], calendar.zone) for name in ("start", "end"))
        start, end = max(start, start_at), min(end, end_at)
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return [{"start": times.written(start, zone), "end": times.written(end, zone)} for start, end in merged]


def _takes_time(body: Json) -> bool:
    if body.get("transparency") == "transparent" or body["eventType"] in _NEVER_BUSY:
        return False
    return not any(g.get("self") and g["responseStatus"] == "declined" for g in body.get("attendees", []))
