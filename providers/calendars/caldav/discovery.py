"""Finding the calendars of an account from whatever address people type. Called by `calendars.CalDavCalendars`.

The address may be the server, the principal, the home set or one calendar. RFC 6764 (well-known address), RFC 5397
(current-user-principal), RFC 4791 section 6.2.1 (calendar-home-set).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin
from zoneinfo import ZoneInfo

from providers.calendars.base import RemoteCalendar
from providers.calendars.caldav.errors import error_of
from providers.calendars.caldav.wire import LISTING_SECONDS, USUAL_SECONDS, DavWire, canonical_path, checked_url
from providers.calendars.caldav.xml import CS, C, D, Row, propfind, rows
from providers.calendars.ical.lines import read_lines
from providers.calendars.ical.zones import name_of_own_zone, named_zone
from providers.calendars.own_addresses import plain
from providers.errors import BadAnswer, Conflict, Gone, Misconfigured, PermissionMissing

_PRINCIPAL = f"{D}current-user-principal"
_HOME = f"{C}calendar-home-set"
_KIND = f"{D}resourcetype"
_COMPONENTS = f"{C}supported-calendar-component-set"
_PRIVILEGES = f"{D}current-user-privilege-set"
_ZONE = f"{C}calendar-timezone"
_ZONE_ID = f"{C}calendar-timezone-id"
_REPORTS = f"{D}supported-report-set"
_SYNC_TOKEN = f"{D}sync-token"
_CTAG = f"{CS}getctag"
_ADDRESSES = f"{C}calendar-user-address-set"
_ABOUT_CALENDAR = (_KIND, f"{D}displayname", _COMPONENTS, _PRIVILEGES, _ZONE, _ZONE_ID)
_WRITING = {f"{D}write", f"{D}write-content", f"{D}all", f"{D}bind"}


@dataclass(frozen=True, slots=True)
class CalendarState:
    """What a calendar says of itself before it is read."""

    zone: str | None
    has_sync: bool
    is_writable: bool


def find_calendars(wire: DavWire) -> list[RemoteCalendar]:
    """All calendars that can hold events; the one whose own address was typed comes first.

    Raises AccessRevoked, Misconfigured, Temporary, BadAnswer.
    """
    typed = _look(wire, wire.url)
    found: dict[str, RemoteCalendar] = {}
    if typed is not None and _holds_events(typed[1]):
        found[typed[0]] = _told(*typed)
    for home in _homes(wire, typed):
        for url, row in _children(wire, home):
            if _holds_events(row):
                found.setdefault(url, _told(url, row))
    return list(found.values())


def look_at_calendar(wire: DavWire, url: str) -> CalendarState:
    """The state of one calendar. Raises Misconfigured when there is none (any more) at that address.

    Its sync token and ctag are not asked for here: some servers walk through all objects to find them.
    """
    row = _own_row(wire, url, (_KIND, _ZONE, _ZONE_ID, _PRIVILEGES, _REPORTS))
    if row is None or f"{C}calendar" not in row.names(_KIND):
        raise Misconfigured("This calendar does not exist any more, or its address has changed.")
    return CalendarState(
        zone=_zone_of(row),
        has_sync=_REPORTS not in row.props or f"{D}sync-collection" in row.names(_REPORTS),
        is_writable=_is_writable(row),
    )


def read_versions(wire: DavWire, url: str) -> tuple[str | None, str | None]:
    """(sync token, ctag) of a calendar as it is now, as far as the server has them."""
    row = _own_row(wire, url, (_SYNC_TOKEN, _CTAG), seconds=LISTING_SECONDS)
    return (None, None) if row is None else (row.text(_SYNC_TOKEN), row.text(_CTAG))


def own_addresses_of(wire: DavWire, url: str) -> frozenset[str] | None:
    """By which addresses the server knows whose account it is (RFC 6638 section 2.4.1), in their plain form; None when it does not say.

    Whoever declines an invitation is named there by one of them, and the sign-in's name may be none.
    """
    try:
        here = _own_row(wire, url, (_PRINCIPAL,))
        principals = here.hrefs(_PRINCIPAL) if here is not None else []
        for principal in (urljoin(url, href) for href in principals):
            row = _own_row(wire, principal, (_ADDRESSES,)) if wire.is_at_home(principal) else None
            if row is not None and row.hrefs(_ADDRESSES):
                return frozenset(plain(address) for address in [*row.hrefs(_ADDRESSES), principal]) - {""}
    except (BadAnswer, Conflict, Gone, PermissionMissing, Misconfigured):
        return None  # it is a help, and no server has to have it
    return None


def _homes(wire: DavWire, typed: tuple[str, Row] | None) -> list[str]:
    """The addresses under which calendars are kept."""
    starts = [typed] if typed is not None else []
    for start in [*starts, *_further_starts(wire, skip_typed=typed is not None)]:
        homes = _homes_from(wire, *start)
        if homes:
            return homes
    if typed is None:
        raise Misconfigured("There is no calendar server at this address.")
    # No home set is named, but things lie below the address: an old or simple server's home.
    return [typed[0]]


def _further_starts(wire: DavWire, *, skip_typed: bool) -> list[tuple[str, Row]]:
    """The well-known address and the root, asked only when the typed address did not lead on."""
    found = []
    for path in ("/.well-known/caldav", "/"):
        try:
            looked = _look(wire, urljoin(wire.url, path))
        except (BadAnswer, PermissionMissing, Misconfigured):
            if skip_typed:
                continue
            raise
        if looked is not None:
            found.append(looked)
            if not skip_typed:
                return found
    return found


def _homes_from(wire: DavWire, url: str, row: Row) -> list[str]:
    homes = row.hrefs(_HOME)
    if not homes:
        for principal in row.hrefs(_PRINCIPAL):
            looked = _look(wire, urljoin(url, principal))
            if looked is not None:
                url, homes = looked[0], looked[1].hrefs(_HOME)
    return [urljoin(url, home) for home in homes if wire.is_at_home(urljoin(url, home))]


def _look(wire: DavWire, url: str) -> tuple[str, Row] | None:
    """(final address, what stands there), or None when nothing does."""
    row = _own_row(wire, url, (*_ABOUT_CALENDAR, _PRINCIPAL, _HOME))
    return None if row is None else (_address(url, row), row)


def _own_row(wire: DavWire, url: str, tags: tuple[str, ...], *, seconds: float = USUAL_SECONDS) -> Row | None:
    answer = wire.send("PROPFIND", url, body=propfind(tags), headers={"Depth": "0"}, seconds=seconds)
    if answer.status != 207:
        error = error_of(answer)
        if isinstance(error, Gone) or answer.status in (400, 405, 501):
            return None
        raise error
    for row in rows(answer.root):
        if row.status < 300:
            # The answer may have come from elsewhere, after redirects: hrefs count from there.
            return Row(urljoin(answer.url, row.href), row.status, row.props)
    return None


def _children(wire: DavWire, home: str) -> list[tuple[str, Row]]:
    answer = wire.send("PROPFIND", home, body=propfind(_ABOUT_CALENDAR), headers={"Depth": "1"})
    if answer.status != 207:
        raise error_of(answer)
    return [(_address(urljoin(answer.url, row.href), row), row) for row in rows(answer.root) if row.status < 300]


def _address(url: str, row: Row) -> str:
    """A collection's address in the one way in which we write it: whole, with a slash at the end."""
    url = checked_url(row.href if "://" in row.href[:10] else url)
    return url if url.endswith("/") else f"{url}/"


def _holds_events(row: Row) -> bool:
    if f"{C}calendar" not in row.names(_KIND):
        return False
    components = row.props.get(_COMPONENTS)
    names = [] if components is None else [str(item.get("name")).upper() for item in components.iter(f"{C}comp")]
    return not names or "VEVENT" in names


def _told(url: str, row: Row) -> RemoteCalendar:
    name = (row.text(f"{D}displayname") or "").strip() or canonical_path(url).rstrip("/").rpartition("/")[2]
    return RemoteCalendar(remote_id=url, name=name, zone=_zone_of(row), is_writable=_is_writable(row))


def _is_writable(row: Row) -> bool:
    return _PRIVILEGES not in row.props or bool(row.names(_PRIVILEGES) & _WRITING)


def _zone_of(row: Row) -> str | None:
    """The IANA name of the calendar's own zone, if it has one that can be named."""
    named = named_zone((row.text(_ZONE_ID) or "").strip())
    return named.key if isinstance(named, ZoneInfo) else name_of_own_zone(read_lines(row.text(_ZONE) or "").zones)
