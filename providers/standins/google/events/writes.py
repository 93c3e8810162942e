"""Changing events: insert, import, patch, update, delete, move, and what the server itself adds to them.

Called by the API's methods and by the hands of a person (`providers.standins.google.control`, `providers.standins.google.people.pages`). The caller
holds `World.lock`.
"""

from __future__ import annotations

import base64
import secrets
from datetime import UTC
from typing import Any

from providers.standins.google import times
from providers.standins.google.events import bodies, expand, guests, meet, rules, views
from providers.standins.google.model import Account, Calendar, Record, World
from providers.standins.google.problems import Refused, invalid

Json = dict[str, Any]
_RAISES_SEQUENCE = ("start", "end", "recurrence", "location", "summary", "status")


def insert(world: World, account: Account, calendar: Calendar, given: Json, parameters: Json) -> Json:
    """A new event; gives its stored body. Raises Refused: 400 for a bad id or body, 409 for an id that was ever used."""
    given = bodies.without_nulls(given)
    event_id = given.get("id") or secrets.token_hex(13)
    if "id" in given:
        bodies.check_id(event_id)
    if event_id in calendar.history:
        raise Refused("duplicate")
    return created(world, account, calendar, given, event_id, parameters)


def imported(world: World, account: Account, calendar: Calendar, given: Json, parameters: Json) -> Json:
    """A private copy of an event from elsewhere, known by its iCalUID; a second import changes the first."""
    given = bodies.without_nulls(given)
    uid = given.get("iCalUID")
    if not uid:
        raise Refused("required", "Missing iCalUID.", location=("parameter", "iCalUID"))
    same = next((r for r in calendar.records.values() if r.body["iCalUID"] == uid and not r.series_id), None)
    if same is not None:
        return change(
            world, account, calendar, same.body["id"], given | {"status": "confirmed"}, parameters, replace=True
        )
    packed = base64.b32hexencode(uid.encode()).decode().rstrip("=").lower()
    return created(world, account, calendar, given, f"_{packed}", parameters)


def created(
    world: World,
    account: Account,
    calendar: Calendar,
    given: Json,
    event_id: str,
    parameters: Json,
    *,
    by_hand: bool = False,
) -> Json:
    """Store a new event under an id that was checked. `by_hand` allows what only Google itself can make."""
    now = times.now().astimezone(UTC)
    own: Json = {
        "kind": "calendar#event",
        "id": event_id,
        "status": given.get("status", "confirmed"),
        "htmlLink": bodies.html_link(world.url, event_id, calendar.id),
        "created": times.stamp(now.replace(microsecond=0)),
        "updated": times.stamp(now),
        "creator": {"email": account.email, **({"self": True} if account.email == calendar.id else {})},
        "organizer": _organizer(calendar),
        "iCalUID": given.get("iCalUID") or f"{event_id}@google.com",
        "eventType": given.get("eventType", "default"),
    }
    if own["status"] not in ("confirmed", "tentative", "cancelled"):
        raise invalid("Invalid value for: status", "status")
    body = {"sequence": 0, **bodies.writable(given), **own}
    body = bodies.normalised(body, calendar_zone=calendar.zone, owner=calendar.id)
    rules.check(body, calendar, old=body if by_hand else None)
    body = meet.with_conference(
        world, account, calendar, body, old=None, version=parameters.get("conferenceDataVersion", 0)
    )
    record = world.store(calendar, body)
    guests.spread(world, calendar, record.body, account=account, parameters=parameters)
    return record.body


def change(
    world: World,
    account: Account,
    calendar: Calendar,
    event_id: str,
    given: Json,
    parameters: Json,
    *,
    replace: bool = False,
    if_match: str | None = None,
) -> Json:
    """Patch an event, or with `replace` put another in its place. A change that changes nothing makes no new version.

    Raises Refused: 404, 412, 403 for guests who change what is the organizer's, 400.
    """
    old = standing(calendar, event_id)
    check_match(old, if_match)
    _check_sequence(old, given)
    new = _replaced(old, given, parameters) if replace else _patched(old, given)
    if old["status"] == "cancelled" and new["status"] == "cancelled":
        raise Refused("forbidden")
    new = bodies.normalised(new, calendar_zone=calendar.zone, owner=calendar.id)
    rules.check(new, calendar, old=old)
    guests.check_may_change(calendar, old, new)
    new = meet.with_conference(
        world, account, calendar, new, old=old, version=parameters.get("conferenceDataVersion", 0)
    )
    if new == old:
        return old
    record = _store(world, calendar, _counted(old, new))
    guests.spread(world, calendar, record.body, account=account, parameters=parameters)
    return record.body


def delete(
    world: World, account: Account, calendar: Calendar, event_id: str, parameters: Json, *, if_match: str | None = None
) -> None:
    """Cancel an event. Raises Refused: 404, 410 when it is gone already, 412."""
    old = standing(calendar, event_id)
    if old["status"] == "cancelled":
        raise Refused("deleted")
    check_match(old, if_match)
    gone = {**old, "status": "cancelled", "updated": times.stamp(times.now()), "sequence": old["sequence"] + 1}
    record = _store(world, calendar, gone)
    guests.spread(world, calendar, record.body, account=account, parameters=parameters)


def move(
    world: World, account: Account, calendar: Calendar, event_id: str, destination: Calendar, parameters: Json
) -> Json:
    """To another calendar, which becomes the organizer; what stays behind is a deleted event."""
    old = standing(calendar, event_id)
    if old["status"] == "cancelled":
        raise Refused("deleted")
    if old["eventType"] != "default" or "recurringEventId" in old:
        raise Refused("cannotChangeOrganizerOfInstance", "Cannot change the organizer of an instance.", status=400)
    if event_id in destination.history:
        raise Refused("duplicate")
    moved = {
        **old,
        "organizer": _organizer(destination),
        "htmlLink": bodies.html_link(world.url, event_id, destination.id),
    }
    moved = bodies.normalised(moved, calendar_zone=destination.zone, owner=destination.id)
    new = world.store(destination, {**moved, "updated": times.stamp(times.now())})
    _store(world, calendar, {**old, "status": "cancelled", "updated": times.stamp(times.now())})
    return new.body


def standing(calendar: Calendar, event_id: str) -> Json:
    """The event as it stands, also an occurrence that nobody touched, also a deleted one. Raises Refused (404)."""
    record = calendar.records.get(event_id)
    body = record.body if record else views.find_occurrence(calendar, event_id)
    if body is None:
        raise Refused("notFound")
    return body


def check_match(body: Json, if_match: str | None) -> None:
    if if_match is not None and if_match.strip() not in ("*", body["etag"]):
        raise Refused("conditionNotMet", location=("header", "If-Match"))


def _organizer(calendar: Calendar) -> Json:
    name = {} if calendar.is_primary else {"displayName": calendar.summary}
    return {"email": calendar.id, **name, "self": True}


def _patched(old: Json, given: Json) -> Json:
    new = bodies.merged(old, bodies.writable(given))
    return _with_status(old, new, given)


def _replaced(old: Json, given: Json, parameters: Json) -> Json:
    kept = {name: value for name, value in old.items() if name in bodies.READ_ONLY | {"sequence"}}
    if not parameters.get("conferenceDataVersion") and "conferenceData" in old:
        kept["conferenceData"] = old["conferenceData"]
    given = bodies.without_nulls(given)
    return _with_status(old, {**kept, **bodies.writable(given)}, {"status": "confirmed", **given})


def _with_status(old: Json, new: Json, given: Json) -> Json:
    status = given.get("status") or old["status"]
    if status not in ("confirmed", "tentative", "cancelled"):
        raise invalid("Invalid value for: status", "status")
    if given.get("eventType", old["eventType"]) != old["eventType"]:
        raise Refused("eventTypeRestriction", "The type of an event cannot be changed.", status=400)
    return {**new, "status": status, "sequence": new.get("sequence", old["sequence"])}


def _counted(old: Json, new: Json) -> Json:
    """With sequence and time of change as the server counts them; reminders alone are no change of the event."""
    counted = {**new}
    if _significant(old) != _significant(new):
        counted["sequence"] = max(new["sequence"], old["sequence"] + 1)
    if {**new, "reminders": None} != {**old, "reminders": None}:
        counted["updated"] = times.stamp(times.now())
    return counted


def _check_sequence(old: Json, given: Json) -> None:
    if isinstance(given.get("sequence"), int) and given["sequence"] < old["sequence"]:
        raise invalid(
            "Invalid sequence value. The specified sequence number is below the current sequence number of the resource. "
            "Re-fetch the resource and use its sequence number on the following request.",
            "sequence",
        )


def _significant(body: Json) -> list[Any]:
    return [body.get(name) for name in _RAISES_SEQUENCE]


def _store(world: World, calendar: Calendar, new: Json) -> Record:
    """Store it; exceptions of a series that have lost their place go with it."""
    record = world.store(calendar, new)
    for exception in calendar.exceptions(new["id"]):
        if not exception.is_gone and not _still_fits(calendar, record, exception):
            world.store(calendar, {**exception.body, "status": "cancelled", "updated": new["updated"]})
    return record


def _still_fits(calendar: Calendar, master: Record, exception: Record) -> bool:
    if master.is_gone or not master.is_series:
        return False
    key = exception.body["id"].rpartition("_")[2]
    return expand.has_occurrence(expand.series_of(master.body, calendar.zone), key)
