"""The XML of WebDAV and CalDAV: bodies of requests, rows of a multistatus. Pure; called by the `caldav_*` modules.

RFC 4918 (WebDAV), RFC 4791 (CalDAV), RFC 6578 (sync-collection).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from providers.calendars.base import Span
from providers.errors import BadAnswer

D = "{DAV:}"
C = "{urn:ietf:params:xml:ns:caldav}"
CS = "{http://calendarserver.org/ns/}"
_SPACES = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:CS="http://calendarserver.org/ns/"'
_PREFIXES = {"DAV:": "D", "urn:ietf:params:xml:ns:caldav": "C", "http://calendarserver.org/ns/": "CS"}

ETAG = f"{D}getetag"
CALENDAR_DATA = f"{C}calendar-data"


@dataclass(frozen=True, slots=True)
class Row:
    """One response of a multistatus. `props` holds what was found; `status` is that of the whole response."""

    href: str
    status: int
    props: dict[str, Any]

    def text(self, tag: str) -> str | None:
        """The text of one property, or None."""
        element = self.props.get(tag)
        return element.text if element is not None else None

    def hrefs(self, tag: str) -> list[str]:
        """The hrefs inside one property."""
        element = self.props.get(tag)
        return [] if element is None else [href.text.strip() for href in element.iter(f"{D}href") if href.text]

    def names(self, tag: str) -> set[str]:
        """The tags of all elements inside one property."""
        element = self.props.get(tag)
        return set() if element is None else {child.tag for child in element.iter() if isinstance(child.tag, str)}


def propfind(tags: Iterable[str]) -> str:
    """A PROPFIND for these properties."""
    return _document(f"<D:propfind {_SPACES}>{_prop(tags)}</D:propfind>")


def sync_collection(token: str) -> str:
    """What changed since `token`; everything when it is empty."""
    return _document(
        f"<D:sync-collection {_SPACES}><D:sync-token>{escape(token)}</D:sync-token>"
        f"<D:sync-level>1</D:sync-level>{_prop([ETAG])}</D:sync-collection>"
    )


def multiget(hrefs: Iterable[str]) -> str:
    """These objects with their etags."""
    named = "".join(f"<D:href>{escape(href)}</D:href>" for href in hrefs)
    return _document(f"<C:calendar-multiget {_SPACES}>{_prop([ETAG, CALENDAR_DATA])}{named}</C:calendar-multiget>")


def query_by_time(window: Span, tags: Iterable[str]) -> str:
    """Every object with an event, or an occurrence of one, inside the window."""
    between = f'<C:time-range start="{_utc(window[0])}" end="{_utc(window[1])}"/>'
    return _query(between, tags)


def query_by_uid(uid: str) -> str:
    """The objects with this UID, wherever in the calendar they stand."""
    match = f'<C:text-match collation="i;octet">{escape(uid)}</C:text-match>'
    return _query(f'<C:prop-filter name="UID">{match}</C:prop-filter>', [ETAG])


def rows(root: Any) -> Iterator[Row]:
    """The responses of a multistatus, one after the other. Raises BadAnswer when it is none."""
    if root is None or root.tag != f"{D}multistatus":
        raise BadAnswer("The server's answer is not the list that was asked for.")
    for element in root.iterchildren(f"{D}response"):
        yield _row(element)


def next_token(root: Any) -> str | None:
    """The sync token of a multistatus, or None."""
    return root.findtext(f"{D}sync-token") or None


def _row(element: Any) -> Row:
    href, status, props = "", 200, {}
    for child in element:
        if child.tag == f"{D}href":
            href = child.text or ""
        elif child.tag == f"{D}status":
            status = _code(child.text)
        elif child.tag == f"{D}propstat" and _code(child.findtext(f"{D}status")) < 300:
            for prop in child.iterchildren(f"{D}prop"):
                props.update({found.tag: found for found in prop})
    return Row(href, status, props)


def _code(text: str | None) -> int:
    parts = (text or "HTTP/1.1 200 OK").split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() else 500


def _query(condition: str, tags: Iterable[str]) -> str:
    inner = f'<C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">{condition}</C:comp-filter></C:comp-filter>'
    return _document(f"<C:calendar-query {_SPACES}>{_prop(tags)}<C:filter>{inner}</C:filter></C:calendar-query>")


def _prop(tags: Iterable[str]) -> str:
    named = "".join(f"<{_prefixed(tag)}/>" for tag in tags)
    return f"<D:prop>{named}</D:prop>"


def _prefixed(tag: str) -> str:
    space, _, name = tag[1:].partition("}")
    return f"{_PREFIXES[space]}:{name}"


def _document(body: str) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?>{body}'


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
