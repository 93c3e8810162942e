"""What changed in a CalDAV calendar: by change feed where there is one, by listing where there is none.

Called by `calendars.CalDavCalendars`. The ladder is sync-collection (RFC 6578), then the calendar's ctag with a listing of
etags. Objects are fetched afterwards, only those that are new or other than known.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice

from providers.calendars.base import CalendarRef, ChangeBatch, RemoteEvent, Span
from providers.calendars.caldav.discovery import CalendarState, look_at_calendar, own_addresses_of, read_versions
from providers.calendars.caldav.errors import error_of
from providers.calendars.caldav.listing import add_listed, is_itself, list_etags
from providers.calendars.caldav.objects import Listed, fetch_events, told
from providers.calendars.caldav.wire import LISTING_BYTES, LISTING_SECONDS, DavAnswer, DavWire, path_of
from providers.calendars.caldav.xml import (
    CALENDAR_DATA,
    ETAG,
    next_token,
    query_by_time,
    rows,
    sync_collection,
)
from providers.errors import AccessRevoked, BadAnswer, SyncTokenExpired, Temporary

CTAG_TOKEN = "ctag:"
"""A sync token of ours for servers without a change feed: it only says whether anything changed at all."""

SAMPLE = 100
"""So many objects are fetched first, to see how long all would take."""
LONG_FETCH_SECONDS = 15.0
"""When reading all objects would take longer, only those are read that can matter."""

MAX_PAGES = 100
MOST_OBJECTS = 100_000
_TRUSTS_CTAG = 2000
"""Of a calendar with more objects it is believed that nothing changed when its ctag says so; smaller ones are listed all the same."""
_NAMED_AGAIN = 50
"""So many objects that a change feed names with an etag known already are read again."""
# Servers decide about dates and floating times in a zone of their own; a day more on both sides covers all zones.
_MARGIN = timedelta(days=1)


@dataclass(slots=True)
class _Feed:
    """A change feed read to its end: what stands there, by path, and what is gone."""

    present: dict[str, Listed] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    token: str | None = None


def read_changes(
    wire: DavWire, calendar: CalendarRef, sync_token: str | None, *, window: Span, known: Mapping[str, str]
) -> ChangeBatch:
    """The contract's `changes` for one CalDAV calendar."""
    if sync_token is not None and not sync_token.startswith(CTAG_TOKEN):
        return _read_since(wire, calendar, sync_token, window=window, known=known)
    if sync_token is not None and _is_as_it_was(wire, calendar, sync_token, known):
        return ChangeBatch(next_token=sync_token)
    state = look_at_calendar(wire, calendar.remote_id)
    addresses = own_addresses_of(wire, calendar.remote_id)
    calendar = replace(calendar, own_addresses=calendar.own_addresses | (addresses or frozenset()))
    batch = _read_everything(wire, calendar, state, window=window, known=known, has_changed=sync_token is not None)
    return replace(batch, own_addresses=addresses)


def read_busy(wire: DavWire, calendar: CalendarRef, window: Span) -> list[RemoteEvent]:
    """The objects that touch a short window now, in one request."""
    answer = wire.send(
        "REPORT",
        calendar.remote_id,
        body=query_by_time(_widened(window), [ETAG, CALENDAR_DATA]),
        headers={"Depth": "1"},
    )
    if answer.status != 207:
        raise error_of(answer)
    return [
        told(text, path_of(row.href), row.text(ETAG) or "", calendar=calendar, window=window, zone=calendar.zone)
        for row in rows(answer.root)
        if row.status < 300 and (text := row.text(CALENDAR_DATA)) is not None
    ]


def _read_since(
    wire: DavWire, calendar: CalendarRef, sync_token: str, *, window: Span, known: Mapping[str, str]
) -> ChangeBatch:
    feed = _read_feed(wire, calendar, sync_token)
    same = {path for path, its in feed.present.items() if _is_same(its, known.get(path))}
    if len(known) >= 10 and len(same) > len(known) / 2:
        # Some servers answer a token that they no longer know with a whole list and no removals. A true feed does not
        # name most of what we hold, unchanged.
        raise SyncTokenExpired("The server no longer knows our place in its change feed and lists everything instead.")
    if len(same) <= _NAMED_AGAIN:
        # The feed says that they changed. Perhaps by ourselves; or the server gives the same etag whatever happens.
        same = set()
    changed = {path: its for path, its in feed.present.items() if path not in same}
    upserts: tuple[RemoteEvent, ...] = ()
    if changed:
        zone = look_at_calendar(wire, calendar.remote_id).zone or calendar.zone
        upserts = tuple(fetch_events(wire, calendar, changed, window=window, zone=zone))
    return ChangeBatch(
        upserts=upserts,
        unchanged=frozenset(same),
        removals=tuple(sorted(feed.removed)),
        next_token=_token_after(upserts, feed.token),
    )


def _read_everything(
    wire: DavWire,
    calendar: CalendarRef,
    state: CalendarState,
    *,
    window: Span,
    known: Mapping[str, str],
    has_changed: bool,
) -> ChangeBatch:
    """All of a calendar. What can never matter again is listed but not fetched. `has_changed`: its ctag is another one."""
    present, token = _list_everything(wire, calendar, state)
    changed = {path: its for path, its in present.items() if not _is_same(its, known.get(path))}
    if has_changed and not changed and present.keys() == known.keys():
        changed = present  # something changed, the server says, and yet no etag did
    upserts = _fetch_what_matters(wire, calendar, changed, window=window, zone=state.zone or calendar.zone, known=known)
    # An object that is listed but could not be had stands there all the same: it must not be swept away.
    accounted = {event.remote_id for event in upserts}
    return ChangeBatch(
        upserts=tuple(upserts),
        unchanged=frozenset(path for path in present if path in known and path not in accounted),
        next_token=_token_after(upserts, token),
        is_complete=True,
    )


def _list_everything(
    wire: DavWire, calendar: CalendarRef, state: CalendarState
) -> tuple[dict[str, Listed], str | None]:
    """(every object by path, token for the next time)."""
    if state.has_sync:
        try:
            feed = _read_feed(wire, calendar, "")
        except (SyncTokenExpired, BadAnswer):
            # There are servers that refuse the empty token though the RFC demands it. The token is asked for before
            # the listing: what changes in between is then told twice rather than not at all.
            token, ctag = read_versions(wire, calendar.remote_id)
            return list_etags(wire, calendar), token or _ctag_token(ctag)
        return feed.present, feed.token
    _, ctag = read_versions(wire, calendar.remote_id)
    return list_etags(wire, calendar), _ctag_token(ctag)


def _ctag_token(ctag: str | None) -> str | None:
    return CTAG_TOKEN + ctag if ctag else None


def _is_as_it_was(wire: DavWire, calendar: CalendarRef, sync_token: str, known: Mapping[str, str]) -> bool:
    """By its ctag, and by its etags where listing them costs little: there are servers whose ctag stays as it is."""
    if sync_token != _ctag_token(read_versions(wire, calendar.remote_id)[1]):
        return False
    return len(known) > _TRUSTS_CTAG or _is_unchanged(list_etags(wire, calendar), known)


def _is_same(its: Listed, known_etag: str | None) -> bool:
    """True when it need not be read again. Where a server gives no etags, everything has to be."""
    return bool(its.etag) and its.etag == known_etag


def _is_unchanged(present: Mapping[str, Listed], known: Mapping[str, str]) -> bool:
    return present.keys() == known.keys() and all(_is_same(its, known[path]) for path, its in present.items())


def _token_after(upserts: Iterable[RemoteEvent], token: str | None) -> str | None:
    """None where something could not be had: a feed would not name it again."""
    return None if any(event.is_unread for event in upserts) else token


def _fetch_what_matters(
    wire: DavWire,
    calendar: CalendarRef,
    changed: dict[str, Listed],
    *,
    window: Span,
    zone: str,
    known: Mapping[str, str],
) -> list[RemoteEvent]:
    """The changed objects; all of them while that is quick, otherwise those that can matter.

    Reading everything is the surer way, for it leaves nothing to the server's idea of time. How long it would take
    is seen from the first objects: on a slow line the server is asked which of the others fall into the window.
    """
    first = dict(islice(changed.items(), SAMPLE))
    started = time.monotonic()
    events = list(fetch_events(wire, calendar, first, window=window, zone=zone))
    seconds_each = (time.monotonic() - started) / max(1, len(first))
    left = {path: its for path, its in changed.items() if path not in first}
    if seconds_each * len(left) > LONG_FETCH_SECONDS:
        left = _inside_window(wire, calendar, left, window=window, known=known)
    events.extend(fetch_events(wire, calendar, left, window=window, zone=zone))
    return events


def _inside_window(
    wire: DavWire, calendar: CalendarRef, changed: dict[str, Listed], *, window: Span, known: Mapping[str, str]
) -> dict[str, Listed]:
    """Those that the server finds inside the window, and whatever is known already."""
    answer = wire.send(
        "REPORT",
        calendar.remote_id,
        body=query_by_time(_widened(window), [ETAG]),
        headers={"Depth": "1"},
        seconds=LISTING_SECONDS,
        limit=LISTING_BYTES,
        silence_allowed=calendar.silence_allowed,
    )
    if answer.status != 207:
        # Some refuse a query that finds too much. Then everything has to be fetched.
        return changed
    inside = {path_of(row.href) for row in rows(answer.root) if row.status < 300}
    return {path: its for path, its in changed.items() if path_of(path) in inside or path in known}


def _read_feed(wire: DavWire, calendar: CalendarRef, token: str) -> _Feed:
    """The change feed from `token` to its end. Raises SyncTokenExpired for whatever is no change feed."""
    feed = _Feed(token=token)
    seen = set()
    for _ in range(MAX_PAGES):
        answer = wire.send(
            "REPORT",
            calendar.remote_id,
            body=sync_collection(feed.token or ""),
            headers={"Depth": "0"},
            seconds=LISTING_SECONDS,
            limit=LISTING_BYTES,
            silence_allowed=calendar.silence_allowed,
        )
        is_cut_off = _add_page(feed, answer, calendar)
        if not is_cut_off:
            return feed
        if feed.token in seen:
            break
        seen.add(feed.token)
    raise BadAnswer("The server's change feed does not come to an end.")


def _add_page(feed: _Feed, answer: DavAnswer, calendar: CalendarRef) -> bool:
    """Take in one answer; True when the server cut it off and wants to be asked again (507, RFC 6578 section 3.6)."""
    if answer.status != 207:
        error = error_of(answer)
        # 500 is what some servers say to a token they do not know. If they are truly out of order, listing will tell.
        if isinstance(error, AccessRevoked) or (isinstance(error, Temporary) and answer.status != 500):
            raise error
        raise SyncTokenExpired("The server no longer knows our place in its change feed.")
    is_cut_off = False
    for row in rows(answer.root):
        path = path_of(row.href)
        if is_itself(calendar, row.href):
            is_cut_off = is_cut_off or row.status == 507
        elif row.status == 404 or row.status == 410:
            feed.removed.add(path)
            feed.present.pop(path, None)
        elif row.status < 300:
            feed.removed.discard(add_listed(feed.present, row))
    if len(feed.present) > MOST_OBJECTS:
        raise BadAnswer("This calendar has more entries than are read here. Please use a smaller one.")
    feed.token = next_token(answer.root)
    if feed.token is None:
        raise SyncTokenExpired("The server's change feed gives no place to go on from.")
    return is_cut_off


def _widened(window: Span) -> Span:
    return window[0] - _MARGIN, window[1] + _MARGIN
