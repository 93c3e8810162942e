"""What changed in a Google calendar. Called by `calendars.GoogleCalendars`.

Series are read as Google expands them (`singleEvents`): each occurrence is an object of its own, with the series' id, an underscore and
its original time as its id. Google's list of changes is not to be trusted about series: of one that was deleted or cut off it names
only the occurrences of the next months, and of a single event that was made a series it may only name the occurrences
(googleapis/google-api-ruby-client#860). So each series that it mentions is read again, and what is known of it but not there is gone.

An event of ours that a person made a series is told as one object, the series, with our mark; its further occurrences are strangers
that take time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from providers.calendars.base import CalendarRef, ChangeBatch, RemoteEvent, Span
from providers.calendars.google.errors import Declined, NotFound, calendar_missing
from providers.calendars.google.mapping import (
    is_all_day,
    is_deleted,
    is_zone,
    mark_of,
    stands_as_written,
    touches,
    without_mark,
)
from providers.calendars.google.objects import find_object, told
from providers.calendars.google.wire import GoogleWire, Json
from providers.errors import Gone, SyncTokenExpired

PAGE = 2_500
MOST_SERIES = 50
"""When more series than that were touched, reading everything takes fewer requests."""

_EVENT_FIELDS = (
    "id,etag,status,summary,start,end,transparency,eventType,iCalUID,sequence,recurrence,recurringEventId,originalStartTime,"
    "attendees(self,email,responseStatus),extendedProperties/private,hangoutLink,conferenceData/entryPoints"
)
_FIELDS = f"nextPageToken,nextSyncToken,timeZone,items({_EVENT_FIELDS})"
_OCCURRENCE = re.compile(r"(.+)_\d{8}(?:T\d{6}Z)?", re.DOTALL)


class _Question(NamedTuple):
    """What was asked of which calendar."""

    wire: GoogleWire
    calendar: CalendarRef
    window: Span
    known: Mapping[str, str]


@dataclass(slots=True)
class _Listing:
    """A list read to its end: what it says of each event, the last word counting."""

    items: dict[str, Json] = field(default_factory=dict)
    zone: str | None = None
    token: str | None = None

    def take_in(self, page: Json) -> None:
        """Add one page."""
        for item in page.get("items") or ():
            if isinstance(item, dict) and isinstance(item.get("id"), str):
                self.items.pop(item["id"], None)
                self.items[item["id"]] = item
        self.zone = page["timeZone"] if is_zone(page.get("timeZone")) else self.zone
        self.token = page.get("nextSyncToken") or self.token

    @property
    def standing(self) -> dict[str, Json]:
        """The events that are not deleted."""
        return {remote_id: item for remote_id, item in self.items.items() if not is_deleted(item)}


@dataclass(slots=True)
class _Findings:
    """What is to be told."""

    upserts: dict[str, RemoteEvent] = field(default_factory=dict)
    unchanged: set[str] = field(default_factory=set)
    removals: set[str] = field(default_factory=set)

    def tell(self, item: Json, question: _Question, *, zone: str | None, is_whole: bool = False) -> None:
        """One standing event: as unchanged, as changed, or not at all when it never touched the window."""
        remote_id = item["id"]
        # The calendar may have got another zone, of which no etag knows: whole days are told anew when everything is read.
        is_same = remote_id in question.known and question.known[remote_id] == item.get("etag")
        if is_same and not (is_whole and is_all_day(item)):
            self.unchanged.add(remote_id)
            return
        event = told(item, question.calendar, window=question.window, zone=zone)
        if remote_id in question.known or event.mark is not None or touches(event, question.window):
            self.upserts[remote_id] = event

    def batch(self, token: str | None, *, is_complete: bool) -> ChangeBatch:
        """The findings in the words of the contract."""
        told_ids = self.upserts.keys() | self.unchanged
        return ChangeBatch(
            upserts=tuple(self.upserts.values()),
            unchanged=frozenset(self.unchanged),
            removals=() if is_complete else tuple(sorted(self.removals - told_ids)),
            next_token=token,
            is_complete=is_complete,
            is_windowed=True,
        )


def read_changes(
    wire: GoogleWire, calendar: CalendarRef, sync_token: str | None, *, window: Span, known: Mapping[str, str]
) -> ChangeBatch:
    """The contract's `changes` for one Google calendar."""
    question = _Question(wire, calendar, window, known)
    return _read_since(question, sync_token) if sync_token else _read_everything(question)


def read_busy(wire: GoogleWire, calendar: CalendarRef, window: Span) -> list[RemoteEvent]:
    """The events that touch a short window now; one request, as long as they fit on a page.

    Of an event of ours that was made a series, the occurrence with the start we gave it is ours, all others are strangers.
    """
    listing = _listing(_Question(wire, calendar, window, {}), is_hurried=True, **_bounds(window))
    events = []
    for item in listing.standing.values():
        event = told(item, calendar, window=window, zone=listing.zone)
        if event.mark is not None and item.get("recurringEventId") and not stands_as_written(item, event):
            event = told(without_mark(item), calendar, window=window, zone=listing.zone)
        events.append(event)
    return events


def _read_everything(question: _Question) -> ChangeBatch:
    """All that touches the window. What a person deleted is simply not there: the caller sweeps."""
    listing = _listing(question, **_bounds(question.window))
    findings = _Findings()
    ours: dict[str, list[Json]] = {}
    for item in listing.standing.values():
        if item.get("recurringEventId") and mark_of(item) is not None:
            ours.setdefault(item["recurringEventId"], []).append(item)
        else:
            findings.tell(item, question, zone=listing.zone, is_whole=True)
    for series_id, occurrences in ours.items():
        _tell_our_series(question, findings, series_id, occurrences, zone=listing.zone)
    return findings.batch(listing.token, is_complete=True)


def _read_since(question: _Question, sync_token: str) -> ChangeBatch:
    listing = _changed(question, sync_token)
    known = _known_occurrences(question.known) if listing.items else {}
    findings = _Findings()
    series_ids = set()
    for remote_id, item in listing.items.items():
        if series_id := item.get("recurringEventId"):
            series_ids.add(series_id)
        elif is_deleted(item):
            findings.removals |= {remote_id, *known.get(remote_id, ())}
        else:
            # A series that became a single event again takes all its occurrences with it.
            findings.tell(item, question, zone=listing.zone)
            findings.removals |= known.get(remote_id, set())
    singles = {remote_id for remote_id, item in listing.items.items() if not item.get("recurringEventId")}
    # A series of which nothing is known and nothing stands may rest.
    live = {item.get("recurringEventId") for item in listing.standing.values()} | known.keys() | question.known.keys()
    touched = sorted((series_ids - singles) & live)
    if len(touched) > MOST_SERIES:
        raise SyncTokenExpired("Too many series changed at once: everything is read instead.")
    for series_id in touched:
        _read_series(question, findings, series_id, zone=listing.zone, known=known.get(series_id, set()))
    return findings.batch(listing.token, is_complete=False)


def _changed(question: _Question, sync_token: str) -> _Listing:
    """The list of changes. Raises SyncTokenExpired, also for a token that Google cannot even read."""
    try:
        return _listing(question, syncToken=sync_token)
    except (Gone, Declined):
        raise SyncTokenExpired("Google no longer knows our place in its list of changes.") from None


def _listing(question: _Question, *, is_hurried: bool = False, **bounds: object) -> _Listing:
    """A list to its end. All parameters but the bounds must stay as they are: a sync token is only good for the same question."""
    place = {"calendarId": question.calendar.remote_id, "singleEvents": True, "maxResults": PAGE, "fields": _FIELDS}
    listing = _Listing()
    try:
        for page in question.wire.pages("events.list", is_hurried=is_hurried, **place, **bounds):
            listing.take_in(page)
    except NotFound:
        raise calendar_missing() from None
    return listing


def _known_occurrences(known: Iterable[str]) -> dict[str, set[str]]:
    """Series id -> the known ids of its occurrences, by the form of the ids."""
    found: dict[str, set[str]] = {}
    for remote_id in known:
        if match := _OCCURRENCE.fullmatch(remote_id):
            found.setdefault(match[1], set()).add(remote_id)
    return found


def _read_series(
    question: _Question, findings: _Findings, series_id: str, *, zone: str | None, known: set[str]
) -> None:
    """Tell a series as it stands now; what is known of it and not there is removed, also the single event that it may have been.

    An occurrence that was moved out of the window is none of those in it, and so removed: it takes no time here any more.
    """
    gone = known | {remote_id for remote_id in (series_id,) if remote_id in question.known}
    occurrences = _occurrences(question, series_id)
    findings.removals |= gone - occurrences.keys()
    if any(mark_of(item) is not None for item in occurrences.values()):
        _tell_our_series(question, findings, series_id, list(occurrences.values()), zone=zone)
    elif occurrences:
        for item in occurrences.values():
            findings.tell(item, question, zone=zone)
    else:
        _tell_what_became_of_it(question, findings, series_id, zone=zone)


def _tell_what_became_of_it(question: _Question, findings: _Findings, series_id: str, *, zone: str | None) -> None:
    """A series without occurrences in the window: deleted, elsewhere, or a single event again, which is told."""
    found = find_object(question.wire, question.calendar, series_id)
    if found is not None and not is_deleted(found) and (not found.get("recurrence") or mark_of(found) is not None):
        findings.tell(found, question, zone=zone)


def _occurrences(question: _Question, series_id: str) -> dict[str, Json]:
    """The occurrences of a series in the window; none when there is no such series any more."""
    listing = _Listing()
    try:
        for page in question.wire.pages(
            "events.instances",
            calendarId=question.calendar.remote_id,
            eventId=series_id,
            maxResults=PAGE,
            fields=_FIELDS.replace("nextSyncToken,", ""),
            **_bounds(question.window),
        ):
            listing.take_in(page)
    except (Gone, Declined):  # Declined: it is no series
        return {}
    return {remote_id: item for remote_id, item in listing.standing.items() if item.get("recurringEventId")}


def _tell_our_series(
    question: _Question, findings: _Findings, series_id: str, occurrences: list[Json], *, zone: str | None
) -> None:
    """An event of ours that was made a series: the series under our mark, and as strangers all occurrences but the first."""
    master = find_object(question.wire, question.calendar, series_id)
    if master is None or is_deleted(master):
        findings.removals.add(series_id)
        return
    findings.tell(master, question, zone=zone)
    first = told(master, question.calendar, window=question.window, zone=zone)
    for item in occurrences:
        event = told(item, question.calendar, window=question.window, zone=zone)
        if (event.start_at, event.end_at) != (first.start_at, first.end_at):
            findings.tell(without_mark(item), question, zone=zone)
        else:
            findings.removals.add(item["id"])


def _bounds(window: Span) -> Json:
    """Whole seconds, the window within: an empty range is refused."""
    return {"timeMin": _instant(window[0]), "timeMax": _instant(window[1] + timedelta(microseconds=999_999))}


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
