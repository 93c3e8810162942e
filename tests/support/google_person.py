"""A person with an account at the stand-in, and what she can do there. Made by `server.GoogleServer.account`."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from providers.standins.google.people.oauth import DEFAULT_SCOPES

if TYPE_CHECKING:
    from tests.support.google_server import GoogleServer

Json = dict[str, Any]


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

    def _do(self, act: str, /, **arguments: Any) -> Any:
        return self.google.do(act, email=self.email, **arguments)


def _time(at: datetime | date) -> Json:
    if isinstance(at, datetime):
        return {"dateTime": at.isoformat()}
    return {"date": at.isoformat()}
