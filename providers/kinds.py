"""Kind of calendar provider -> how to open it.

The only place that knows all kinds; each is imported when it is first used. Called by the portal's connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.calendars.base import AccessTokens, CalendarProvider
from providers.errors import Misconfigured

MEETING_MAKERS = ("google", "memory")
"""Kinds whose calendars make a link to a video meeting when a draft asks for one."""


def open_calendar_provider(
    kind: str,
    *,
    account: Mapping[str, str],
    secret: Mapping[str, str],
    http_session: Any,
    tokens: AccessTokens | None = None,
    api_url: str = "",
) -> CalendarProvider:
    """A provider for one account.

    `account` is what may be shown (url, username), `secret` what may not (password).
    `http_session` is a guarded `requests.Session`; the provider makes every call through it. `tokens` and `api_url` (root of
    the API) are for providers with OAuth.
    Raises Misconfigured for a kind that does not exist.
    """
    if kind == "caldav":
        from providers.calendars.caldav.calendars import CalDavCalendars

        provider: CalendarProvider = CalDavCalendars(
            url=account["url"],
            username=account["username"],
            password=secret["password"],
            http_session=http_session,
        )
        return provider
    if kind == "google" and tokens is not None:
        from providers.calendars.google.calendars import GoogleCalendars

        google: CalendarProvider = GoogleCalendars(
            tokens=tokens, account_name=account.get("username", ""), api_url=api_url, http_session=http_session
        )
        return google
    if kind == "memory":
        from providers.calendars.memory import MemoryCalendars

        return MemoryCalendars.open(account["url"])
    raise Misconfigured(f"There is no calendar provider of the kind “{kind}”.")
