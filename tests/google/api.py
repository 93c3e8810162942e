"""The methods of the Calendar API that the stand-in knows, by their names in the discovery document. Called by `wire`.

Each takes a call whose parameters and body were checked already, and gives the answer's body or raises Refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.google import freebusy, listing, times, views, writes
from tests.google.model import ROLES, Account, Calendar, Entry, World
from tests.google.problems import Refused
from tests.google.push import Post

Json = dict[str, Any]


class NotModified(Exception):
    """304: what the caller holds is what stands."""


@dataclass(frozen=True, slots=True)
class House:
    """All that the methods work on."""

    world: World
    pages: listing.Pages
    post: Post


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `parameters` are those of path and query, in their types; header names are in lower case."""

    house: House
    account: Account
    parameters: Json
    body: Json
    headers: Mapping[str, str]

    @property
    def world(self) -> World:
        return self.house.world


def list_calendars(call: Call) -> Json:
    """calendarList.list, with sync tokens."""
    entries = list(call.account.entries.values())
    newest = max((entry.changed_no for entry in entries), default=0)
    token = call.parameters.get("syncToken")
    if token is not None:
        since = _place(token)
        entries = [entry for entry in entries if entry.changed_no > since]
    elif not call.parameters.get("showDeleted"):
        entries = [entry for entry in entries if not entry.is_deleted]
    least = call.parameters.get("minAccessRole")
    if least is not None:
        names = ["freeBusyReader", "reader", "writerWithoutPrivateAccess", "writer", "owner"]
        entries = [entry for entry in entries if names.index(entry.role) >= names.index(least)]
    entries.sort(key=lambda entry: (not entry.is_primary, entry.calendar_id))
    found = listing.Listing([_entry(call, entry) for entry in entries], _question(call), f"list-{newest}", "")
    page = _page(call, found, most=250, usual=100)
    return {"kind": "calendar#calendarList", "etag": f'"p{newest:x}"', **page}


def get_entry(call: Call) -> Json:
    """calendarList.get"""
    calendar, _ = _calendar(call)
    return _unless_known(call, _entry(call, call.account.entries[calendar.id]))


def get_calendar(call: Call) -> Json:
    """calendars.get"""
    calendar, _ = _calendar(call)
    body = _calendar_fields(calendar)
    return _unless_known(call, {"kind": "calendar#calendar", "etag": call.account.entries[calendar.id].etag, **body})


def get_setting(call: Call) -> Json:
    """settings.get; the ones a program may want."""
    name = call.parameters["setting"]
    values = {"timezone": call.account.zone, "locale": "en", "format24HourTime": "true", "weekStart": "1"}
    if name not in values:
        raise Refused("notFound")
    return {"kind": "calendar#setting", "etag": '"0"', "id": name, "value": values[name]}


def get_event(call: Call) -> Json:
    """events.get, of deleted ones too."""
    calendar, role = _calendar(call)
    return _unless_known(call, _told(call, calendar, role, writes.standing(calendar, call.parameters["eventId"])))


def list_events(call: Call) -> Json:
    """events.list"""
    calendar, role = _calendar(call)
    _check_known(call, listing.list_etag(calendar))
    if call.parameters.get("pageToken"):
        found = None
    elif "syncToken" in call.parameters:
        found = listing.list_changes(calendar, call.parameters, _question(call))
    else:
        found = listing.list_all(calendar, call.parameters, _question(call))
    return _events(call, calendar, role, found)


def list_instances(call: Call) -> Json:
    """events.instances"""
    calendar, role = _calendar(call)
    record = calendar.records.get(call.parameters["eventId"])
    if record is None:
        raise Refused("notFound")
    if record.is_gone:
        raise Refused("deleted")
    found = None
    if not call.parameters.get("pageToken"):
        found = listing.list_instances(calendar, record, call.parameters, _question(call))
    return _events(call, calendar, role, found)


def insert_event(call: Call) -> Json:
    """events.insert"""
    calendar, role = _calendar(call, "writer")
    body = writes.insert(call.world, call.account, calendar, call.body, call.parameters)
    return _told(call, calendar, role, body)


def import_event(call: Call) -> Json:
    """events.import"""
    calendar, role = _calendar(call, "writer")
    body = writes.imported(call.world, call.account, calendar, call.body, call.parameters)
    return _told(call, calendar, role, body)


def patch_event(call: Call) -> Json:
    """events.patch"""
    return _change(call, replace=False)


def update_event(call: Call) -> Json:
    """events.update"""
    return _change(call, replace=True)


def delete_event(call: Call) -> None:
    """events.delete"""
    calendar, _ = _calendar(call, "writer")
    writes.delete(
        call.world, call.account, calendar, call.parameters["eventId"], call.parameters, if_match=call.headers.get("if-match")
    )  # fmt: skip


def move_event(call: Call) -> Json:
    """events.move"""
    calendar, _ = _calendar(call, "writer")
    destination, role = _calendar(call, "writer", calendar_id=call.parameters["destination"])
    body = writes.move(call.world, call.account, calendar, call.parameters["eventId"], destination, call.parameters)
    return _told(call, destination, role, body)


def watch_events(call: Call) -> Json:
    """events.watch"""
    calendar, _ = _calendar(call)
    if calendar.id.endswith("@group.v.calendar.google.com"):
        raise Refused(
            "pushNotSupportedForRequestedResource", "Push notifications are not supported by this resource.", status=400
        )
    return call.house.post.open(call.body, calendar_id=calendar.id, account=call.account.email)


def stop_channel(call: Call) -> None:
    """channels.stop"""
    call.house.post.stop(call.body, account=call.account.email)


def query_freebusy(call: Call) -> Json:
    """freebusy.query"""
    return freebusy.answer(call.world, call.account, call.body)


METHODS: dict[str, Callable[[Call], Json | None]] = {
    "calendarList.list": list_calendars,
    "calendarList.get": get_entry,
    "calendars.get": get_calendar,
    "settings.get": get_setting,
    "events.get": get_event,
    "events.list": list_events,
    "events.instances": list_instances,
    "events.insert": insert_event,
    "events.import": import_event,
    "events.patch": patch_event,
    "events.update": update_event,
    "events.delete": delete_event,
    "events.move": move_event,
    "events.watch": watch_events,
    "channels.stop": stop_channel,
    "freebusy.query": query_freebusy,
}


def _change(call: Call, *, replace: bool) -> Json:
    calendar, role = _calendar(call, "writer")
    body = writes.change(
        call.world, call.account, calendar, call.parameters["eventId"], call.body, call.parameters,
        replace=replace, if_match=call.headers.get("if-match"),
    )  # fmt: skip
    return _told(call, calendar, role, body)


def _calendar(call: Call, least: str = "freeBusyReader", *, calendar_id: str = "") -> tuple[Calendar, str]:
    """(the calendar of the call, the caller's role in it). Raises Refused: 404 for what she does not see, 403 for too little a role."""
    named = calendar_id or call.parameters["calendarId"]
    named = call.account.email if named == "primary" else named
    role = call.account.role(named)
    if role is None or named not in call.world.calendars:
        raise Refused("notFound")
    if ROLES.index(role) < ROLES.index(least):
        raise Refused("requiredAccessLevel", f"You need to have {least} access to this calendar.")
    return call.world.calendars[named], role


def _told(call: Call, calendar: Calendar, role: str, body: Json) -> Json:
    zone = call.parameters.get("timeZone")
    if zone:
        times.zone_of(zone)
    return views.told(
        body, role=role, calendar_zone=calendar.zone, zone=zone, most_guests=call.parameters.get("maxAttendees")
    )  # fmt: skip


def _events(call: Call, calendar: Calendar, role: str, found: listing.Listing | None) -> Json:
    page = _page(call, found, most=listing.LARGEST_PAGE, usual=listing.USUAL_PAGE)
    page["items"] = [_told(call, calendar, role, body) for body in page["items"]]
    newest = calendar.records[calendar.changes[-1][1]].body["updated"] if calendar.changes else times.stamp(times.now())
    return {
        "kind": "calendar#events",
        "etag": listing.list_etag(calendar),
        "summary": calendar.summary,
        "updated": newest,
        "timeZone": call.parameters.get("timeZone") or calendar.zone,
        "accessRole": role,
        "defaultReminders": _default_reminders(calendar),
        **page,
    }


def _page(call: Call, found: listing.Listing | None, *, most: int, usual: int) -> Json:
    """The items of one page, with the token of the next page or, on the last one, the sync token."""
    pages, offset, token = call.house.pages, 0, call.parameters.get("pageToken")
    is_resting = False
    if token:
        found, offset = pages.find(token, _question(call))
        is_resting = token in pages.rested
    assert found is not None
    if call.world.switches.has_empty_pages and not is_resting:
        return {"items": [], "nextPageToken": pages.keep(found, offset, rested=True)}
    end = offset + min(call.parameters.get("maxResults", usual), most)
    page: Json = {"items": found.bodies[offset:end]}
    if end < len(found.bodies):
        page["nextPageToken"] = pages.keep(found, end)
    elif found.sync_token is not None:
        page["nextSyncToken"] = found.sync_token
    return page


def _question(call: Call) -> str:
    """What must not change from page to page."""
    asked = {
        name: value for name, value in call.parameters.items() if name not in ("pageToken", "maxResults", "prettyPrint")
    }
    return json.dumps([call.account.email, asked], sort_keys=True)


def _entry(call: Call, entry: Entry) -> Json:
    calendar = call.world.calendars[entry.calendar_id]
    body = {"kind": "calendar#calendarListEntry", "etag": entry.etag, "id": calendar.id}
    if entry.is_deleted:
        return {**body, "deleted": True}
    return {
        **body,
        **_calendar_fields(calendar),
        "accessRole": entry.role,
        "defaultReminders": _default_reminders(calendar),
        "colorId": "14",
        "backgroundColor": "#9fe1e7",
        "foregroundColor": "#000000",
        "selected": True,
        **({"primary": True} if entry.is_primary else {}),
    }


def _calendar_fields(calendar: Calendar) -> Json:
    kinds = ["hangoutsMeet"] if calendar.makes_meetings else []
    return {
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.zone,
        "conferenceProperties": {"allowedConferenceSolutionTypes": kinds},
    }


def _default_reminders(calendar: Calendar) -> list[Json]:
    return [{"method": "popup", "minutes": 30}] if calendar.is_primary else []


def _place(token: str) -> int:
    name, _, number = token.partition("-")
    if name != "list" or not number.isdigit():
        raise Refused("fullSyncRequired", location=("parameter", "syncToken"))
    return int(number)


def _unless_known(call: Call, body: Json) -> Json:
    _check_known(call, body["etag"])
    return body


def _check_known(call: Call, etag: str) -> None:
    if call.headers.get("if-none-match") == etag:
        raise NotModified
