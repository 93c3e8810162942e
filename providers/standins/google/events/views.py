"""Events as a caller sees them: occurrences, tombstones, what a reader may see."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from providers.standins.google import times
from providers.standins.google.events import expand
from providers.standins.google.model import Calendar, Record

Json = dict[str, Any]
_FOR_STRANGERS = frozenset(
    [
        "kind", "etag", "id", "status", "htmlLink", "created", "updated", "start", "end", "iCalUID",
        "sequence", "eventType", "creator", "organizer", "recurringEventId", "originalStartTime",
        "recurrence", "transparency", "endTimeUnspecified", "visibility",
    ]
)  # fmt: skip


def occurrence_body(master: Json, occurrence: expand.Occurrence, calendar_zone: str) -> Json:
    """One occurrence of a series that nobody touched: the master at another time, under an id of its own."""
    start, end = master["start"], master["end"]
    if "date" in start:
        first = times.instant_of(start, calendar_zone)
        days = round((occurrence.start_at - first) / timedelta(days=1))
        moved = {name: times.shifted(master[name], timedelta(days=days), calendar_zone) for name in ("start", "end")}
    else:
        length = times.instant(end["dateTime"]) - times.instant(start["dateTime"])
        moved = {
            "start": {**start, "dateTime": times.written(occurrence.start_at, calendar_zone)},
            "end": {**end, "dateTime": times.written(occurrence.start_at + length, calendar_zone)},
        }
    body = {name: value for name, value in master.items() if name != "recurrence"}
    return {
        **body,
        **moved,
        "id": f"{master['id']}_{occurrence.key}",
        "recurringEventId": master["id"],
        "originalStartTime": moved["start"],
    }


def find_occurrence(calendar: Calendar, event_id: str) -> Json | None:
    """The occurrence behind an id like `<series>_<time>` that has no record of its own."""
    series_id, _, key = event_id.rpartition("_")
    master = calendar.records.get(series_id)
    if master is None or master.is_gone or not master.is_series:
        return None
    series = expand.series_of(master.body, calendar.zone)
    at = expand.original_start(series, key)
    if at is None or not expand.has_occurrence(series, key):
        return None
    return occurrence_body(master.body, expand.Occurrence(at, key), calendar.zone)


def series_bodies(
    calendar: Calendar,
    master: Record | None,
    start_at: datetime | None,
    end_at: datetime | None,
    *,
    as_of: int | None = None,
) -> dict[str, Json]:
    """All occurrences of a series that touch the time, by id, cancelled ones too; none when there is no such series (any more)."""
    if master is None or master.is_gone or not master.is_series:
        return {}
    length = master.end_at - master.start_at
    series = expand.series_of(master.body, calendar.zone)
    found = {}
    for occurrence in expand.occurrences(series, start_at - length if start_at else None, end_at):
        body = occurrence_body(master.body, occurrence, calendar.zone)
        if overlaps(body, calendar.zone, start_at, end_at):
            found[body["id"]] = body
    for exception in calendar.exceptions(master.body["id"], as_of=as_of):
        found.pop(exception.body["id"], None)
        if overlaps(exception.body, calendar.zone, start_at, end_at):
            found[exception.body["id"]] = exception.body
    return found


def overlaps(body: Json, zone: str, start_at: datetime | None, end_at: datetime | None) -> bool:
    """timeMin is below the end, timeMax above the start, both exclusive. What is cancelled counts at its old time."""
    if start_at is not None and times.instant_of(body["end"], zone) <= start_at:
        return False
    return end_at is None or times.instant_of(body["start"], zone) < end_at


def tombstone(body: Json) -> Json:
    """What a list tells of an event that is gone: next to nothing (`Event.status`)."""
    names = ("kind", "etag", "id", "status", "recurringEventId", "originalStartTime")
    return {name: body[name] for name in names if name in body} | {"status": "cancelled"}


def told(body: Json, *, role: str, calendar_zone: str, zone: str | None = None, most_guests: int | None = None) -> Json:
    """The event as somebody with this role sees it, in the zone asked for."""
    if role == "freeBusyReader" or (role == "reader" and body.get("visibility") in ("private", "confidential")):
        body = {name: value for name, value in body.items() if name in _FOR_STRANGERS} | {"visibility": "private"}
    if zone and zone != calendar_zone and "start" in body:
        body = {
            **body,
            **{name: _in_zone(body[name], zone) for name in ("start", "end", "originalStartTime") if name in body},
        }
    guests = body.get("attendees", [])
    if most_guests is not None and len(guests) > most_guests:
        body = {**body, "attendees": [guest for guest in guests if guest.get("self")], "attendeesOmitted": True}
    return body


def _in_zone(value: Json, zone: str) -> Json:
    return value if "date" in value else {**value, "dateTime": times.written(times.instant(value["dateTime"]), zone)}
