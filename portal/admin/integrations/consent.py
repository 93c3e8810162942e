"""Connecting a Google account, and refreshing its connection: to Google's page, back from it, and what to say when something is amiss.

The way there is a POST, bound to the signed-in user and to the resource (or connection) it is for; the way back is Google's redirect, which
counts only in the browser that it was begun in (`portal.calendars.oauth.consents`). A consent that lacks a permission is explained and never
half-accepted. Calendars are then chosen on the page that all providers share (`integrations.choose`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, flash, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select

from portal.admin.integrations import forms, words
from portal.business.models import Resource
from portal.calendars import connect as connecting
from portal.calendars.account import account_of, unseal_secret
from portal.calendars.models import Connection
from portal.calendars.oauth import consents, drafts, grants, tokens
from portal.calendars.oauth.client import consent_origin, google_client, is_configured, is_refused, redirect_url
from portal.clock import now_utc
from portal.config import Settings
from portal.errors import Invalid, NotFound
from portal.extensions import db, limiter
from portal.instance.standing import require_ours
from portal.outbound.session import guarded_session
from portal.sync.account.consent import renew_consent
from portal.web import access, visitors
from portal.web.headers import let_forms_lead_to
from portal.web.hypermedia import see_other
from providers.errors import ProviderError

if TYPE_CHECKING:
    from providers.calendars.google.oauth import Grant

bp = Blueprint("google", __name__, url_prefix="/admin/integrations/google")

ASKING_RATE = "20 per minute"


@bp.after_request
def let_forms_lead_to_google(response: Response) -> Response:
    """Browsers hold a form's redirect against `form-action` too; the integrations pages start here as well."""
    settings = _settings()
    return let_forms_lead_to(response, consent_origin(settings)) if is_configured(settings) else response


@bp.route("", methods=["GET", "POST"])
@limiter.limit(ASKING_RATE, methods=["POST"], key_func=visitors.address)
def connect() -> Any:
    """To Google, for a new account of `resource_id`, or to sign in again for `connection_id`."""
    # Loaded when it is used: Authlib takes a quarter of a second, and 12 MB.
    from providers.calendars.google import oauth

    settings = _settings()
    if not is_configured(settings):
        return see_other(url_for("google.help"))
    if request.method != "POST":
        return _connect_page(request.args.get("resource_id", ""))
    connection = _connection(forms.read_number(request.form.get("connection_id")))
    resource_id = connection.resource_id if connection else forms.read_number(request.form.get("resource_id"))
    if resource_id is None:
        return _connect_page("", errors={"resource_id": "Please choose whose calendars these are."}), 422
    consent = consents.begin(
        user_id=current_user.id,
        resource_id=_resource(resource_id).id,
        connection_id=connection.id if connection else None,
        now=now_utc(),
    )
    return see_other(
        oauth.consent_url(
            google_client(settings),
            state=consent.state,
            verifier=consent.verifier,
            nonce=consent.nonce,
            login_hint=str(connection.account.get("username", "")) if connection else "",
        )
    )


@bp.get("/callback")
@limiter.limit(ASKING_RATE, key_func=visitors.address)
def callback() -> Any:
    """Google sends the browser back here, with a code or with a refusal."""
    from providers.calendars.google import oauth

    now, given = now_utc(), request.args
    try:
        consent = consents.finish(given.get("state", ""), user_id=current_user.id, now=now)
    except consents.ConsentLost:
        return render_template("admin/google_lost.html", url=_settings().url), 400
    _resource(consent.resource_id)  # it may be gone, or no longer this user's
    if "code" not in given:
        return _refused_page(consent, words.google_refusal(given.get("error", ""))), 422
    try:
        grant = _exchange(consent, given["code"])
        missing = oauth.missing_scopes(grant.scopes)
        if missing:
            return _partial_page(consent, grant, missing), 422
        return _take(consent, grant)
    except ProviderError as error:
        return _refused_page(consent, str(error)), 422


@bp.route("/account/<int:draft_id>", methods=["GET", "POST"])
@limiter.limit(ASKING_RATE, methods=["POST"], key_func=visitors.address)
def confirm(draft_id: int) -> Any:
    """The account that signed in again is another one than before: use it from now on?"""
    now, by = now_utc(), _who()
    draft = drafts.find(db.session(), user_id=current_user.id, draft_id=draft_id, now=now)
    connection = _connection(draft.connection_id)
    if connection is None:
        raise NotFound("There is no such step. Please begin connecting again.")
    hidden = connecting.unseen(connection.calendars, draft.found)
    if request.method != "POST" or hidden:
        page = render_template(
            "admin/google_account.html",
            connection=connection,
            resource=_resource(connection.resource_id),
            username=draft.account["username"],
            draft_id=draft_id,
            hidden=hidden,
        )
        return (page, 422) if request.method == "POST" else page
    connection_id, former = connection.id, account_of(connection)
    renew_consent(connection_id, account=draft.account, secret=draft.secret, by=by, now=now)
    drafts.drop(draft_id)
    if not _is_used(former.account.get("subject")):
        _give_back(former)
    flash(f"{draft.account['username']} is used from now on. What waited is being read and written now.", "ok")
    return see_other(url_for("integrations.index"))


@bp.get("/help")
def help() -> Any:
    """What to do at Google before the first account can be connected."""
    settings = _settings()
    return render_template(
        "admin/google_help.html",
        redirect_url=redirect_url(settings),
        is_configured=is_configured(settings),
        is_refused=is_refused(settings),
        scopes=["openid", "email", *words.GOOGLE_PERMISSIONS],
    )


def _exchange(consent: consents.Consent, code: str) -> Grant:
    from providers.calendars.google import oauth

    settings = _settings()
    db.session.rollback()  # whoever waits for a server holds no transaction
    require_ours()
    with guarded_session(allow=settings.outbound_allow) as session, session.budget(connecting.BUDGET):
        return oauth.exchange(
            google_client(settings),
            session,
            code=code,
            verifier=consent.verifier,
            nonce=consent.nonce,
            now=now_utc(),
        )


def _take(consent: consents.Consent, grant: Grant) -> Any:
    """The consent is whole: on to the choice of calendars, or back into the connection that it is for."""
    now, by = now_utc(), _who()
    account = {"username": grant.email, "subject": grant.subject, "scopes": " ".join(grant.scopes)}
    secret = tokens.as_secret(grant, granted_at=now, now=now)
    connection = _connection(consent.connection_id)
    if connection and connecting.is_same_account(connection.account, account):
        renew_consent(connection.id, account=account, secret=secret, by=by, now=now)
        flash("Google accepts the portal again. What waited is being read and written now.", "ok")
        return see_other(url_for("integrations.index"))
    step = "google.confirm" if connection else "integrations.choose"
    found = connecting.list_calendars("google", account, secret)
    if not found:
        return _refused_page(consent, "This account has no calendar that can hold events."), 422
    draft_id = drafts.keep(
        user_id=consent.user_id,
        resource_id=consent.resource_id,
        provider="google",
        account=account,
        secret=secret,
        found=found,
        now=now,
        connection_id=consent.connection_id,
    )
    return see_other(url_for(step, draft_id=draft_id))


def _partial_page(consent: consents.Consent, grant: Grant, missing: tuple[str, ...]) -> str:
    """Says what was not ticked. What was, is given back, unless a connection of the same account lives by it."""
    if not _is_used(grant.subject):
        grants.give_back({"refresh_token": grant.refresh_token})
    asked = [words.GOOGLE_PERMISSIONS[scope] for scope in missing]
    return render_template("admin/google_partial.html", consent=consent, username=grant.email, missing=asked)


def _refused_page(consent: consents.Consent, sentence: str) -> str:
    return render_template("admin/google_refused.html", consent=consent, sentence=sentence)


def _connect_page(resource_id: str, *, errors: dict[str, str] | None = None) -> str:
    rows = db.session.scalars(select(Resource).where(Resource.is_active).order_by(Resource.position, Resource.id))
    return render_template(
        "admin/google.html",
        resources=[(row.id, row.name) for row in rows if access.sees(current_user, row.id)],
        resource_id=resource_id,
        permissions=list(words.GOOGLE_PERMISSIONS.values()),
        errors=errors or {},
    )


def _is_used(subject: str | None) -> bool:
    is_used = grants.is_used(db.session(), subject)
    db.session.rollback()
    return is_used


def _give_back(former: Any) -> None:
    try:
        grants.give_back(unseal_secret(former))
    except Invalid:  # it does not open any more: then there is nothing to give back
        return


def _resource(resource_id: int) -> Resource:
    """Raises NotFound for one that is not there or not this user's."""
    resource = db.session.get(Resource, resource_id)
    if resource is None or not access.sees(current_user, resource.id):
        raise NotFound("There is no such person or room.")
    return resource


def _connection(connection_id: int | None) -> Connection | None:
    """None for None. Raises NotFound for one that is not there, not this user's, not Google's, or being disconnected."""
    if connection_id is None:
        return None
    connection = db.session.get(Connection, connection_id)
    is_there = connection is not None and connection.provider == "google" and not connection.leaving
    if connection is None or not is_there or not access.sees(current_user, connection.resource_id):
        raise NotFound("There is no such account.")
    return connection


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings


def _who() -> str:
    return str(current_user.name or current_user.email)
