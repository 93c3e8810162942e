"""Finding an event by its UID, wherever in the calendar its object stands. Called by `writes`.

Servers are asked for the UID first; not all know such a question, and some answer it with whatever they have. So what they give is read.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from providers.calendars.base import CalendarRef, RemoteEvent, Span
from providers.calendars.caldav.listing import list_etags
from providers.calendars.caldav.objects import Listed, fetch_events
from providers.calendars.caldav.wire import DavWire, path_of
from providers.calendars.caldav.xml import ETAG, query_by_time, query_by_uid, rows

_AROUND = timedelta(days=2)


def find_by_uid(wire: DavWire, calendar: CalendarRef, uid: str, *, around: Span | None = None) -> list[RemoteEvent]:
    """All objects with this UID. With `around`, the time of the event, what the server does not find by its UID is looked for by that,
    and at last in the whole calendar."""
    found = _with_uid(wire, calendar, _asked(wire, calendar, query_by_uid(uid)), uid)
    if found or around is None:
        return found
    wide = (around[0] - _AROUND, around[1] + _AROUND)
    found = _with_uid(wire, calendar, _asked(wire, calendar, query_by_time(wide, [ETAG])), uid)
    return found or _with_uid(wire, calendar, list_etags(wire, calendar), uid)


def _asked(wire: DavWire, calendar: CalendarRef, query: str) -> dict[str, Listed]:
    answer = wire.send("REPORT", calendar.remote_id, body=query, headers={"Depth": "1"})
    if answer.status != 207:
        return {}
    return {
        path_of(row.href): Listed(row.text(ETAG) or "", row.href.strip())
        for row in rows(answer.root)
        if row.status < 300
    }


def _with_uid(wire: DavWire, calendar: CalendarRef, listed: dict[str, Listed], uid: str) -> list[RemoteEvent]:
    now = datetime.now(UTC)
    window = now, now + timedelta(days=1)
    events = fetch_events(wire, calendar, listed, window=window, zone=calendar.zone) if listed else ()
    return sorted((event for event in events if event.uid == uid), key=lambda event: event.remote_id)
