"""Servers with ways of their own: objects under hrefs that they choose, letters beyond ASCII, people under several addresses."""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterator

import pytest

from portal.outbound.session import guarded_session
from providers.calendars.base import CalendarRef
from providers.calendars.caldav.calendars import CalDavCalendars
from providers.calendars.ical.mapping import read_event
from providers.calendars.own_addresses import plain
from providers.errors import AccessRevoked, Conflict, Misconfigured, ProviderError
from tests.providers.caldav_people import vcalendar
from tests.providers.contract import HOUR, NINE, WINDOW, draft, read
from tests.providers.stand_in import Answer, Asked, StandIn
from tests.providers.test_caldav_faults import multistatus, row

HOME = "/ana/house/"


class WilfulServer:
    """Stores what is new under a href of its own, and says 201, no ETag, and no Location. `knows` are the questions that it answers."""

    def __init__(self, *, knows: str, has_etags: bool) -> None:
        self.objects: dict[str, bytes] = {}
        self._numbers = itertools.count(1)
        self._knows, self._has_etags = knows, has_etags

    def answer(self, asked: Asked) -> Answer:
        if asked.method == "PUT":
            return self._put(asked)
        if asked.method == "DELETE":
            return Answer(204 if self.objects.pop(asked.path, None) is not None else 404)
        if asked.method == "GET":
            text = self.objects.get(asked.path)
            return Answer(404) if text is None else Answer(200, self._headers(text), text)
        if b"multiget" in asked.body:
            named = re.findall(rb"<D:href>([^<]*)", asked.body)
            return multistatus(*(self._row(href.decode()) for href in named if href.decode() in self.objects))
        if b"calendar-query" in asked.body:
            kind = "uid" if b'"UID"' in asked.body else "time"
            if kind not in self._knows:
                return Answer(501)
            uid = (re.search(rb"<C:text-match[^>]*>([^<]*)", asked.body) or [b"", b"UID:"])[1]
            return multistatus(*(self._row(href) for href, text in self.objects.items() if uid in text))
        return multistatus(row(HOME, "<D:resourcetype><D:collection/></D:resourcetype>"), *map(self._row, self.objects))

    def _put(self, asked: Asked) -> Answer:
        is_new = asked.path not in self.objects
        if is_new and "If-Match" in asked.headers:
            return Answer(412)
        path = f"{HOME}{next(self._numbers)}.ics" if is_new else asked.path
        self.objects[path] = asked.body
        return Answer(201 if is_new else 204)

    def _row(self, href: str) -> str:
        etag = f"<D:getetag>{self._etag(self.objects[href])}</D:getetag>" if self._has_etags else ""
        return row(href, f"{etag}<C:calendar-data>{self.objects[href].decode()}</C:calendar-data>")

    def _headers(self, text: bytes) -> dict[str, str]:
        return {"ETag": self._etag(text)} if self._has_etags else {}

    def _etag(self, text: bytes) -> str:
        return f'"{hash(text)}"'


@pytest.fixture
def between() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


def open_at(between: StandIn, username: str = "ana", password: str = "secret") -> CalDavCalendars:
    session = guarded_session(allow=[f"127.0.0.1:{between.port}"])
    return CalDavCalendars(url=between.url, username=username, password=password, http_session=session)


@pytest.fixture
def provider(between: StandIn) -> Iterator[CalDavCalendars]:
    opened = open_at(between)
    yield opened
    opened.close()


def calendar_at(between: StandIn) -> CalendarRef:
    return CalendarRef(remote_id=between.url.rstrip("/") + HOME, zone="Europe/Madrid")


@pytest.mark.parametrize("has_etags", [True, False], ids=["etags", "no etags"])
@pytest.mark.parametrize("knows", ["uid", "time", "nothing"])
def test_an_event_under_a_href_of_the_servers_own_is_one_and_gone_at_the_end(
    between: StandIn, provider: CalDavCalendars, knows: str, has_etags: bool
) -> None:
    server = WilfulServer(knows=knows, has_etags=has_etags)
    between.script = server.answer
    calendar, made = calendar_at(between), draft()
    asked_for = provider.remote_id_for(calendar, made.uid)
    receipt = provider.put(calendar, made, remote_id=asked_for, if_match=None)
    assert list(server.objects) == [receipt.remote_id]
    assert receipt.remote_id != asked_for
    moved = draft(start_at=NINE + HOUR, end_at=NINE + 2 * HOUR)
    for _ in range(2):  # the second is the repeat after a crash
        receipt = provider.put(calendar, moved, remote_id=receipt.remote_id, if_match=receipt.etag)
    assert provider.get(calendar, receipt.remote_id, window=WINDOW).start_at == NINE + HOUR
    assert len(server.objects) == 1
    provider.delete(calendar, receipt.remote_id, if_match=receipt.etag)
    assert server.objects == {}


def test_what_repeats_left_there_is_taken_away(between: StandIn, provider: CalDavCalendars) -> None:
    """Killed before it knew where its event stands, a worker writes it again; and may then only be told to take it away."""
    server = WilfulServer(knows="uid", has_etags=True)
    between.script = server.answer
    calendar, made = calendar_at(between), draft()
    asked_for = provider.remote_id_for(calendar, made.uid)
    provider.put(calendar, made, remote_id=asked_for, if_match=None)
    receipt = provider.put(calendar, made, remote_id=asked_for, if_match=None)
    assert list(server.objects) == [receipt.remote_id]
    provider.delete(calendar, asked_for, if_match=None)
    assert server.objects == {}


def test_somebody_elses_event_of_another_identity_is_left_alone(between: StandIn, provider: CalDavCalendars) -> None:
    server = WilfulServer(knows="nothing", has_etags=True)
    server.objects[f"{HOME}dentist.ics"] = vcalendar(
        "UID:dentist\nDTSTART:20270301T090000Z\nDTEND:20270301T100000Z"
    ).encode()
    between.script = server.answer
    calendar, made = calendar_at(between), draft()
    receipt = provider.put(calendar, made, remote_id=provider.remote_id_for(calendar, made.uid), if_match=None)
    provider.delete(calendar, receipt.remote_id, if_match=receipt.etag)
    assert list(server.objects) == [f"{HOME}dentist.ics"]


def test_an_event_that_the_server_moved_is_not_called_gone(between: StandIn, provider: CalDavCalendars) -> None:
    server = WilfulServer(knows="uid", has_etags=True)
    between.script = server.answer
    calendar, made = calendar_at(between), draft()
    receipt = provider.put(calendar, made, remote_id=provider.remote_id_for(calendar, made.uid), if_match=None)
    server.objects[f"{HOME}renamed.ics"] = server.objects.pop(receipt.remote_id)
    with pytest.raises(Conflict) as caught:
        provider.put(calendar, draft(summary="Other"), remote_id=receipt.remote_id, if_match=receipt.etag)
    assert caught.value.current.remote_id == f"{HOME}renamed.ics"  # type: ignore[attr-defined]


# Signing in


def wants(username: str, password: str, charset: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode(charset)).decode()


@pytest.mark.parametrize(
    ("username", "password", "charset"),
    [
        ("ana", "pä:ß", "utf-8"), ("ana", "p€ß", "utf-8"), ("ana", "密码", "utf-8"), ("zoë", "secret", "utf-8"), ("安娜", "密码", "utf-8"),
        ("ana", "pä:ß", "iso-8859-1"), ("zoë", "pä", "iso-8859-1"), ("ana", "pa\u0308", "utf-8"),
    ],
)  # fmt: skip
def test_letters_beyond_ascii_open_the_account(between: StandIn, username: str, password: str, charset: str) -> None:
    composed = password.replace("a\u0308", "ä")
    right = wants(username, composed, charset)
    between.script = lambda asked: (
        multistatus(row("/", "<D:resourcetype><D:collection/></D:resourcetype>"))
        if asked.headers.get("Authorization") == right
        else Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
    )
    provider = open_at(between, username, password)
    provider.list_calendars()
    refused = len(between.asked)
    provider.list_calendars()
    assert all(asked.headers["Authorization"] == right for asked in between.asked[refused:]), "what works is kept"
    provider.close()


def test_a_password_that_is_refused_in_both_spellings_is_asked_for_anew(between: StandIn) -> None:
    between.script = lambda asked: Answer(401, {"WWW-Authenticate": 'Basic realm="x", charset="UTF-8"'})
    provider = open_at(between, "ana", "pä:ß")
    with pytest.raises(AccessRevoked):
        provider.list_calendars()
    assert len(between.asked) == 2
    provider.close()


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ana", "a\nb"),
        ("ana", "a\x00"),
        ("ana\t", "b"),
        ("ana", "\x7f"),
        ("a:b", "c"),
        ("ana", "\udc80"),
        ("ana", "x\x85"),
    ],
)
def test_what_no_server_could_be_told_is_refused_with_a_sentence(
    between: StandIn, username: str, password: str
) -> None:
    with pytest.raises(Misconfigured, match=r"character|colon"):
        open_at(between, username, password)


def test_digest_with_letters_that_it_does_not_know_is_a_sentence(between: StandIn) -> None:
    between.script = lambda asked: Answer(401, {"WWW-Authenticate": 'Digest realm="x", nonce="1", qop="auth"'})
    provider = open_at(between, "安娜", "密码")
    with pytest.raises(ProviderError):
        provider.list_calendars()
    provider.close()


# Whose invitation it is


@pytest.mark.parametrize(
    "attendee",
    [
        "ATTENDEE;PARTSTAT=DECLINED:mailto:ana@studio.example",
        "ATTENDEE;PARTSTAT=DECLINED:MAILTO:Ana@Studio.Example",
        "ATTENDEE;PARTSTAT=declined:mailto:ana.ruiz@other.example",
        "ATTENDEE;PARTSTAT=DECLINED:/principals/users/ana/",
        "ATTENDEE;PARTSTAT=DECLINED:https://dav.example/principals/users/ana",
        "ATTENDEE;PARTSTAT=DECLINED;EMAIL=ana@studio.example:urn:uuid:0000",
        "ATTENDEE;PARTSTAT=DECLINED:urn:uuid:aaaa-1",
        "ATTENDEE;PARTSTAT=DECLINED:URN:UUID:AAAA-1",
    ],
)
@pytest.mark.parametrize("answers", ["mailto", "nothing"])
def test_who_declined_is_known_by_the_addresses_that_the_server_names(
    between: StandIn, provider: CalDavCalendars, attendee: str, answers: str
) -> None:
    """The sign-in's name is `ana`, which is no address."""
    named = ("mailto:ANA@studio.example", "mailto:ana.ruiz@other.example", "/principals/users/ana/", "urn:uuid:aaaa-1")
    addresses = "".join(f"<D:href>{address}</D:href>" for address in named)
    text = vcalendar(f"UID:1\n{attendee}\nDTSTART:20270301T090000Z\nDTEND:20270301T100000Z")

    def script(asked: Asked) -> Answer:
        if b"current-user-principal" in asked.body and answers == "mailto":
            return multistatus(
                row(asked.path, "<D:current-user-principal><D:href>/p/</D:href></D:current-user-principal>")
            )
        if b"calendar-user-address-set" in asked.body:
            return multistatus(row("/p/", f"<C:calendar-user-address-set>{addresses}</C:calendar-user-address-set>"))
        if b"multiget" in asked.body:
            return multistatus(row(f"{HOME}1.ics", f"<C:calendar-data>{text}</C:calendar-data>"))
        if b"sync-collection" in asked.body:
            return multistatus(row(f"{HOME}1.ics", "<D:getetag>1</D:getetag>"), token="t")
        kind = "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>"
        return multistatus(row(HOME, kind))

    between.script = script
    batch = read(provider, calendar_at(between))
    is_known = answers == "mailto"
    assert [len(event.busy) for event in batch.upserts] == [0 if is_known else 1]
    expected = {"ana@studio.example", "ana.ruiz@other.example", "/principals/users/ana", "urn:uuid:aaaa-1"}
    assert (batch.own_addresses or frozenset()) >= (expected if is_known else set())


def test_an_invitation_accepted_under_another_own_address_takes_time() -> None:
    lines = "\n".join(
        f"ATTENDEE;PARTSTAT={said}:mailto:{who}@x.example" for said, who in (("DECLINED", "a"), ("ACCEPTED", "b"))
    )
    text = vcalendar(f"UID:1\n{lines}\nDTSTART:20270301T090000Z\nDTEND:20270301T100000Z")
    own = frozenset({"a@x.example", "b@x.example"})
    assert len(read_event(text, remote_id="/1", etag="1", window=WINDOW, zone="UTC", own_addresses=own).busy) == 1


@pytest.mark.parametrize(
    ("address", "form"),
    [
        (" MAILTO:Ana@X.example ", "ana@x.example"), ("mailto:a%40b.example?subject=x", "a@b.example"),
        ("http://h/principals/a%20b/", "/principals/a b"), ("/principals/A/", "/principals/a"), ("ana", "ana"), ("", ""),
    ],
)  # fmt: skip
def test_an_address_has_one_form(address: str, form: str) -> None:
    assert plain(address) == form
