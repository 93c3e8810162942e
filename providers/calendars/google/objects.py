"""One event, or the calendar itself, as Google has it now. Called by `calendars`, `changes` and `writes`.

A 404 for an event may mean that the whole calendar is no longer shared. Then the event may well stand, so before "not there" is said
of an event, the calendar is looked at.
"""

from __future__ import annotations

from typing import NamedTuple

from providers.calendars.base import CalendarRef, RemoteEvent, Span
from providers.calendars.google.errors import NotFound, calendar_missing
from providers.calendars.google.mapping import is_deleted, is_zone, read_event
from providers.calendars.google.wire import GoogleWire, Json
from providers.errors import Gone

WRITERS = ("owner", "writer", "writerWithoutPrivateAccess")
"""The roles that may change events."""


class CalendarState(NamedTuple):
    """What Google says of a calendar as a whole."""

    zone: str | None
    is_writable: bool


def look_at_calendar(wire: GoogleWire, calendar: CalendarRef) -> CalendarState:
    """The calendar's state, in one small request that the scope for events allows. Raises Misconfigured when it is not there."""
    try:
        page = wire.send("events.list", calendarId=calendar.remote_id, maxResults=1, fields="accessRole,timeZone")
    except NotFound:
        raise calendar_missing() from None
    zone = page.get("timeZone")
    return CalendarState(zone if is_zone(zone) else None, page.get("accessRole") in WRITERS)


def find_object(wire: GoogleWire, calendar: CalendarRef, remote_id: str) -> Json | None:
    """The event as it is, a deleted one too, for Google keeps those; None when there never was one. Raises Misconfigured."""
    try:
        return wire.send("events.get", calendarId=calendar.remote_id, eventId=remote_id)
    except NotFound:
        look_at_calendar(wire, calendar)
        return None
    except Gone:
        return None


def read_object(wire: GoogleWire, calendar: CalendarRef, remote_id: str) -> Json:
    """The event as it stands. Raises Gone, and Misconfigured when it is the calendar that is not there."""
    found = find_object(wire, calendar, remote_id)
    if found is None or is_deleted(found):
        raise Gone("This event is not in the Google calendar any more.")
    return found


def told(event: Json, calendar: CalendarRef, *, window: Span, zone: str | None = None) -> RemoteEvent:
    """One event translated for this calendar. `zone` is what Google names as the calendar's own."""
    zone = zone or calendar.zone
    return read_event(event, window=window, zone=zone, own_addresses=calendar.own_addresses)
