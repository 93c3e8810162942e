"""The XML of WebDAV and CalDAV: bodies of requests, rows of a multistatus. Pure; called by the `caldav_*` modules.

RFC 4918 (WebDAV), RFC 4791 (CalDAV), RFC 6578 (sync-collection).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from lxml import etree

from providers.calendars.base import Span
from providers.errors import BadAnswer

D = "{DAV:}"
C = "{urn:ietf:params:xml:ns:caldav}"
CS = "{http://calendarserver.org/ns/}"
_SPACES = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:CS="http://calendarserver.org/ns/"'
_PREFIXES = {"DAV:": "D", "urn:ietf:params:xml:ns:caldav": "C", "http://calendarserver.org/ns/": "CS"}

ETAG = f"{D}getetag"
CALENDAR_DATA = f"{C}calendar-data"


_KNOWN = frozenset(
    {
        ETAG, CALENDAR_DATA, f"{D}resourcetype", f"{D}displayname", f"{D}current-user-principal", f"{D}supported-report-set",
        f"{D}current-user-privilege-set", f"{D}sync-token", f"{CS}getctag", f"{C}calendar-home-set", f"{C}calendar-timezone",
        f"{C}calendar-timezone-id", f"{C}supported-calendar-component-set", f"{C}calendar-user-address-set",
    }
)  # fmt: skip
"""The properties that are ever asked for; whatever else a server tells is not kept."""
MOST_ELEMENTS = 200_000
"""So many elements of one answer are kept, which is a listing of some 60,000 objects. Beyond, the answer means harm."""
_DEEPEST = 100


class Element:
    """One element of an answer, no more of it than is needed."""

    __slots__ = ("attributes", "children", "tag", "text")

    def __init__(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.tag, self.attributes = tag, dict(attributes) if attributes else None
        self.text: str | None = None
        self.children: list[Element] = []

    def get(self, name: str) -> str | None:
        """An attribute, or None."""
        return self.attributes.get(name) if self.attributes else None

    def iter(self, tag: str | None = None) -> Iterator[Element]:
        """This element and all within it; with `tag`, those of that name."""
        if tag is None or self.tag == tag:
            yield self
        for child in self.children:
            yield from child.iter(tag)

    def found(self, tag: str) -> Element | None:
        """The first child of that name."""
        return next((child for child in self.children if child.tag == tag), None)


@dataclass(slots=True)
class Multistatus:
    """A whole answer: its responses, its sync token, and whether it is a multistatus at all."""

    is_one: bool = False
    rows: list[Row] = field(default_factory=list)
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One response of a multistatus. `props` holds what was found; `status` is that of the whole response."""

    href: str
    status: int
    props: dict[str, Element]

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
        return set() if element is None else {child.tag for child in element.iter()}


class MultistatusReader:
    """Reads a multistatus piece by piece, as it comes off the line, and keeps its rows alone: no tree, and not the text itself.

    Raises BadAnswer for what is no XML, is cut off, or is made to harm whoever reads it.
    """

    def __init__(self) -> None:
        self.found = Multistatus()
        self._parser = etree.XMLParser(target=self, resolve_entities=False, no_network=True)
        self._path: list[Element | None] = []  # None for an element that is not kept
        self._texts: list[str] = []
        self._kept = 0
        self._fault = ""  # said once the parser is left: what is raised inside of it comes out in many ways

    def feed(self, piece: bytes) -> None:
        """Take in the next bytes."""
        try:
            self._parser.feed(piece)
        except etree.XMLSyntaxError as error:
            raise BadAnswer(self._fault or _BROKEN_OFF) from error
        if self._fault:
            raise BadAnswer(self._fault)

    def end_of_answer(self) -> Multistatus:
        """What was read."""
        try:
            self._parser.close()
        except etree.XMLSyntaxError as error:
            raise BadAnswer(self._fault or _BROKEN_OFF) from error
        if self._fault:
            raise BadAnswer(self._fault)
        return self.found

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Called by the parser."""
        depth = len(self._path)
        if depth == 0:
            self.found.is_one = tag == f"{D}multistatus"
        is_wanted = not self._fault and self._is_wanted(tag, depth)
        self._kept += is_wanted
        if depth >= _DEEPEST or self._kept > MOST_ELEMENTS:
            self._fault = "The server's answer has more parts than anything sensible."
        self._path.append(Element(tag, attributes) if is_wanted else None)
        self._texts.clear()

    def data(self, text: str) -> None:
        """Called by the parser."""
        if self._path and self._path[-1] is not None:
            self._texts.append(text)

    def end(self, tag: str) -> None:
        """Called by the parser."""
        element = self._path.pop()
        if element is None:
            return
        if not element.children and self._texts:
            element.text = "".join(self._texts)
        self._texts.clear()
        if len(self._path) > 1:
            parent = self._path[-1]
            assert parent is not None
            parent.children.append(element)
        elif tag == f"{D}response":
            self.found.rows.append(_row(element))
        elif tag == f"{D}sync-token":
            self.found.token = element.text

    def doctype(self, *_about: object) -> None:
        """Called by the parser: entities could be declared here."""
        self._fault = "The server's answer declares a document type. Such answers are not read."

    def close(self) -> None:
        """Called by the parser."""

    def _is_wanted(self, tag: str, depth: int) -> bool:
        if depth == 0:
            return tag == f"{D}multistatus"
        if self._path[-1] is None:
            return False
        return tag in _STRUCTURE[depth] if depth < len(_STRUCTURE) else True


_BROKEN_OFF = "The server's answer broke off or is no XML."
_STRUCTURE: tuple[frozenset[str], ...] = (
    frozenset({f"{D}multistatus"}),
    frozenset({f"{D}response", f"{D}sync-token"}),
    frozenset({f"{D}href", f"{D}status", f"{D}propstat"}),
    frozenset({f"{D}prop", f"{D}status"}),
    _KNOWN,
)
"""What is kept at each depth; below, everything."""


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


def rows(answered: Multistatus | None) -> Iterator[Row]:
    """The responses of a multistatus, one after the other. Raises BadAnswer when it is none."""
    if answered is None or not answered.is_one:
        raise BadAnswer("The server's answer is not the list that was asked for.")
    yield from answered.rows


def next_token(answered: Multistatus | None) -> str | None:
    """The sync token of a multistatus, or None."""
    return (answered.token or None) if answered else None


def _row(response: Element) -> Row:
    href, status, props = "", 200, {}
    for child in response.children:
        if child.tag == f"{D}href":
            href = child.text or ""
        elif child.tag == f"{D}status":
            status = _code(child.text)
        elif _is_found(child):
            props.update(
                {found.tag: found for prop in child.children if prop.tag == f"{D}prop" for found in prop.children}
            )
    return Row(href, status, props)


def _is_found(propstat: Element) -> bool:
    status = propstat.found(f"{D}status")
    return _code(status.text if status is not None else None) < 300


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
