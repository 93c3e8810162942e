"""iCalendar text in the portal's words. Pure; called by the CalDAV provider. The way back is `draft`.

Reading never raises: an object may hold anything, and one that cannot be understood must not hide the others.
Whether an event takes time, first match wins; when unsure it does, and carries a sentence about the doubt:

1. our own mark: no, for the booking counts already (what it would take without the mark is told beside it);
2. STATUS:CANCELLED: no (a cancelled occurrence frees only itself);
3. TRANSP:TRANSPARENT, or without it Exchange's busy status FREE: no, unless the two contradict each other;
4. declined by one of the owner's addresses: no;
5. everything else, tentative too: yes, for as long as it has any length;
6. a whole day takes the local day of the calendar's zone, 23 to 25 hours;
7. an end that cannot be read is the end of its day; an end that is its start takes no time;
8. a time zone with several meanings takes the time of each;
9. a rule that says nothing leaves the first event, one that can be read in part takes more rather than less, and one that means too
   much takes all its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC

from providers.calendars.base import EventMark, RemoteEvent, Span
from providers.calendars.content import content_hash
from providers.calendars.ical.durations import Unreadable
from providers.calendars.ical.expand import Occurrence, Series, occurrences
from providers.calendars.ical.lines import EventLines, ObjectLines, description_of, read_lines, unescaped
from providers.calendars.ical.rules import BadRule, TooMuch
from providers.calendars.ical.times import EventTimes, read_times
from providers.calendars.ical.zones import ZoneBook, named_zone
from providers.calendars.own_addresses import plain

MAX_OBJECT = 5_000_000
"""Characters of one object. Of a larger one only the beginning is read."""

_BEGINNING = 65_536
_MAX_CHOICES = 4
_STATES = ("X-MICROSOFT-CDO-BUSYSTATUS", "X-MICROSOFT-MSNCALENDAR-BUSYSTATUS")
_INTENDED = ("X-MICROSOFT-CDO-INTENDEDSTATUS", "X-MICROSOFT-MSNCALENDAR-INTENDEDSTATUS")
_TAKING_STATES = ("BUSY", "OOF", "TENTATIVE")


def read_event(
    text: str,
    *,
    remote_id: str,
    etag: str,
    window: Span,
    zone: str,
    own_addresses: frozenset[str] = frozenset(),
) -> RemoteEvent:
    """One calendar object in the words of the contract.

    `zone` is the calendar's: all-day and floating times are read in it. Never raises; `problem` says what was wrong.
    """
    try:
        return _read(text, remote_id, etag, window=window, zone=zone, own_addresses=own_addresses)
    except Exception:
        # Strangers' data break libraries in more ways than can be listed, and one object must not stop the others.
        return RemoteEvent(remote_id=remote_id, etag=etag, problem="This entry could not be read.")


def mark_of(value: str) -> EventMark | None:
    """The mark that `draft` wrote into a X-LOCKSTEP property, or None."""
    instance_id, _, rest = value.strip().partition("/")
    appointment_id, _, generation = rest.partition("/")
    if not (instance_id and appointment_id.isdecimal() and generation.isdecimal()):
        return None
    return EventMark(instance_id=instance_id, appointment_id=int(appointment_id), generation=int(generation))


def _read(
    text: str, remote_id: str, etag: str, *, window: Span, zone: str, own_addresses: frozenset[str]
) -> RemoteEvent:
    problems: list[str] = []
    if len(text) > MAX_OBJECT:
        problems.append("This entry is too large: only its beginning was read.")
        text = text[:_BEGINNING] + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    lines = read_lines(text)
    if lines.has_too_many_events:
        problems.append("This series has too many changed occurrences: not all of them were read.")
    if not lines.events:
        # A task or a note is no event and no problem.
        doubt = None if lines.has_other_entries else "This entry holds no event that could be read."
        return RemoteEvent(remote_id=remote_id, etag=etag, problem=doubt)
    if lines.is_cut_off:
        problems.append("This entry was cut off: it says nowhere that it ends.")
    mark = mark_of(lines.events[0].text("X-LOCKSTEP"))
    first, spans = _read_in_all_zones(lines, window, zone, own_addresses, problems)
    return replace(
        _identity(first),
        remote_id=remote_id,
        etag=etag,
        mark=mark,
        description=description_of(text) if mark else "",
        busy=() if mark else spans,
        taken=spans if mark else None,
        # RFC 5545 section 3.8.1.3: a class that is not known counts as private.
        is_private=any(event.text("CLASS").strip().upper() not in ("", "PUBLIC") for event in lines.events),
        problem=" ".join(dict.fromkeys(problems)) or None,
    )


def _read_in_all_zones(
    lines: ObjectLines, window: Span, zone: str, own_addresses: frozenset[str], problems: list[str]
) -> tuple[Series, tuple[Span, ...]]:
    """(the series that names the object, the time it takes). Where a zone means more than one, the object takes the time of each."""
    named: Series | None = None
    spans: set[Span] = set()
    choice, choices = 0, 1
    while choice < min(choices, _MAX_CHOICES):
        book = ZoneBook(
            own=lines.zones,
            default_name=lines.default_zone,
            calendar_zone=named_zone(zone) or UTC,
            window=window,
            choice=choice,
        )
        all_series = _all_series(lines, book, problems if choice == 0 else [])
        found = {span for series in all_series for span in _busy(series, window, own_addresses)}
        if choice and not found <= spans:
            problems.append("Its time zone may mean more than one: the time of each counts.")
        named = named or (all_series[0] if all_series else Series(lines.events[:1], (), book))
        spans |= found
        choice, choices = choice + 1, book.choices
    return named or Series(lines.events[:1], (), book), tuple(sorted(spans))


def _all_series(lines: ObjectLines, book: ZoneBook, problems: list[str]) -> list[Series]:
    """The object's events as series, the one that gives it its identity first.

    An object should hold one UID and one master. Where servers let in more, the newest gives the identity and all
    of them take time. What has no readable start is left out, and said.
    """
    readable: list[tuple[EventLines, EventTimes]] = []
    for event in lines.events:
        try:
            times = read_times(event, book)
        except Unreadable as error:
            problems.append(f"A part of this entry could not be read. {error}")
            continue
        readable.append((event, times))
        problems.extend(times.problems)
        problems.extend(filter(None, [_contradiction(event)]))
    by_uid: dict[str, list[tuple[EventLines, EventTimes]]] = {}
    for pair in sorted(readable, key=_newness, reverse=True):
        by_uid.setdefault(pair[0].text("UID"), []).append(pair)
    groups = [group for pairs in by_uid.values() for group in _groups(pairs)]
    # A master names the object rather than a changed occurrence, and a newer one rather than an older.
    groups.sort(key=lambda group: "RECURRENCE-ID" in group[0][0])
    return [_series(group, book, problems, has_master="RECURRENCE-ID" not in group[0][0]) for group in groups]


def _groups(pairs: list[tuple[EventLines, EventTimes]]) -> list[list[tuple[EventLines, EventTimes]]]:
    """What shares a UID, the newest first. Changed occurrences belong to the newest master: an older one beside it stands for itself."""
    masters = [pair for pair in pairs if "RECURRENCE-ID" not in pair[0]]
    overrides = [pair for pair in pairs if "RECURRENCE-ID" in pair[0]]
    return [[*masters[:1], *overrides], *([master] for master in masters[1:])]


def _series(
    group: Sequence[tuple[EventLines, EventTimes]], book: ZoneBook, problems: list[str], *, has_master: bool
) -> Series:
    return Series([event for event, _ in group], [times for _, times in group], book, has_master, problems)


def _newness(pair: tuple[EventLines, EventTimes]) -> tuple[int, str]:
    return _sequence(pair[0]), pair[0].text("DTSTAMP")


def _identity(series: Series) -> RemoteEvent:
    """The first event of a series in the words of the contract, without what depends on the asker."""
    first, times = series.events[0], series.times[0] if series.times else None
    uid, summary = unescaped(first.text("UID")), unescaped(first.text("SUMMARY"))
    is_cancelled = _is_cancelled(first)
    start_at, end_at = (times.start_at, times.end_at) if times else (None, None)
    return RemoteEvent(
        remote_id="",
        etag="",
        uid=uid,
        summary=summary,
        start_at=start_at,
        end_at=end_at,
        sequence=_sequence(first),
        is_recurring=_is_recurring(series.events),
        is_cancelled=is_cancelled,
        content_hash=content_hash(
            uid=uid,
            start_at=start_at,
            end_at=end_at,
            is_cancelled=is_cancelled,
            is_transparent=_is_transparent(first),
            summary=summary,
            sequence=_sequence(first),
            recurrence=_recurrence_lines(series.events),
        ),
    )


def _sequence(event: EventLines) -> int:
    text = event.text("SEQUENCE")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _busy(series: Series, window: Span, own_addresses: frozenset[str]) -> list[Span]:
    """The time taken inside the window. A series that cannot be expanded takes more rather than less."""
    takes_time = [_takes_time(event, own_addresses) for event in series.events]
    if not any(takes_time):
        return []
    found = _occurrences(series, window)
    clipped = ((max(o.start_at, window[0]), min(o.end_at, window[1])) for o in found if takes_time[o.source])
    return [span for span in clipped if span[0] < span[1]]


def _occurrences(series: Series, window: Span) -> list[Occurrence]:
    times = series.times[0]
    if not _is_recurring(series.events):
        error = times.start.reading.error
        return [Occurrence(times.start_at - error, times.end_at + error, 0)]
    try:
        return occurrences(series, window)
    except TooMuch as error:
        series.problems.append(f"{error} All of its time counts as taken.")
        return [Occurrence(times.start_at, max(times.end_at, window[1]), 0)]
    except Exception as error:
        # The libraries fail on odd rules in half a dozen ways; what the object says without them still counts.
        doubt = f" {error}" if isinstance(error, BadRule | Unreadable) else ""
        series.problems.append(f"Its repetition could not be read, only the events it names count.{doubt}")
        return [Occurrence(t.start_at, t.end_at, n) for n, t in enumerate(series.times)]


def _takes_time(event: EventLines, own_addresses: frozenset[str]) -> bool:
    """Whether an event takes time at all; the order is that of the table, the first match wins."""
    if _is_cancelled(event) or _is_transparent(event):
        return False
    return not _is_declined(event, own_addresses)


def _is_cancelled(event: EventLines) -> bool:
    return _said(event, ["STATUS"]) == {"CANCELLED"}


def _is_transparent(event: EventLines) -> bool:
    """Whether all that it says of itself is "free". Exchange has a property of its own for that, which decides for Exchange's readers;
    what the organiser had in mind counts only where nothing else is said.
    """
    if transparency := _said(event, ["TRANSP"]):
        return transparency == {"TRANSPARENT"} and _said(event, _STATES).isdisjoint(_TAKING_STATES)
    return (_said(event, _STATES) or _said(event, _INTENDED)) == {"FREE"}


def _contradiction(event: EventLines) -> str | None:
    if event.text("TRANSP").upper() == "TRANSPARENT" and not _is_transparent(event):
        return "It says that it is free and that it is busy: it takes its time."
    return None


def _said(event: EventLines, names: Sequence[str]) -> set[str]:
    """All that is said under these names, in capitals."""
    return {said for name in names for line in event.get(name, ()) if (said := line.value.strip().upper())}


def _is_declined(event: EventLines, own_addresses: frozenset[str]) -> bool:
    """Whether the owner declined, under each of the own addresses that were invited."""
    own = [
        (line.parameter("PARTSTAT") or "").strip().upper()
        for line in (event.get("ATTENDEE", []) if own_addresses else ())
        if {plain(line.value), plain(line.parameter("EMAIL") or "")} & own_addresses
    ]
    return bool(own) and set(own) == {"DECLINED"}


def _is_recurring(events: Sequence[EventLines]) -> bool:
    return len(events) > 1 or any(events[0].keys() & {"RRULE", "RDATE", "EXDATE", "RECURRENCE-ID"})


def _recurrence_lines(events: Sequence[EventLines]) -> list[str]:
    """What makes the object a series, as text for its hash: rules, single dates, changed occurrences."""
    if not _is_recurring(events):
        return []
    master = [
        f"{name}:{line.parameter('TZID') or ''}:{','.join(sorted(line.value.upper().split(',')))}"
        for name in ("RRULE", "RDATE", "EXDATE")
        for line in events[0].get(name, [])
    ]
    changed = [
        ":".join(event.text(name) for name in ("RECURRENCE-ID", "DTSTART", "DTEND", "DURATION", "STATUS", "TRANSP"))
        for event in events[1:]
    ]
    return master + changed
