"""What becomes of an event that a caller sends: the stored body after insert, update and patch. Pure.

A stored body is the event as the calendar's owner sees it, with times in the calendar's zone. Fields at their defaults and empty texts are left
out, as Google leaves them out.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from providers.standins.google import times
from providers.standins.google.problems import Refused, invalid

Json = dict[str, Any]

READ_ONLY = frozenset(
    [
        "kind", "etag", "id", "status", "htmlLink", "created", "updated", "creator", "organizer",
        "iCalUID", "recurringEventId", "originalStartTime", "hangoutLink", "eventType", "locked",
    ]
)  # fmt: skip
"""What a caller cannot set by naming it in a body; `status`, `id`, `iCalUID` and `eventType` have rules of their own."""

_DEFAULTS: Json = {
    "transparency": "opaque", "visibility": "default", "anyoneCanAddSelf": False, "guestsCanInviteOthers": True,
    "guestsCanModify": False, "guestsCanSeeOtherGuests": True, "privateCopy": False, "attendeesOmitted": False,
    "endTimeUnspecified": False, "locked": False,
}  # fmt: skip
_TEXTS = ("summary", "description", "location", "colorId", "eventLabelId")
_ID = re.compile(r"[0-9a-v]{5,1024}")
_KEY, _VALUE, _PROPERTIES, _ALL_PROPERTIES = 44, 1024, 300, 32 * 1024


def check_id(event_id: str) -> None:
    """Raises Refused unless a client may choose this id."""
    if not _ID.fullmatch(event_id):
        raise invalid("Invalid resource id value.", "resource.id")


def html_link(url: str, event_id: str, calendar_id: str) -> str:
    packed = base64.urlsafe_b64encode(f"{event_id} {calendar_id}".encode()).decode().rstrip("=")
    return f"{url}/calendar/event?eid={packed}"


def merged(old: Json, patch: Json) -> Json:
    """Patch semantics: objects are merged, null takes away, lists and all else are replaced whole."""
    result = dict(old)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            before = result.get(name)
            result[name] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[name] = value
    return result


def without_nulls(given: Json) -> Json:
    """A body of insert or update: null is as good as absent."""
    return merged({}, given)


def writable(given: Json) -> Json:
    """Only what a caller may set; the server's own fields are passed over in silence, as Google does."""
    return {name: value for name, value in given.items() if name not in READ_ONLY}


def normalised(body: Json, *, calendar_zone: str, owner: str) -> Json:
    """The same event as it is stored. Raises Refused for what cannot be."""
    body = {**body}
    for name in ("start", "end"):
        if not isinstance(body.get(name), dict) or not body[name]:
            raise Refused("required", f"Missing {name} time.", location=("parameter", name))
        body[name] = times.stored(body[name], name, calendar_zone)
    _check_times(body, calendar_zone)
    for name in _TEXTS:
        if body.get(name) == "":
            del body[name]
    for name, default in _DEFAULTS.items():
        if body.get(name) == default:
            del body[name]
    for name in ("attendees", "recurrence", "attachments"):
        if body.get(name) == []:
            del body[name]
    _with_guests(body, owner)
    _with_properties(body)
    _check_reminders(body)
    return body


def _check_times(body: Json, calendar_zone: str) -> None:
    if ("date" in body["start"]) != ("date" in body["end"]):
        raise invalid("Start and end times must either both be date or both be dateTime.", "end")
    if times.instant_of(body["end"], calendar_zone) < times.instant_of(body["start"], calendar_zone):
        raise Refused("timeRangeEmpty")
    if body["start"].get("date") is not None and body["start"] == body["end"]:
        raise Refused("timeRangeEmpty")


def _with_guests(body: Json, owner: str) -> None:
    guests = []
    for given in body.get("attendees", []):
        email = given.get("email", "")
        if "@" not in email:
            raise invalid("Invalid attendee email.", "attendee")
        guest = {"responseStatus": "needsAction", **given}
        guest = {
            name: value
            for name, value in guest.items()
            if value not in (False, "", 0) and name not in ("self", "organizer")
        }
        if email.lower() == owner.lower():
            guest["self"] = True
        if email.lower() == body.get("organizer", {}).get("email", "").lower():
            guest["organizer"] = True
        guests.append(guest)
    if guests:
        body["attendees"] = guests


def _with_properties(body: Json) -> None:
    """Longer keys are dropped and longer values cut off, without a word (guides/extended-properties)."""
    extended = {kind: _kept(part) for kind, part in body.get("extendedProperties", {}).items()}
    extended = {kind: part for kind, part in extended.items() if part}
    size = [len(key) + len(value) for part in extended.values() for key, value in part.items()]
    if len(size) > _PROPERTIES or sum(size) > _ALL_PROPERTIES:
        raise invalid("Extended properties are too many or too large.", "extendedProperties")
    body.pop("extendedProperties", None)
    if extended:
        body["extendedProperties"] = extended


def _kept(properties: Json) -> Json:
    return {key: value[:_VALUE] for key, value in properties.items() if len(key) <= _KEY}


def _check_reminders(body: Json) -> None:
    reminders = body.setdefault("reminders", {"useDefault": True})
    overrides = reminders.get("overrides")
    if reminders.get("useDefault") and overrides:
        raise Refused(
            "cannotUseDefaultRemindersAndSpecifyOverride",
            "Cannot specify both default reminders and overrides at the same time.",
            status=400,
        )
    if overrides and len(overrides) > 5:
        raise invalid("The number of override reminders may not exceed 5.", "reminders")
    if not reminders.get("useDefault"):
        body["reminders"] = {"useDefault": False, **({"overrides": overrides} if overrides else {})}
