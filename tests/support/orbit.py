"""A fourth provider, made up for a test of how little one needs: its record (`ORBIT`), and what the record names. Nothing of the portal knows it.

Its calendars are those in memory. People sign in by consent, access tokens end and are renewed, and it tells of changes in headers of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from providers.calendars.memory import MemoryCalendars
from providers.errors import AccessRevoked
from providers.kind import ADVICE_BY_CONSENT, Consent, Grant, Kind, OAuthClient, Push, PushMessage, Settings, Tokens

ORBIT = Kind(
    name="orbit",
    label="Orbit Calendar",
    opens=f"{__name__}:OrbitCalendars",
    server="Orbit",
    consent=Consent(
        module=__name__,
        settings=Settings(
            client_id="MICROSOFT_CLIENT_ID",
            client_secret="MICROSOFT_CLIENT_SECRET",
            api_url="MICROSOFT_GRAPH_URL",
            auth_url="MICROSOFT_LOGIN_URL",
        ),
        permissions={"events": ("Read and write your events", "Without it the portal knows nothing of them.")},
        allows={"events": "see and change events"},
        refusals={"moon": "Orbit is behind the moon just now."},
    ),
    push=Push(name="Orbit", hook="orbit", reads=f"{__name__}:read_message"),
    makes_meetings=True,
    meeting_name="Orbit Call",
    advice=ADVICE_BY_CONSENT,
)
PERSON = "ana@orbit.example"


@dataclass
class Server:
    """What Orbit itself remembers."""

    access: set[str] = field(default_factory=set)
    refresh: set[str] = field(default_factory=set)
    renewed: int = 0
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def store(self) -> MemoryCalendars:
        return MemoryCalendars.open(PERSON)

    def new_access(self) -> str:
        token = f"access-{next(self.numbers)}"
        self.access = {token}
        return token

    def reset(self) -> None:
        """Forget everybody. Numbers go on: nobody is given the tokens of somebody before."""
        self.access, self.refresh, self.renewed = set(), set(), 0


SERVER = Server()


class OrbitCalendars:
    """The calendars in memory, for whoever brings a token that still counts."""

    def __init__(self, *, account: Any, tokens: Any, **_unused: Any) -> None:
        self._store, self._tokens = MemoryCalendars.open(account["username"]), tokens

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if name not in ("close", "remote_id_for"):
            self._prove_access()
        return call

    def _prove_access(self) -> None:
        token = self._tokens.current()
        if token not in SERVER.access and self._tokens.renew(token) not in SERVER.access:
            raise AccessRevoked("Orbit does not know this token.")


def consent_url(client: OAuthClient, *, state: str, verifier: str, nonce: str, login_hint: str = "") -> str:
    query = {"client_id": client.client_id, "redirect_uri": client.redirect_url, "state": state, "who": login_hint}
    return f"{client.auth_url}/consent?{urlencode(query)}"


def exchange(client: OAuthClient, http_session: Any, *, code: str, verifier: str, nonce: str, now: Any) -> Grant:
    refresh_token = f"refresh-{next(SERVER.numbers)}"
    SERVER.refresh = {refresh_token}
    return Grant(
        subject="1",
        email=PERSON,
        scopes=("events",) if code == "all" else (),
        access_token=SERVER.new_access(),
        refresh_token=refresh_token,
        expires_at=now + timedelta(hours=1),
    )


def refresh(client: OAuthClient, http_session: Any, *, refresh_token: str, now: Any) -> Tokens:
    if refresh_token not in SERVER.refresh:
        raise AccessRevoked("Orbit ended the permission.")
    SERVER.renewed += 1
    access = SERVER.new_access()
    return Tokens(access_token=access, refresh_token=refresh_token, expires_at=now + timedelta(hours=1))


def revoke(client: OAuthClient, http_session: Any, *, token: str) -> None:
    SERVER.refresh.discard(token)
    SERVER.access.clear()


def missing_scopes(scopes: Any) -> tuple[str, ...]:
    return () if "events" in scopes else ("events",)


def read_message(headers: Any) -> PushMessage:
    return PushMessage(
        subscription_id=headers.get("Orbit-Subscription", ""),
        secret=headers.get("Orbit-Secret", ""),
        resource_id=headers.get("Orbit-Thing", ""),
        is_change={"hello": False, "changed": True}.get(headers.get("Orbit-Says", "")),
        expires_at=None,
    )
