"""The methods of the Calendar API that the stand-in knows, by their names in the discovery document. Called by `wire`.

Each takes a call whose parameters and body were checked already, and gives the answer's body or raises Refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from providers.standins.google import times
from providers.standins.google.api import calendars, freebusy, listing
from providers.standins.google.api.call import (
    Call,
    calendar_of,
    check_known,
    default_reminders,
    page_of,
    question_of,
    unless_known,
)
from providers.standins.google.events import views, writes
from providers.standins.google.model import Calendar
from providers.standins.google.problems import Refused

Json = dict[str, Any]


def get_event(call: Call) -> Json:
    """events.get, of deleted ones too."""
    calendar, role = calendar_of(call)
    return unless_known(call, _told(call, calendar, role, writes.standing(calendar, call.parameters["eventId"])))


def list_events(call: Call) -> Json:
    """events.list"""
    calendar, role = calendar_of(call)
    check_known(call, listing.list_etag(calendar))
    if call.parameters.get("pageToken"):
        found = None
    elif "syncToken" in call.parameters:
        found = listing.list_changes(calendar, call.parameters, question_of(call))
    else:
        found = listing.list_all(calendar, call.parameters, question_of(call))
    return _events(call, calendar, role, found)


def list_instances(call: Call) -> Json:
    """events.instances"""
    calendar, role = calendar_of(call)
    record = calendar.records.get(call.parameters["eventId"])
    if record is None:
        raise Refused("notFound")
    if record.is_gone:
        raise Refused("deleted")
    found = None
    if not call.parameters.get("pageToken"):
        found = listing.list_instances(calendar, record, call.parameters, question_of(call))
    return _events(call, calendar, role, found)


def insert_event(call: Call) -> Json:
    """events.insert"""
    calendar, role = calendar_of(call, "writer")
    body = writes.insert(call.world, call.account, calendar, call.body, call.parameters)
    return _told(call, calendar, role, body)


def import_event(call: Call) -> Json:
    """events.import"""
    calendar, role = calendar_of(call, "writer")
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
    calendar, _ = calendar_of(call, "writer")
    writes.delete(
        call.world, call.account, calendar, call.parameters["eventId"], call.parameters, if_match=call.headers.get("if-match")
    )  # fmt: skip


def move_event(call: Call) -> Json:
    """events.move"""
    calendar, _ = calendar_of(call, "writer")
    destination, role = calendar_of(call, "writer", calendar_id=call.parameters["destination"])
    body = writes.move(call.world, call.account, calendar, call.parameters["eventId"], destination, call.parameters)
    return _told(call, destination, role, body)


def watch_events(call: Call) -> Json:
    """events.watch"""
    calendar, _ = calendar_of(call)
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
    "calendarList.list": calendars.list_calendars,
    "calendarList.get": calendars.get_entry,
    "calendars.get": calendars.get_calendar,
    "settings.get": calendars.get_setting,
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
    calendar, role = calendar_of(call, "writer")
    body = writes.change(
        call.world, call.account, calendar, call.parameters["eventId"], call.body, call.parameters,
        replace=replace, if_match=call.headers.get("if-match"),
    )  # fmt: skip
    return _told(call, calendar, role, body)


def _told(call: Call, calendar: Calendar, role: str, body: Json) -> Json:
    zone = call.parameters.get("timeZone")
    if zone:
        times.zone_of(zone)
    return views.told(
        body, role=role, calendar_zone=calendar.zone, zone=zone, most_guests=call.parameters.get("maxAttendees")
    )  # fmt: skip


def _events(call: Call, calendar: Calendar, role: str, found: listing.Listing | None) -> Json:
    page = page_of(call, found, most=listing.LARGEST_PAGE, usual=listing.USUAL_PAGE)
    page["items"] = [_told(call, calendar, role, body) for body in page["items"]]
    newest = calendar.records[calendar.changes[-1][1]].body["updated"] if calendar.changes else times.stamp(times.now())
    return {
        "kind": "calendar#events",
        "etag": listing.list_etag(calendar),
        "summary": calendar.summary,
        "updated": newest,
        "timeZone": call.parameters.get("timeZone") or calendar.zone,
        "accessRole": role,
        "defaultReminders": default_reminders(calendar),
        **page,
    }
