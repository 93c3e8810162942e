"""One stand-in for all tests of this folder, with an account for each, and Google's own client library to speak to it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httplib2
import pytest
import requests
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.errors import HttpError

from tests.support.google_person import GoogleAccount
from tests.support.google_server import DEFAULT_SCOPES, GoogleServer

Json = dict[str, Any]
CALENDAR = "https://www.googleapis.com/auth/calendar"
_numbers = itertools.count(1)


class Api:
    """Google's Python client as one account, every address turned to the stand-in."""

    def __init__(self, google: GoogleServer, token: str) -> None:
        self.google, self.token = google, token
        self.service, self.http = _service(google.url), _Http(token)

    def __call__(self, name: str, *, headers: dict[str, str] | None = None, **parameters: Any) -> Json:
        """The answer of one method: `api("events.list", calendarId="primary")`."""
        resource, method = name.split(".")
        request = getattr(getattr(self.service, resource)(), method)(**parameters)
        request.headers.update(headers or {})
        found: Json = request.execute(http=self.http)
        return found

    def refusal(self, name: str, **parameters: Any) -> tuple[int, str]:
        """(status, reason) of the refusal that must come."""
        with pytest.raises(HttpError) as caught:
            self(name, **parameters)
        error = json.loads(caught.value.content)["error"]
        assert error["code"] == caught.value.resp.status
        assert {"message", "domain", "reason"} <= error["errors"][0].keys()
        return error["code"], error["errors"][0]["reason"]

    def insert(self, calendar_id: str = "primary", **body: Any) -> Json:
        """An event at ten tomorrow, unless said otherwise."""
        more = {name: body.pop(name) for name in ("conferenceDataVersion", "sendUpdates") if name in body}
        return self("events.insert", calendarId=calendar_id, body={**hours(10, 11), **body}, **more)

    def all(self, **parameters: Any) -> list[Json]:
        """All pages of events.list."""
        return self.pages(**parameters)[0]

    def pages(self, **parameters: Any) -> tuple[list[Json], str]:
        """(all events of a list, its sync token)."""
        items: list[Json] = []
        token = None
        for _ in range(500):
            page = self("events.list", **{"calendarId": "primary", **parameters}, pageToken=token)
            items += page["items"]
            token = page.get("nextPageToken")
            assert token is None or "nextSyncToken" not in page
            if token is None:
                return items, page.get("nextSyncToken", "")
        raise AssertionError("The list does not end.")

    def raw(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request past the library, which would not let wrong ones through."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return requests.request(method, f"{self.google.url}/calendar/v3/{path}", headers=headers, timeout=20, **options)


class _Http(httplib2.Http):  # type: ignore[misc]
    def __init__(self, token: str) -> None:
        super().__init__(timeout=20)
        self._token = token

    def request(self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **more: Any) -> Any:
        return super().request(uri, method, body, {**(headers or {}), "authorization": f"Bearer {self._token}"}, **more)


@cache
def _service(url: str) -> Any:
    document = json.loads(get_static_doc("calendar", "v3"))
    document.update(rootUrl=f"{url}/", baseUrl=f"{url}/calendar/v3/")
    return build_from_document(document, http=httplib2.Http())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleServer]:
    with GoogleServer(tmp_path_factory.mktemp("google")) as google:
        yield google


@pytest.fixture
def google(server: GoogleServer) -> Iterator[GoogleServer]:
    """The stand-in with every switch as it was. What violates Google's shapes without being expected to fails the test."""
    server.clear_violations()
    yield server
    server.clear_faults()
    for name, value in SWITCHES.items():
        server.do("switch", name=name, value=value)
    assert server.violations() == []


@pytest.fixture
def ana(google: GoogleServer) -> GoogleAccount:
    """A person of the test's own."""
    return google.account(f"ana{next(_numbers)}@gmail.example")


@pytest.fixture
def api(google: GoogleServer, ana: GoogleAccount) -> Api:
    """Ana's access with the portal's scopes."""
    return Api(google, ana.grant()["access_token"])


@pytest.fixture
def api_for(google: GoogleServer) -> Callable[..., Api]:
    def made(person: GoogleAccount, scopes: Any = DEFAULT_SCOPES) -> Api:
        return Api(google, person.grant(scopes)["access_token"])

    return made


SWITCHES = {
    "latency": 0.0, "rotates_refresh_tokens": False, "access_token_life": 3599.0, "is_testing_mode": True,
    "meeting_delay": 0.0, "has_empty_pages": False, "push_delay": 0.0, "quota": 0,
}  # fmt: skip


def tomorrow(hour: int = 0, minute: int = 0) -> datetime:
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return day + timedelta(hours=hour, minutes=minute)


def hours(start: int, end: int, *, day: int = 0, zone: str = "UTC") -> Json:
    """`start` and `end` so many days after tomorrow."""
    return {
        name: {"dateTime": (tomorrow(hour) + timedelta(days=day)).isoformat(), "timeZone": zone}
        for name, hour in (("start", start), ("end", end))
    }


def ids(events: list[Json]) -> list[str]:
    return [event["id"] for event in events]
