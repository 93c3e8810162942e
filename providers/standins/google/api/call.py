"""One call of the API as its methods see it, and what they have in common. Called by `methods` and `calendars`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers.standins.google.api import listing
from providers.standins.google.model import ROLES, Account, Calendar, World
from providers.standins.google.problems import Refused
from providers.standins.google.push import Post

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


def calendar_of(call: Call, least: str = "freeBusyReader", *, calendar_id: str = "") -> tuple[Calendar, str]:
    """(the calendar of the call, the caller's role in it). Raises Refused: 404 for what she does not see, 403 for too little a role."""
    named = calendar_id or call.parameters["calendarId"]
    named = call.account.email if named == "primary" else named
    role = call.account.role(named)
    if role is None or named not in call.world.calendars:
        raise Refused("notFound")
    if ROLES.index(role) < ROLES.index(least):
        raise Refused("requiredAccessLevel", f"You need to have {least} access to this calendar.")
    return call.world.calendars[named], role


def page_of(call: Call, found: listing.Listing | None, *, most: int, usual: int) -> Json:
    """The items of one page, with the token of the next page or, on the last one, the sync token."""
    pages, offset, token = call.house.pages, 0, call.parameters.get("pageToken")
    is_resting = False
    if token:
        found, offset = pages.find(token, question_of(call))
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


def question_of(call: Call) -> str:
    """What must not change from page to page."""
    asked = {
        name: value for name, value in call.parameters.items() if name not in ("pageToken", "maxResults", "prettyPrint")
    }
    return json.dumps([call.account.email, asked], sort_keys=True)


def unless_known(call: Call, body: Json) -> Json:
    check_known(call, body["etag"])
    return body


def check_known(call: Call, etag: str) -> None:
    if call.headers.get("if-none-match") == etag:
        raise NotModified


def default_reminders(calendar: Calendar) -> list[Json]:
    return [{"method": "popup", "minutes": 30}] if calendar.is_primary else []
