"""The methods about calendars: the list of them, one of them, the account's settings."""

from __future__ import annotations

from typing import Any

from providers.standins.google.api import listing
from providers.standins.google.api.call import Call, calendar_of, default_reminders, page_of, question_of, unless_known
from providers.standins.google.model import Calendar, Entry
from providers.standins.google.problems import Refused

Json = dict[str, Any]


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
    found = listing.Listing([_entry(call, entry) for entry in entries], question_of(call), f"list-{newest}", "")
    page = page_of(call, found, most=250, usual=100)
    return {"kind": "calendar#calendarList", "etag": f'"p{newest:x}"', **page}


def get_entry(call: Call) -> Json:
    """calendarList.get"""
    calendar, _ = calendar_of(call)
    return unless_known(call, _entry(call, call.account.entries[calendar.id]))


def get_calendar(call: Call) -> Json:
    """calendars.get"""
    calendar, _ = calendar_of(call)
    body = _calendar_fields(calendar)
    return unless_known(call, {"kind": "calendar#calendar", "etag": call.account.entries[calendar.id].etag, **body})


def get_setting(call: Call) -> Json:
    """settings.get; the ones a program may want."""
    name = call.parameters["setting"]
    values = {"timezone": call.account.zone, "locale": "en", "format24HourTime": "true", "weekStart": "1"}
    if name not in values:
        raise Refused("notFound")
    return {"kind": "calendar#setting", "etag": '"0"', "id": name, "value": values[name]}


def _entry(call: Call, entry: Entry) -> Json:
    calendar = call.world.calendars[entry.calendar_id]
    body = {"kind": "calendar#calendarListEntry", "etag": entry.etag, "id": calendar.id}
    if entry.is_deleted:
        return {**body, "deleted": True}
    return {
        **body,
        **_calendar_fields(calendar),
        "accessRole": entry.role,
        "defaultReminders": default_reminders(calendar),
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


def _place(token: str) -> int:
    name, _, number = token.partition("-")
    if name != "list" or not number.isdigit():
        raise Refused("fullSyncRequired", location=("parameter", "syncToken"))
    return int(number)
