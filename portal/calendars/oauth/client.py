"""This portal as a provider with consent knows it, made from the settings that its record names. Called by `tokens`, `grants`,
`portal.admin.integrations.consent` and `lockstep doctor`."""

from __future__ import annotations

from urllib.parse import urlsplit

from portal.config import Settings
from providers.errors import Misconfigured
from providers.kind import Consent, Kind, OAuthClient


def consent_of(kind: Kind) -> Consent:
    """How people sign in by consent. Raises Misconfigured for a kind with passwords."""
    if kind.consent is None:
        raise Misconfigured(f"Accounts of the kind “{kind.label}” have a password.")
    return kind.consent


def is_configured(settings: Settings, kind: Kind) -> bool:
    """Whether whoever runs the portal has made an OAuth client for it there."""
    return all(_value(settings, name) for name in client_settings(kind))


def client_settings(kind: Kind) -> tuple[str, str]:
    """The two settings that the portal's operator gets from the provider."""
    named = consent_of(kind).settings
    return named.client_id, named.client_secret


def given_settings(settings: Settings, kind: Kind) -> list[str]:
    """Those of the two that are set."""
    return [name for name in client_settings(kind) if _value(settings, name)]


def api_url(settings: Settings, kind: Kind) -> str:
    """The root of its API; empty for a kind without one."""
    return _value(settings, kind.consent.settings.api_url) if kind.consent else ""


def redirect_url(settings: Settings, kind: Kind) -> str:
    """Where people are sent back to. It is entered at the provider letter by letter, so it may never change."""
    return f"{settings.url}/admin/integrations/{kind.name}/callback"


def is_refused(settings: Settings) -> bool:
    """Whether no provider will take the redirect address: they want https, save on the very machine of the browser."""
    host = urlsplit(settings.url).hostname
    return not settings.is_https and host not in ("localhost", "127.0.0.1", "::1")


def consent_origin(settings: Settings, kind: Kind) -> str:
    """Scheme, host and port of the page where consent is asked."""
    parts = urlsplit(_value(settings, consent_of(kind).settings.auth_url))
    return f"{parts.scheme}://{parts.netloc}"


def oauth_client(settings: Settings, kind: Kind) -> OAuthClient:
    """Raises Misconfigured when there is none."""
    named = consent_of(kind).settings
    if not is_configured(settings, kind):
        names = " and ".join(client_settings(kind))
        raise Misconfigured(f"{kind.server} calendars are not set up in this portal: {names} are missing.")
    return OAuthClient(
        client_id=_value(settings, named.client_id),
        client_secret=_value(settings, named.client_secret),
        redirect_url=redirect_url(settings, kind),
        auth_url=_value(settings, named.auth_url),
        token_url=_value(settings, named.token_url),
        revoke_url=_value(settings, named.revoke_url),
    )


def _value(settings: Settings, name: str) -> str:
    return str(getattr(settings, name.lower())) if name else ""
