"""What tests may do beside the API: `POST /control` with {"do": name, ...}. The other end is `tests.support.google_server.GoogleServer`.

A header that no web page of elsewhere can send (it would have to ask first) keeps strangers' pages in the browser of a newcomer out.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request

from providers.standins.google import times
from providers.standins.google.api import schema
from providers.standins.google.events import bodies, writes
from providers.standins.google.faults import Fault
from providers.standins.google.model import Account, Calendar, Switches
from providers.standins.google.people import oauth
from providers.standins.google.problems import Refused

if TYPE_CHECKING:
    from providers.standins.google.app import Parts

Json = dict[str, Any]
HEADER = "X-Stand-In-Control"


def blueprint(parts: Parts) -> Blueprint:
    routes = Blueprint("control", __name__)
    hands = Hands(parts)
    doings: dict[str, Callable[..., Any]] = {
        name: getattr(hands, name) for name in dir(hands) if not name.startswith("_")
    }

    @routes.post("/control")
    def act() -> Response | tuple[Response, int]:
        if HEADER not in request.headers:
            return jsonify(error="For tests only."), 403
        asked = request.get_json()
        try:
            return jsonify(result=doings[asked.pop("do")](**asked))
        except Refused as refused:
            return jsonify(error=f"{refused.reason}: {refused.message}"), 400
        except (KeyError, TypeError, ValueError) as error:
            return jsonify(error=f"{type(error).__name__}: {error}"), 400

    @routes.get("/control")
    def answers() -> Response:
        return jsonify(stand_in="google")

    return routes


class Hands:
    """Each public method is one thing that a test may ask for; arguments and results are JSON."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._world = parts.world

    def account(self, email: str, zone: str = "UTC") -> Json:
        account = self._world.account(email, zone=zone)
        return {"email": account.email, "subject": account.subject}

    def grant(self, email: str, scopes: list[str]) -> Json:
        return self._parts.grants.give(self._account(email).email, oauth.long_scopes(" ".join(scopes)))

    def grant_state(self, email: str) -> Json:
        return self._parts.grants.state(email)

    def revoke(self, email: str) -> None:
        self._parts.grants.revoke_all(email)

    def expire_access_tokens(self, email: str) -> None:
        self._parts.grants.expire_access(email)

    def age_grant(self, email: str, days: float) -> None:
        self._parts.grants.age(email, days)

    def make_calendar(
        self, email: str, name: str, role: str, zone: str | None, calendar_id: str | None, meetings: bool
    ) -> str:
        """A calendar in the account's list. With a lesser role than owner it belongs to somebody unnamed."""
        account = self._account(email)
        new_id = calendar_id or f"c_{secrets.token_hex(16)}@group.calendar.google.com"
        calendar = Calendar(new_id, name, zone or account.zone, owner=email, makes_meetings=meetings)
        with self._world.lock:
            self._world.add_calendar(calendar, role=role)
        return new_id

    def share(self, email: str, calendar_id: str, role: str) -> None:
        self._account(email)
        with self._world.lock:
            self._world.share(calendar_id, email, role)

    def unshare(self, email: str, calendar_id: str) -> None:
        with self._world.lock:
            self._world.share(calendar_id, email, None)

    def add(self, email: str, calendar_id: str, body: Json, parameters: Json | None = None) -> Json:
        """As the person, with an id of any shape and of any type of event."""
        return self._added(email, calendar_id, [body], parameters or {})[0]

    def add_many(self, email: str, calendar_id: str, bodies: list[Json]) -> list[str]:
        return [body["id"] for body in self._added(email, calendar_id, bodies, {})]

    def patch(self, email: str, calendar_id: str, event_id: str, body: Json, parameters: Json | None = None) -> Json:
        self._check(body)
        with self._world.lock:
            calendar = self._calendar(calendar_id)
            return writes.change(
                self._world, self._account(email), calendar, event_id, body, parameters or {"conferenceDataVersion": 1}
            )

    def move_event(self, email: str, calendar_id: str, event_id: str, start_at: str) -> Json:
        """To another start, as long as before."""
        with self._world.lock:
            calendar = self._calendar(calendar_id)
            body = writes.standing(calendar, event_id)
            start, end = (times.instant_of(body[name], calendar.zone) for name in ("start", "end"))
            wanted = times.instant(start_at)
            zone = body["start"].get("timeZone", calendar.zone)
            moved = {"start": timed(wanted, zone), "end": timed(wanted + (end - start), zone)}
            return writes.change(self._world, self._account(email), calendar, event_id, moved, {})

    def remove_event(self, email: str, calendar_id: str, event_id: str) -> None:
        with self._world.lock:
            writes.delete(self._world, self._account(email), self._calendar(calendar_id), event_id, {})

    def events(self, calendar_id: str, show_deleted: bool) -> list[Json]:
        records = self._calendar(calendar_id).records.values()
        return [record.body for record in records if show_deleted or not record.is_gone]

    def event(self, calendar_id: str, event_id: str) -> Json:
        return writes.standing(self._calendar(calendar_id), event_id)

    def forget_sync_tokens(self, calendar_id: str) -> None:
        calendar = self._calendar(calendar_id)
        with self._world.lock:
            calendar.no += 1
            calendar.oldest_token = calendar.no

    def fault(self, **given: Any) -> None:
        self._parts.faults.add(Fault(**given))

    def clear_faults(self) -> None:
        self._parts.faults.clear()

    def switch(self, name: str, value: Any) -> None:
        """One of `model.Switches`."""
        if name not in {field.name for field in fields(Switches)}:
            raise ValueError(f"There is no switch “{name}”.")
        setattr(self._world.switches, name, value)

    def redirect_addresses(self, addresses: list[str]) -> None:
        self._world.redirect_addresses = set(addresses)

    def log(self, since: int) -> list[Json]:
        with self._world.lock:
            return [row for row in self._world.log if row["no"] > since]

    def violations(self) -> list[str]:
        return list(self._world.violations)

    def clear_violations(self) -> None:
        self._world.violations.clear()

    def mails(self) -> list[Json]:
        return list(self._world.mails)

    def channels(self) -> list[Json]:
        return [
            {
                **channel.body(),
                "calendar_id": channel.calendar_id,
                "address": channel.address,
                "sent": channel.sent[-20:],
            }
            for channel in self._parts.house.post.live()
        ]

    def push(self, calendar_id: str) -> int:
        """One more message to each channel; how many there are."""
        self._parts.house.post.tell(self._calendar(calendar_id))
        return len(self._parts.house.post.live(calendar_id))

    def _account(self, email: str) -> Account:
        return self._world.account(email)

    def _calendar(self, calendar_id: str) -> Calendar:
        return self._world.calendars[calendar_id]

    def _added(self, email: str, calendar_id: str, given: list[Json], parameters: Json) -> list[Json]:
        self._check(*given)
        account, added = self._account(email), []
        with self._world.lock:
            calendar = self._calendar(calendar_id)
            for body in given:
                event_id = body.get("id") or secrets.token_hex(13)
                if event_id in calendar.history:
                    raise Refused("duplicate")
                parameters = {"conferenceDataVersion": 1, **parameters}
                added.append(
                    writes.created(self._world, account, calendar, bodies.without_nulls(body), event_id, parameters, by_hand=True)
                )  # fmt: skip
        return added

    def _check(self, *given: Json) -> None:
        for body in given:
            problems = schema.problems_of("Event", body, nulls=True)
            if problems:
                raise ValueError(" ".join(problems))


def timed(at: Any, zone: str) -> Json:
    """A start or end that is certainly no whole day, for a patch."""
    return {"dateTime": times.written(at, zone), "timeZone": zone, "date": None}
