"""The integrations page: connected accounts and their calendars, how they do, and connecting a CalDAV server in two steps.

Staff see and connect for the resource they are, admins for all; what is not theirs is not found. Connecting and refreshing are the one place
where somebody waits for an outside server: a signed-in person, with a limit, and no transaction open.
"""

from __future__ import annotations

from typing import Any

from flask import flash, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select

from portal import doorbell
from portal.admin.integrations import forms, words
from portal.admin.integrations.frame import bp, find_calendar, find_connection, own_resources, resource_of, who
from portal.business.fields.base import declared
from portal.business.fields.business import CalendarRules
from portal.business.fields.typed import begun
from portal.business.models import Resource
from portal.calendars import connect as connecting
from portal.calendars.models import Calendar, Connection
from portal.calendars.oauth import client, drafts
from portal.clock import now_utc
from portal.errors import Invalid, NotAllowedNow, NotFound, Stale
from portal.extensions import current_settings, db, limiter
from portal.instance.standing import standing
from portal.sync.account import operations, view
from portal.sync.outside import left_open
from portal.sync.state import overview
from portal.web import access, visitors
from portal.web.hypermedia import see_other, wants_partial
from providers.errors import ProviderError
from providers.kinds import CALDAV, by_consent, kind_of

ASKING_RATE = "20 per minute"
"""How often one person may have outside servers asked."""


@bp.get("")
def index() -> Any:
    """All accounts, and the ways to connect another; fetches itself anew."""
    resources, now = own_resources(), now_utc()
    named = [row.id for row in resources if access.sees_titles(current_user, row)]
    listed = view.list_accounts(db.session(), resource_ids=[row.id for row in resources], now=now, titles_of=named)
    connected = {account.resource.id for account in listed}
    settings = current_settings()
    page = {
        "accounts": listed,
        "resources": resources,
        "without": [row for row in resources if row.kind == "staff" and row.id not in connected],
        "set_up": [kind for kind in by_consent() if client.is_configured(settings, kind)],
        "not_set_up": [kind for kind in by_consent() if not client.is_configured(settings, kind)],
        "poll_seconds": settings.poll_seconds,
        "words": words,
        "now": now,
        "not_adopted": standing(db.session()).sentence,
    }
    return render_template("admin/_integrations.html" if wants_partial() else "admin/integrations.html", **page)


@bp.route("/caldav", methods=["GET", "POST"])
@limiter.limit(ASKING_RATE, methods=["POST"], key_func=visitors.address)
def connect() -> Any:
    """The first step: the account. What the server lists is kept for the second."""
    if request.method != "POST":
        return _connect_page({"resource_id": request.args.get("resource_id", "")})
    user_id, resource_ids = current_user.id, [row.id for row in own_resources()]
    try:
        typed = forms.read_credentials(request.form, resource_ids=resource_ids)
        found = connecting.list_remote(typed.url, typed.username, typed.password)
    except Invalid as error:
        return _connect_page(request.form, errors=error.fields), 422
    except ProviderError as error:
        return _connect_page(request.form, refusal=error), 422
    if not found:
        return _connect_page(request.form, errors={"url": "This account has no calendar that can hold events."}), 422
    draft_id = drafts.keep(
        user_id=user_id,
        resource_id=typed.resource_id,
        provider=CALDAV.name,
        account={"url": typed.url, "username": typed.username},
        secret={"password": typed.password},
        found=found,
        now=now_utc(),
    )
    return see_other(url_for("integrations.choose", draft_id=draft_id))


@bp.route("/choice/<int:draft_id>", methods=["GET", "POST"])
@limiter.limit(ASKING_RATE, methods=["POST"], key_func=visitors.address)
def choose(draft_id: int) -> Any:
    """The second step: which calendars, and what for. Each is proved readable before anything is stored."""
    now = now_utc()
    draft = drafts.find(db.session(), user_id=current_user.id, draft_id=draft_id, now=now)
    if draft.connection_id is not None or not access.sees(current_user, draft.resource_id):
        raise NotFound("There is no such step. Please begin connecting again.")
    resource = resource_of(draft.resource_id)
    if request.method != "POST":
        return _choose_page(draft, resource)
    try:
        chosen = _read_choice(draft, zone=resource.zone)
        made = connecting.connect_account(
            resource_id=draft.resource_id,
            provider=draft.provider,
            account=draft.account,
            secret=draft.secret,
            chosen=chosen,
        )
    except Invalid as error:
        return _choose_page(draft, resource_of(draft.resource_id), errors=error.fields, refusal=error), 422
    except ProviderError as error:
        return _choose_page(draft, resource_of(draft.resource_id), refusal=error), 422
    drafts.drop(draft_id)
    operations.catch_up(made.calendar_ids, now=now)
    flash("The account is connected.", "ok")
    for one in chosen:
        flash(words.proof(one.name, made.busy_counts.get(one.remote_id)), "ok")
    return see_other(url_for("integrations.index"))


@bp.route("/<int:connection_id>/refresh", methods=["GET", "POST"])
@limiter.limit(ASKING_RATE, methods=["POST"], key_func=visitors.address)
def refresh(connection_id: int) -> Any:
    """A new password for the same account, or another sign-in at its provider; every mapping stays."""
    connection = find_connection(connection_id)
    if kind_of(connection.provider).consent:
        return _sign_in_again_page(connection)
    if request.method != "POST":
        return _refresh_page(connection)
    errors: dict[str, str] = {}
    password = forms.read_password(request.form, errors)
    if errors:
        return _refresh_page(connection, errors=errors), 422
    try:
        operations.refresh_connection(connection_id, password=password)
    except ProviderError as error:
        return _refresh_page(find_connection(connection_id), refusal=error), 422
    _catch_up(connection_id)
    flash("The new password works. What waited is being read and written now.", "ok")
    return see_other(url_for("integrations.index"))


@bp.post("/<int:connection_id>/pause")
def pause(connection_id: int) -> Any:
    find_connection(connection_id)
    operations.pause_connection(connection_id)
    flash("The account is paused. Bookings wait until it is resumed.", "ok")
    return see_other(url_for("integrations.index"))


@bp.post("/<int:connection_id>/resumption")
def resume(connection_id: int) -> Any:
    if find_connection(connection_id).state == "paused":  # another state is no pause, and is not ended by saying so
        operations.resume_connection(connection_id)
        _catch_up(connection_id)
        flash("The account is used again, and catches up now.", "ok")
    return see_other(url_for("integrations.index"))


@bp.post("/<int:connection_id>/reading")
def read_now(connection_id: int) -> Any:
    find_connection(connection_id)
    try:
        operations.read_now(connection_id, now=now_utc())
        flash("The calendars are being read now.", "ok")
    except NotAllowedNow as error:
        flash(str(error), "bad")
    return see_other(url_for("integrations.index"))


@bp.post("/<int:connection_id>/writing")
def try_again(connection_id: int) -> Any:
    find_connection(connection_id)
    number = operations.try_again(connection_id, now=now_utc())
    flash(f"{number} being written now." if number else "Nothing waits to be written.", "ok")
    return see_other(url_for("integrations.index"))


@bp.route("/calendars/<int:calendar_id>", methods=["GET", "POST"])
def rules(calendar_id: int) -> Any:
    """The rules of one calendar."""
    calendar = find_calendar(calendar_id)
    if request.method != "POST":
        return _rules_page(calendar)
    try:
        wanted = forms.read_rules(request.form, present=calendar)
    except Invalid as error:
        return _rules_page(calendar, errors=error.fields), 422
    try:
        operations.set_rules(calendar_id, wanted, is_busy_source="is_busy_source" in request.form, by=who())
    except Stale as error:
        return _rules_page(find_calendar(calendar_id), stale=str(error)), 409
    flash("The rules are saved.", "ok")
    return see_other(url_for("integrations.index"))


@bp.post("/calendars/<int:calendar_id>/meanwhile/dismissal")
def dismiss(calendar_id: int) -> Any:
    """What changed while the calendar was away has been read."""
    find_calendar(calendar_id)
    operations.dismiss_meanwhile(calendar_id)
    return see_other(url_for("integrations.index"))


@bp.post("/calendars/<int:calendar_id>/entries")
def leave_open(calendar_id: int) -> Any:
    """Whether an entry that cannot be read closes times: `entry` names it, `wish` is open or closed."""
    find_calendar(calendar_id)
    wish, entry = request.form.get("wish"), request.form.get("entry", "")
    if wish not in ("open", "closed"):
        raise NotFound("There is no such decision. Please use the buttons.")
    decide_entry = left_open.leave_open if wish == "open" else left_open.close_again
    try:
        decide_entry(calendar_id, entry, by=who(), now=now_utc())
    except NotAllowedNow as error:
        flash(str(error), "bad")
        return see_other(url_for("integrations.index"))
    doorbell.ring()
    flash(
        "It closes no times any more." if wish == "open" else "It closes times again; the calendar is being read.", "ok"
    )
    return see_other(url_for("integrations.index"))


@bp.post("/calendars/<int:calendar_id>/quarantine")
def decide(calendar_id: int) -> Any:
    """What to do about a read that would have removed too much: `decision` is accept or keep."""
    find_calendar(calendar_id)
    decision = request.form.get("decision")
    if decision not in ("accept", "keep"):
        raise NotFound("There is no such decision. Please use the buttons.")
    try:
        operations.decide_quarantine(calendar_id, accept=decision == "accept", by=who(), now=now_utc())
        flash("Thank you; the next read acts on it." if decision == "accept" else "The known events are kept.", "ok")
    except NotAllowedNow as error:
        flash(str(error), "bad")
    return see_other(url_for("integrations.index"))


def _read_choice(draft: drafts.Draft, *, zone: str) -> list[connecting.ChosenCalendar]:
    """The calendars that were chosen; the rules of the form are those of all of them."""
    wanted = forms.read_rules(request.form)
    return [
        connecting.ChosenCalendar(
            remote_id=role.calendar.remote_id,
            name=role.calendar.name,
            zone=role.calendar.zone or zone,
            is_busy_source=role.is_busy_source,
            is_destination=role.is_destination,
            rules=wanted,
        )
        for role in forms.read_roles(request.form, draft.found)
    ]


def _connect_page(typed: Any, *, errors: dict[str, str] | None = None, refusal: Exception | None = None) -> str:
    """The typed values stand there again; the password never does."""
    return render_template(
        "admin/connect.html",
        resources=[(row.id, row.name) for row in own_resources()],
        typed=typed,
        errors=errors or {},
        refusal=refusal,
        hint=words.advice(refusal, CALDAV.name),
        ways=by_consent(),
    )


def _choose_page(
    draft: drafts.Draft,
    resource: Resource,
    *,
    errors: dict[str, str] | None = None,
    refusal: Exception | None = None,
) -> str:
    present = overview.list_calendars(db.session(), resource_ids=[resource.id])
    return render_template(
        "admin/choose.html",
        draft_id=draft.draft_id,
        username=draft.account["username"],
        server=kind_of(draft.provider).server,
        found=draft.found,
        suggested=forms.suggest(draft.found),
        resource=resource,
        typed=request.form,
        fields=declared(CalendarRules),
        begun=begun(CalendarRules),
        destinations=[row.calendar.name for row in present if row.calendar.is_destination],
        errors=errors or {},
        refusal=refusal,
        hint=words.advice(refusal, draft.provider),
        words=words,
    )


def _sign_in_again_page(connection: Connection) -> str:
    kind, resource = kind_of(connection.provider), resource_of(connection.resource_id)
    return render_template(
        "admin/consent/refresh.html", connection=connection, resource=resource, kind=kind, words=words
    )


def _refresh_page(
    connection: Connection, *, errors: dict[str, str] | None = None, refusal: Exception | None = None
) -> str:
    return render_template(
        "admin/refresh.html",
        connection=connection,
        resource=resource_of(connection.resource_id),
        errors=errors or {},
        refusal=refusal,
        hint=words.advice(refusal, connection.provider),
    )


def _rules_page(calendar: Calendar, *, errors: dict[str, str] | None = None, stale: str = "") -> str:
    typed = request.form if errors or stale else None
    page = {
        "calendar": calendar,
        "typed": typed,
        "errors": errors or {},
        "stale": stale,
        "fields": declared(CalendarRules),
    }
    return render_template("admin/rules.html", words=words, **page)


def _catch_up(connection_id: int) -> None:
    db.session.rollback()
    ids = db.session.scalars(select(Calendar.id).where(Calendar.connection_id == connection_id)).all()
    operations.catch_up(ids, now=now_utc())
