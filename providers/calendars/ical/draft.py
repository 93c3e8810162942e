"""A draft as iCalendar text. Pure; called by the CalDAV provider when it publishes.

Built with the icalendar library alone, which folds lines and escapes what people type. The stored copy names nobody:
a server that finds an ATTENDEE would send the customer a second invitation. It has no METHOD either (RFC 4791 4.1).
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import pairwise
from zoneinfo import ZoneInfo

import icalendar

from providers.calendars.base import EventDraft, EventMark
from providers.calendars.ical.zones import named_zone

_PRODUCT = "-//Lockstep//Booking portal//EN"


def write_event(draft: EventDraft, *, stamp: datetime) -> str:
    """The VCALENDAR that says what the draft says. `stamp` is when it was written (DTSTAMP)."""
    start, end = _as_written(draft)
    event = icalendar.Event()
    event.add("uid", draft.uid)
    event.add("dtstamp", stamp.astimezone(UTC).replace(microsecond=0))
    event.add("dtstart", start)
    event.add("dtend", end)
    event.add("summary", draft.summary)
    for name in ("description", "location", "url"):
        if value := getattr(draft, name):
            event.add(name, value)
    event.add("status", "CONFIRMED")
    event.add("transp", "OPAQUE")
    event.add("sequence", draft.sequence)
    event.add("x-lockstep", mark_text(draft.mark))
    calendar = icalendar.Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    for zone in {at.tzinfo for at in (start, end) if isinstance(at.tzinfo, ZoneInfo)}:
        calendar.add_component(_zone_description(zone, draft.start_at.year))
    calendar.add_component(event)
    return bytes(calendar.to_ical()).decode()


def mark_text(mark: EventMark) -> str:
    """A mark as the value of the X-LOCKSTEP property; `mapping.mark_of` reads it."""
    return f"{mark.instance_id}/{mark.appointment_id}/{mark.generation}"


def _as_written(draft: EventDraft) -> tuple[datetime, datetime]:
    """Start and end in the zone of the place, so that calendar programs show and edit them there.

    In UTC, both of them, when a clock shows one of these times twice: a wall-clock time would leave open which is meant.
    """
    instants = [at.astimezone(UTC).replace(microsecond=0) for at in (draft.start_at, draft.end_at)]
    zone = named_zone(draft.zone)
    local = [at.astimezone(zone) for at in instants] if isinstance(zone, ZoneInfo) else instants
    start, end = instants if any(_is_shown_twice(at) for at in local) else local
    return start, end


def _is_shown_twice(at: datetime) -> bool:
    return at.replace(fold=0).utcoffset() != at.replace(fold=1).utcoffset()


@lru_cache(maxsize=128)
def _zone_description(zone: ZoneInfo, year: int) -> icalendar.Timezone:
    """The VTIMEZONE of a zone from the year before to the year after.

    Written here because the library's own generator names the onset of summer time an hour late.
    """
    described = icalendar.Timezone()
    described.add("tzid", zone.key)
    start = datetime(year - 1, 1, 1, tzinfo=UTC)
    described.add_component(_observance(start, start, zone))
    for onset in _changes(zone, start, datetime(year + 2, 1, 1, tzinfo=UTC)):
        described.add_component(_observance(onset, onset - timedelta(seconds=1), zone))
    return described


def _observance(onset: datetime, before: datetime, zone: ZoneInfo) -> icalendar.Component:
    """What holds from `onset` on. RFC 5545 3.6.5 wants the onset on the wall clock that held until then."""
    local, old_offset = onset.astimezone(zone), _offset(before, zone)
    held = icalendar.TimezoneDaylight() if local.dst() else icalendar.TimezoneStandard()
    held.add("dtstart", (onset + old_offset).replace(tzinfo=None))
    held.add("tzoffsetfrom", old_offset)
    held.add("tzoffsetto", _offset(onset, zone))
    held.add("tzname", local.tzname() or zone.key)
    return held


def _changes(zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The instants between `start` and `end` at which the zone's offset changes, to the minute."""
    days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    found = []
    for earlier, later in pairwise(days):
        if _offset(earlier, zone) != _offset(later, zone):
            minutes = [earlier + timedelta(minutes=n) for n in range(1, 1441)]
            found.append(minutes[bisect_left(minutes, True, key=partial(_has_changed, zone, _offset(earlier, zone)))])
    return found


def _has_changed(zone: ZoneInfo, old_offset: timedelta, at: datetime) -> bool:
    return _offset(at, zone) != old_offset


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta(0)
