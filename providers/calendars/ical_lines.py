"""The lines of an iCalendar object that can matter for busy time, and nothing else. Pure; called by
`ical_mapping`.

Objects come from anywhere: forwarded invitations, exports, broken programs. Only the few properties that
decide when somebody is busy are kept, so a 20 MB description or a bomb in a to-do costs nothing further on.
Content lines follow RFC 5545 section 3.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_EVENTS = 1_000
"""VEVENTs read from one object: a master and its overrides. More are left out, and said."""

MAX_ZONE_LINES = 2_000

_EVENT_PROPERTIES = frozenset(
    {
        "ATTENDEE", "DTEND", "DTSTAMP", "DTSTART", "DURATION", "EXDATE", "RDATE", "RECURRENCE-ID", "RRULE", "SEQUENCE",
        "STATUS", "SUMMARY", "TRANSP", "UID", "X-LOCKSTEP", "X-MICROSOFT-CDO-BUSYSTATUS",
        "X-MICROSOFT-CDO-INTENDEDSTATUS",
    }
)  # fmt: skip

_OTHER_ENTRIES = frozenset({"VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY"})

_EVENT = ["VCALENDAR", "VEVENT"]
_ZONE_BLOCK = re.compile(r"^BEGIN:VTIMEZONE[ ]*$.*?^END:VTIMEZONE[ ]*$", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_PARAMETER = re.compile(r';([A-Za-z0-9-]+)=("[^"]*"|[^;":]*)')
_QUOTED_HEAD = re.compile(r'(?:[^":]|"[^"]*")*')


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
                return str(value).strip('"')
        return None


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

    `has_other_entries` tells of tasks, journals and free/busy objects, which are read by nobody here.
    """

    events: list[EventLines] = field(default_factory=list)
    zones: dict[str, list[str]] = field(default_factory=dict)
    default_zone: str | None = None
    has_other_entries: bool = False
    has_too_many_events: bool = False


def read_lines(text: str) -> ObjectLines:
    """Sort the lines of an object. Never raises; what is not understood is left out.

    Components nested where they do not belong are skipped with all that they hold.
    """
    found = ObjectLines()
    inside: list[str] = []
    event: EventLines | None = None
    for line in _without_zones(_unfolded(text), found).split("\n"):
        head = _head(line)
        name = head.partition(";")[0].upper()
        if event is not None and name in _EVENT_PROPERTIES and len(inside) == 2:
            event.setdefault(name, []).append(Line(head[len(name) :], line[len(head) + 1 :]))
        elif name == "BEGIN":
            inside.append(line[len(head) + 1 :].strip().upper())
            if inside == _EVENT:
                event = EventLines()
            elif len(inside) == 2 and inside[1] in _OTHER_ENTRIES:
                found.has_other_entries = True
        elif name == "END" and inside:
            if inside == _EVENT and event is not None:
                _keep_event(found, event)
                event = None
            inside.pop()
        elif name == "X-WR-TIMEZONE" and found.default_zone is None:
            found.default_zone = line[len(head) + 1 :].strip()
    return found


def unescaped(value: str) -> str:
    """A TEXT value as people read it (RFC 5545 section 3.3.11)."""
    if "\\" not in value:
        return value
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] in "nN" else match[1], value)


def _unfolded(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\n ", "").replace("\n\t", "")


def _without_zones(text: str, found: ObjectLines) -> str:
    """The text without its VTIMEZONEs, which are put aside unread: most name a zone that is known anyway."""
    if "VTIMEZONE" not in text.upper():
        return text
    for block in _ZONE_BLOCK.findall(text):
        zone = block.strip().split("\n")[:MAX_ZONE_LINES]
        named = next((line for line in zone if line[:4].upper() == "TZID"), None)
        if named is not None:
            found.zones.setdefault(named[len(_head(named)) + 1 :].strip(), zone)
    return _ZONE_BLOCK.sub("\n", text)


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
