"""Kind of calendar provider -> how to open it.

The only place that knows all kinds; each is imported when it is first used. Called by the portal's connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.calendars.base import CalendarProvider
from providers.errors import Misconfigured

CALENDAR_KINDS = ("caldav", "memory")


def open_calendar_provider(
    kind: str, *, account: Mapping[str, str], secret: Mapping[str, str], http_session: Any
) -> CalendarProvider:
    """A provider for one account.

    `account` is what may be shown (url, username), `secret` what may not (password).
    `http_session` is a guarded `requests.Session`; the provider makes every call through it.
    Raises Misconfigured for a kind that does not exist.
    """
    if kind == "caldav":
        from providers.calendars.caldav import CalDavCalendars

        provider: CalendarProvider = CalDavCalendars(
            url=account["url"],
            username=account["username"],
            password=secret["password"],
            http_session=http_session,
        )
        return provider
    if kind == "memory":
        from providers.calendars.memory import MemoryCalendars

        return MemoryCalendars.open(account["url"])
    raise Misconfigured(f"There is no calendar provider of the kind “{kind}”.")
