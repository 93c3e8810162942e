"""What Google, its limits and the lines do wrong: nothing is lost, doubled or deleted by it, nobody is stormed, and every error has its kind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from providers.calendars.base import CalendarRef, Receipt, RemoteEvent
from providers.calendars.content import draft_hash
from providers.calendars.google.calendars import GoogleCalendars
from providers.calendars.google.errors import Declined, Unclear
from providers.calendars.google.pace import Pace
from providers.errors import (
    AccessRevoked,
    Conflict,
    Gone,
    Misconfigured,
    PermissionMissing,
    ProviderError,
    QuotaUsedUp,
    SyncTokenExpired,
    Temporary,
    Throttled,
)
from tests.providers.contract import HOUR, NINE, WINDOW, by_id, draft, read
from tests.providers.google_people import GooglePerson, Tokens, open_google
from tests.providers.stand_in import Answer, Asked, StandIn
from tests.providers.test_google import at, json_answer, known_of, last_no, put, times
from tests.support.google_server import GoogleServer

LATER = {"start_at": NINE + HOUR, "end_at": NINE + 2 * HOUR, "sequence": 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleServer]:
    with GoogleServer(tmp_path_factory.mktemp("google")) as running:
        yield running


@pytest.fixture(autouse=True)
def keeps_to_the_document(server: GoogleServer) -> Iterator[None]:
    yield
    server.clear_faults()
    assert server.violations() == []


@pytest.fixture
def account(server: GoogleServer, request: pytest.FixtureRequest) -> Any:
    return server.account(f"f{abs(hash(request.node.nodeid)):x}@gmail.example")


@pytest.fixture
def calendar(account: Any) -> CalendarRef:
    return CalendarRef(
        remote_id=account.make_calendar("Work", role="owner", zone="Europe/Madrid"), zone="Europe/Madrid"
    )


@pytest.fixture
def tokens(server: GoogleServer, account: Any) -> Tokens:
    return Tokens(server, account.grant())


@pytest.fixture
def provider(server: GoogleServer, account: Any, tokens: Tokens) -> Iterator[GoogleCalendars]:
    provider = open_google(server, account, tokens=tokens)
    yield provider
    provider.close()


@pytest.fixture
def person(account: Any, calendar: CalendarRef) -> GooglePerson:
    return GooglePerson(account, calendar.remote_id)


@pytest.fixture
def between(server: GoogleServer) -> Iterator[StandIn]:
    with StandIn(int(server.url.rsplit(":", 1)[1])) as stand_in:
        yield stand_in


@pytest.fixture
def through(account: Any, server: GoogleServer, between: StandIn, tokens: Tokens) -> Iterator[GoogleCalendars]:
    provider = open_google(server, account, tokens=tokens, url=between.url)
    yield provider
    provider.close()


def stands(provider: GoogleCalendars, calendar: CalendarRef) -> RemoteEvent:
    (event,) = read(provider, calendar).upserts
    return event


# Every row of the table, on every way in


Deed = Callable[[GoogleCalendars, CalendarRef], object]
DEEDS: dict[str, Deed] = {
    "list": lambda provider, calendar: provider.list_calendars(),
    "read": lambda provider, calendar: read(provider, calendar),
    "look": lambda provider, calendar: provider.busy(calendar, WINDOW),
    "get": lambda provider, calendar: provider.get(calendar, "abcde", window=WINDOW),
    "insert": lambda provider, calendar: put(provider, calendar),
    "patch": lambda provider, calendar: put(provider, calendar, '"1"', **LATER),
    "delete": lambda provider, calendar: provider.delete(calendar, "abcde", if_match=None),
    "capabilities": lambda provider, calendar: provider.capabilities(calendar),
}
EVERYWHERE: list[tuple[int, str, type[ProviderError]]] = [
    (400, "invalid", Declined),
    (403, "rateLimitExceeded", Throttled),
    (403, "userRateLimitExceeded", Throttled),
    (429, "rateLimitExceeded", Throttled),
    (403, "quotaExceeded", QuotaUsedUp),
    (403, "dailyLimitExceeded", QuotaUsedUp),
    (403, "insufficientPermissions", PermissionMissing),
    (403, "forbiddenForNonOrganizer", PermissionMissing),
    (403, "forbidden", PermissionMissing),
    (403, "accessNotConfigured", Misconfigured),
]


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize(("status", "reason", "kind"), EVERYWHERE)
def test_a_refusal_has_its_outcome_and_is_asked_once(
    server: GoogleServer,
    provider: GoogleCalendars,
    calendar: CalendarRef,
    deed: str,
    status: int,
    reason: str,
    kind: type[ProviderError],
) -> None:
    server.fault(kind="status", status=status, reason=reason, times=50)
    since = last_no(server)
    with pytest.raises(ProviderError) as caught:
        DEEDS[deed](provider, calendar)
    assert type(caught.value) is kind
    assert len(server.log(since)) == 1


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_out_of_order_is_temporary_and_asked_twice_at_most(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef, deed: str, status: int
) -> None:
    server.fault(kind="status", status=status, reason="backendError", times=50, retry_after=7)
    since = last_no(server)
    with pytest.raises(Temporary) as caught:
        DEEDS[deed](provider, calendar)
    assert caught.value.retry_after == 7
    # A doubtful write is looked into once.
    assert len(server.log(since)) == (2 if deed in ("insert", "patch", "delete") else 1)


@pytest.mark.parametrize("deed", DEEDS)
def test_a_web_page_in_place_of_an_answer_is_no_answer_and_will_pass(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef, deed: str
) -> None:
    server.fault(kind="html", times=50)
    with pytest.raises(Unclear):
        DEEDS[deed](provider, calendar)


@pytest.mark.parametrize("deed", DEEDS)
def test_a_line_that_breaks_is_temporary_or_unclear(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef, deed: str
) -> None:
    server.fault(kind="cut", times=50)
    with pytest.raises((Temporary, Unclear)):
        DEEDS[deed](provider, calendar)


@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed != "list"])
def test_a_calendar_that_is_no_longer_shared_is_misconfigured_whatever_is_asked(
    provider: GoogleCalendars, account: Any, calendar: CalendarRef, deed: str
) -> None:
    """Above all, an event in it is not “gone”, and its deletion no success: it may well stand."""
    account.unshare(calendar.remote_id)
    with pytest.raises(Misconfigured, match="no longer"):
        DEEDS[deed](provider, calendar)


def test_an_event_in_a_calendar_no_longer_shared_is_not_taken_for_deleted(
    provider: GoogleCalendars, account: Any, calendar: CalendarRef
) -> None:
    receipt = put(provider, calendar)
    account.unshare(calendar.remote_id)
    with pytest.raises(Misconfigured):
        provider.get(calendar, receipt.remote_id, window=WINDOW)
    with pytest.raises(Misconfigured):
        put(provider, calendar, receipt.etag, **LATER)
    with pytest.raises(Misconfigured):
        provider.delete(calendar, receipt.remote_id, if_match=receipt.etag)


@pytest.mark.parametrize("reason", ["fullSyncRequired", "updatedMinTooLongAgo"])
def test_a_change_feed_that_must_start_again_says_so(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef, reason: str
) -> None:
    first = read(provider, calendar)
    server.fault(kind="status", status=410, reason=reason, path="/events")
    with pytest.raises(SyncTokenExpired):
        read(provider, calendar, first.next_token)


def test_a_token_that_google_cannot_even_read_is_given_up(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    first = read(provider, calendar)
    server.fault(kind="status", status=400, reason="invalid", path="/events", times=2)
    with pytest.raises(SyncTokenExpired):
        read(provider, calendar, first.next_token)
    with pytest.raises(Declined):
        read(provider, calendar)


def test_a_calendar_that_may_only_be_read_refuses_to_be_written(provider: GoogleCalendars, account: Any) -> None:
    reader = CalendarRef(remote_id=account.make_calendar("Holidays", role="reader"), zone="UTC")
    assert read(provider, reader).is_complete
    with pytest.raises(PermissionMissing):
        put(provider, reader)


def test_a_scope_that_was_not_ticked_is_a_missing_permission(
    server: GoogleServer, account: Any, calendar: CalendarRef
) -> None:
    provider = open_google(
        server, account, scopes=["openid", "email", "https://www.googleapis.com/auth/calendar.calendarlist.readonly"]
    )
    assert provider.list_calendars()
    with pytest.raises(PermissionMissing, match="tick all the boxes"):
        read(provider, calendar)


# Tokens


def test_a_token_that_ended_is_renewed_once_and_the_work_goes_on(
    server: GoogleServer, provider: GoogleCalendars, account: Any, calendar: CalendarRef, tokens: Tokens
) -> None:
    account.expire_access_tokens()
    since = last_no(server)
    receipt = put(provider, calendar)
    asked = [entry["status"] for entry in server.log(since) if "/events" in entry["path"]]
    assert (asked, tokens.renewals) == ([401, 200], 1)
    assert provider.get(calendar, receipt.remote_id, window=WINDOW).mark == draft().mark


def test_a_grant_that_was_revoked_is_revoked_access(
    provider: GoogleCalendars, account: Any, calendar: CalendarRef
) -> None:
    account.revoke()
    with pytest.raises(AccessRevoked):
        read(provider, calendar)


@pytest.mark.parametrize("deed", DEEDS)
def test_a_new_token_that_is_refused_too_is_revoked_access_after_two_requests(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef, tokens: Tokens, deed: str
) -> None:
    server.fault(kind="status", status=401, reason="authError", path="/calendar/v3", times=50)
    since = last_no(server)
    with pytest.raises(AccessRevoked, match="Refresh connection"):
        DEEDS[deed](provider, calendar)
    assert tokens.renewals == 1
    assert len([entry for entry in server.log(since) if "/calendar/v3" in entry["path"]]) == 2


def test_a_refused_address_for_pushes_is_no_trouble_with_the_sign_in(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, tokens: Tokens
) -> None:
    refusal = {"error": {"code": 401, "errors": [{"domain": "global", "reason": "push.webhookUrlUnauthorized"}]}}
    between.always("POST", json_answer(refusal, 401))
    with pytest.raises(Misconfigured, match="at intervals"):
        through.subscribe(calendar, address="https://x.example/hooks/google", subscription_id="c1", secret="s")
    assert tokens.renewals == 0


@pytest.mark.parametrize("reason", ["pushNotSupportedForRequestedResource"])
def test_a_calendar_without_pushes_is_simply_read_at_intervals(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, reason: str
) -> None:
    between.always("POST", json_answer({"error": {"code": 400, "errors": [{"reason": reason}]}}, 400))
    asked = through.subscribe(calendar, address="https://x.example/hooks/google", subscription_id="c1", secret="s")
    assert asked is None


def test_a_grant_of_pushes_without_an_end_is_unclear(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef
) -> None:
    between.always("POST", json_answer({"id": "c1", "resourceId": "r"}))
    with pytest.raises(Unclear):
        through.subscribe(calendar, address="https://x.example/hooks/google", subscription_id="c1", secret="s")


# Answers that get lost


def test_a_create_whose_answer_is_lost_is_found_to_stand(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    server.fault(method="POST", path="/events", kind="lost")
    receipt = put(provider, calendar)
    event = stands(provider, calendar)
    assert (event.etag, event.content_hash) == (receipt.etag, receipt.content_hash)


def test_a_change_whose_answer_is_lost_is_found_to_stand(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    first = put(provider, calendar)
    server.fault(method="PATCH", kind="lost")
    receipt = put(provider, calendar, first.etag, **LATER)
    event = stands(provider, calendar)
    assert (event.start_at, event.sequence, event.etag) == (NINE + HOUR, 1, receipt.etag)


def test_a_change_that_never_arrived_is_not_taken_for_done(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    """Also when it changes nothing but the description, which the hash does not see."""
    first = put(provider, calendar)
    server.fault(method="PATCH", kind="status", status=503, reason="backendError")
    with pytest.raises(Temporary):
        put(provider, calendar, first.etag, description="Another")
    assert stands(provider, calendar).etag == first.etag


def test_a_change_that_changed_nothing_is_done_though_its_answer_is_lost(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    first = put(provider, calendar)
    server.fault(method="PATCH", kind="lost")
    assert put(provider, calendar, first.etag) == first


def test_no_answer_leads_elsewhere(between: StandIn, through: GoogleCalendars, calendar: CalendarRef) -> None:
    between.always("GET", Answer(302, {"Location": "http://169.254.169.254/latest"}))
    with pytest.raises(Unclear, match="in place of Google"):
        read(through, calendar)
    assert len(between.asked) == 1


def test_a_delete_whose_answer_is_lost_is_done(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    receipt = put(provider, calendar)
    server.fault(method="DELETE", kind="lost")
    provider.delete(calendar, receipt.remote_id, if_match=receipt.etag)
    with pytest.raises(Gone):
        provider.get(calendar, receipt.remote_id, window=WINDOW)


def test_a_delete_that_never_arrived_is_not_taken_for_done(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    receipt = put(provider, calendar)
    server.fault(method="DELETE", kind="status", status=503, reason="backendError")
    with pytest.raises(Temporary):
        provider.delete(calendar, receipt.remote_id, if_match=receipt.etag)
    assert stands(provider, calendar).etag == receipt.etag


@pytest.mark.parametrize("kind", ["cut", "html", "lost"])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_however_the_answer_is_spoiled_one_event_stands_as_wanted(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef, kind: str, method: str
) -> None:
    """Whether the write was carried out is Google's affair; after the next try it is, once."""
    etag = put(provider, calendar).etag if method == "PATCH" else None
    changes: dict[str, Any] = dict(LATER) if method == "PATCH" else {}
    server.fault(method=method, path="/events", kind=kind)
    try:
        put(provider, calendar, etag, **changes)
    except (Temporary, Unclear):
        put(provider, calendar, etag, **changes)
    assert stands(provider, calendar).content_hash == draft_hash(draft(**changes))


def test_half_an_answer_of_a_write_is_looked_into(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef
) -> None:
    """A whole message, by its length, but the JSON ends in the middle."""
    spoiled: list[Asked] = []

    def halve(asked: Asked, answer: Answer) -> Answer:
        if asked.method == "POST" and not spoiled:
            spoiled.append(asked)
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        return answer

    between.spoil = halve
    receipt = put(through, calendar)
    assert stands(through, calendar).etag == receipt.etag
    assert between.methods() == ["POST", "GET", "GET"]


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"null", b"{}", b'{"id": "other", "etag": "1"}', b"\xff\xff"])
def test_an_answer_that_does_not_name_the_event_is_looked_into(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, body: bytes
) -> None:
    between.spoil = lambda asked, answer: replace(answer, body=body) if asked.method == "POST" else answer
    receipt = put(through, calendar)
    assert stands(through, calendar).etag == receipt.etag


def test_a_worker_that_died_after_a_create_or_change_meets_its_own_work(
    provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    first = put(provider, calendar)
    assert put(provider, calendar) == first
    done = put(provider, calendar, first.etag, **LATER)
    assert put(provider, calendar, first.etag, **LATER) == done


def test_a_change_by_another_while_ours_is_on_its_way_is_not_overwritten(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    first = put(through, calendar)

    def meddle(asked: Asked) -> Answer | None:
        if asked.method == "PATCH":
            between.script = lambda asked: None
            person.move_event(first.remote_id, NINE + 7 * HOUR)
        return None

    between.script = meddle
    with pytest.raises(Conflict) as caught:
        put(through, calendar, first.etag, **LATER)
    assert isinstance(caught.value.current, RemoteEvent)
    assert stands(through, calendar).start_at == caught.value.current.start_at == NINE + 7 * HOUR


def test_an_adoption_that_meets_a_person_starts_again_with_what_stands(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    first = put(through, calendar)

    def meddle(asked: Asked) -> Answer | None:
        if asked.method == "PATCH":
            between.script = lambda asked: None
            person.patch(first.remote_id, colorId="5")
        return None

    between.script = meddle
    put(through, calendar, None, **LATER)
    assert stands(through, calendar).start_at == NINE + HOUR
    assert person.event(first.remote_id)["colorId"] == "5"


def test_an_event_that_changes_faster_than_it_can_be_written_is_a_conflict(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    first = put(through, calendar)

    def meddle(asked: Asked) -> Answer | None:
        if asked.method == "PATCH":
            person.patch(first.remote_id, description=str(len(between.asked)))
        return None

    between.script = meddle
    with pytest.raises(Conflict, match="faster"):
        put(through, calendar, None, **LATER)
    assert between.methods().count("PATCH") == 3


def test_a_deleted_event_of_which_google_kept_nothing_but_the_id_stands_again(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    receipt = put(through, calendar)
    person.remove_event(receipt.remote_id)

    def bare(asked: Asked, answer: Answer) -> Answer:
        event = json.loads(answer.body)
        kept = {name: event[name] for name in ("id", "etag", "status")}
        return replace(answer, body=json.dumps(kept).encode()) if event["status"] == "cancelled" else answer

    between.spoil = lambda asked, answer: bare(asked, answer) if asked.method == "GET" else answer
    put(through, calendar)
    between.spoil = lambda asked, answer: answer
    assert stands(through, calendar).mark == draft().mark


def test_a_calendar_that_takes_no_meeting_still_gets_the_event(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef
) -> None:
    refusal = {"error": {"code": 400, "errors": [{"reason": "invalid", "message": "Invalid conference type value."}]}}
    between.script = lambda asked: json_answer(refusal, 400) if b"createRequest" in asked.body else None
    receipt = put(through, calendar, wants_meeting=True)
    assert receipt.meeting_url == ""
    assert put(through, calendar, receipt.etag, wants_meeting=True, **LATER).meeting_url == ""
    assert put(through, calendar, None, wants_meeting=True, **LATER).etag
    assert stands(through, calendar).start_at == NINE + HOUR


@pytest.mark.parametrize("status", ["pending", "failure"])
def test_a_meeting_that_is_not_made_yet_has_no_link_and_is_asked_for_once(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, status: str
) -> None:
    def unfinished(asked: Asked, answer: Answer) -> Answer:
        event = json.loads(answer.body) if answer.body else {}
        if "conferenceData" not in event:
            return answer
        request = {
            "requestId": "r",
            "conferenceSolutionKey": {"type": "hangoutsMeet"},
            "status": {"statusCode": status},
        }
        event["conferenceData"] = {"createRequest": request}
        event.pop("hangoutLink", None)
        return replace(answer, body=json.dumps(event).encode())

    between.spoil = unfinished
    receipt = put(through, calendar, wants_meeting=True)
    assert receipt.meeting_url == ""
    again = put(through, calendar, wants_meeting=True)
    assert (again.etag, again.meeting_url) == (receipt.etag, "")
    between.spoil = lambda asked, answer: answer
    assert through.get(calendar, receipt.remote_id, window=WINDOW).content_hash == receipt.content_hash


# Time and patience


def test_a_server_too_slow_for_the_last_look_is_given_up_within_the_budget(
    server: GoogleServer, account: Any, calendar: CalendarRef
) -> None:
    provider = open_google(server, account)
    provider.busy(calendar, WINDOW)
    server.fault(kind="slow", seconds=3, times=50)
    started = time.monotonic()
    with pytest.raises(Temporary, match="in time"), provider._wire._session.budget(0.5):
        provider.busy(calendar, WINDOW)
    assert time.monotonic() - started < 1.5


def test_while_google_asks_for_patience_nothing_is_asked(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    server.fault(kind="status", status=429, reason="rateLimitExceeded", times=50, retry_after=30)
    since = last_no(server)
    for _ in range(20):
        with pytest.raises(Throttled) as caught:
            read(provider, calendar)
        assert caught.value.retry_after
        assert caught.value.retry_after > 25
    assert len(server.log(since)) == 1


class Impatient(Pace):
    """A pace that would let the next request through at once."""

    def slowed(self, error: Throttled) -> Throttled:
        return error


def test_a_write_that_was_refused_for_haste_is_not_looked_into(
    server: GoogleServer, account: Any, calendar: CalendarRef
) -> None:
    provider = open_google(server, account, pace=Impatient())
    server.fault(method="POST", kind="status", status=403, reason="rateLimitExceeded")
    since = last_no(server)
    with pytest.raises(Throttled):
        put(provider, calendar)
    assert len(server.log(since)) == 1


def test_a_used_up_quota_is_a_matter_of_hours(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    server.fault(kind="status", status=403, reason="quotaExceeded", times=50)
    since = last_no(server)
    for _ in range(5):
        with pytest.raises(QuotaUsedUp) as caught:
            put(provider, calendar)
        assert caught.value.retry_after == 3600
    assert len(server.log(since)) == 1


# Lists that are not as they should be


def test_a_list_that_never_ends_is_given_up(between: StandIn, through: GoogleCalendars, calendar: CalendarRef) -> None:
    between.always("GET", json_answer({"items": [], "nextPageToken": "again"}))
    with pytest.raises(Unclear, match="come to an end"):
        read(through, calendar)
    assert len(between.asked) == 2


def test_what_is_no_event_in_a_list_is_passed_over(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    added = person.add_event("Readable", NINE, NINE + HOUR)

    def spoil(asked: Asked, answer: Answer) -> Answer:
        page = json.loads(answer.body)
        page["items"] += [None, 5, {}, {"id": 7}, {"id": "bare"}]
        return replace(answer, body=json.dumps(page).encode())

    between.spoil = spoil
    found = by_id(read(through, calendar))
    assert found.keys() == {added, "bare"}
    assert found["bare"].problem


def test_a_cancelled_occurrence_with_little_else_is_understood(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    series_id = person.add(summary="Weekly", recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"], **times(NINE))
    first = read(through, calendar)
    second = sorted(known_of(first))[1]
    person.remove_event(second)

    def bare(asked: Asked, answer: Answer) -> Answer:
        page = json.loads(answer.body)
        kept = ("id", "status", "recurringEventId", "originalStartTime")
        page["items"] = [
            {name: item[name] for name in kept if name in item} if item["status"] == "cancelled" else item
            for item in page.get("items", [])
        ]
        return replace(answer, body=json.dumps(page).encode())

    between.spoil = bare
    assert read(through, calendar, first.next_token, known_of(first)).removals == (second,)
    assert series_id in second


def test_a_change_feed_without_a_token_at_its_end_leaves_none(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef
) -> None:
    between.spoil = lambda asked, answer: replace(
        answer, body=answer.body.replace(b"nextSyncToken", b"nextSyncTokenOfOld")
    )
    assert read(through, calendar).next_token is None


def test_a_calendar_in_a_zone_that_nobody_knows_is_read_in_the_persons(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    person.add(summary="Trip", start={"date": "2027-03-10"}, end={"date": "2027-03-11"})
    between.spoil = lambda asked, answer: replace(answer, body=answer.body.replace(b"Europe/Madrid", b"Middle/Earth"))
    (event,) = read(through, calendar).upserts
    assert event.start_at == NINE.replace(month=3, day=9, hour=23)


def test_the_answer_of_a_write_is_what_the_receipt_tells(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef
) -> None:
    """Were Google to change words on its own, the receipt would hold what stands there, so that the pull finds no change."""

    def shout(asked: Asked, answer: Answer) -> Answer:
        body = json.loads(answer.body) if answer.body else {}
        if "summary" in body:
            body["summary"] = body["summary"].upper()
        return replace(answer, body=json.dumps(body).encode())

    between.spoil = shout
    receipt: Receipt = put(through, calendar)
    assert receipt.content_hash == through.get(calendar, receipt.remote_id, window=WINDOW).content_hash


def test_a_moved_start_is_seen_in_any_zone(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    receipt = put(provider, calendar)
    shown = {"dateTime": "2027-03-01T19:30:00", "timeZone": "Asia/Kolkata"}
    person.patch(receipt.remote_id, start=shown, end=at(NINE + 6 * HOUR))
    event = provider.get(calendar, receipt.remote_id, window=WINDOW)
    assert (event.start_at, event.end_at) == (NINE + 5 * HOUR, NINE + 6 * HOUR)
