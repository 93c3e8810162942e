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

from portal.language.say import speaking
from portal.sync.event.text import Subject, description, place, title
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
    if link.outside and link.applied_version:
        # A person changed it. Who comes is no answer to that; another time of the appointment is: it sets the applied version to 0.
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


def draft_event(subject: Subject, wanted: Wanted, *, generation: int, sequence: int) -> EventDraft:
    """The event as it shall stand in the calendar, in the words that its privacy setting allows."""
    with speaking(subject.language):
        texts = {"summary": title(subject), "description": description(subject), "location": place(subject)}
    return EventDraft(
        uid=derived_uid(subject.instance_id, subject.appointment_id, generation),
        mark=EventMark(instance_id=subject.instance_id, appointment_id=subject.appointment_id, generation=generation),
        **texts,
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
