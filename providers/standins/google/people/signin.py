"""Google's sign-in over HTTP: the page that asks for consent, and the addresses where codes and tokens are exchanged and given back."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from werkzeug.datastructures import MultiDict

from providers.standins.google.api.wire import Answer, Asked, Served
from providers.standins.google.people import oauth

if TYPE_CHECKING:
    from providers.standins.google.app import Parts

Json = dict[str, Any]
WORDS = {
    "calendar": "See, edit, share and permanently delete all the calendars you can access using Google Calendar",
    "calendar.events": "View and edit events on all your calendars",
    "calendar.events.readonly": "View events on all your calendars",
    "calendar.readonly": "See and download any calendar you can access using your Google Calendar",
    "calendar.calendarlist": "See, add and remove Google calendars you’re subscribed to",
    "calendar.calendarlist.readonly": "See the list of Google calendars you’re subscribed to",
    "calendar.freebusy": "View your availability in your calendars",
    "calendar.settings.readonly": "View your Calendar settings",
}
_ASKED = [
        "client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge",
        "code_challenge_method", "nonce", "access_type", "prompt", "include_granted_scopes", "login_hint",
    ]  # fmt: skip


class Page(Exception):
    """Google shows the mistake itself: it does not send people on to an address that it does not trust."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error, self.message = error, message


def blueprint(parts: Parts, through_faults: Callable[[str, Callable[[Asked], Served]], Response]) -> Blueprint:
    """`through_faults(name, serve)` answers with latency and injected faults, as the API does."""
    pages = Blueprint("signin", __name__)

    @pages.get("/o/oauth2/v2/auth")
    def ask() -> Response | str | tuple[str, int]:
        try:
            asked = _checked(parts, request.args)
        except Page as page:
            return render_template("problem.html", error=page.error, message=page.message), 400
        refusal = _refusal_to_ask(asked)
        if refusal:
            return _back(asked, error=refusal)
        if "none" in asked["prompt"].split():
            return _silently(parts, asked)
        return render_template("consent.html", **_question(parts, asked))

    @pages.post("/o/oauth2/v2/auth")
    def answer() -> Response | tuple[str, int]:
        try:
            asked = _checked(parts, request.form)
        except Page as page:
            return render_template("problem.html", error=page.error, message=page.message), 400
        if request.form.get("decision") != "allow":
            return _back(asked, error="access_denied")
        email = (request.form.get("other") or request.form.get("account") or "").strip().lower()
        if "@" not in email:
            return render_template("consent.html", **_question(parts, asked), problem="Please choose an account."), 422
        parts.world.account(email)
        ticked = frozenset(request.form.getlist("ticked"))
        return _allowed(parts, asked, email, ticked)

    @pages.post("/token")
    def token() -> Response:
        return through_faults("token", lambda asked: Served(_token(parts, asked), "token"))

    @pages.post("/revoke")
    def revoke() -> Response:
        return through_faults("revoke", lambda asked: Served(_revoke(parts, asked), "revoke"))

    @pages.get("/oauth2/v3/certs")
    def keys() -> Response:
        return jsonify(parts.signer.public_keys())

    @pages.get("/tokeninfo")
    def tokeninfo() -> Response | tuple[Response, int]:
        found = parts.grants.access(request.args.get("access_token", ""))
        if found is None:
            return jsonify(error="invalid_token", error_description="Invalid Value"), 400
        left = int(found.expires_at - time.time())
        told = {"aud": parts.world.client_id, "scope": " ".join(sorted(found.scopes)), "expires_in": str(left)}
        return jsonify(**told, email=found.account, email_verified="true")

    return pages


def _checked(parts: Parts, given: MultiDict[str, str]) -> Json:
    """The question as it was asked. Raises Page for mistakes that must not lead back to the client."""
    asked: Json = {name: given.get(name, "") for name in _ASKED}
    if asked["client_id"] != parts.world.client_id:
        raise Page("invalid_client", "The OAuth client was not found.")
    address = asked["redirect_uri"]
    if not address:
        raise Page("invalid_request", "Missing required parameter: redirect_uri")
    known = parts.world.redirect_addresses
    if (known and address not in known) or not _may_be_redirect(address):
        raise Page("redirect_uri_mismatch", f"The redirect URI in the request, {address}, is not one of this client’s.")
    return asked


def _may_be_redirect(address: str) -> bool:
    """HTTPS, or HTTP on this machine; no fragment."""
    parts = urlsplit(address)
    is_here = parts.hostname in ("127.0.0.1", "localhost", "::1")
    return (
        not parts.fragment
        and bool(parts.hostname)
        and (parts.scheme == "https" or (parts.scheme == "http" and is_here))
    )


def _refusal_to_ask(asked: Json) -> str:
    if asked["response_type"] != "code":
        return "unsupported_response_type"
    scopes = oauth.long_scopes(asked["scope"])
    if not scopes or oauth.unknown_scopes(scopes):
        return "invalid_scope"
    if asked["code_challenge_method"] not in ("", "S256", "plain") or (
        asked["code_challenge_method"] and not asked["code_challenge"]
    ):
        return "invalid_request"
    return ""


def _question(parts: Parts, asked: Json) -> Json:
    """What the consent page shows."""
    scopes = [oauth.SHORT.get(scope, scope) for scope in asked["scope"].split()]
    boxes = [
        {"scope": scope, "words": WORDS.get(scope.rpartition("/auth/")[2], scope)}
        for scope in dict.fromkeys(scopes) if scope not in oauth.IDENTITY
    ]  # fmt: skip
    hint = asked["login_hint"].lower()
    emails = sorted(parts.world.accounts)
    if "@" in hint and hint not in emails:
        emails.insert(0, hint)
    return {
        "asked": asked, "boxes": boxes, "accounts": emails, "chosen": hint if hint in emails else (emails or [""])[0],
        "client": urlsplit(asked["redirect_uri"]).netloc, "problem": "",
    }  # fmt: skip


def _allowed(parts: Parts, asked: Json, email: str, ticked: frozenset[str]) -> Response:
    """Back to the client with a code. Boxes left empty are not granted; identity is never asked with a box."""
    wanted = oauth.long_scopes(asked["scope"])
    known = parts.grants.known_scopes(email)
    granted = (wanted & oauth.IDENTITY) | (wanted & ticked)
    if asked["include_granted_scopes"] == "true":
        granted |= known
    code = parts.grants.new_code(
        oauth.Code(
            account=email,
            client_id=asked["client_id"],
            redirect_address=asked["redirect_uri"],
            scopes=granted,
            challenge=asked["code_challenge"],
            challenge_method=asked["code_challenge_method"] or "plain",
            nonce=asked["nonce"],
            is_offline=asked["access_type"] == "offline",
            is_consent_anew="consent" in asked["prompt"].split() or not wanted <= known,
            expires_at=time.time() + oauth.CODE_LIFE,
        )
    )
    return _back(asked, code=code, scope=" ".join(sorted(granted)), authuser="0", prompt="consent")


def _silently(parts: Parts, asked: Json) -> Response:
    """prompt=none: only where nothing would be asked."""
    email = asked["login_hint"].lower()
    if email not in parts.world.accounts:
        return _back(asked, error="login_required")
    known = parts.grants.known_scopes(email)
    if not oauth.long_scopes(asked["scope"]) <= known:
        return _back(asked, error="interaction_required")
    return _allowed(parts, {**asked, "prompt": ""}, email, known)


def _back(asked: Json, **told: str) -> Response:
    address = asked["redirect_uri"]
    told = {**({"state": asked["state"]} if asked["state"] else {}), **told}
    answer = redirect(f"{address}{'&' if '?' in address else '?'}{urlencode(told)}", 302)
    assert isinstance(answer, Response)
    return answer


def _token(parts: Parts, asked: Asked) -> Answer:
    form = _form(asked)
    try:
        client_id = _client(parts, asked, form)
        kind = form.get("grant_type", "")
        if kind == "authorization_code":
            told = parts.grants.exchange(
                form.get("code", ""), client_id=client_id, redirect_address=form.get("redirect_uri", ""),
                verifier=form.get("code_verifier", ""),
            )  # fmt: skip
        elif kind == "refresh_token":
            told = parts.grants.refresh(form.get("refresh_token", ""), client_id=client_id)
        else:
            raise oauth.TokenError("unsupported_grant_type", f"Invalid grant_type: {kind}")
    except oauth.TokenError as error:
        return _json(error.status, {"error": error.error, "error_description": error.description})
    return _json(200, told)


def _revoke(parts: Parts, asked: Asked) -> Answer:
    """The token may stand in the body or in the query. No client secret is asked for."""
    query = {name: values[-1] for name, values in parse_qs(asked.query).items()}
    name = {**query, **_form(asked)}.get("token", "")
    if not parts.grants.revoke(name):
        return _json(400, {"error": "invalid_token", "error_description": "Token expired or revoked"})
    return _json(200, {})


def _client(parts: Parts, asked: Asked, form: Json) -> str:
    """The client, by client_secret_basic or client_secret_post. Raises TokenError."""
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    kind, _, packed = asked.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(packed).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise oauth.TokenError("invalid_client", "Unauthorized", status=401) from None
        client_id, secret = unquote(client_id), unquote(secret)
    if client_id != parts.world.client_id:
        raise oauth.TokenError("invalid_client", "The OAuth client was not found.", status=401)
    if secret != parts.world.client_secret:
        raise oauth.TokenError("invalid_client", "Unauthorized", status=401)
    return str(client_id)


def _form(asked: Asked) -> Json:
    return {name: values[-1] for name, values in parse_qs(asked.body.decode("utf-8", "replace")).items()}


def _json(status: int, body: Json) -> Answer:
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate",
    }
    return Answer(status, json.dumps(body, indent=2).encode(), headers)
