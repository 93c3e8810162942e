"""The stand-in for tests: `GoogleServer` runs it as a process of its own, `GoogleAccount` is a person with an account there.

    with GoogleServer(folder) as google:
        ana = google.account("ana@gmail.example")
        ana.add_event(ana.email, "Dentist", start_at, end_at)

Everything a person or Google itself does goes over the control of `providers.standins.google.control.Hands`; refusals there raise ValueError.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import requests

from providers.standins.google.control import HEADER
from providers.standins.google.people.oauth import DEFAULT_SCOPES
from tests.providers.servers import ServerProcess
from tests.support.google_person import GoogleAccount

__all__ = ["DEFAULT_SCOPES", "GoogleAccount", "GoogleServer"]

Json = dict[str, Any]


class GoogleServer(ServerProcess):
    """One stand-in. `start` waits until it answers; `stop` ends only the process that was started here. All is forgotten then."""

    client_id = "1234-lockstep.apps.googleusercontent.com"
    client_secret = "GOCSPX-stand-in"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def url(self) -> str:
        """The root of its API, as the setting has it: without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """The portal's settings for this Google."""
        return {
            "GOOGLE_CLIENT_ID": self.client_id,
            "GOOGLE_CLIENT_SECRET": self.client_secret,
            "GOOGLE_API_URL": self.url,
            "GOOGLE_AUTH_URL": f"{self.url}/o/oauth2/v2/auth",
            "GOOGLE_TOKEN_URL": f"{self.url}/token",
            "GOOGLE_REVOKE_URL": f"{self.url}/revoke",
            "OUTBOUND_ALLOW": "127.0.0.1",
        }

    def account(self, email: str, *, zone: str = "UTC") -> GoogleAccount:
        """A person; made when first named, with a primary calendar whose id is the address."""
        self.do("account", email=email, zone=zone)
        return GoogleAccount(self, email)

    def fault(
        self,
        method: str | None = None,
        path: str | None = None,
        kind: str = "status",
        status: int | None = None,
        reason: str = "",
        times: int = 1,
        retry_after: float | None = None,
        seconds: float = 1.0,
        message: str = "",
    ) -> None:
        """Spoil the next `times` requests that match: see `faults.Fault`. `method` is "POST", or a name such as "events.insert"."""
        self.do(
            "fault", method=method, path=path, kind=kind, status=status, reason=reason, times=times,
            retry_after=retry_after, seconds=seconds, message=message,
        )  # fmt: skip

    def clear_faults(self) -> None:
        self.do("clear_faults")

    def latency(self, seconds: float) -> None:
        """How long every answer of the API and of the token endpoint takes at least."""
        self.do("switch", name="latency", value=seconds)

    def rotate_refresh_tokens(self, is_on: bool = True) -> None:
        """A refresh brings a new refresh token; the first use of that ends the old one."""
        self.do("switch", name="rotates_refresh_tokens", value=is_on)

    def access_token_life(self, seconds: float) -> None:
        """Of tokens given from now on."""
        self.do("switch", name="access_token_life", value=seconds)

    def testing_mode(self, is_on: bool) -> None:
        """Whether grants end after seven days (they do, unless this is switched off)."""
        self.do("switch", name="is_testing_mode", value=is_on)

    def meeting_delay(self, seconds: float) -> None:
        """Meetings are `pending` so long before they have a link."""
        self.do("switch", name="meeting_delay", value=seconds)

    def empty_pages(self, is_on: bool = True) -> None:
        """Before every page of a list comes an empty one."""
        self.do("switch", name="has_empty_pages", value=is_on)

    def push_delay(self, seconds: float) -> None:
        """How late push messages come."""
        self.do("switch", name="push_delay", value=seconds)

    def quota(self, requests_a_minute: int) -> None:
        """More from one account in a minute are answered 403 userRateLimitExceeded; 0 is no limit."""
        self.do("switch", name="quota", value=requests_a_minute)

    def redirect_addresses(self, *addresses: str) -> None:
        """The redirect addresses entered for the client; none entered: any of this machine, and any HTTPS."""
        self.do("redirect_addresses", addresses=addresses)

    def log(self, since: int = 0) -> list[Json]:
        """Requests to the API and the token endpoints after number `since`: no, method, path, query, status, account, api, fault ..."""
        found: list[Json] = self.do("log", since=since)
        return found

    def violations(self) -> list[str]:
        """What no well-made client would send, and what the stand-in itself did wrong. A test should find it empty."""
        found: list[str] = self.do("violations")
        return found

    def clear_violations(self) -> None:
        self.do("clear_violations")

    def mails(self) -> list[Json]:
        """Mails that Google would have sent to guests, because somebody asked for it with `sendUpdates`."""
        found: list[Json] = self.do("mails")
        return found

    def channels(self) -> list[Json]:
        """Live push channels, with `address`, `calendar_id` and the last messages `sent`."""
        found: list[Json] = self.do("channels")
        return found

    def push(self, calendar_id: str) -> int:
        """One more message to each channel of the calendar, now; gives their number."""
        return int(self.do("push", calendar_id=calendar_id))

    def do(self, act: str, /, **arguments: Any) -> Any:
        """One act of the control. Raises ValueError when it is refused."""
        answer = self._session.post(
            f"{self.url}/control", json={"do": act, **arguments}, headers={HEADER: "1"}, timeout=60
        )
        told = answer.json()
        if "error" in told:
            raise ValueError(f"{act}: {told['error']}")
        return told["result"]

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "providers.standins.google", "--port", str(self.port)]
        return [*command, "--client-id", self.client_id, "--client-secret", self.client_secret]

    def _answers(self) -> bool:
        return self._session.get(f"{self.url}/control", timeout=5).ok
