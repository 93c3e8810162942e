"""Plays the part of a provider that sends push messages: the headers and nothing else, as Google does."""

from __future__ import annotations

from email.utils import format_datetime
from typing import Any

from flask import Flask

from providers.calendars.memory import HeldSubscription, MemoryCalendars


def headers_of(held: HeldSubscription, state: str = "exists", **changes: str) -> dict[str, str]:
    """The headers of one message. `changes` replace the last word of a header's name: Token="..."."""
    granted = held.granted
    headers = {
        "X-Goog-Channel-ID": granted.subscription_id,
        "X-Goog-Channel-Token": held.secret,
        "X-Goog-Resource-ID": granted.resource_id,
        "X-Goog-Resource-URI": f"https://www.googleapis.com/calendar/v3/calendars/{held.calendar}/events",
        "X-Goog-Resource-State": state,
        "X-Goog-Message-Number": "1",
        "X-Goog-Channel-Expiration": format_datetime(granted.expires_at, usegmt=True),
    }
    named = {
        "Token": "X-Goog-Channel-Token", "Id": "X-Goog-Channel-ID", "Resource": "X-Goog-Resource-ID",
        "Expiration": "X-Goog-Channel-Expiration",
    }  # fmt: skip
    return headers | {named[name]: value for name, value in changes.items()}


class Messenger:
    """Sends what the store's subscriptions ask for."""

    def __init__(self, app: Flask, store: MemoryCalendars) -> None:
        self._client = app.test_client()
        self._store = store

    def send(self, state: str = "exists", *, times: int = 1, **changes: str) -> list[int]:
        """A message, or several, to every subscription; the answers' status codes."""
        return [
            self.post(headers_of(held, state, **changes)).status_code
            for _ in range(times)
            for held in list(self._store.subscriptions.values())
        ]

    def post(self, headers: dict[str, str], **more: Any) -> Any:
        return self._client.post("/hooks/google", headers=headers, **more)
