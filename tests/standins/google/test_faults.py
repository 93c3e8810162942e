"""Faults on demand, and the log that tells what was asked."""

from __future__ import annotations

import time

import pytest
import requests

from tests.standins.google.conftest import hours, ids

OUR_ID = "lockstep0123456789abcdef"
DIRECT = {"calendarId": "primary", "body": {"id": OUR_ID, **hours(9, 10)}}


@pytest.mark.parametrize(
    ("status", "reason", "domain"),
    [
        (403, "rateLimitExceeded", "usageLimits"), (403, "userRateLimitExceeded", "usageLimits"),
        (429, "rateLimitExceeded", "usageLimits"), (403, "quotaExceeded", "usageLimits"),
        (403, "dailyLimitExceeded", "usageLimits"), (403, "accessNotConfigured", "usageLimits"),
        (403, "forbiddenForNonOrganizer", "calendar"), (401, "authError", "global"), (410, "fullSyncRequired", "calendar"),
        (410, "updatedMinTooLongAgo", "calendar"), (412, "conditionNotMet", "global"), (409, "duplicate", "global"),
        (503, "backendError", "global"), (500, "internalError", "global"),
    ],
)  # fmt: skip
def test_every_refusal_of_google_can_be_asked_for(google, api, status, reason, domain):
    google.fault("GET", "/events", status=status, reason=reason, retry_after=7)
    answer = api.raw("GET", "calendars/primary/events")
    told = answer.json()["error"]
    assert (answer.status_code, told["code"], told["errors"][0]["reason"]) == (status, status, reason)
    assert told["errors"][0]["domain"] == domain
    assert answer.headers["Retry-After"] == "7"
    assert api.raw("GET", "calendars/primary/events").status_code == 200, "once unless said otherwise"


def test_a_refused_write_was_not_done(google, api):
    google.fault("events.insert", status=503)
    assert api.refusal("events.insert", **DIRECT) == (503, "backendError")
    assert api.all() == []


def test_a_fault_meets_only_what_it_names(google, api):
    google.fault("events.insert", status=403, reason="rateLimitExceeded", times=2)
    google.fault(path="calendarList", status=500)
    assert api.all() == []
    assert api.refusal("events.insert", **DIRECT)[0] == 403
    assert api.refusal("calendarList.list")[0] == 500
    assert api.refusal("events.insert", **DIRECT)[0] == 403
    assert api.insert(id=OUR_ID)
    google.fault(status=500, times=100)
    google.clear_faults()
    assert ids(api.all()) == [OUR_ID]


def test_a_lost_answer_comes_after_the_write(google, api):
    google.fault("POST", kind="lost")
    with pytest.raises(requests.ConnectionError):
        api.raw("POST", "calendars/primary/events", json=DIRECT["body"])
    assert ids(api.all()) == [OUR_ID]


def test_a_cut_answer_breaks_off_in_the_middle(google, api):
    google.fault("POST", kind="cut")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        api.raw("POST", "calendars/primary/events", json=DIRECT["body"])
    assert ids(api.all()) == [OUR_ID]


def test_a_web_page_may_come_in_place_of_json(google, api):
    google.fault("GET", kind="html")
    answer = api.raw("GET", "calendars/primary/events")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=UTF-8")


def test_a_slow_answer_is_right_but_late(google, api):
    google.fault("GET", kind="slow", seconds=0.4)
    began = time.monotonic()
    assert api.all() == []
    assert time.monotonic() - began >= 0.4


def test_every_answer_takes_the_latency(google, api):
    google.latency(0.2)
    began = time.monotonic()
    api.all()
    assert time.monotonic() - began >= 0.2


def test_the_token_endpoint_meets_faults_too(google, ana):
    google.fault("POST", "/token", status=503)
    form = {"grant_type": "refresh_token", "refresh_token": ana.grant()["refresh_token"]}
    form |= {"client_id": google.client_id, "client_secret": google.client_secret}
    assert requests.post(f"{google.url}/token", data=form, timeout=20).status_code == 503
    assert requests.post(f"{google.url}/token", data=form, timeout=20).status_code == 200


def test_the_token_endpoint_refuses_in_the_words_of_oauth(google):
    google.fault("POST", "/token", status=429, retry_after=3)
    answer = requests.post(f"{google.url}/token", data={}, timeout=20)
    assert (answer.json()["error"], answer.headers["Retry-After"]) == ("rate_limit_exceeded", "3")


def test_an_account_has_so_many_requests_a_minute(google, api, ana, api_for):
    google.quota(2)
    api.all()
    api.all()
    assert api.refusal("events.list", calendarId="primary") == (403, "userRateLimitExceeded")
    assert api_for(google.account("other@gmail.example")).all() == []


def test_a_fault_that_is_none_is_refused(google):
    with pytest.raises(ValueError, match="There is no fault"):
        google.fault(kind="earthquake")


def test_the_log_holds_each_request_in_order(google, api, ana):
    before = len(google.log())
    api.insert(id=OUR_ID, sendUpdates="none")
    google.fault("events.get", status=404)
    api.refusal("events.get", calendarId=ana.email, eventId=OUR_ID)

    first, second = google.log(since=before)
    assert (first["no"], second["no"]) == (before + 1, before + 2)
    assert (first["method"], first["path"], first["status"]) == ("POST", "/calendar/v3/calendars/primary/events", 200)
    assert (first["query"]["sendUpdates"], first["account"], first["api"]) == ("none", ana.email, "events.insert")
    assert second["path"] == f"/calendar/v3/calendars/{ana.email}/events/{OUR_ID}"
    assert (second["status"], second["fault"]) == (404, "status")
