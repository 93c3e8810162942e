"""Fetching the objects of a calendar by their hrefs. Called by `changes` and `writes`.

"Absent from the answer" never means "deleted": some servers leave out what they do not find, others what they fail to
read. Only a change feed or a whole listing tells what is gone; what was listed and cannot be had is told as unread.
"""

from __future__ import annotations

import hashlib
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

from providers.calendars.base import CalendarRef, RemoteEvent, Span
from providers.calendars.caldav.errors import AnswerTooLarge, error_of
from providers.calendars.caldav.wire import USUAL_BYTES, DavAnswer, DavWire, path_of
from providers.calendars.caldav.xml import CALENDAR_DATA, ETAG, Multistatus, multiget, rows
from providers.calendars.ical.lines import decoded
from providers.calendars.ical.mapping import read_event
from providers.errors import AccessRevoked, ProviderError, Temporary


class Listed(NamedTuple):
    """An object as a listing names it. Some servers know it again only in their own spelling, so that is kept."""

    etag: str
    href: str


class _Found(NamedTuple):
    """One object as it came; without text when the server failed over it."""

    path: str
    etag: str | None
    text: str | None


CHUNK = 300
"""Objects asked for at a time. Every request costs the server a look at the whole calendar: with 100 Radicale takes an eighth longer.
A server that cannot manage so many is asked for half of them, and so on."""
_CHUNK_SECONDS = 120.0
_CHUNK_BYTES = 4_000_000
"""One answer with many objects; whatever comes after it is asked for once more. One object alone may be as large as any answer."""
_MOST_IN_VAIN = 12
"""After so many answers in a row that were too large and held no whole object, no more are asked for."""
_SINGLE_READS_SECONDS = 20.0
"""What a server leaves out of its answers is asked for one by one, so long; the rest at the next reading."""
_NOT_GIVEN = "The server lists this entry but does not give it, so nobody knows which time it takes."
_TOO_LARGE = "This entry is too large to be read, so nobody knows which time it takes."
_PART = "The server gives only a part of this entry: its end is missing."
_CUT_OFF = "The server gives only a part of this entry, so nobody knows which time it takes."


def fetch_events(
    wire: DavWire, calendar: CalendarRef, listed: Mapping[str, Listed], *, window: Span, zone: str
) -> Iterator[RemoteEvent]:
    """The objects at these paths, in no order. Those that cannot be had are told as unread."""
    missing = dict(listed)
    names = _Names(listed)
    has_any = False
    for chunk in _read_ahead(wire, calendar, _chunks(listed), names):
        for path, etag, text in chunk:
            if text is None or path not in missing or _is_cut_off(text):
                continue
            has_any = True
            del missing[path]
            yield told(text, path, etag or listed[path].etag, calendar=calendar, window=window, zone=zone)
    ends = time.monotonic() + _SINGLE_READS_SECONDS
    for path, its in sorted(missing.items()):
        is_late = time.monotonic() > ends
        yield _read_alone(wire, calendar, path, its, window=window, zone=zone, is_lenient=has_any, is_late=is_late)


def read_object(wire: DavWire, calendar: CalendarRef, path: str, *, href: str = "") -> tuple[str, str]:
    """(text, etag) of one object, at `href` where the server spells its path so. Raises Gone.

    Asked for without compression, for proxies that compress also change the etag.
    """
    answer = wire.send(
        "GET", object_url(calendar, href or path), headers={"Accept": "text/calendar", "Accept-Encoding": "identity"}
    )
    if answer.status != 200:
        raise error_of(answer)
    etag = answer.headers.get("ETag", "")
    if not is_strong(etag):
        # A weak etag fits no If-Match (RFC 9110 section 8.8.3.2); the property has the strong one.
        etag = _etag_property(wire, calendar, path, href or path) or etag
    return decoded(answer.body), etag


def told(text: str, path: str, etag: str, *, calendar: CalendarRef, window: Span, zone: str) -> RemoteEvent:
    """One object translated for this calendar."""
    event = read_event(text, remote_id=path, etag=etag, window=window, zone=zone, own_addresses=calendar.own_addresses)
    return replace(event, fingerprint=hashlib.sha256(text.encode()).hexdigest())


def is_strong(etag: str | None) -> bool:
    """True for an etag that a server will find again in If-Match."""
    return bool(etag) and not str(etag).startswith("W/")


def _read_alone(
    wire: DavWire,
    calendar: CalendarRef,
    path: str,
    its: Listed,
    *,
    window: Span,
    zone: str,
    is_lenient: bool,
    is_late: bool,
) -> RemoteEvent:
    """One object that came in no answer. `is_lenient`: others came, so it is this one that the server fails over."""
    problem = _NOT_GIVEN
    try:
        if not is_late:
            text, etag = read_object(wire, calendar, path, href=its.href)
            if not _is_cut_off(text):
                return told(text, path, etag or its.etag, calendar=calendar, window=window, zone=zone)
            problem = _CUT_OFF
            part = told(text, path, "", calendar=calendar, window=window, zone=zone)
            if part.busy or part.taken:
                return replace(part, problem=" ".join(filter(None, [_PART, part.problem])), is_unread=True)
    except AccessRevoked:
        raise
    except AnswerTooLarge:
        problem = _TOO_LARGE
    except Temporary as error:
        if not is_lenient or not error.is_refusal:
            raise
    except ProviderError:
        pass  # said below
    # No etag, so that it is asked for again whenever the calendar is listed.
    return RemoteEvent(remote_id=path, etag="", problem=problem, is_unread=True)


def _read_ahead(
    wire: DavWire, calendar: CalendarRef, chunks: Iterable[list[str]], names: _Names
) -> Iterator[list[_Found]]:
    """The objects chunk by chunk; while one is being translated, the next is on its way.

    All requests are made by one thread, one after the other: the wire is not shared.
    """
    reader = _ChunkReader(wire, calendar, names)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") as thread:
        coming: Future[list[_Found]] | None = None
        for chunk in chunks:
            after = thread.submit(reader.read, chunk)
            if coming is not None:
                yield coming.result()
            coming = after
        if coming is not None:
            yield coming.result()


class _ChunkReader:
    """Asks for objects in as large parts as the server manages: one that is broken or huge must not hide its neighbours."""

    def __init__(self, wire: DavWire, calendar: CalendarRef, names: _Names) -> None:
        self._wire, self._calendar, self._names = wire, calendar, names
        self._in_vain = 0

    def read(self, paths: Sequence[str]) -> list[_Found]:
        """What the server gives of these. Raises Temporary when it gives none of several."""
        found = self._read_in_parts(paths)
        if len(paths) > 1 and found and all(item.text is None for item in found):
            raise Temporary("The calendar server fails to give its entries.")
        return found

    def _read_in_parts(self, paths: Sequence[str]) -> list[_Found]:
        left = list(paths)
        found: list[_Found] = []
        while left:
            answer, some = self._ask(left)
            found += some
            if answer is not None and answer.status == 207:
                return found
            if answer is not None and answer.status != 500:
                raise error_of(answer)
            had = {item.path for item in some}
            left = [path for path in left if path not in had]
            if some:
                continue  # what came before the answer became too large is whole
            if len(left) == 1:
                return [*found, _Found(left[0], None, None)]
            half = len(left) // 2
            return found + self._read_in_parts(left[:half]) + self._read_in_parts(left[half:])
        return found

    def _ask(self, paths: Sequence[str]) -> tuple[DavAnswer | None, list[_Found]]:
        """(answer or None where it was too large, the objects in it)."""
        body = multiget(self._names.href(path) for path in paths)
        about = {"body": body, "headers": {"Depth": "1"}, "seconds": _CHUNK_SECONDS}
        limit = _CHUNK_BYTES if len(paths) > 1 else USUAL_BYTES
        try:
            answer = self._wire.send("REPORT", self._calendar.remote_id, limit=limit, **about)  # type: ignore[arg-type]
        except AnswerTooLarge as error:
            some = self._found(error.partial) if isinstance(error.partial, Multistatus) else []
            self._in_vain = 0 if some else self._in_vain + 1
            if self._in_vain > _MOST_IN_VAIN:
                raise
            return None, some
        return answer, self._found(answer.root) if answer.status == 207 else []

    def _found(self, answered: Multistatus | None) -> list[_Found]:
        return [
            _Found(self._names.path(row.href), row.text(ETAG), text)
            for row in rows(answered)
            if row.status < 300 and (text := row.text(CALENDAR_DATA))
        ]


class _Names:
    """The objects asked for, by whatever spelling of its address a server answers with."""

    def __init__(self, listed: Mapping[str, Listed]) -> None:
        self._listed = listed
        self._exact = {its.href.strip(): path for path, its in listed.items()}
        self._loose: dict[str, str | None] = {}
        for path in listed:
            key = _loosely(path)
            self._loose[key] = None if key in self._loose else path  # None: two are spelt alike

    def href(self, path: str) -> str:
        """As the server spells it."""
        return self._listed[path].href if path in self._listed else path

    def path(self, href: str) -> str:
        """The path of the object that is meant."""
        exact = self._exact.get(href.strip())
        if exact is not None:
            return exact
        path = path_of(href)
        return path if path in self._listed else self._loose.get(_loosely(path)) or path


def _loosely(path: str) -> str:
    return unicodedata.normalize("NFC", unquote(unquote(path))).casefold()


def _is_cut_off(text: str) -> bool:
    return "END:VCALENDAR" not in text[-200:].upper() and "END:VCALENDAR" not in text.upper()


def _chunks(listed: Iterable[str]) -> Iterator[list[str]]:
    left = iter(listed)
    while chunk := list(islice(left, CHUNK)):
        yield chunk


def object_url(calendar: CalendarRef, href: str) -> str:
    """The whole address of an object."""
    if "://" in href[:10]:
        return href
    scheme, _, rest = calendar.remote_id.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}{href}"


def _etag_property(wire: DavWire, calendar: CalendarRef, path: str, href: str) -> str:
    reader = _ChunkReader(wire, calendar, _Names({path: Listed("", href)}))
    return next((item.etag for item in reader.read([path]) if item.path == path and item.etag), "")
