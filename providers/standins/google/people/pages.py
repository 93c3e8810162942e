"""Pages for people: what this is, a calendar to work in, the account with its "third-party access", and what was asked of the API.

No JavaScript; a GET changes nothing; a form counts only when it comes from these pages.
"""

from __future__ import annotations

import base64
import binascii
from datetime import date, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from providers.standins.google import times
from providers.standins.google.events import writes
from providers.standins.google.model import ROLES, Account, Calendar
from providers.standins.google.people import week
from providers.standins.google.people.signin import WORDS
from providers.standins.google.problems import Refused

if TYPE_CHECKING:
    from providers.standins.google.app import Parts

Json = dict[str, Any]
Page = str | tuple[str, int] | Response
REPEATS = {"": "Does not repeat", "DAILY": "Every day", "WEEKLY": "Every week"}


def blueprint(parts: Parts) -> Blueprint:
    pages = Blueprint("pages", __name__)
    world = parts.world

    @pages.get("/")
    def front() -> Page:
        return render_template("front.html", accounts=sorted(world.accounts), world=world)

    @pages.get("/calendar")
    def calendar() -> Page:
        return _calendar_page(parts, _account(parts, request.args.get("account", "")), _first_day())

    @pages.get("/calendar/event")
    def event() -> Page:
        """Where `htmlLink` leads."""
        event_id, calendar_id = _opened(request.args.get("eid", ""))
        owner = next((a for a in world.accounts.values() if a.role(calendar_id)), None)
        if owner is None:
            abort(404)
        try:
            body = writes.standing(world.calendars[calendar_id], event_id)
        except Refused:
            abort(404)
        day = times.instant_of(body["start"], owner.zone).astimezone(times.zone_of(owner.zone)).date()
        return redirect(url_for("pages.calendar", account=owner.email, day=day.isoformat()))

    @pages.post("/calendar/events")
    def add() -> Page:
        return _act(parts, _add)

    @pages.post("/calendar/events/move")
    def move() -> Page:
        return _act(parts, _move)

    @pages.post("/calendar/events/delete")
    def delete() -> Page:
        return _act(parts, _delete)

    @pages.get("/account")
    def account() -> Page:
        person = _account(parts, request.args.get("account", ""))
        state = parts.grants.state(person.email)
        words = [WORDS.get(scope.rpartition("/auth/")[2], scope) for scope in state["scopes"]]
        return render_template("account.html", account=person, state=state, words=words, world=world)

    @pages.post("/account/revocation")
    def revoke() -> Page:
        _only_from_here()
        person = _account(parts, request.form.get("account", ""))
        parts.grants.revoke_all(person.email)
        return redirect(url_for("pages.account", account=person.email), 303)

    @pages.get("/log")
    def log() -> Page:
        with world.lock:
            rows = list(islice(reversed(world.log), 200))
        return render_template("log.html", rows=rows, violations=world.violations[-50:])

    return pages


def _act(parts: Parts, change: Any) -> Page:
    """Do what a form asks, and show the same week again; what cannot be is said on the page, with nothing changed."""
    _only_from_here()
    form = request.form
    account = _account(parts, form.get("account", ""))
    try:
        with parts.world.lock:
            change(parts, account, _calendar(parts, account, form.get("calendar", "")), form)
    except Refused as refused:
        return _calendar_page(parts, account, _first_day(), problem=refused.message), refused.status
    except ValueError:
        return _calendar_page(parts, account, _first_day(), problem="Please give a day and a time."), 422
    return redirect(url_for("pages.calendar", account=account.email, day=form.get("day") or None), 303)


def _add(parts: Parts, account: Account, calendar: Calendar, form: Any) -> None:
    body: Json = {"summary": form.get("title", "").strip()}
    body |= _asked_times(account, form)
    if form.get("repeats") in ("DAILY", "WEEKLY"):
        body["recurrence"] = [f"RRULE:FREQ={form['repeats']}"]
    if form.get("free"):
        body["transparency"] = "transparent"
    writes.insert(parts.world, account, calendar, body, {})


def _move(parts: Parts, account: Account, calendar: Calendar, form: Any) -> None:
    asked = _asked_times(account, form)
    other = "dateTime" if "date" in asked["start"] else "date"
    body = {name: {**value, other: None} for name, value in asked.items()}
    writes.change(parts.world, account, calendar, form.get("event", ""), body, {})


def _delete(parts: Parts, account: Account, calendar: Calendar, form: Any) -> None:
    writes.delete(parts.world, account, calendar, form.get("event", ""), {})


def _asked_times(account: Account, form: Any) -> Json:
    on, _, start = form.get("start", "").partition("T")
    is_all_day = bool(form.get("all_day"))
    return week.event_times(on, start or "00:00", int(form.get("minutes") or 60), account.zone, is_all_day=is_all_day)


def _calendar_page(parts: Parts, account: Account, first: date, problem: str = "") -> str:
    with parts.world.lock:
        days = week.week(parts.world, account, first)
    mine = [
        parts.world.calendars[entry.calendar_id]
        for entry in account.entries.values()
        if not entry.is_deleted and ROLES.index(entry.role) >= ROLES.index("writer")
    ]
    return render_template(
        "calendar.html", account=account, accounts=sorted(parts.world.accounts), days=days, calendars=mine, problem=problem,
        first=first, before=first - timedelta(days=7), after=first + timedelta(days=7), today=week.today(account.zone),
        repeats=REPEATS,
    )  # fmt: skip


def _first_day() -> date:
    """The first of the seven days shown: the one named, else today."""
    try:
        return date.fromisoformat(request.values.get("day", ""))
    except ValueError:
        return week.today("UTC")


def _account(parts: Parts, email: str) -> Account:
    found = parts.world.accounts.get(email.strip().lower())
    if found is None:
        abort(404, "There is no such account here.")
    return found


def _calendar(parts: Parts, account: Account, calendar_id: str) -> Calendar:
    role = account.role(calendar_id)
    if role is None:
        raise Refused("notFound")
    if ROLES.index(role) < ROLES.index("writer"):
        raise Refused("requiredAccessLevel")
    return parts.world.calendars[calendar_id]


def _only_from_here() -> None:
    """A form on somebody else's page does not count."""
    origin = request.headers.get("Origin")
    if origin is not None and origin != request.host_url.rstrip("/"):
        abort(403)


def _opened(eid: str) -> tuple[str, str]:
    try:
        event_id, _, calendar_id = base64.urlsafe_b64decode(eid + "==").decode().partition(" ")
    except (binascii.Error, UnicodeDecodeError):
        abort(404)
    return event_id, calendar_id
