"""This portal as Google knows it, made from the settings. Called by `tokens`, `portal.admin.integrations.consent` and `lockstep doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from portal.config import Settings
from providers.errors import Misconfigured

if TYPE_CHECKING:
    from providers.calendars.google.oauth import GoogleClient

CALLBACK = "/admin/integrations/google/callback"
"""Where Google sends people back to, below the portal's own address. Entered at Google letter by letter, so it may never change."""


def is_configured(settings: Settings) -> bool:
    """Whether whoever runs the portal has made a Google project for it."""
    return bool(settings.google_client_id and settings.google_client_secret)


def redirect_url(settings: Settings) -> str:
    """The redirect address, exactly as it must be entered in the Google project."""
    return f"{settings.url}{CALLBACK}"


def is_refused(settings: Settings) -> bool:
    """Whether Google will not take the redirect address: it wants https, save on the very machine of the browser."""
    host = urlsplit(settings.url).hostname
    return not settings.is_https and host not in ("localhost", "127.0.0.1", "::1")


def consent_origin(settings: Settings) -> str:
    """Scheme, host and port of the page where Google asks for consent."""
    parts = urlsplit(settings.google_auth_url)
    return f"{parts.scheme}://{parts.netloc}"


def google_client(settings: Settings) -> GoogleClient:
    """Raises Misconfigured when there is no Google project."""
    from providers.calendars.google.oauth import GoogleClient  # it brings Authlib, which most processes never need

    if not is_configured(settings):
        raise Misconfigured(
            "Google calendars are not set up in this portal: GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET are missing."
        )
    return GoogleClient(
        client_id=settings.google_client_id,
        client_secret=settings.google_client_secret,
        redirect_url=redirect_url(settings),
        auth_url=settings.google_auth_url,
        token_url=settings.google_token_url,
        revoke_url=settings.google_revoke_url,
    )
