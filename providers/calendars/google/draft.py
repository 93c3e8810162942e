"""A draft as Google's event resource. Pure; called by the Google provider when it publishes. The way back is `mapping`.

The event names no attendees: the portal mails the customer, and Google must not do it a second time. Times are sent as UTC without a
zone, so that no zone name can be unknown to Google; it shows them in the calendar's own.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from providers.calendars.base import EventDraft
from providers.calendars.content import draft_hash
from providers.calendars.google.mapping import (
    APPOINTMENT,
    GENERATION,
    INSTANCE,
    MEANT,
    SEQUENCE,
    START,
    UID,
    WRITTEN,
)

_ID = re.compile(r"[0-9a-v]{5,1024}")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_LOOKS_LIKE_HTML = re.compile(r"<|&(?=#|\w+;)")
_MOST_SUMMARY, _MOST_LOCATION, _MOST_DESCRIPTION = 1_024, 1_024, 8_000
_LINK_TITLE = "Manage in the portal"


def event_id(uid: str) -> str:
    """The id that an event with this UID gets: itself where Google takes it, else derived (5 to 1024 of 0-9a-v, `Event.id`)."""
    if _ID.fullmatch(uid):
        return uid
    digest = hashlib.sha256(uid.encode("utf-8", "surrogatepass")).digest()
    return base64.b32hexencode(digest).decode().rstrip("=").lower()


def insert_body(draft: EventDraft, remote_id: str, *, with_meeting: bool = True) -> dict[str, Any]:
    """The body of events.insert. `with_meeting` False leaves the meeting out although it is wanted."""
    body = {name: value for name, value in _fields(draft).items() if value not in ("", None)}
    body.update(id=remote_id, extendedProperties={"private": _properties(draft)}, **_times(draft))
    return body | (_meeting(draft) if with_meeting else {})


def patch_body(draft: EventDraft, *, with_meeting: bool = True) -> dict[str, Any]:
    """The body of events.patch: all that is ours to say, and nothing about what people add (colours, reminders, guests).

    What a person may have put in place of ours is set to null: a whole day, a zone, a repetition.
    """
    times = {name: {**value, "date": None, "timeZone": None} for name, value in _times(draft).items()}
    properties = {MEANT: None, WRITTEN: None, **_properties(draft)}
    body = {**_fields(draft), **times, "extendedProperties": {"private": properties}}
    body.update(status="confirmed", recurrence=None)
    return body | (_meeting(draft) if with_meeting else {})


def as_written(draft: EventDraft) -> EventDraft:
    """The draft as Google can take it: control characters left out, what is too long cut off."""
    return replace(
        draft,
        summary=_cut(_clean(draft.summary), _MOST_SUMMARY),
        location=_cut(_clean(draft.location), _MOST_LOCATION),
        description=_cut(_LOOKS_LIKE_HTML.sub(_escaped, _clean(draft.description)), _MOST_DESCRIPTION),
        start_at=draft.start_at.astimezone(UTC).replace(microsecond=0),
        end_at=draft.end_at.astimezone(UTC).replace(microsecond=0),
    )


def _fields(draft: EventDraft) -> dict[str, Any]:
    written = as_written(draft)
    has_link = draft.url.startswith(("https://", "http://")) and not _CONTROLS.search(draft.url)
    return {
        "summary": written.summary,
        "description": written.description,
        "location": written.location,
        "transparency": "opaque",
        "source": {"url": draft.url, "title": _LINK_TITLE} if has_link else None,
    }


def _times(draft: EventDraft) -> dict[str, dict[str, Any]]:
    written = as_written(draft)
    return {name: {"dateTime": _instant(at)} for name, at in (("start", written.start_at), ("end", written.end_at))}


def _properties(draft: EventDraft) -> dict[str, str]:
    """Our mark. Private properties belong to this calendar's copy of the event: a guest's copy has none of them."""
    written = as_written(draft)
    properties = {
        INSTANCE: draft.mark.instance_id,
        APPOINTMENT: str(draft.mark.appointment_id),
        GENERATION: str(draft.mark.generation),
        UID: draft.uid,
        SEQUENCE: str(draft.sequence),
        START: written.start_at.isoformat(),
    }
    meant, stands = draft_hash(draft), draft_hash(written)
    return properties if meant == stands else {**properties, MEANT: meant, WRITTEN: stands}


def _meeting(draft: EventDraft) -> dict[str, Any]:
    """A request that Google carries out once, however often it is sent: the same id means the same meeting."""
    if not draft.wants_meeting:
        return {}
    request = {"requestId": event_id(f"meeting/{draft.uid}"), "conferenceSolutionKey": {"type": "hangoutsMeet"}}
    return {"conferenceData": {"createRequest": request}}


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _clean(text: str) -> str:
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _escaped(found: re.Match[str]) -> str:
    """Google shows a description as HTML: what a customer typed must not become a link with another face."""
    return "&lt;" if found[0] == "<" else "&amp;"
