"""The stand-in for tests: `GoogleServer` runs it as a process of its own, `GoogleAccount` is a person with an account there.

    with GoogleServer(folder) as google:
        ana = google.account("ana@gmail.example")
        ana.add_event(ana.email, "Dentist", start_at, end_at)

Everything a person or Google itself does goes over the control of `control.Hands`; refusals there raise ValueError.
"""

from __future__ import annotations

import html
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from tests.google.control import HEADER
from tests.google.oauth import DEFAULT_SCOPES
from tests.providers.servers import START_SECONDS, end_with_us, free_port

__all__ = ["DEFAULT_SCOPES", "GoogleAccount", "GoogleServer"]

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]


class GoogleServer:
    """One stand-in. `start` waits until it answers; `stop` ends only the process that was started here. All is forgotten then."""

    client_id = "1234-lockstep.apps.googleusercontent.com"
    client_secret = "GOCSPX-stand-in"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> Self:
        """Start it; on the port it had before, if it is started again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        command = [sys.executable, "-m", "tests.google", "--port", str(self.port)]
        command += ["--client-id", self.client_id, "--client-secret", self.client_secret]
        with (self.folder / "google.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [*end_with_us(), *command], stdout=log, stderr=log, start_new_session=True, cwd=ROOT
            )
        self._wait()
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

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

    def do(self, name: str, **arguments: Any) -> Any:
        """One act of the control. Raises ValueError when it is refused."""
        answer = self._session.post(
            f"{self.url}/control", json={"do": name, **arguments}, headers={HEADER: "1"}, timeout=60
        )
        told = answer.json()
        if "error" in told:
            raise ValueError(f"{name}: {told['error']}")
        return told["result"]

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "google.txt").read_text(errors="replace")[-3000:]
            try:
                if self._session.get(f"{self.url}/control", timeout=5).ok:
                    return
            except requests.RequestException:
                time.sleep(0.05)
        raise AssertionError(
            f"The stand-in for Google did not start:\n{(self.folder / 'google.txt').read_text()[-3000:]}"
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class GoogleAccount:
    """A person and her account. Times are aware datetimes; events are the API's resources, as her own calendar shows them."""

    def __init__(self, google: GoogleServer, email: str) -> None:
        self.google = google
        self.email = email

    def grant(self, scopes: Iterable[str] = DEFAULT_SCOPES) -> Json:
        """Tokens without a browser: access_token, refresh_token, expires_in, scope, id_token."""
        found: Json = self._do("grant", scopes=list(scopes))
        return found

    def grant_state(self) -> Json:
        """granted, scopes, refresh_tokens, access_tokens."""
        found: Json = self._do("grant_state")
        return found

    def revoke(self) -> None:
        """In her Google account: all tokens of the grant die."""
        self._do("revoke")

    def expire_access_tokens(self) -> None:
        self._do("expire_access_tokens")

    def age_grant(self, days: float) -> None:
        """As if she had consented so many days earlier; after seven, refresh tokens of a project in "Testing" are dead."""
        self._do("age_grant", days=days)

    def make_calendar(
        self, name: str, role: str = "owner", zone: str | None = None, *, calendar_id: str | None = None, meetings: bool = True
    ) -> str:  # fmt: skip
        """A calendar in her list; gives its id."""
        made = self._do("make_calendar", name=name, role=role, zone=zone, calendar_id=calendar_id, meetings=meetings)
        return str(made)

    def share(self, calendar_id: str, role: str) -> None:
        """The calendar appears in her list, or her role in it changes."""
        self._do("share", calendar_id=calendar_id, role=role)

    def unshare(self, calendar_id: str) -> None:
        """The calendar is not shared with her any more."""
        self._do("unshare", calendar_id=calendar_id)

    def add_event(
        self, calendar_id: str, summary: str, start_at: datetime | date, end_at: datetime | date, **fields: Any
    ) -> str:
        """An event; dates in place of instants make whole days. `fields` as in the API. Gives its id."""
        body = {"summary": summary, "start": _time(start_at), "end": _time(end_at), **fields}
        return str(self.add(calendar_id, body)["id"])

    def add(self, calendar_id: str, body: Json) -> Json:
        """An event as the API describes it, of any type and with any id; gives it as it stands."""
        found: Json = self._do("add", calendar_id=calendar_id, body=body)
        return found

    def add_many(self, calendar_id: str, events: Sequence[tuple[str, datetime, datetime]]) -> list[str]:
        """Many events (summary, start, end) at once; their ids."""
        bodies = [{"summary": summary, "start": _time(start), "end": _time(end)} for summary, start, end in events]
        found: list[str] = self._do("add_many", calendar_id=calendar_id, bodies=bodies)
        return found

    def patch(self, calendar_id: str, event_id: str, body: Json) -> Json:
        """A change as in events.patch, of a single occurrence too (id `<series>_<time>`)."""
        found: Json = self._do("patch", calendar_id=calendar_id, event_id=event_id, body=body)
        return found

    def move_event(self, calendar_id: str, event_id: str, start_at: datetime) -> Json:
        """To another start, as long as before."""
        found: Json = self._do("move_event", calendar_id=calendar_id, event_id=event_id, start_at=start_at.isoformat())
        return found

    def remove_event(self, calendar_id: str, event_id: str) -> None:
        self._do("remove_event", calendar_id=calendar_id, event_id=event_id)

    def events(self, calendar_id: str, show_deleted: bool = False) -> list[Json]:
        """All that stands in a calendar: single events, series as one, changed occurrences."""
        found: list[Json] = self.google.do("events", calendar_id=calendar_id, show_deleted=show_deleted)
        return found

    def event(self, calendar_id: str, event_id: str) -> Json:
        """One event, also a deleted one. Raises ValueError when there never was one."""
        found: Json = self.google.do("event", calendar_id=calendar_id, event_id=event_id)
        return found

    def forget_sync_tokens(self, calendar_id: str) -> None:
        """All sync tokens given so far are answered 410."""
        self.google.do("forget_sync_tokens", calendar_id=calendar_id)

    def consent(self, auth_url: str, untick: Collection[str] = (), deny: bool = False) -> str:
        """Answer the page behind `auth_url` as this person, over HTTP; gives the address where the browser is sent.

        `untick` names scopes whole or by their end ("calendar.events"). Raises ValueError when the page shows a mistake.
        """
        session = requests.Session()
        session.trust_env = False
        page = session.get(auth_url, timeout=20, allow_redirects=False)
        if page.status_code == 302:
            return page.headers["Location"]
        if page.status_code != 200:
            raise ValueError(re.sub(r"<[^>]+>|\s+", " ", page.text).strip())
        fields = [
            (name, html.unescape(value))
            for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
        ]
        boxes = [html.unescape(value) for value in re.findall(r'name="ticked" value="([^"]*)"', page.text)]
        ticked = [
            ("ticked", box) for box in boxes if not any(box == name or box.endswith(f"/{name}") for name in untick)
        ]
        form = [*fields, *ticked, ("other", self.email), ("decision", "deny" if deny else "allow")]
        parts = urlsplit(auth_url)
        answer = session.post(
            f"{parts.scheme}://{parts.netloc}{parts.path}", data=form, timeout=20, allow_redirects=False
        )
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def _do(self, name: str, **arguments: Any) -> Any:
        return self.google.do(name, email=self.email, **arguments)


def _time(at: datetime | date) -> Json:
    if isinstance(at, datetime):
        return {"dateTime": at.isoformat()}
    return {"date": at.isoformat()}
