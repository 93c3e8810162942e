"""Google's events in the portal's words. Pure; called by the Google provider. The way back is `draft`.

Reading never raises: an event may hold anything, and one that cannot be understood must not hide the others. Whether an event takes
time, first match wins; when unsure it does, and carries a sentence about the doubt:

1. our own mark: no, for the booking counts already;
2. status cancelled: no (at Google that is a deleted event);
3. transparency transparent ("free" in the web page): no;
4. declined by the owner, on the copy in this calendar or under one of her addresses: no;
5. where somebody works, and birthdays: no; out of office, focus time and what Gmail found: yes;
6. everything else, tentative and unanswered too: yes, for as long as it has any length;
7. a whole day takes the local day of the calendar's zone, 23 to 25 hours.

Google counts `sequence` itself, also for changes that mean nothing to us, so ours stands among our private properties.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from providers.calendars.base import EventMark, RemoteEvent, Span
from providers.calendars.content import content_hash
from providers.calendars.ical.times import rest_of_day

INSTANCE, APPOINTMENT, GENERATION = "lockstepInstance", "lockstepAppointment", "lockstepGeneration"
UID, SEQUENCE, START = "lockstepUid", "lockstepSequence", "lockstepStart"
MEANT, WRITTEN = "lockstepMeant", "lockstepWritten"
"""Hashes of what was meant and of what could be written, where the two differ: Google takes no control characters."""

_NEVER_BUSY = ("workingLocation", "birthday")
_NOT_STORED = re.compile("[\x00\ud800-\udfff]")


class _Unreadable(ValueError):
    """A date or time that says nothing; the sentence is for people."""


class _Times(NamedTuple):
    start_at: datetime
    end_at: datetime
    problems: tuple[str, ...] = ()


def read_event(
    event: Mapping[str, Any], *, window: Span, zone: str, own_addresses: frozenset[str] = frozenset()
) -> RemoteEvent:
    """One event resource in the words of the contract. `zone` is the calendar's: whole days are read in it. Never raises."""
    try:
        return _read(event, window=window, zone=zone, own_addresses=own_addresses)
    except Exception:
        # Strangers' data break things in more ways than can be listed, and one event must not stop the others.
        return RemoteEvent(
            remote_id=str(event.get("id", "")),
            etag=str(event.get("etag", "")),
            problem="This event could not be read.",
        )


def mark_of(event: Mapping[str, Any]) -> EventMark | None:
    """The mark that `draft` wrote among the private properties, or None."""
    private = _private(event)
    instance_id, appointment_id, generation = (
        str(private.get(name, "")) for name in (INSTANCE, APPOINTMENT, GENERATION)
    )
    if not (instance_id and _is_number(appointment_id) and _is_number(generation)):
        return None
    return EventMark(instance_id=instance_id, appointment_id=int(appointment_id), generation=int(generation))


def without_mark(event: Mapping[str, Any]) -> dict[str, Any]:
    """The same event as if it were a stranger's: for further occurrences of an event of ours that somebody made a series."""
    return {name: value for name, value in event.items() if name != "extendedProperties"}


def is_deleted(event: Mapping[str, Any]) -> bool:
    """True for what Google keeps of an event after it was deleted."""
    return event.get("status") == "cancelled"


def is_all_day(event: Mapping[str, Any]) -> bool:
    """True when its time depends on the calendar's zone, of which its etag knows nothing."""
    start = event.get("start")
    return isinstance(start, dict) and bool(start.get("date"))


def stands_as_written(event: Mapping[str, Any], told: RemoteEvent) -> bool:
    """True when an event of ours has the start that we gave it."""
    return told.start_at is not None and _private(event).get(START) == told.start_at.isoformat()


def touches(event: RemoteEvent, window: Span) -> bool:
    """True for what lies in the window at least in part, and for what cannot be placed in time."""
    if event.start_at is None or event.end_at is None:
        return True
    return event.start_at < window[1] and (event.end_at > window[0] or event.start_at >= window[0])


def meeting_url(event: Mapping[str, Any]) -> str:
    """The link of the video meeting; empty while Google is still making it."""
    conference = event.get("conferenceData")
    points = conference.get("entryPoints") if isinstance(conference, dict) else None
    video = [
        point.get("uri") for point in points or () if isinstance(point, dict) and point.get("entryPointType") == "video"
    ]
    found = next((url for url in (event.get("hangoutLink"), *video) if url), "")
    return found[:500] if isinstance(found, str) and found.startswith("https://") else ""


def _read(event: Mapping[str, Any], *, window: Span, zone: str, own_addresses: frozenset[str]) -> RemoteEvent:
    mark = mark_of(event)
    recurrence = event.get("recurrence") or []
    times, problem = None, None
    try:
        times = _times(event, zone)
        problem = " ".join(times.problems) or None
    except (_Unreadable, OverflowError) as error:
        problem = f"The time of this event could not be read. {error}" if isinstance(error, _Unreadable) else _BEYOND
    taken = _clipped(times, window) if times is not None and _takes_time(event, own_addresses) else ()
    return RemoteEvent(
        remote_id=str(event["id"]),
        etag=str(event.get("etag", "")),
        uid=_uid(event, mark),
        mark=mark,
        summary=_text(event.get("summary")),
        is_private=event.get("visibility") in ("private", "confidential"),
        start_at=times.start_at if times else None,
        end_at=times.end_at if times else None,
        sequence=_sequence(event, mark),
        is_recurring=bool(recurrence),
        is_cancelled=is_deleted(event),
        busy=taken if mark is None else (),
        taken=taken if mark is not None else None,
        content_hash=_hash(event, mark, times, recurrence),
        problem=problem,
        meeting_url=meeting_url(event),
    )


def _hash(event: Mapping[str, Any], mark: EventMark | None, times: _Times | None, recurrence: list[Any]) -> str:
    stands = content_hash(
        uid=_uid(event, mark),
        start_at=times.start_at if times else None,
        end_at=times.end_at if times else None,
        is_cancelled=is_deleted(event),
        is_transparent=event.get("transparency") == "transparent",
        summary=_text(event.get("summary")),
        sequence=_sequence(event, mark) if mark else 0,
        recurrence=[str(line) for line in recurrence],
    )
    private = _private(event) if mark else {}
    return str(private[MEANT]) if private.get(WRITTEN) == stands and MEANT in private else stands


def _uid(event: Mapping[str, Any], mark: EventMark | None) -> str:
    ours = _private(event).get(UID) if mark else None
    return _text(ours or event.get("iCalUID"))


def _sequence(event: Mapping[str, Any], mark: EventMark | None) -> int:
    found = str(_private(event).get(SEQUENCE, 0) if mark else event.get("sequence", 0))
    return int(found) if _is_number(found) else 0


def _takes_time(event: Mapping[str, Any], own_addresses: frozenset[str]) -> bool:
    """Whether an event takes time at all; the order is that of the table, the first match wins."""
    if is_deleted(event) or event.get("transparency") == "transparent":
        return False
    return not _is_declined(event, own_addresses) and event.get("eventType") not in _NEVER_BUSY


def _is_declined(event: Mapping[str, Any], own_addresses: frozenset[str]) -> bool:
    attendees = event.get("attendees")
    own = {
        attendee.get("responseStatus")
        for attendee in (attendees if isinstance(attendees, list) else ())
        if isinstance(attendee, dict)
        and (attendee.get("self") is True or str(attendee.get("email", "")).lower() in own_addresses)
    }
    return own == {"declined"}


def _clipped(times: _Times, window: Span) -> tuple[Span, ...]:
    start, end = max(times.start_at, window[0]), min(times.end_at, window[1])
    return ((start, end),) if start < end else ()


_BEYOND = "The time of this event lies beyond all calendars."


def _times(event: Mapping[str, Any], zone: str) -> _Times:
    """Start and end as instants. Raises _Unreadable without a readable start; a broken end is mended, and said to be."""
    start, problems = _moment(event.get("start"), zone)
    try:
        end, doubts = _moment(event.get("end"), zone)
        problems += [doubt for doubt in doubts if doubt not in problems]
    except (_Unreadable, OverflowError):
        problems.append("Its end could not be read.")
        end = _moment_after(event["start"], start, zone)
    if end < start:
        problems.append("It ends before it starts: both ends were exchanged.")
        start, end = end, start
    return _Times(start, end, tuple(problems))


def _moment_after(value: Mapping[str, Any], start: datetime, zone: str) -> datetime:
    """The end of an event whose end cannot be read: the next midnight."""
    if not value.get("date"):
        return start + rest_of_day(start, _calendar_zone(zone)[0])
    return _midnight(date.fromisoformat(str(value["date"])) + timedelta(days=1), _calendar_zone(zone)[0])


def _moment(value: object, zone: str) -> tuple[datetime, list[str]]:
    """An EventDateTime as an instant, with what was doubtful about it. Raises _Unreadable, OverflowError."""
    value = value if isinstance(value, dict) else {}
    try:
        if value.get("date"):
            tz, problems = _calendar_zone(zone)
            return _midnight(date.fromisoformat(str(value["date"])), tz), problems
        wall = datetime.fromisoformat(str(value.get("dateTime")))
    except ValueError:
        shown = str(value.get("dateTime") or value.get("date") or "")[:40]
        raise _Unreadable(f"“{shown}” is no date." if shown else "It has none.") from None
    if wall.tzinfo is None:
        tz, problems = _event_zone(value.get("timeZone"), zone)
        return wall.replace(tzinfo=tz).astimezone(UTC), problems
    return wall.astimezone(UTC), []


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _event_zone(name: object, zone: str) -> tuple[tzinfo, list[str]]:
    """The zone that the event itself names, for a time without an offset; else the calendar's, which is said."""
    found = _zone(str(name)) if name else None
    if found is not None:
        return found, []
    tz, problems = _calendar_zone(zone)
    return tz, [*problems, "Its time zone is not known: it was read in the calendar's."]


def _calendar_zone(name: str) -> tuple[tzinfo, list[str]]:
    found = _zone(name)
    return (found, []) if found is not None else (UTC, ["The calendar's time zone is not known: it was read in UTC."])


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo | None:
    if name.upper() in ("UTC", "ETC/UTC", "GMT"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # unknown; a folder of the database; no name at all
        return None


def is_zone(name: object) -> bool:
    """True for a zone that can be reckoned in."""
    return isinstance(name, str) and bool(name) and _zone(name) is not None


def _private(event: Mapping[str, Any]) -> Mapping[str, Any]:
    extended = event.get("extendedProperties")
    private = extended.get("private") if isinstance(extended, dict) else None
    return private if isinstance(private, dict) else {}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _text(value: object) -> str:
    """Words that a database takes."""
    return _NOT_STORED.sub("", value) if isinstance(value, str) else ""
