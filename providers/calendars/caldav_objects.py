"""Fetching the objects of a calendar by their hrefs. Called by `caldav_changes` and `caldav_writes`.

"Absent from the answer" never means "deleted": some servers leave out what they do not find, others what they fail to
read. Only a change feed or a whole listing tells what is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from providers.calendars.base import CalendarRef, RemoteEvent, Span
from providers.calendars.caldav_errors import AnswerTooLarge, error_of
from providers.calendars.caldav_wire import DavWire, path_of
from providers.calendars.caldav_xml import CALENDAR_DATA, ETAG, multiget, rows
from providers.calendars.ical_mapping import read_event
from providers.errors import Gone, Temporary


class _Found(NamedTuple):
    """One object as it came; without text when the server failed over it."""

    path: str
    etag: str | None
    text: str | None


CHUNK = 300
"""Objects asked for at a time. Every request costs the server a look at the whole calendar: with 100 Radicale takes an eighth longer.
A server that cannot manage so many is asked for half of them, and so on."""
_CHUNK_SECONDS = 120.0
_MAX_SINGLE_READS = 50


def fetch_events(
    wire: DavWire, calendar: CalendarRef, listed: Mapping[str, str], *, window: Span, zone: str
) -> Iterator[RemoteEvent]:
    """The objects at these paths (path -> etag of the listing), in no order. Those that vanished meanwhile are missing."""
    missing = set(listed)
    for chunk in _read_ahead(wire, calendar, _chunks(listed)):
        for path, etag, text in chunk:
            if path in missing:
                missing.discard(path)
                yield (
                    told(text, path, etag or listed[path], calendar=calendar, window=window, zone=zone)
                    if text is not None
                    # No etag, so that it is asked for again whenever everything is read.
                    else RemoteEvent(remote_id=path, etag="", problem="The server failed to give this entry.")
                )
    for path in islice(sorted(missing), _MAX_SINGLE_READS):
        try:
            text, etag = read_object(wire, calendar, path)
        except Gone:
            continue
        yield told(text, path, etag or listed[path], calendar=calendar, window=window, zone=zone)


def read_object(wire: DavWire, calendar: CalendarRef, path: str) -> tuple[str, str]:
    """(text, etag) of one object. Raises Gone.

    Asked for without compression, for proxies that compress also change the etag.
    """
    answer = wire.send(
        "GET", object_url(calendar, path), headers={"Accept": "text/calendar", "Accept-Encoding": "identity"}
    )
    if answer.status != 200:
        raise error_of(answer)
    etag = answer.headers.get("ETag", "")
    if not is_strong(etag):
        # A weak etag fits no If-Match (RFC 9110 section 8.8.3.2); the property has the strong one.
        etag = next((tag for found, tag, _ in _read_chunk(wire, calendar, [path]) if found == path and tag), etag)
    return answer.body.decode("utf-8", "replace"), etag


def told(text: str, path: str, etag: str, *, calendar: CalendarRef, window: Span, zone: str) -> RemoteEvent:
    """One object translated for this calendar."""
    return read_event(text, remote_id=path, etag=etag, window=window, zone=zone, own_addresses=calendar.own_addresses)


def is_strong(etag: str | None) -> bool:
    """True for an etag that a server will find again in If-Match."""
    return bool(etag) and not str(etag).startswith("W/")


def _read_ahead(wire: DavWire, calendar: CalendarRef, chunks: Iterable[list[str]]) -> Iterator[list[_Found]]:
    """The objects chunk by chunk; while one is being translated, the next is on its way.

    All requests are made by one thread, one after the other: the wire is not shared.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") as reader:
        coming: Future[list[_Found]] | None = None
        for chunk in chunks:
            after = reader.submit(_read_chunk, wire, calendar, chunk)
            if coming is not None:
                yield coming.result()
            coming = after
        if coming is not None:
            yield coming.result()


def _read_chunk(wire: DavWire, calendar: CalendarRef, paths: Sequence[str]) -> list[_Found]:
    """What the server gives of these objects. Raises Temporary when it gives none of several."""
    found = _read_in_parts(wire, calendar, paths)
    if len(paths) > 1 and found and all(item.text is None for item in found):
        raise Temporary("The calendar server fails to give its entries.")
    return found


def _read_in_parts(wire: DavWire, calendar: CalendarRef, paths: Sequence[str]) -> list[_Found]:
    """As many at a time as the server manages: one object that is broken or huge must not hide its neighbours."""
    try:
        answer = wire.send(
            "REPORT", calendar.remote_id, body=multiget(paths), headers={"Depth": "1"}, seconds=_CHUNK_SECONDS
        )
    except AnswerTooLarge:
        answer = None
    if answer is None or answer.status == 500:
        if len(paths) == 1:
            return [_Found(paths[0], None, None)]
        half = len(paths) // 2
        return _read_in_parts(wire, calendar, paths[:half]) + _read_in_parts(wire, calendar, paths[half:])
    if answer.status != 207:
        raise error_of(answer)
    return [
        _Found(path_of(row.href), row.text(ETAG), text)
        for row in rows(answer.root)
        if row.status < 300 and (text := row.text(CALENDAR_DATA)) is not None
    ]


def _chunks(listed: Iterable[str]) -> Iterator[list[str]]:
    left = iter(listed)
    while chunk := list(islice(left, CHUNK)):
        yield chunk


def object_url(calendar: CalendarRef, path: str) -> str:
    """The whole address of an object."""
    scheme, _, rest = calendar.remote_id.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}{path}"
