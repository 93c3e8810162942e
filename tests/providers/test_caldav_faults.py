"""What servers, proxies and lines do wrong: nothing is lost, doubled or deleted by it, and every error has its kind."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from portal.outbound.session import guarded_session
from providers.calendars.base import CalendarRef, RemoteEvent
from providers.calendars.caldav import wire
from providers.calendars.caldav.calendars import CalDavCalendars
from providers.errors import (
    AccessRevoked,
    BadAnswer,
    Conflict,
    Gone,
    Misconfigured,
    PermissionMissing,
    ProviderError,
    SyncTokenExpired,
    Temporary,
)
from tests.providers.caldav_people import CalDavPerson, vcalendar
from tests.providers.contract import HOUR, NINE, WINDOW, by_id, draft, read
from tests.providers.servers import RadicaleServer
from tests.providers.stand_in import Answer, Asked, StandIn

XML = {"Content-Type": "application/xml; charset=utf-8"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadicaleServer]:
    with RadicaleServer(tmp_path_factory.mktemp("radicale")) as running:
        yield running


@pytest.fixture
def real_url(server: RadicaleServer, request: pytest.FixtureRequest) -> str:
    return server.make_calendar("ana", f"f{abs(hash(request.node.nodeid)):x}")


@pytest.fixture
def between(server: RadicaleServer) -> Iterator[StandIn]:
    with StandIn(server.port) as stand_in:
        yield stand_in


@pytest.fixture
def calendar(between: StandIn, real_url: str) -> CalendarRef:
    return CalendarRef(remote_id=between.url + real_url.split("/", 3)[3], zone="Europe/Madrid")


@pytest.fixture
def provider(between: StandIn) -> Iterator[CalDavCalendars]:
    provider = open_through(between)
    yield provider
    provider.close()


@pytest.fixture
def person(server: RadicaleServer, real_url: str) -> CalDavPerson:
    return CalDavPerson(server, real_url)


def open_through(stand_in: StandIn, url: str | None = None) -> CalDavCalendars:
    return CalDavCalendars(
        url=url or stand_in.url,
        username="ana",
        password="secret",
        http_session=guarded_session(allow=[f"127.0.0.1:{stand_in.port}"]),
    )


def put(provider: CalDavCalendars, calendar: CalendarRef, etag: str | None = None, **changes: object) -> object:
    made = draft(**changes)
    return provider.put(calendar, made, remote_id=provider.remote_id_for(calendar, made.uid), if_match=etag)


def multistatus(*rows: str, token: str = "") -> Answer:
    tail = f"<D:sync-token>{token}</D:sync-token>" if token else ""
    spaces = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"'
    body = f"<?xml version='1.0'?><D:multistatus {spaces}>{''.join(rows)}{tail}</D:multistatus>"
    return Answer(207, dict(XML), body.encode())


def row(href: str, props: str = "", status: str = "200 OK") -> str:
    return (
        f"<D:response><D:href>{href}</D:href><D:propstat><D:prop>{props}</D:prop>"
        f"<D:status>HTTP/1.1 {status}</D:status></D:propstat></D:response>"
    )


# Answers that get lost


def test_a_create_whose_answer_is_lost_is_found_to_stand(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef
) -> None:
    between.lose_answer_once("PUT")
    receipt = put(provider, calendar)
    event = provider.get(calendar, provider.remote_id_for(calendar, draft().uid), window=WINDOW)
    assert (event.etag, event.content_hash) == (receipt.etag, receipt.content_hash)  # type: ignore[attr-defined]
    assert len(read(provider, calendar).upserts) == 1


def test_a_change_whose_answer_is_lost_is_found_to_stand(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef
) -> None:
    first = put(provider, calendar)
    between.lose_answer_once("PUT")
    put(provider, calendar, first.etag, start_at=NINE + HOUR, end_at=NINE + 2 * HOUR, sequence=1)  # type: ignore[attr-defined]
    (event,) = read(provider, calendar).upserts
    assert (event.start_at, event.sequence) == (NINE + HOUR, 1)


def test_a_worker_that_died_after_a_change_meets_its_own_work(provider: CalDavCalendars, calendar: CalendarRef) -> None:
    first = put(provider, calendar)
    later = {"start_at": NINE + HOUR, "end_at": NINE + 2 * HOUR, "sequence": 1}
    done = put(provider, calendar, first.etag, **later)  # type: ignore[attr-defined]
    again = put(provider, calendar, first.etag, **later)  # type: ignore[attr-defined]
    assert again == done


def test_a_delete_whose_answer_is_lost_is_done(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef
) -> None:
    receipt = put(provider, calendar)
    between.lose_answer_once("DELETE")
    provider.delete(calendar, receipt.remote_id, if_match=receipt.etag)  # type: ignore[attr-defined]
    with pytest.raises(Gone):
        provider.get(calendar, receipt.remote_id, window=WINDOW)  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_after_the_write_is_looked_into(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, status: int
) -> None:
    between.spoil = lambda asked, answer: Answer(status) if asked.method == "PUT" else answer
    put(provider, calendar)
    assert len(read(provider, calendar).upserts) == 1


def test_a_write_that_never_arrived_is_temporary(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef
) -> None:
    between.once("PUT", Answer(is_lost=True))
    with pytest.raises(Temporary):
        put(provider, calendar)
    assert read(provider, calendar).upserts == ()
    put(provider, calendar)
    assert len(read(provider, calendar).upserts) == 1


def test_a_server_that_is_down_is_temporary(provider: CalDavCalendars, calendar: CalendarRef, between: StandIn) -> None:
    between.script = lambda asked: Answer(is_lost=True)
    for work in (
        lambda: provider.list_calendars(),
        lambda: read(provider, calendar),
        lambda: read(provider, calendar, "token"),
        lambda: put(provider, calendar),
        lambda: provider.delete(calendar, "/x.ics", if_match=None),
        lambda: provider.get(calendar, "/x.ics", window=WINDOW),
        lambda: provider.busy(calendar, WINDOW),
    ):
        with pytest.raises(Temporary):
            work()


def test_every_write_carries_its_condition(between: StandIn, provider: CalDavCalendars, calendar: CalendarRef) -> None:
    first = put(provider, calendar)
    second = put(provider, calendar, first.etag, sequence=1)  # type: ignore[attr-defined]
    provider.delete(calendar, second.remote_id, if_match=second.etag)  # type: ignore[attr-defined]
    writes = [asked for asked in between.asked if asked.method in ("PUT", "DELETE")]
    conditions = [(asked.headers.get("If-None-Match"), asked.headers.get("If-Match")) for asked in writes]
    assert conditions == [("*", None), (None, first.etag), (None, second.etag)]  # type: ignore[attr-defined]


# Refusals


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("status", [429, 503])
def test_the_server_says_when_to_come_back(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, status: int, form: str
) -> None:
    in_two_minutes = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    between.always("REPORT", Answer(status, {"Retry-After": "120" if form == "seconds" else in_two_minutes}))
    with pytest.raises(Temporary) as caught:
        read(provider, calendar)
    assert 115 <= (caught.value.retry_after or 0) <= 120


@pytest.mark.parametrize("value", ["soon", "-5", "99999999999"])
def test_a_silly_retry_after_is_no_trouble(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, value: str
) -> None:
    between.always("REPORT", Answer(503, {"Retry-After": value}))
    with pytest.raises(Temporary) as caught:
        provider.busy(calendar, WINDOW)
    assert 0 <= (caught.value.retry_after or 0) <= 86_400


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "", AccessRevoked),
        (403, "", PermissionMissing),
        (403, "<D:error xmlns:D='DAV:'><D:need-privileges/></D:error>", PermissionMissing),
        (404, "", (Misconfigured, Gone)),
        (405, "", Misconfigured),
        (423, "", Temporary),
        (500, "", Temporary),
        (507, "", (PermissionMissing, Temporary)),
        (302, "", (Misconfigured, BadAnswer)),
        (418, "", BadAnswer),
    ],
)
@pytest.mark.parametrize("work", ["list", "read", "busy", "put"])
def test_each_refusal_has_its_kind(
    between: StandIn,
    provider: CalDavCalendars,
    calendar: CalendarRef,
    status: int,
    body: str,
    kind: type[ProviderError],
    work: str,
) -> None:
    between.script = lambda asked: Answer(status, {**XML, "WWW-Authenticate": "Basic realm=x"}, body.encode())
    with pytest.raises(ProviderError) as caught:
        {
            "list": lambda: provider.list_calendars(),
            "read": lambda: read(provider, calendar),
            "busy": lambda: provider.busy(calendar, WINDOW),
            "put": lambda: put(provider, calendar),
        }[work]()
    accepted = (kind if isinstance(kind, tuple) else (kind,)) + ((Misconfigured,) if work in ("list", "read") else ())
    assert isinstance(caught.value, accepted)
    assert len(str(caught.value)) > 20
    assert "secret" not in str(caught.value)


def test_apples_refusal_names_the_app_specific_password() -> None:
    from providers.calendars.caldav.errors import error_of
    from providers.calendars.caldav.wire import DavAnswer

    error = error_of(DavAnswer("https://p12-caldav.icloud.com/1/calendars/", 401, {}, b""))
    assert isinstance(error, AccessRevoked)
    assert "app-specific password" in str(error)


def test_basic_is_chosen_among_several_schemes_and_digest_where_it_is_the_only_one() -> None:
    challenges = ['X-MobileMe-AuthToken realm="x", Basic realm="x"', 'Digest realm="x", nonce="n", qop="auth"']
    for challenge, scheme in zip(challenges, ("Basic", "Digest"), strict=True):
        with StandIn() as alone:

            def script(asked: Asked, challenge: str = challenge, scheme: str = scheme) -> Answer:
                if not asked.headers.get("Authorization", "").startswith(scheme):
                    return Answer(401, {"WWW-Authenticate": challenge})
                return multistatus(row("/c/", "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>"))

            alone.script = script
            assert [found.name for found in open_through(alone, f"{alone.url}c/").list_calendars()] == ["c"]


def test_a_rejected_password_is_not_tried_again_and_again(between: StandIn, provider: CalDavCalendars) -> None:
    between.script = lambda asked: Answer(401, {"WWW-Authenticate": 'Digest realm="x", nonce="n", qop="auth"'})
    with pytest.raises(AccessRevoked):
        provider.list_calendars()
    assert len(between.asked) <= 3


# Answers that are none


PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in</body></html>"
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>'
    b'<D:multistatus xmlns:D="DAV:">&d;&d;&d;&d;&d;</D:multistatus>'
)
FILE = (
    b'<?xml version="1.0"?><!-- <a> --><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>'
    b'<D:multistatus xmlns:D="DAV:">&f;</D:multistatus>'
)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"Content-Type": "text/html"}, PAGE),
        Answer(207, {"Content-Type": "text/html"}, PAGE),
        Answer(207, XML, PAGE),
        Answer(207, XML, BOMB),
        Answer(207, XML, FILE),
        Answer(207, XML, BOMB.decode().encode("utf-16")),
        Answer(207, XML, BOMB.decode().encode("utf-16-le")),
        Answer(207, XML, BOMB.decode().encode("utf-32")),
        Answer(207, XML, b"\xef\xbb\xbf\n" + FILE),
        Answer(207, {}, b"<?xml version='1.0' encoding='utf-7'?>" + BOMB.decode().partition("?>")[2].encode("utf-7")),
        Answer(207, XML, b""),
        Answer(207, XML, b"<D:multistatus xmlns:D='DAV:'><D:response>"),
        Answer(207, XML, b"<other/>"),
        Answer(207, XML, b"<a>" * 5_000),
        Answer(207, XML, b"<a " + b"x='1' " * 5 + b">\xff\xfe</a>"),
        Answer(207, {"Content-Type": "application/json"}, b'{"error": "no"}'),
        Answer(207, {"Content-Type": "text/xml", "Content-Encoding": "gzip"}, b"not gzip at all"),
    ],
    ids=range(17),
)
@pytest.mark.parametrize("work", ["busy", "delta", "listing"])
def test_an_answer_that_is_none_is_a_bad_answer_and_deletes_nothing(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, answer: Answer, work: str
) -> None:
    between.always("REPORT", answer)
    started = time.perf_counter()
    if work == "listing":
        # The change feed makes no sense, so the calendar is listed the other way; fetching then fails as it must.
        put_behind(between, provider, calendar)
    does = {
        "busy": lambda: provider.busy(calendar, WINDOW),
        "delta": lambda: read(provider, calendar, "token", {"/known.ics": "1"}),
        "listing": lambda: read(provider, calendar, None, {"/known.ics": "1"}),
    }
    with pytest.raises((BadAnswer, SyncTokenExpired)):
        does[work]()
    assert time.perf_counter() - started < 3


def put_behind(between: StandIn, provider: CalDavCalendars, calendar: CalendarRef) -> None:
    script, between.script = between.script, lambda asked: None
    put(provider, calendar)
    between.script = script


def test_an_answer_cut_off_on_the_way_is_no_answer(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    person.add_event("Dentist", NINE, NINE + HOUR)

    def cut(asked: Asked, answer: Answer) -> Answer:
        if asked.method == "REPORT":
            answer.cut_at = len(answer.body) // 2
        return answer

    between.spoil = cut
    with pytest.raises((Temporary, BadAnswer)):
        read(provider, calendar)
    with pytest.raises((Temporary, BadAnswer)):
        provider.busy(calendar, WINDOW)


def test_a_slow_answer_ends_with_the_budget(between: StandIn, calendar: CalendarRef) -> None:
    session = guarded_session(allow=["127.0.0.1"])
    provider = CalDavCalendars(url=between.url, username="ana", password="secret", http_session=session)
    between.spoil = lambda asked, answer: replace(answer, seconds=2.0)
    started = time.monotonic()
    with session.budget(0.5), pytest.raises(Temporary):
        provider.busy(calendar, WINDOW)
    assert time.monotonic() - started < 1.5


# Going elsewhere


def test_credentials_never_go_to_another_place(
    between: StandIn, calendar: CalendarRef, provider: CalDavCalendars
) -> None:
    with StandIn() as stranger:
        stranger.script = lambda asked: multistatus()
        between.script = lambda asked: Answer(302, {"Location": f"{stranger.url}dav/"})
        for work in (
            lambda: provider.list_calendars(),
            lambda: read(provider, calendar),
            lambda: put(provider, calendar),
        ):
            with pytest.raises(Misconfigured, match="another place"):
                work()
        between.script = lambda asked: multistatus(
            row("/", f"<C:calendar-home-set><D:href>{stranger.url}home/</D:href></C:calendar-home-set>")
        )
        provider.list_calendars()
        assert stranger.asked == []


def test_a_redirect_within_the_house_is_followed_three_times(
    between: StandIn, calendar: CalendarRef, provider: CalDavCalendars
) -> None:
    path = calendar.remote_id.split("/", 3)[3]

    def moved(asked: Asked) -> Answer | None:
        for step, then in (("/moved-0", "/moved-1"), ("/moved-1", "/moved-2"), ("/moved-2", f"/{path}")):
            if asked.path == step:
                return Answer(301, {"Location": then})
        return None

    between.script = moved
    provider = open_through(between, f"{between.url}moved-0")
    assert calendar.remote_id in [found.remote_id for found in provider.list_calendars()]
    between.script = lambda asked: Answer(301, {"Location": "/again"})
    with pytest.raises(Misconfigured, match="circles"):
        provider.list_calendars()


def test_redirects_that_take_their_time_do_not_add_up(
    between: StandIn, provider: CalDavCalendars, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "REDIRECT_SECONDS", 0.2)
    between.script = lambda asked: Answer(301, {"Location": f"{asked.path}x"}, seconds=0.15)
    with pytest.raises(Temporary, match="on and on"):
        provider.list_calendars()
    assert len(between.asked) <= 3


def test_nothing_but_the_guarded_session_is_used(monkeypatch: pytest.MonkeyPatch, between: StandIn) -> None:
    import requests

    session = guarded_session(allow=["127.0.0.1"])
    used = []
    send = requests.Session.send

    def watched(self: requests.Session, *args: object, **options: object) -> object:
        used.append(self)
        return send(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.Session, "send", watched)
    CalDavCalendars(url=between.url, username="ana", password="secret", http_session=session).list_calendars()
    assert set(used) == {session}


# Etags


def test_a_server_that_gives_no_etag_is_asked_for_it(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef
) -> None:
    def without(asked: Asked, answer: Answer) -> Answer:
        if asked.method == "PUT":
            answer.headers = {name: value for name, value in answer.headers.items() if name.lower() != "etag"}
        return answer

    between.spoil = without
    receipt = put(provider, calendar)
    put(provider, calendar, receipt.etag, sequence=1)  # type: ignore[attr-defined]
    assert [event.sequence for event in read(provider, calendar).upserts] == [1]


def test_weak_etags_are_exchanged_for_strong_ones(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef
) -> None:
    def weaken(asked: Asked, answer: Answer) -> Answer:
        return replace(answer, headers={n: f"W/{v}" if n.lower() == "etag" else v for n, v in answer.headers.items()})

    between.spoil = weaken
    receipt = put(provider, calendar)
    assert not receipt.etag.startswith("W/")  # type: ignore[attr-defined]
    put(provider, calendar, receipt.etag, sequence=1)  # type: ignore[attr-defined]
    provider.delete(calendar, receipt.remote_id, if_match=None)  # type: ignore[attr-defined]


def test_a_storm_of_412_ends_by_meaning_and_doubles_nothing(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    """A proxy that rewrites etags makes every conditional write fail, though nobody changes the event."""
    first = put(provider, calendar)

    def refuse(asked: Asked) -> Answer | None:
        is_conditional = "If-Match" in asked.headers or "If-None-Match" in asked.headers
        return Answer(412) if asked.method in ("PUT", "DELETE") and is_conditional else None

    between.script = refuse
    put(provider, calendar, first.etag, sequence=1)  # type: ignore[attr-defined]
    put(provider, calendar, None, sequence=2)
    assert [event.sequence for event in read(provider, calendar).upserts] == [2]
    current = provider.get(calendar, first.remote_id, window=WINDOW)  # type: ignore[attr-defined]
    provider.delete(calendar, current.remote_id, if_match=current.etag)
    assert read(provider, calendar).upserts == ()


def test_a_storm_of_412_never_costs_a_stranger_his_event(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    remote_id = provider.remote_id_for(calendar, draft().uid)
    person.add_event("Not yours", NINE, NINE + HOUR, remote_id=remote_id)
    theirs = provider.get(calendar, remote_id, window=WINDOW)
    between.always("PUT", Answer(412))
    for etag in (None, theirs.etag, '"other"'):
        with pytest.raises(Conflict):
            put(provider, calendar, etag)
    assert "PUT" in between.methods()
    assert "Not yours" in person.text(remote_id)


def test_a_server_may_choose_another_address_for_our_event(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, real_url: str
) -> None:
    chosen = f"/{calendar.remote_id.split('/', 3)[3]}chosen-by-the-server.ics"

    def elsewhere(asked: Asked) -> Answer | None:
        if asked.method != "PUT" or asked.path == chosen:
            return None
        headers = {**asked.headers}
        answer = between.forward(Asked("PUT", chosen, headers, asked.body))
        answer.headers["Location"] = chosen
        return answer

    between.script = elsewhere
    receipt = put(provider, calendar)
    assert receipt.remote_id == chosen  # type: ignore[attr-defined]
    assert by_id(read(provider, calendar)).keys() == {chosen}


@pytest.mark.parametrize(
    ("status", "tag"),
    [
        (409, "no-uid-conflict"),
        (412, "no-uid-conflict"),
        (403, "no-uid-conflict"),
        (403, "unique-scheduling-object-resource"),
    ],
)
def test_a_taken_uid_that_cannot_be_found_is_a_conflict(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, status: int, tag: str
) -> None:
    body = f'<D:error xmlns:D="DAV:"><C:{tag} xmlns:C="urn:ietf:params:xml:ns:caldav"/></D:error>'.encode()
    between.always("PUT", Answer(status, XML, body))
    with pytest.raises(Conflict, match="identity"):
        put(provider, calendar)


@pytest.mark.parametrize("status", [403, 409, 412])
def test_an_event_the_server_calls_invalid_is_no_conflict(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, status: int
) -> None:
    body = b'<D:error xmlns:D="DAV:"><C:valid-calendar-data xmlns:C="urn:ietf:params:xml:ns:caldav"/></D:error>'
    between.always("PUT", Answer(status, XML, body))
    with pytest.raises(BadAnswer, match="as we wrote it"):
        put(provider, calendar)


# Change feeds


@pytest.mark.parametrize("status", [200, 400, 403, 405, 409, 410, 412, 418, 500, 501, 507])
def test_whatever_is_no_change_feed_makes_the_token_expire(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, status: int
) -> None:
    token = read(provider, calendar).next_token
    body = b'<D:error xmlns:D="DAV:"><D:valid-sync-token/></D:error>'
    between.always("REPORT", Answer(status, XML, body))
    with pytest.raises(SyncTokenExpired):
        read(provider, calendar, token)


def test_a_refused_empty_token_is_answered_by_a_listing(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    path = person.add_event("Dentist", NINE, NINE + HOUR)
    between.script = lambda asked: Answer(403) if b"<D:sync-token></D:sync-token>" in asked.body else None
    batch = read(provider, calendar)
    assert (by_id(batch).keys(), batch.is_complete) == ({path}, True)
    added = person.add_event("Later", NINE, NINE + HOUR)
    assert by_id(read(provider, calendar, batch.next_token)).keys() == {added}


def test_a_server_without_change_feed_is_listed_when_its_ctag_changes(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    path = person.add_event("Dentist", NINE, NINE + HOUR)

    def without_sync(asked: Asked, answer: Answer) -> Answer:
        if asked.method == "PROPFIND":
            answer.body = answer.body.replace(b"sync-collection", b"something-else").replace(b"sync-token", b"x-token")
        return answer

    between.spoil = without_sync
    between.script = lambda asked: Answer(501) if b"sync-collection" in asked.body else None
    first = read(provider, calendar)
    assert (by_id(first).keys(), first.is_complete) == ({path}, True)
    assert first.next_token
    known = {path: by_id(first)[path].etag}
    quiet = read(provider, calendar, first.next_token, known)
    assert (quiet.upserts, quiet.removals, quiet.is_complete, quiet.next_token) == ((), (), False, first.next_token)
    person.remove_event(path)
    added = person.add_event("Later", NINE, NINE + HOUR)
    then = read(provider, calendar, first.next_token, known)
    assert (by_id(then).keys(), then.unchanged, then.is_complete) == ({added}, frozenset(), True)


def test_a_feed_that_is_cut_off_is_followed_to_its_end(between: StandIn, calendar: CalendarRef) -> None:
    path = "/" + calendar.remote_id.split("/", 3)[3]
    cut_off = f"<D:response><D:href>{path}</D:href><D:status>HTTP/1.1 507 Insufficient Storage</D:status></D:response>"
    gone = f"<D:response><D:href>{path}gone.ics</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>"
    pages = {
        b"": multistatus(row(f"{path}1.ics", "<D:getetag>1</D:getetag>"), cut_off, token="t1"),
        b"t1": multistatus(row(f"{path}2.ics", "<D:getetag>2</D:getetag>"), gone, cut_off, token="t2"),
        b"t2": multistatus(row(f"{path}1.ics", "<D:getetag>1b</D:getetag>"), token="t3"),
    }

    def script(asked: Asked) -> Answer | None:
        if b"sync-collection" in asked.body:
            return pages[asked.body.partition(b"<D:sync-token>")[2].partition(b"</D:sync-token>")[0]]
        if b"multiget" in asked.body:
            named = [part.partition(b"<")[0].decode() for part in asked.body.split(b"<D:href>")[1:]]
            return multistatus(*(row(href, data(href)) for href in named))
        return None

    def data(href: str) -> str:
        return f"<C:calendar-data>{vcalendar(f'UID:{href}' + TIMES)}</C:calendar-data>"

    between.script = script
    provider = open_through(between)
    batch = read(provider, calendar, None)
    assert {event.remote_id: event.etag for event in batch.upserts} == {f"{path}1.ics": "1b", f"{path}2.ics": "2"}
    assert (batch.next_token, batch.is_complete) == ("t3", True)


TIMES = "\nDTSTART:20270301T090000Z\nDTEND:20270301T100000Z"


def test_a_feed_without_end_is_left(between: StandIn, provider: CalDavCalendars, calendar: CalendarRef) -> None:
    path = "/" + calendar.remote_id.split("/", 3)[3]
    cut_off = f"<D:response><D:href>{path}</D:href><D:status>HTTP/1.1 507 Insufficient Storage</D:status></D:response>"
    numbers = iter(range(10_000))
    between.always("REPORT", multistatus(cut_off, token="same"))
    with pytest.raises(BadAnswer, match="end"):
        read(provider, calendar, "token")
    between.script = lambda asked: multistatus(cut_off, token=f"t{next(numbers)}") if asked.method == "REPORT" else None
    with pytest.raises(BadAnswer, match="end"):
        read(provider, calendar, "token")
    assert next(numbers) <= 110


def test_a_dead_token_answered_with_everything_is_seen_through(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    """Some servers forget a token silently and list all they have, without a word about what is gone."""
    for number in range(12):
        person.add_event(f"No {number}", NINE, NINE + HOUR)
    first = read(provider, calendar)
    known = {path: event.etag for path, event in by_id(first).items()}
    person.remove_event(next(iter(known)))
    between.script = lambda asked: (
        between.forward(replace(asked, body=asked.body.replace(b">dead<", b"><"))) if asked.method == "REPORT" else None
    )
    with pytest.raises(SyncTokenExpired):
        read(provider, calendar, "dead", known)


def test_an_object_that_cannot_be_had_is_not_taken_for_deleted(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    kept, hidden = (person.add_event(name, NINE, NINE + HOUR) for name in ("Kept", "Hidden"))

    def hide(asked: Asked) -> Answer | None:
        if asked.path == hidden:
            return Answer(404)
        body = asked.body.replace(f"<D:href>{hidden}</D:href>".encode(), b"")
        return between.forward(replace(asked, body=body)) if body != asked.body else None

    between.script = hide
    for known in ({kept: "old", hidden: "old"}, {}):
        batch = read(provider, calendar, None, known)
        found = by_id(batch)
        assert (found.keys(), batch.removals, batch.is_complete) == ({kept, hidden}, (), True)
        assert (found[kept].is_unread, found[hidden].is_unread) == (False, True)
        assert found[hidden].problem
        assert found[hidden].etag == ""
        assert batch.next_token is None, "so that the calendar is listed again, and it is asked for once more"


def test_one_poisoned_object_among_fifty_hides_no_other(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    paths = [person.add_event(f"No {number}", NINE + number * HOUR, NINE + (number + 1) * HOUR) for number in range(50)]

    def poison(asked: Asked, answer: Answer) -> Answer:
        if b"multiget" in asked.body:
            answer.body = answer.body.replace(b"SUMMARY:No 7\n", b"RRULE:FREQ=NEVER\nSUMMARY:No 7\n")
            answer.body = answer.body.replace(b"20270301T200000Z", b"not a time at all")
        return answer

    between.spoil = poison
    batch = read(provider, calendar)
    assert by_id(batch).keys() == set(paths)
    flagged = [event for event in batch.upserts if event.problem]
    assert 2 <= len(flagged) <= 4
    assert len([event for event in batch.upserts if event.busy]) >= 48


@pytest.mark.parametrize("kind", ["500", "huge"])
def test_one_object_over_which_the_server_fails_hides_no_other(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson, kind: str
) -> None:
    paths = [person.add_event(f"No {number}", NINE, NINE + HOUR) for number in range(10)]
    huge = multistatus(row(paths[3], f"<C:calendar-data>{'x' * 11_000_000}</C:calendar-data>"))

    def fail(asked: Asked) -> Answer | None:
        if paths[3] not in (asked.path, *asked.body.decode().replace("<", ">").split(">")):
            return None
        if kind == "500":
            return Answer(500)
        return huge if b"multiget" in asked.body else Answer(200, {"Content-Type": "text/calendar"}, b"x" * 11_000_000)

    between.script = fail
    found = by_id(read(provider, calendar))
    assert found.keys() == set(paths)
    assert [path for path, event in found.items() if event.problem] == [paths[3]]
    assert (found[paths[3]].etag, found[paths[3]].is_unread) == ("", True)


def test_what_a_multiget_fails_over_is_asked_for_by_itself(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    paths = [person.add_event(f"No {number}", NINE, NINE + HOUR) for number in range(5)]
    between.script = lambda asked: (
        Answer(500) if b"multiget" in asked.body and paths[3].encode() in asked.body else None
    )
    batch = read(provider, calendar)
    assert [event.problem for event in batch.upserts] == [None] * 5
    assert batch.next_token


SPELLINGS = {
    "as it spelt it": lambda name: f"{name}%40host.ics",
    "plain": lambda name: f"{name}@host.ics",
    "small escapes": lambda name: f"{name}%c3%a9.ics",
    "great escapes": lambda name: f"{name}%C3%A9.ics",
    "escaped letters": lambda name: f"%65{name}.ics",
    "a slash within": lambda name: f"a%2F{name}.ics",
    "a blank": lambda name: f"my%20{name}.ics",
    "two accents": lambda name: f"{name}e%CC%81.ics",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("answers", ["alike", "whole addresses", "nothing but single objects", "composed"])
def test_a_server_is_asked_for_its_objects_in_its_own_spelling(
    between: StandIn, calendar: CalendarRef, spelling: Callable[[str], str], answers: str
) -> None:
    home = "/" + calendar.remote_id.split("/", 3)[3]
    base = between.url.rstrip("/") if answers == "whole addresses" else ""
    count = 80 if answers != "nothing but single objects" else 10
    hrefs = [f"{base}{home}{spelling(f'ev{number:02}')}" for number in range(count)]
    texts = {
        href: vcalendar(f"UID:{n}\nDTSTART:20270301T{n % 20:02}0000Z\nDTEND:20270301T{n % 20:02}3000Z")
        for n, href in enumerate(hrefs)
    }

    def script(asked: Asked) -> Answer | None:
        if b"sync-collection" in asked.body:
            return multistatus(*(row(href, "<D:getetag>1</D:getetag>") for href in hrefs), token="t")
        if b"multiget" in asked.body:
            named = [part.partition("<")[0] for part in asked.body.decode().split("<D:href>")[1:]]
            known = [href for href in named if href in texts and answers != "nothing but single objects"]
            composed = (lambda href: href.replace("e%CC%81", "%C3%A9")) if answers == "composed" else str
            return multistatus(*(row(composed(h), f"<C:calendar-data>{texts[h]}</C:calendar-data>") for h in known))
        if asked.method == "GET":
            text = texts.get(base + asked.path)
            return Answer(200, {"ETag": '"1"'}, text.encode()) if text else Answer(404)
        return None

    if answers == "nothing but single objects" and spelling in (
        SPELLINGS["small escapes"],
        SPELLINGS["escaped letters"],
    ):
        return  # to a GET these are one spelling (RFC 3986 section 6.2.2), and every client writes them so
    between.script = script
    provider = open_through(between)
    batch = read(provider, calendar)
    assert [event.problem for event in batch.upserts] == [None] * count
    assert len({event.remote_id for event in batch.upserts}) == count
    assert sum(len(event.busy) for event in batch.upserts) == count
    provider.close()


@pytest.mark.parametrize("spoilt", ["", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART:2027"], ids=["empty", "cut off"])
def test_an_entry_that_comes_empty_or_in_part_is_asked_for_again_and_else_said_to_be_unread(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson, spoilt: str
) -> None:
    path = person.add_event("Dentist", NINE, NINE + HOUR)
    data = f"<D:getetag>1</D:getetag><C:calendar-data>{spoilt}</C:calendar-data>"
    between.script = lambda asked: multistatus(row(path, data)) if b"multiget" in asked.body else None
    (event,) = read(provider, calendar).upserts
    assert (event.problem, len(event.busy)) == (None, 1)
    between.script = lambda asked: (
        multistatus(row(path, data)) if b"multiget" in asked.body
        else Answer(200, {"ETag": '"1"'}, spoilt.encode()) if asked.method == "GET" else None
    )  # fmt: skip
    batch = read(provider, calendar)
    assert [bool(event.problem) for event in batch.upserts] == [True]
    assert batch.next_token is None


def test_a_server_without_any_etag_is_read_anew_each_time(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    """Neither its listing nor its objects have one, nor is there a change feed or a ctag."""
    path = person.add_event("Dentist", NINE, NINE + HOUR)

    def without_etags(asked: Asked, answer: Answer) -> Answer:
        answer.headers.pop("ETag", None)
        for name in (b"getetag", b"getctag", b"sync-collection", b"sync-token"):
            answer.body = answer.body.replace(name, b"x-" + name)
        return answer

    between.spoil = without_etags
    between.script = lambda asked: Answer(501) if b"sync-collection" in asked.body else None
    first = by_id(read(provider, calendar))[path]
    assert (first.etag, first.busy) == ("", ((NINE, NINE + HOUR),))
    person.move_event(path, NINE + HOUR)
    again = by_id(read(provider, calendar, None, {path: ""}))[path]
    assert again.busy == ((NINE + HOUR, NINE + 2 * HOUR),)


@pytest.mark.parametrize("feed", ["change feed", "ctag", "constant ctag"])
def test_an_event_moved_in_place_is_noticed_whatever_the_server_says_of_versions(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson, feed: str
) -> None:
    """With a change feed or a true ctag even under the same etag for ever; with a ctag that stays as it is, by the etags."""
    path = person.add_event("Dentist", NINE, NINE + HOUR)

    def spoil(asked: Asked, answer: Answer) -> Answer:
        if feed != "constant ctag":
            answer.headers = {**answer.headers, "ETag": '"same"'}
            answer.body = re.sub(rb"(getetag>)[^<]+", rb"\1&quot;same&quot;", answer.body)
        else:
            answer.body = re.sub(rb"(getctag>)[^<]+", rb"\1same", answer.body)
        if feed != "change feed":
            answer.body = answer.body.replace(b"sync-collection", b"x").replace(b"sync-token", b"x-token")
        return answer

    between.spoil = spoil
    between.script = lambda asked: Answer(501) if b"sync-collection" in asked.body and feed != "change feed" else None
    first = read(provider, calendar)
    assert first.next_token
    known = {path: by_id(first)[path].etag}
    person.move_event(path, NINE + HOUR)
    batch = read(provider, calendar, first.next_token, known)
    assert by_id(batch)[path].busy == ((NINE + HOUR, NINE + 2 * HOUR),)


SPACE = b" " * 50_000_000
HEAD = b"<D:multistatus xmlns:D='DAV:'>"


@pytest.mark.skipif(sys.platform != "linux", reason="It looks at its memory in /proc.")
def test_an_answer_with_too_much_is_never_held_whole(between: StandIn) -> None:
    """Large ones, and small ones that unpack or unfold to more, are refused with a sentence, and with little of them in memory."""
    answers = {
        "/large/": Answer(207, XML, HEAD + SPACE + b"</D:multistatus>"),
        "/unpacks-large/": Answer(207, {**XML, "Content-Encoding": "gzip"}, gzip.compress(HEAD + SPACE, 1)),
        "/many-rows/": Answer(207, XML, HEAD + b"<D:response/>" * 1_000_000),
        "/many-parts/": Answer(207, XML, HEAD + b"<D:response>" + b"<x/>" * 3_000_000),
        "/refusal/": Answer(500, XML, b"<D:error xmlns:D='DAV:'>" + SPACE[:9_000_000]),
        "/page/": Answer(200, {"Content-Type": "text/html"}, SPACE),
    }
    between.script = lambda asked: answers[asked.path]
    code = """if True:
        import re, sys
        from pathlib import Path
        from tests.providers.test_caldav_faults import CalendarRef, open_through, read
        from providers.errors import ProviderError
        from tests.providers.stand_in import StandIn
        server, *paths = sys.argv[1:]
        between = StandIn()
        between.url, between.port = server, server.split(":")[2].strip("/")
        provider = open_through(between)
        most = lambda: int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
        before = most()
        for path in paths:
            try:
                read(provider, CalendarRef(remote_id=server.rstrip("/") + path, zone="UTC"))
            except ProviderError as error:
                print(error)
        print(most() - before)
    """
    run = subprocess.run(
        [sys.executable, "-c", code, between.url, *answers], capture_output=True, text=True, check=True
    )
    *sentences, megabytes = run.stdout.splitlines()
    assert len(sentences) == len(answers)
    assert int(megabytes) < 40


def test_a_server_that_gives_no_entry_at_all_is_out_of_order(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    for number in range(5):
        person.add_event(f"No {number}", NINE, NINE + HOUR)
    between.script = lambda asked: Answer(500) if b"multiget" in asked.body else None
    with pytest.raises(Temporary):
        read(provider, calendar)


def test_two_objects_of_one_uid_both_take_time(
    between: StandIn, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
) -> None:
    one, two = (person.add_event(name, NINE + n * HOUR, NINE + (n + 1) * HOUR) for n, name in enumerate(("One", "Two")))
    uids = [line for path in (one, two) for line in person.text(path).splitlines() if line.startswith("UID")]

    def same_uid(asked: Asked, answer: Answer) -> Answer:
        return replace(answer, body=answer.body.replace(uids[1].encode(), uids[0].encode()))

    between.spoil = same_uid
    found = by_id(read(provider, calendar))
    assert found[one].uid == found[two].uid
    assert found[one].busy != found[two].busy
    assert all(isinstance(event, RemoteEvent) and event.busy for event in found.values())
