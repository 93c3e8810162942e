"""Connecting an account whose owner consents at the provider's own page, and refreshing its connection: there, back, and what to say when
something is amiss. The same pages for each such provider, in a blueprint of its name: what differs is in its record (`providers.kinds`).

The way there is a POST, bound to the signed-in user and to the resource (or connection) it is for; the way back is the provider's redirect, which
counts only in the browser that it was begun in (`portal.calendars.oauth.consents`). A consent that lacks a permission is explained and never
half-accepted. Calendars are then chosen on the page that all providers share (`integrations.choose`).
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select

from portal.admin.integrations import forms, words
from portal.business.models import Resource
from portal.calendars import connect as connecting
from portal.calendars.account import account_of, unseal_secret
from portal.calendars.models import Connection
from portal.calendars.oauth import consents, drafts, grants, tokens
from portal.calendars.oauth.client import (
    client_settings,
    consent_of,
    consent_origin,
    is_configured,
    is_refused,
    oauth_client,
    redirect_url,
)
from portal.clock import now_utc
from portal.errors import Invalid, NotFound
from portal.extensions import current_settings, db, limiter
from portal.instance.standing import require_ours
from portal.outbound.session import guarded_session
from portal.sync.account.consent import renew_consent
from portal.web import access, visitors
from portal.web.headers import let_forms_lead_to
from portal.web.hypermedia import see_other
from providers.errors import ProviderError
from providers.kind import Grant, Kind
from providers.kinds import by_consent, kind_of

ASKING_RATE = "20 per minute"


def blueprints() -> list[Blueprint]:
    """One for each provider with consent, below /admin/integrations/<its name>."""
    return [_blueprint(kind) for kind in by_consent()]


def let_forms_lead_to_providers(response: Response) -> Response:
    """Browsers hold a form's redirect against `form-action` too; the integrations pages start here as well."""
    settings = current_settings()
    origins = [consent_origin(settings, kind) for kind in by_consent() if is_configured(settings, kind)]
    return let_forms_lead_to(response, " ".join(origins)) if origins else response


@limiter.limit(ASKING_RATE, methods=["POST"], key_func=visitors.address)
def connect() -> Any:
    """To the provider, for a new account of `resource_id`, or to sign in again for `connection_id`."""
    settings, kind = current_settings(), _kind()
    if not is_configured(settings, kind):
        return see_other(url_for(".help"))
    if request.method != "POST":
        return _connect_page(request.args.get("resource_id", ""))
    connection = _connection(forms.read_number(request.form.get("connection_id")))
    resource_id = connection.resource_id if connection else forms.read_number(request.form.get("resource_id"))
    if resource_id is None:
        return _connect_page("", errors={"resource_id": "Please choose whose calendars these are."}), 422
    consent = consents.begin(
        provider=kind.name,
        user_id=current_user.id,
        resource_id=_resource(resource_id).id,
        connection_id=connection.id if connection else None,
        now=now_utc(),
    )
    return see_other(
        consent_of(kind)
        .sign_in()
        .consent_url(
            oauth_client(settings, kind),
            state=consent.state,
            verifier=consent.verifier,
            nonce=consent.nonce,
            login_hint=str(connection.account.get("username", "")) if connection else "",
        )
    )


@limiter.limit(ASKING_RATE, key_func=visitors.address)
def callback() -> Any:
    """The provider sends the browser back here, with a code or with a refusal."""
    now, given, kind = now_utc(), request.args, _kind()
    try:
        consent = consents.finish(given.get("state", ""), provider=kind.name, user_id=current_user.id, now=now)
    except consents.ConsentLost:
        return _page("lost", url=current_settings().url), 400
    _resource(consent.resource_id)  # it may be gone, or no longer this user's
    if "code" not in given:
        return _refused_page(consent, words.refusal(given.get("error", ""), kind)), 422
    try:
        grant = _exchange(consent, given["code"])
        missing = consent_of(kind).sign_in().missing_scopes(grant.scopes)
        if missing:
            return _partial_page(consent, grant, missing), 422
        return _take(consent, grant)
    except ProviderError as error:
        return _refused_page(consent, str(error)), 422


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
        page = _page(
            "account",
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


def help() -> Any:
    """What to do at the provider before the first account can be connected: in its own words, where it has any."""
    settings, kind = current_settings(), _kind()
    consent = consent_of(kind)
    return render_template(
        [f"admin/{kind.name}/help.html", "admin/consent/help.html"],
        kind=kind,
        redirect_url=redirect_url(settings, kind),
        is_configured=is_configured(settings, kind),
        is_refused=is_refused(settings),
        scopes=[*consent.identity_scopes, *consent.permissions],
        settings=client_settings(kind),
    )


def _blueprint(kind: Kind) -> Blueprint:
    bp = Blueprint(kind.name, __name__, url_prefix=f"/admin/integrations/{kind.name}")
    bp.after_request(let_forms_lead_to_providers)
    bp.add_url_rule("", view_func=connect, methods=["GET", "POST"])
    bp.add_url_rule("/callback", view_func=callback)
    bp.add_url_rule("/account/<int:draft_id>", view_func=confirm, methods=["GET", "POST"])
    bp.add_url_rule("/help", view_func=help)
    return bp


def _exchange(consent: consents.Consent, code: str) -> Grant:
    settings, kind = current_settings(), _kind()
    db.session.rollback()  # whoever waits for a server holds no transaction
    require_ours()
    with guarded_session(allow=settings.outbound_allow) as session, session.budget(connecting.BUDGET):
        return (
            consent_of(kind)
            .sign_in()
            .exchange(
                oauth_client(settings, kind),
                session,
                code=code,
                verifier=consent.verifier,
                nonce=consent.nonce,
                now=now_utc(),
            )
        )


def _take(consent: consents.Consent, grant: Grant) -> Any:
    """The consent is whole: on to the choice of calendars, or back into the connection that it is for."""
    now, by, kind = now_utc(), _who(), _kind()
    account = {"username": grant.email, "subject": grant.subject, "scopes": " ".join(grant.scopes)}
    secret = tokens.as_secret(grant, granted_at=now, now=now)
    connection = _connection(consent.connection_id)
    if connection and connecting.is_same_account(connection.account, account):
        renew_consent(connection.id, account=account, secret=secret, by=by, now=now)
        flash(f"{kind.server} accepts the portal again. What waited is being read and written now.", "ok")
        return see_other(url_for("integrations.index"))
    step = ".confirm" if connection else "integrations.choose"
    found = connecting.list_calendars(kind.name, account, secret)
    if not found:
        return _refused_page(consent, "This account has no calendar that can hold events."), 422
    draft_id = drafts.keep(
        user_id=consent.user_id,
        resource_id=consent.resource_id,
        provider=kind.name,
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
        grants.give_back(_kind().name, {"refresh_token": grant.refresh_token})
    permissions = consent_of(_kind()).permissions
    asked = [permissions[scope] for scope in missing]
    return _page("partial", consent=consent, username=grant.email, missing=asked)


def _refused_page(consent: consents.Consent, sentence: str) -> str:
    return _page("refused", consent=consent, sentence=sentence)


def _connect_page(resource_id: str, *, errors: dict[str, str] | None = None) -> str:
    rows = db.session.scalars(select(Resource).where(Resource.is_active).order_by(Resource.position, Resource.id))
    return _page(
        "connect",
        resources=[(row.id, row.name) for row in rows if access.sees(current_user, row.id)],
        resource_id=resource_id,
        permissions=list(consent_of(_kind()).permissions.values()),
        errors=errors or {},
    )


def _page(name: str, **values: Any) -> str:
    return render_template(f"admin/consent/{name}.html", kind=_kind(), words=words, **values)


def _kind() -> Kind:
    """The kind that this page is of: its blueprint has its name."""
    return kind_of(request.blueprint or "")


def _is_used(subject: str | None) -> bool:
    is_used = grants.is_used(db.session(), _kind().name, subject)
    db.session.rollback()
    return is_used


def _give_back(former: Any) -> None:
    try:
        grants.give_back(former.provider, unseal_secret(former))
    except Invalid:  # it does not open any more: then there is nothing to give back
        return


def _resource(resource_id: int) -> Resource:
    """Raises NotFound for one that is not there or not this user's."""
    resource = db.session.get(Resource, resource_id)
    if resource is None or not access.sees(current_user, resource.id):
        raise NotFound("There is no such person or room.")
    return resource


def _connection(connection_id: int | None) -> Connection | None:
    """None for None. Raises NotFound for one that is not there, not this user's, not this provider's, or being disconnected."""
    if connection_id is None:
        return None
    connection = db.session.get(Connection, connection_id)
    is_there = connection is not None and connection.provider == _kind().name and not connection.leaving
    if connection is None or not is_there or not access.sees(current_user, connection.resource_id):
        raise NotFound("There is no such account.")
    return connection


def _who() -> str:
    return str(current_user.name or current_user.email)
