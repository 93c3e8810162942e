"""The way to Google: what is sent with each request, through which session, and what it costs a process that never needs it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from providers.calendars.google.errors import Unclear
from providers.calendars.google.pace import Pace
from providers.calendars.google.wire import LISTING_BYTES, USUAL_BYTES, GoogleWire
from providers.errors import AccessRevoked

API = "https://calendar.example:8443/google"


class Session:
    """Records what would be sent, and answers what it was told to."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.answer_limit = 0

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        self.asked.append({"method": method, "url": url, "limit": self.answer_limit, **options})
        answer = requests.Response()
        answer.status_code, answer._content = self.answers.pop(0) if self.answers else (200, b"{}")
        return answer


class Tokens:
    def __init__(self) -> None:
        self.rejected: list[str] = []

    def current(self) -> str:
        return "first"

    def renew(self, rejected: str) -> str:
        self.rejected.append(rejected)
        return "second"


def wire(session: Session, tokens: Tokens | None = None, api_url: str = API) -> GoogleWire:
    return GoogleWire(tokens=tokens or Tokens(), account_name="", api_url=api_url, http_session=session, pace=Pace())


@pytest.mark.parametrize("api_url", [API, API + "/"])
def test_every_method_goes_to_the_address_that_was_set(api_url: str) -> None:
    session = Session(*[(200, b"{}")] * 6, (204, b""), (204, b""))
    way = wire(session, api_url=api_url)
    place = {"calendarId": "ana@x.example", "eventId": "a/../b#1"}
    for name, parameters in {
        "calendarList.list": {},
        "events.list": {"calendarId": "c"},
        "events.get": place,
        "events.insert": {"calendarId": "c", "body": {}},
        "events.patch": {**place, "body": {}},
        "events.watch": {"calendarId": "c", "body": {}},
        "events.delete": place,
        "channels.stop": {"body": {}},
    }.items():
        way.send(name, **parameters)
    assert all(asked["url"].startswith(API + "/calendar/v3/") for asked in session.asked)
    assert urlsplit(session.asked[2]["url"]).path.endswith("/calendars/ana%40x.example/events/a%2F..%2Fb%231")


def test_what_goes_along_with_a_request() -> None:
    session = Session()
    wire(session).send("events.patch", calendarId="c", eventId="e", body={"summary": "Zoë\n😀"}, if_match='"7"')
    (asked,) = session.asked
    headers = {name.lower(): value for name, value in asked["headers"].items()}
    assert headers["authorization"] == "Bearer first"
    assert (headers["if-match"], headers["content-type"]) == ('"7"', "application/json")
    assert "content-length" not in headers
    assert (asked["timeout"], asked["allow_redirects"], asked["limit"]) == ((5.0, 20.0), False, USUAL_BYTES)
    assert json.loads(asked["data"]) == {"summary": "Zoë\n😀"}


def test_a_page_of_a_list_may_be_large_and_slow_and_the_next_request_may_not() -> None:
    session = Session()
    way = wire(session)
    list(way.pages("events.list", calendarId="c"))
    way.send("events.get", calendarId="c", eventId="e")
    assert [(asked["limit"], asked["timeout"][1]) for asked in session.asked] == [
        (LISTING_BYTES, 60.0),
        (USUAL_BYTES, 20.0),
    ]


def test_pages_are_asked_for_by_their_tokens_with_the_same_question() -> None:
    session = Session((200, b'{"nextPageToken": "p2"}'), (200, b'{"nextPageToken": "p3"}'), (200, b"{}"))
    assert len(list(wire(session).pages("events.list", calendarId="c", syncToken="s"))) == 3
    questions = [parse_qs(urlsplit(asked["url"]).query) for asked in session.asked]
    assert [question.get("pageToken") for question in questions] == [None, ["p2"], ["p3"]]
    assert {question["syncToken"][0] for question in questions} == {"s"}


def test_another_token_is_asked_for_once() -> None:
    session, tokens = Session((401, b""), (200, b'{"id": "e"}')), Tokens()
    assert wire(session, tokens).send("events.get", calendarId="c", eventId="e") == {"id": "e"}
    assert tokens.rejected == ["first"]
    assert [asked["headers"]["Authorization"] for asked in session.asked] == ["Bearer first", "Bearer second"]
    session, tokens = Session((401, b""), (401, b""), (200, b"{}")), Tokens()
    with pytest.raises(AccessRevoked):
        wire(session, tokens).send("events.get", calendarId="c", eventId="e")
    assert (len(session.asked), tokens.rejected) == (2, ["first"])


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"id": "e'])
def test_an_answer_that_is_none_is_unclear(body: bytes) -> None:
    with pytest.raises(Unclear):
        wire(Session((200, body))).send("events.get", calendarId="c", eventId="e")


@pytest.mark.parametrize("method", ["events.delete", "channels.stop"])
def test_nothing_is_the_right_answer_only_where_nothing_is_answered(method: str) -> None:
    parameters: dict[str, Any] = {"body": {}} if method == "channels.stop" else {"calendarId": "c", "eventId": "e"}
    assert wire(Session((204, b""))).send(method, **parameters) == {}
    with pytest.raises(Unclear):
        wire(Session((200, b"<html></html>"))).send(method, **parameters)


def test_what_does_not_exist_at_google_cannot_be_asked() -> None:
    with pytest.raises(TypeError):
        wire(Session()).send("events.list", calendarId="c", sinceForever=True)


def test_somebody_in_a_hurry_asks_the_same_without_the_library() -> None:
    parameters = {
        "calendarId": "ana@x.example/#",
        "singleEvents": True,
        "maxResults": 2500,
        "timeMin": "2027-03-01T09:00:00Z",
    }
    answers = (200, b'{"nextPageToken": "n"}'), (200, b"{}")
    usual, hurried = Session(*answers), Session(*answers)
    assert list(wire(usual).pages("events.list", **parameters)) == [{"nextPageToken": "n"}, {}]
    assert list(wire(hurried).pages("events.list", is_hurried=True, **parameters)) == [{"nextPageToken": "n"}, {}]
    assert [_address(row["url"]) for row in hurried.asked] == [_address(row["url"]) for row in usual.asked]
    assert [row["timeout"] for row in hurried.asked] == [row["timeout"] for row in usual.asked]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items": ['])
def test_an_answer_that_is_none_is_unclear_to_them_too(body: bytes) -> None:
    with pytest.raises(Unclear):
        list(wire(Session((200, body))).pages("events.list", is_hurried=True, calendarId="c"))


def _address(url: str) -> tuple[str, dict[str, list[str]]]:
    parts = urlsplit(url)
    return parts.path, {name: value for name, value in parse_qs(parts.query).items() if name != "alt"}


def test_a_process_that_never_asks_google_or_has_only_a_last_look_does_not_load_its_library() -> None:
    code = (
        "import sys, portal.app, providers.kinds, providers.calendars.google.calendars\n"
        "from tests.unit.providers.google.test_wire import Session, wire\n"
        "list(wire(Session()).pages('events.list', is_hurried=True, calendarId='c'))\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] in ('googleapiclient', 'httplib2')]\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
