"""Listing what stands in a calendar, without reading it. Called by `changes` and `search`."""

from __future__ import annotations

from urllib.parse import urlsplit

from providers.calendars.base import CalendarRef
from providers.calendars.caldav.errors import error_of
from providers.calendars.caldav.objects import Listed
from providers.calendars.caldav.wire import LISTING_BYTES, LISTING_SECONDS, DavWire, path_of
from providers.calendars.caldav.xml import ETAG, D, Row, propfind, rows

_KIND = f"{D}resourcetype"


def list_etags(wire: DavWire, calendar: CalendarRef) -> dict[str, Listed]:
    """Every object by path."""
    answer = wire.send(
        "PROPFIND",
        calendar.remote_id,
        body=propfind([ETAG, _KIND]),
        headers={"Depth": "1"},
        seconds=LISTING_SECONDS,
        limit=LISTING_BYTES,
        silence_allowed=calendar.silence_allowed,
    )
    if answer.status != 207:
        raise error_of(answer)
    present: dict[str, Listed] = {}
    for row in rows(answer.root):
        if row.status < 300 and f"{D}collection" not in row.names(_KIND) and not is_itself(calendar, row.href):
            add_listed(present, row)
    return present


def add_listed(present: dict[str, Listed], row: Row) -> str:
    """Take in one object; its path. Where a server means two objects by two spellings of one path, the second keeps its own."""
    path, its = path_of(row.href), Listed(row.text(ETAG) or "", row.href.strip())
    if path in present and present[path].href != its.href:
        path = urlsplit(its.href).path if "://" in its.href[:10] else its.href
    present[path] = its
    return path


def is_itself(calendar: CalendarRef, href: str) -> bool:
    """True for the row that is about the calendar, not about an object in it."""
    return path_of(href).rstrip("/") == path_of(urlsplit(calendar.remote_id).path).rstrip("/")
