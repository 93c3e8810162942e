"""People with a Google account at the stand-in: their tokens, their providers, and their work in a calendar."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import requests

from portal.outbound.session import guarded_session
from providers.calendars.google.calendars import GoogleCalendars
from providers.calendars.google.pace import Pace
from providers.errors import AccessRevoked


class Tokens:
    """Access tokens as the portal keeps them: the newest one, and another for the refresh token when that is refused."""

    def __init__(self, server: Any, granted: dict[str, Any]) -> None:
        self._server, self._granted = server, dict(granted)
        self.renewals = 0

    def current(self) -> str:
        return str(self._granted["access_token"])

    def renew(self, rejected: str) -> str:
        self.renewals += 1
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self._granted["refresh_token"],
            "client_id": self._server.client_id,
            "client_secret": self._server.client_secret,
        }
        answer = requests.post(f"{self._server.url}/token", data=form, timeout=10)
        if answer.status_code != 200:
            raise AccessRevoked("Google no longer accepts this connection.")
        self._granted.update(answer.json())
        return self.current()


def open_google(
    server: Any, account: Any, *, tokens: Any = None, scopes: Any = None, url: str = "", pace: Pace | None = None
) -> GoogleCalendars:
    """A provider for the account, at a pace of its own; `url` leads it through another server."""
    url = url or server.url
    granted = account.grant(scopes=scopes) if scopes else account.grant()
    return GoogleCalendars(
        tokens=tokens or Tokens(server, granted),
        account_name=account.email,
        api_url=url,
        http_session=guarded_session(allow=[url.removeprefix("http://").rstrip("/")]),
        pace=pace or Pace(),
    )


class GooglePerson:
    """Somebody at work in one calendar, in Google's web page."""

    def __init__(self, account: Any, calendar_id: str) -> None:
        self.account, self.calendar_id = account, calendar_id

    def add_event(self, summary: str, start_at: datetime, end_at: datetime, *, remote_id: str | None = None) -> str:
        fields = {"id": remote_id} if remote_id else {}
        return str(self.account.add_event(self.calendar_id, summary, start_at, end_at, **fields))

    def add(self, **body: Any) -> str:
        """Any event; gives its id."""
        return str(self.account.add(self.calendar_id, body)["id"])

    def move_event(self, remote_id: str, start_at: datetime) -> None:
        self.account.move_event(self.calendar_id, remote_id, start_at)

    def remove_event(self, remote_id: str) -> None:
        self.account.remove_event(self.calendar_id, remote_id)

    def patch(self, remote_id: str, **body: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.account.patch(self.calendar_id, remote_id, body)
        return found

    def event(self, remote_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.account.event(self.calendar_id, remote_id)
        return found
