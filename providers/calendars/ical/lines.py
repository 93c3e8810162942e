"""The lines of an iCalendar object that can matter for busy time, and nothing else. Pure; called by
`mapping`.

Objects come from anywhere: forwarded invitations, exports, broken programs. Only the few properties that
decide when somebody is busy are kept, so a 20 MB description or a bomb in a to-do costs nothing further on.
Content lines follow RFC 5545 section 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_EVENTS = 1_000
"""VEVENTs read from one object: a master and its overrides. More are left out, and said."""

MAX_ZONE_LINES = 2_000

MAX_DEPTH = 20
"""Components begun inside each other; an alarm in an event in a calendar is three."""

_EVENT_PROPERTIES = frozenset(
    {
        "ATTENDEE", "DTEND", "DTSTAMP", "DTSTART", "DURATION", "EXDATE", "RDATE", "RECURRENCE-ID", "RRULE", "SEQUENCE",
        "CLASS", "STATUS", "SUMMARY", "TRANSP", "UID", "X-LOCKSTEP", "X-MICROSOFT-CDO-BUSYSTATUS",
        "X-MICROSOFT-CDO-INTENDEDSTATUS", "X-MICROSOFT-MSNCALENDAR-BUSYSTATUS", "X-MICROSOFT-MSNCALENDAR-INTENDEDSTATUS",
    }
)  # fmt: skip

_READ = _EVENT_PROPERTIES | {"BEGIN", "END", "X-WR-TIMEZONE"}

_OTHER_ENTRIES = frozenset({"VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY"})

_ZONE_EDGE = re.compile(r"(BEGIN|END)[ ]*:[ ]*VTIMEZONE[ ]*$", re.MULTILINE | re.IGNORECASE)
_USUAL_ZONE_EDGE = re.compile("VTIMEZONE\n")
_PARAMETER = re.compile(r';\s*([A-Za-z0-9-]+)\s*=\s*("[^"]*"|[^;":]*)')
_QUOTED_HEAD = re.compile(r'(?:[^":]|"[^"]*")*')
_LINE_END = re.compile(r"\r*\n[\r\n]*|\r+")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CONTROL_BYTES = bytes(code for code in [*range(32), 127] if code not in (9, 10, 13))
_SET_IN = re.compile(r"^[ \t]+BEGIN[ \t]*:[ \t]*VEVENT", re.MULTILINE | re.IGNORECASE)
_MARGIN = re.compile(r"^[ \t]+", re.MULTILINE)
_DATED = re.compile(r"(?:^|:)\s*(\d{4}-?\d\d-?\d\d.*)$")


class Line(NamedTuple):
    """One property: its parameters as they were written (`;TZID=Europe/Rome`) and its raw value."""

    parameters: str
    value: str

    def parameter(self, name: str) -> str | None:
        """The value of one parameter without its quotes, or None."""
        if not self.parameters:
            return None
        for found, value in _PARAMETER.findall(self.parameters):
            if found.upper() == name:
                return str(value).strip().strip('"')
        return None

    def dated(self) -> tuple[str, str | None]:
        """(dates as they were written, TZID) of a property that holds any.

        A zone's name with a colon in it belongs in quotes, and often has none: the dates are what comes last.
        """
        value, tzid = self.value.strip(), self.parameter("TZID")
        if value[:8].isdigit() or (found := _DATED.search(value)) is None or not found.start():
            return value, tzid
        rest = value[: found.start()].partition(";")[0]
        return found[1], f"{tzid}:{rest}".strip(':"') if tzid is not None else None


class EventLines(dict[str, list[Line]]):
    """The kept properties of one VEVENT, by upper-case name."""

    def first(self, name: str) -> Line | None:
        """The first property of that name: where a property must not be repeated, the first one counts."""
        lines = self.get(name)
        return lines[0] if lines else None

    def text(self, name: str) -> str:
        """The raw value of the first property of that name, stripped; empty when there is none."""
        line = self.first(name)
        return line.value.strip() if line else ""


@dataclass(slots=True)
class ObjectLines:
    """What was kept of one object. `zones` maps each TZID to the raw lines of its VTIMEZONE.

    `has_other_entries` tells of tasks, journals and free/busy objects, which are read by nobody here; `is_cut_off` of an
    event whose end is missing.
    """

    events: list[EventLines] = field(default_factory=list)
    zones: dict[str, list[str]] = field(default_factory=dict)
    default_zone: str | None = None
    has_other_entries: bool = False
    has_too_many_events: bool = False
    is_cut_off: bool = False


def read_lines(text: str) -> ObjectLines:
    """Sort the lines of an object. Never raises; what is not understood is left out.

    Components nested where they do not belong are skipped with all that they hold.
    """
    text = _with_plain_ends(text)
    found, open_parts = ObjectLines(), _OpenParts()
    for line in _without_zones(text.replace("\n ", "").replace("\n\t", ""), found).split("\n"):
        head = _head(line)
        spelt, _, parameters = head.partition(";")
        name = spelt.upper()
        if name not in _READ and not name.isalpha():
            # A group, as in “item1.DTSTART”; blanks that do not belong.
            name = name.rpartition(".")[2].strip()
        if name in _EVENT_PROPERTIES:
            if (event := open_parts.event) is not None:
                event.setdefault(name, []).append(Line(f";{parameters}" if parameters else "", line[len(head) + 1 :]))
        elif name == "BEGIN":
            open_parts.begin(line[len(head) + 1 :].strip().upper(), found)
        elif name == "END":
            open_parts.end(line[len(head) + 1 :].strip().upper(), found)
        elif name == "X-WR-TIMEZONE" and found.default_zone is None:
            found.default_zone = line[len(head) + 1 :].strip()
    open_parts.end_all(found)
    if not found.events and _SET_IN.search(text):
        # Lines that are all set in from the margin look like one line folded over and over.
        return read_lines(_MARGIN.sub("", text))
    return found


@dataclass(slots=True)
class _Part:
    """A component that was begun. `inner` are events that were begun inside an event, and ended."""

    name: str
    event: EventLines | None = None
    inner: list[EventLines] = field(default_factory=list)


class _OpenParts:
    """The components that were begun and not yet ended, the innermost last."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self.event: EventLines | None = None

    def begin(self, name: str, found: ObjectLines) -> None:
        if len(self._parts) >= MAX_DEPTH:
            return
        if name == "VEVENT":
            while self._parts and self._parts[-1].name not in ("VCALENDAR", "VEVENT"):
                # No event stands inside a task, a zone or an alarm: that has lost its end.
                self._leave(found, is_ended=False)
        is_event = name == "VEVENT" and all(part.name in ("VCALENDAR", "VEVENT") for part in self._parts)
        if name in _OTHER_ENTRIES and all(part.name == "VCALENDAR" for part in self._parts):
            found.has_other_entries = True
        self._parts.append(_Part(name, EventLines() if is_event else None))
        self.event = self._parts[-1].event

    def end(self, name: str, found: ObjectLines) -> None:
        if not any(part.name == name for part in reversed(self._parts)):
            return
        while self._parts[-1].name != name:
            self._leave(found, is_ended=False)
        self._leave(found, is_ended=True)

    def end_all(self, found: ObjectLines) -> None:
        """The text is over; what is still open has lost its end."""
        while self._parts:
            self._leave(found, is_ended=False)

    def _leave(self, found: ObjectLines, *, is_ended: bool) -> None:
        part = self._parts.pop()
        above = self._parts[-1] if self._parts else None
        self.event = above.event if above else None
        if part.event is None:
            return
        events = [part.event, *part.inner]
        if above is not None and above.event is not None:
            above.inner = (above.inner + events)[:MAX_EVENTS]
        elif is_ended:
            _keep_event(found, part.event)
        else:
            # It lost its end, so those that seem to stand inside it stand beside it.
            found.is_cut_off = True
            for event in events:
                _keep_event(found, event)


def description_of(text: str) -> str:
    """The DESCRIPTION of the first event, which `read_lines` leaves out; that of an alarm is another's. For few objects, not for a whole calendar."""
    depth = 0
    for line in _with_plain_ends(text).replace("\n ", "").replace("\n\t", "").split("\n"):
        head = _head(line)
        name = head.partition(";")[0].upper()
        depth += (name == "BEGIN") - (name == "END")
        if name == "DESCRIPTION" and depth == 2:
            return unescaped(line[len(head) + 1 :])
    return ""


def decoded(body: bytes) -> str:
    """The text of an object as it came from a server: UTF-8 as it must be, else what its byte order mark says, else Latin-1."""
    for mark, coding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if body.startswith(mark):
            return body.decode(coding, "replace")
    # Some programs fold between the bytes of one letter.
    for attempt in (body, re.sub(rb"\r*\n[ \t]", b"", body)):
        try:
            return attempt.decode("utf-8")
        except UnicodeDecodeError:
            continue
    return body.decode("latin-1")


def unescaped(value: str) -> str:
    """A TEXT value as people read it (RFC 5545 section 3.3.11)."""
    if "\\" not in value:
        return value
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] in "nN" else match[1], value)


def _with_plain_ends(text: str) -> str:
    """Without byte order marks and control characters, every line ended by a single LF, none of them empty."""
    text = text.replace("\r\n", "\n")
    if "\r" in text or "\n\n" in text:
        text = _LINE_END.sub("\n", text)
    if not text.isascii():
        text = text.replace("\ufeff", "").removeprefix("ï»¿")
    raw = text.encode("utf-8", "replace")
    # Looked for among the bytes, which takes a tenth of the time.
    return text if len(raw.translate(None, _CONTROL_BYTES)) == len(raw) else _CONTROLS.sub("", text)


def _without_zones(text: str, found: ObjectLines) -> str:
    """The text without its VTIMEZONEs, which are put aside unread: most name a zone that is known anyway."""
    if "VTIMEZONE" not in text and "VTIMEZONE" not in text.upper():
        return text
    kept, done, begun = [], 0, None
    for is_begin, start, end in _zone_edges(text):
        if is_begin:
            begun = start
        elif begun is not None:
            # A zone that lost its end must not take the events with it that stand before the end of the next.
            if "VEVENT" not in (block := text[begun:end]).upper():
                kept.append(text[done:begun])
                done = end
                _keep_zone(found, block.strip().split("\n")[:MAX_ZONE_LINES])
            begun = None
    return "".join([*kept, text[done:]])


def _zone_edges(text: str) -> Iterator[tuple[bool, int, int]]:
    """(whether a zone begins, place, place behind it) of the lines around zones. Those that are spelt as usual are found much faster."""
    if "\nBEGIN:VTIMEZONE\n" not in text or "\nEND:VTIMEZONE\n" not in text:
        for edge in _ZONE_EDGE.finditer(text):
            yield edge[1].upper() == "BEGIN", edge.start(), edge.end()
        return
    for edge in _USUAL_ZONE_EDGE.finditer(text):
        line = text.rfind("\n", 0, edge.start()) + 1
        if (word := text[line : edge.start()]) in ("BEGIN:", "END:"):
            yield word == "BEGIN:", line, edge.end() - 1


def _keep_zone(found: ObjectLines, zone: list[str]) -> None:
    named = next((line for line in zone if line.lstrip()[:4].upper() == "TZID"), "")
    known = found.zones.setdefault(named[len(_head(named)) + 1 :].strip(), [])
    if known != zone:
        known.extend(zone)


def _head(line: str) -> str:
    """Name and parameters of a content line: all before the first colon that is not inside quotes."""
    head = line.partition(":")[0]
    if '"' not in head:
        return head
    match = _QUOTED_HEAD.match(line)
    return match[0] if match else head


def _keep_event(found: ObjectLines, event: EventLines) -> None:
    if len(found.events) < MAX_EVENTS:
        found.events.append(event)
    else:
        found.has_too_many_events = True
