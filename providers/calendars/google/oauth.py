"""The sign-in at Google: the address where consent is asked, codes and refresh tokens turned into access tokens, tokens given back.

Knows the protocol and keeps nothing; called through its record in `providers.kinds`. OAuth 2.0 with PKCE (RFC 6749, RFC 7636) through
Authlib, over the HTTP session that it is given; Google's own terms: developers.google.com/identity/protocols/oauth2/web-server.
No error holds a token, a code or Google's own text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.integrations.requests_client.oauth2_session import OAuth2ClientAuth
from authlib.oauth2.client import OAuth2Client

from providers.calendars.google.identity import Identity, identity_of
from providers.errors import AccessRevoked, BadAnswer, Misconfigured, ProviderError, Temporary, Throttled
from providers.kind import Grant, OAuthClient, Tokens

EVENTS = "https://www.googleapis.com/auth/calendar.events"
CALENDARS = "https://www.googleapis.com/auth/calendar.calendarlist.readonly"
SCOPES = ("openid", "email", EVENTS, CALENDARS)

_WIDE = "https://www.googleapis.com/auth/calendar"
_ENOUGH = {
    EVENTS: {EVENTS, _WIDE},
    CALENDARS: {CALENDARS, _WIDE, f"{_WIDE}.calendarlist", f"{_WIDE}.readonly"},
}
_CLIENT_ERRORS = frozenset(
    {
        "invalid_client", "unauthorized_client", "deleted_client", "disabled_client", "invalid_request", "invalid_scope",
        "redirect_uri_mismatch", "unsupported_grant_type", "org_internal",
    }
)  # fmt: skip
_PASSING_ERRORS = frozenset({"server_error", "temporarily_unavailable", "internal_failure", "backend_error"})
_LONGEST_LIFE = 7 * 24 * 3600


def consent_url(client: OAuthClient, *, state: str, verifier: str, nonce: str, login_hint: str = "") -> str:
    """Where the browser is sent. Consent is always asked anew, for only then Google gives a refresh token.

    `verifier` (43 characters or more) stays with us; only its SHA-256 travels. `login_hint` is the address of the account that is wanted.
    """
    made, _ = OAuth2Client(
        None, client.client_id, redirect_uri=client.redirect_url, scope=list(SCOPES), code_challenge_method="S256"
    ).create_authorization_url(
        client.auth_url,
        state=state,
        code_verifier=verifier,
        nonce=nonce,
        access_type="offline",
        prompt="consent",
        include_granted_scopes="true",
        login_hint=login_hint or None,
    )
    return str(made)


def exchange(
    client: OAuthClient, http_session: requests.Session, *, code: str, verifier: str, nonce: str, now: datetime
) -> Grant:
    """The grant behind a code. Check `missing_scopes` before using it: people may untick any of them.

    Raises AccessRevoked for a code that is used up, and Misconfigured, Temporary, BadAnswer.
    """
    answer = _ask(
        client,
        http_session,
        _refused_code,
        lambda oauth: oauth.fetch_token(
            client.token_url, grant_type="authorization_code", code=code, code_verifier=verifier
        ),
    )
    tokens = _tokens(answer, now=now)
    who: Identity = identity_of(
        answer.get("id_token"), client_id=client.client_id, issuers=_issuers(client), nonce=nonce, now=now,
        access_token=tokens.access_token,
    )  # fmt: skip
    scope = answer.get("scope")
    return Grant(
        subject=who.subject,
        email=who.email,
        scopes=tuple(scope.split()) if isinstance(scope, str) else SCOPES,  # left out means: as asked (RFC 6749, 5.1)
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_at=tokens.expires_at,
    )


def refresh(client: OAuthClient, http_session: requests.Session, *, refresh_token: str, now: datetime) -> Tokens:
    """A new access token, and perhaps a new refresh token in place of the old one.

    Raises AccessRevoked when the grant has ended, Misconfigured when the OAuth client is at fault, Temporary, BadAnswer.
    """
    answer = _ask(
        client,
        http_session,
        _refused_refresh,
        lambda oauth: oauth.refresh_token(client.token_url, refresh_token=refresh_token),
    )
    return _tokens(answer, now=now)


def revoke(client: OAuthClient, http_session: requests.Session, *, token: str) -> None:
    """End the whole grant that this token belongs to, with all its other tokens. One that has ended already is success.

    Raises Temporary, Misconfigured, BadAnswer.
    """
    try:
        answer = _oauth(client, http_session).revoke_token(client.revoke_url, token=token)
    except (requests.exceptions.RequestException, OSError) as error:
        raise _unreachable(error, client.revoke_url) from None
    if answer.status_code >= 500 or answer.status_code == 429:
        raise _error_of(answer, _refused_refresh)


def missing_scopes(scopes: Collection[str]) -> tuple[str, ...]:
    """Which of the two calendar scopes were not granted; a wider one counts as well."""
    return tuple(scope for scope, enough in _ENOUGH.items() if enough.isdisjoint(scopes))


class _Client(OAuth2Client):  # type: ignore[misc]
    client_auth_class = OAuth2ClientAuth  # the plain one does not know how to sign a request of `requests`


def _oauth(client: OAuthClient, http_session: requests.Session) -> OAuth2Client:
    return _Client(
        http_session,
        client.client_id,
        client.client_secret,
        token_endpoint_auth_method="client_secret_post",
        revocation_endpoint_auth_method="none",
        redirect_uri=client.redirect_url,
    )


def _ask(
    client: OAuthClient,
    http_session: requests.Session,
    refused: Callable[[str], ProviderError],
    question: Callable[[OAuth2Client], Any],
) -> dict[str, Any]:
    """The answer of the token endpoint. `refused` words an `invalid_grant`, given Google's description."""

    def judge(answer: requests.Response) -> requests.Response:
        # Before Authlib reads it: its own error would carry Google's text, and stumbles over unusual characters in it.
        if answer.status_code != 200:
            raise _error_of(answer, refused)
        return answer

    oauth = _oauth(client, http_session)
    oauth.register_compliance_hook("access_token_response", judge)
    oauth.register_compliance_hook("refresh_token_response", judge)
    try:
        return dict(question(oauth))
    except (requests.exceptions.RequestException, OSError) as error:
        raise _unreachable(error, client.token_url) from None
    except ProviderError:
        raise
    except Exception:  # whatever Authlib makes of JSON of another kind, or of an error with status 200
        raise BadAnswer("Google's answer to the sign-in could not be read.") from None


def _tokens(answer: dict[str, Any], *, now: datetime) -> Tokens:
    access, again, lives = answer.get("access_token"), answer.get("refresh_token"), answer.get("expires_in")
    if not isinstance(access, str) or not access or not access.isascii():
        raise BadAnswer("Google's answer to the sign-in holds no access token.")
    if not isinstance(again, str) or not again:
        raise BadAnswer("Google gave no lasting permission. Please connect the account again.")
    if isinstance(lives, bool) or not isinstance(lives, int | float) or not 0 < lives <= _LONGEST_LIFE:
        raise BadAnswer("Google's answer to the sign-in does not say how long it holds.")
    return Tokens(access_token=access, refresh_token=again, expires_at=now + timedelta(seconds=lives))


def _issuers(client: OAuthClient) -> tuple[str, ...]:
    """Who may have made the id token: Google under its two names, or whoever stands in for it."""
    parts = urlsplit(client.auth_url)
    return "https://accounts.google.com", "accounts.google.com", f"{parts.scheme}://{parts.netloc}"


def _error_of(answer: requests.Response, refused: Callable[[str], ProviderError]) -> ProviderError:
    status = answer.status_code
    name, description = _named(answer)
    if status == 429 or name in ("rate_limit_exceeded", "slow_down"):
        return Throttled("Google asks us to sign in less often.", retry_after=_retry_after(answer))
    if status >= 500 or name in _PASSING_ERRORS:
        return Temporary(f"Google's sign-in is out of order (status {status}).", retry_after=_retry_after(answer))
    if name == "invalid_grant":
        return refused(description)
    if name == "admin_policy_enforced":
        return AccessRevoked("The administrator of this Google account does not allow the portal to use its calendars.")
    if name in _CLIENT_ERRORS:
        return Misconfigured(
            f"Google does not accept this portal as it is set up ({name}). Whoever runs it has to compare "
            "GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET and the redirect address with the Google project."
        )
    return BadAnswer(f"Google's answer to the sign-in makes no sense (status {status}).")


def _named(answer: requests.Response) -> tuple[str, str]:
    """Name and description of an OAuth error; empty for any other body."""
    try:
        body = answer.json()
    except ValueError:
        return "", ""
    error, description = (body.get("error"), body.get("error_description")) if isinstance(body, dict) else (None, None)
    return error if isinstance(error, str) else "", description if isinstance(description, str) else ""


def _refused_code(_description: str) -> ProviderError:
    return AccessRevoked("This sign-in was used already, or took too long. Please begin again.")


def _refused_refresh(description: str) -> ProviderError:
    if "invalid_rapt" in description:  # the organisation limits how long a sign-in lasts
        return AccessRevoked("The administrator of this Google account wants its owner to sign in again.")
    return AccessRevoked("Google no longer accepts the portal's permission: it was taken away, or has ended.")


def _unreachable(error: Exception, url: str) -> ProviderError:
    host = urlsplit(url).hostname
    if isinstance(error, requests.exceptions.SSLError):
        return Misconfigured(f"{host} shows no certificate that can be trusted.")
    if isinstance(error, requests.exceptions.InvalidURL):
        return Misconfigured(str(error))  # the guarded session says why in a sentence for people
    if isinstance(error, requests.exceptions.Timeout):
        return Temporary(f"{host} did not answer in time.")
    if isinstance(error, requests.exceptions.JSONDecodeError) or getattr(error, "is_too_large", False):
        return BadAnswer("Google's answer to the sign-in could not be read.")
    return Temporary(f"{host} could not be reached, or the connection broke.")


def _retry_after(answer: requests.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), 86_400.0) if text.isascii() and text.isdecimal() else None
