"""Guests: copies of a meeting in the calendars of other accounts here, and who is mailed.

An event's copies share its id and iCalUID. The organizer's copy rules: its times and texts go over to the others; a guest may only answer,
and change what is private to the own copy.
"""

from __future__ import annotations

from typing import Any

from providers.standins.google import times
from providers.standins.google.events import bodies
from providers.standins.google.model import Account, Calendar, World
from providers.standins.google.problems import Refused

Json = dict[str, Any]
_SHARED = (
    "summary", "description", "location", "start", "end", "recurrence", "status", "attendees", "conferenceData",
    "hangoutLink", "organizer", "creator", "created", "iCalUID", "eventType", "sequence", "kind", "id", "source",
    "guestsCanInviteOthers", "guestsCanModify", "guestsCanSeeOtherGuests", "recurringEventId", "originalStartTime",
)  # fmt: skip
_ORGANIZERS_OWN = ("summary", "description", "location", "start", "end", "recurrence")


def check_may_change(calendar: Calendar, old: Json, new: Json) -> None:
    """Raises Refused (403) when a guest changes what is the organizer's."""
    if old["organizer"].get("email") == calendar.id or old.get("guestsCanModify"):
        return
    if any(old.get(name) != new.get(name) for name in _ORGANIZERS_OWN):
        raise Refused("forbiddenForNonOrganizer")


def spread(world: World, calendar: Calendar, body: Json, *, account: Account, parameters: Json) -> None:
    """Bring the other copies in line, and note who would be mailed."""
    others = [guest["email"] for guest in body.get("attendees", []) if guest["email"] != calendar.id]
    updates = parameters.get("sendUpdates") or ("all" if parameters.get("sendNotifications") else "none")
    if updates != "none":
        mailed = [email for email in others if updates == "all" or email not in world.accounts]
        world.mails += [
            {"to": e, "event": body["id"], "calendar": calendar.id, "status": body["status"]} for e in mailed
        ]
    if body["organizer"].get("email") == calendar.id:
        for email in others:
            if email in world.accounts:
                _copy(world, world.calendars[email], body)
    else:
        _answer(world, calendar, body)


def _copy(world: World, calendar: Calendar, body: Json) -> None:
    """The organizer's version into a guest's calendar; what is the guest's own stays."""
    before = calendar.records.get(body["id"])
    if before is None and body["status"] == "cancelled":
        return
    own = (
        {name: v for name, v in before.body.items() if name not in _SHARED}
        if before
        else {"reminders": {"useDefault": True}}
    )
    copy = {**own, **{name: body[name] for name in _SHARED if name in body}}
    copy["organizer"] = {name: value for name, value in body["organizer"].items() if name != "self"}
    copy["creator"] = {name: value for name, value in body["creator"].items() if name != "self"}
    shared = body.get("extendedProperties", {}).get("shared")
    if shared:
        copy["extendedProperties"] = {**copy.get("extendedProperties", {}), "shared": shared}
    copy["htmlLink"] = bodies.html_link(world.url, body["id"], calendar.id)
    copy["updated"] = times.stamp(times.now())
    copy.pop("etag", None)
    world.store(calendar, bodies.normalised(copy, calendar_zone=calendar.zone, owner=calendar.id))


def _answer(world: World, calendar: Calendar, body: Json) -> None:
    """A guest's answer, or her taking the event out of her calendar (which declines), as the organizer sees it."""
    organizer = world.calendars.get(body["organizer"].get("email", ""))
    record = organizer.records.get(body["id"]) if organizer else None
    if organizer is None or record is None:
        return
    mine = next((guest for guest in body.get("attendees", []) if guest["email"] == calendar.id), None)
    answer = "declined" if body["status"] == "cancelled" else (mine or {}).get("responseStatus")
    guests = [
        {**guest, "responseStatus": answer} if guest["email"] == calendar.id and answer else guest
        for guest in record.body.get("attendees", [])
    ]
    if guests != record.body.get("attendees", []):
        world.store(organizer, {**record.body, "attendees": guests, "updated": times.stamp(times.now())})
