"""What must stand in a calendar for an appointment, and which step leads there. Pure; called by publish.

The remote id derives from instance, appointment and generation, so a repeated create meets its own earlier work. A new generation is
taken when the event was deleted outside, or deleted by us before: servers and clients remember deleted UIDs (Google keeps them for ever).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from providers.calendars.base import EventDraft, EventMark

StepKind = Literal["nothing", "leave", "create", "update", "delete", "forget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """An event link as values; the fields are those of `EventLink`."""

    id: int
    generation: int
    uid: str
    remote_id: str
    etag: str
    content_hash: str
    sent_hash: str
    outside: str
    start_at: datetime | None
    end_at: datetime | None
    sequence: int
    applied_version: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an appointment wants of one calendar. `must_stand` is False when nothing may stand there (any more)."""

    must_stand: bool
    version: int
    generation: int
    start_at: datetime
    end_at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next in one calendar, and under which generation and sequence.

    ``nothing``  all is well as far as we know
    ``leave``    a person changed the event, and an answer is awaited
    ``create``   write it anew     ``update``  change the one that stands     ``delete``  take it away
    ``forget``   nothing stands and nothing must: only the link is to be closed
    """

    kind: StepKind
    generation: int = 0
    sequence: int = 0


def next_step(wanted: Wanted, link: LinkView | None) -> Step:
    """The one step that brings the calendar to what is wanted."""
    if link is None:
        return Step("create", wanted.generation) if wanted.must_stand else Step("nothing")
    if not wanted.must_stand:
        return _step_away(link)
    if link.outside == "removed" and not link.etag:
        # Deleted by a person. Only a booking that moved since then is news enough to write it again without an answer.
        return Step("create", link.generation + 1) if _has_moved(wanted, link) else Step("leave")
    if link.outside and link.applied_version == wanted.version:
        return Step("leave")
    if link.state == "none":
        return Step("create", link.generation + 1 if link.sent_hash else link.generation)
    if not link.etag:
        return Step("create", link.generation, link.sequence)
    if link.applied_version == wanted.version:
        return Step("nothing", link.generation, link.sequence)
    return Step("update", link.generation, link.sequence + _has_moved(wanted, link))


def derived_uid(instance_id: str, appointment_id: int, generation: int) -> str:
    """52 characters of 0-9a-v (base32hex): good as an iCalendar UID, a file name, and an id at Google."""
    digest = hashlib.sha256(f"{instance_id}/{appointment_id}/{generation}".encode()).digest()
    return base64.b32hexencode(digest).decode().rstrip("=").lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """One customer of the appointment, as staff may see them."""

    name: str
    email: str
    phone: str = ""
    note: str = ""
    party_size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """All that the text of the event tells. `wants_meeting` asks this calendar for a link; `meeting_url` is one that another calendar has made."""

    instance_id: str
    appointment_id: int
    service: str
    location: str
    zone: str
    portal_url: str
    guests: tuple[Guest, ...]
    capacity: int = 1
    wants_meeting: bool = False
    meeting_url: str = ""


def draft_event(subject: Subject, wanted: Wanted, *, generation: int, sequence: int) -> EventDraft:
    """The event as it shall stand in the staff's own calendar: who comes, how to reach them, and where to change it.

    Customers stand in the text, never as attendees: a server must not mail them a second time.
    """
    return EventDraft(
        uid=derived_uid(subject.instance_id, subject.appointment_id, generation),
        mark=EventMark(instance_id=subject.instance_id, appointment_id=subject.appointment_id, generation=generation),
        summary=_summary(subject),
        description=_description(subject),
        location=subject.location or subject.meeting_url,
        url=subject.portal_url,
        start_at=wanted.start_at,
        end_at=wanted.end_at,
        zone=subject.zone,
        sequence=sequence,
        wants_meeting=subject.wants_meeting,
    )


def _step_away(link: LinkView) -> Step:
    if link.state == "none":
        return Step("nothing")
    if not link.etag and (not link.sent_hash or link.outside == "removed"):
        return Step("forget", link.generation)
    return Step("delete", link.generation)


def _has_moved(wanted: Wanted, link: LinkView) -> bool:
    return (link.start_at, link.end_at) != (wanted.start_at, wanted.end_at)


def _summary(subject: Subject) -> str:
    if subject.capacity == 1:
        return f"{subject.service} · {subject.guests[0].name}" if subject.guests else subject.service
    seats = sum(guest.party_size for guest in subject.guests)
    return f"{subject.service} · {seats} of {subject.capacity}"


def _description(subject: Subject) -> str:
    blocks = [_about(guest) for guest in subject.guests]
    if subject.meeting_url:
        blocks.append(f"Video call: {subject.meeting_url}")
    blocks.append(f"Manage in the portal: {subject.portal_url}")
    return "\n\n".join(blocks)


def _about(guest: Guest) -> str:
    party = f" ({guest.party_size} people)" if guest.party_size > 1 else ""
    lines = [f"{guest.name}{party}", guest.email, guest.phone, guest.note]
    return "\n".join(line for line in lines if line)
