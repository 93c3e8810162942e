"""Who may use the API: bearer tokens and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from portal.accounts.forms import read_expiry
from portal.accounts.models import SCOPES, ApiToken
from portal.accounts.operations import add_api_token, revoke_api_token
from portal.api.tokens import NEEDED
from portal.business.models import Resource
from portal.clock import now_utc
from portal.errors import Invalid
from portal.extensions import db, limiter
from portal.security import new_token, token_hash
from portal.web.access import PUBLIC
from tests.factories import make_calendar
from tests.support.people import make_user, signed_in

PRIVATE = [
    ("get", "/api/v1/calendars"),
    ("get", "/api/v1/health"),
    ("get", "/api/v1/bookings/" + "0" * 32),
    ("post", "/api/v1/bookings"),
    ("post", "/api/v1/bookings/" + "0" * 32 + "/move"),
    ("post", "/api/v1/bookings/" + "0" * 32 + "/cancellation"),
]


@pytest.mark.parametrize(("method", "url"), PRIVATE)
@pytest.mark.parametrize("header", [None, "Bearer", "Bearer ", "Bearer wrong", "Basic dTpw", "Bearer " + "x" * 5000])
def test_what_is_private_needs_a_token(client, method, url, header):
    headers = {"Authorization": header} if header else {}
    response = getattr(client, method)(url, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.get_json()["code"] == "token_needed"


@pytest.mark.parametrize(("method", "url"), PRIVATE)
def test_a_signed_in_browser_is_nobody_to_the_api(app, method, url):
    """A15: cookies never authorise the API, which therefore needs no CSRF tokens."""
    assert getattr(signed_in(app, make_user()), method)(url).status_code == 401


def test_a_token_is_stored_as_a_hash_and_its_use_is_noted(client, token, bearer):
    assert client.get("/api/v1/health", headers=bearer).status_code == 200
    row = db.session.query(ApiToken).one()
    assert row.token_hash == token_hash(token)
    assert token not in str(vars(row))
    assert row.last_used_at is not None


def test_a_revoked_token_ends_at_once(app, client, token, bearer):
    assert client.get("/api/v1/health", headers=bearer).status_code == 200
    revoke_api_token(db.session.query(ApiToken).one().id, now=now_utc())
    response = client.get("/api/v1/health", headers=bearer)
    assert (response.status_code, "revoked" in response.get_json()["title"]) == (401, True)


def test_a_token_ends_on_its_day(client):
    token = add_api_token("short", expires_at=now_utc() + timedelta(days=30))
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/api/v1/health", headers=headers).status_code == 200
    with time_machine.travel(now_utc() + timedelta(days=30, seconds=5)):
        response = client.get("/api/v1/health", headers=headers)
    assert (response.status_code, "expired" in response.get_json()["title"]) == (401, True)


SCOPED = {
    "book": [("post", "/api/v1/bookings")],
    "read-bookings": [("get", f"/api/v1/bookings/{'0' * 32}")],
    "administer": [
        ("get", "/api/v1/calendars"),
        ("get", "/api/v1/health"),
        *[("post", f"/api/v1/bookings/{'0' * 32}/{what}") for what in ("move", "cancellation", "approval", "refusal")],
    ],
    "read-availability": [],
}


def test_every_private_operation_asks_for_one_scope(app):
    """One that nobody thought of asks for the widest one."""
    private = {rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.startswith("api.")} - PUBLIC
    assert set(NEEDED) == private
    assert set(NEEDED.values()) <= set(SCOPES)
    assert sum(map(len, SCOPED.values())) == len(private)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_may_do_what_its_scope_says_and_is_told_what_it_lacks(client, scope):
    headers = {"Authorization": f"Bearer {add_api_token('narrow', scopes=[scope])}"}
    for needed, calls in SCOPED.items():
        for method, url in calls:
            response = getattr(client, method)(url, headers=headers, json={} if method == "post" else None)
            if needed == scope:
                assert response.status_code not in (401, 403), url
                continue
            told = response.get_json()
            assert (response.status_code, response.mimetype) == (403, "application/problem+json"), url
            assert (told["code"], told["scope"]) == ("scope_missing", needed)
            assert needed in told["title"]


def test_only_a_token_that_reads_availability_reads_it_in_full(client, service):
    url = "/api/v1/availability/explain?service=consultation&at=2020-01-01T10:00:00Z"
    told = {}
    for scope in ("read-availability", "book"):
        headers = {"Authorization": f"Bearer {add_api_token(scope, scopes=[scope])}"}
        told[scope] = client.get(url, headers=headers).get_json()["reasons"]
    assert told["book"] == client.get(url).get_json()["reasons"]
    assert told["read-availability"] != told["book"]


def test_the_last_use_is_written_once_a_minute_at_most(app, client, bearer):
    def noted():
        db.session.rollback()
        return db.session.query(ApiToken).one().last_used_at

    begun = now_utc()
    with time_machine.travel(begun, tick=False):
        client.get("/api/v1/health", headers=bearer)
    first = noted()
    with time_machine.travel(begun + timedelta(seconds=50), tick=False):
        client.get("/api/v1/health", headers=bearer)
    assert noted() == first
    with time_machine.travel(begun + timedelta(seconds=70), tick=False):
        client.get("/api/v1/health", headers=bearer)
    assert noted() == first + timedelta(seconds=70)


def test_a_token_with_a_made_up_scope_or_none_is_not_made(app):
    for scopes in (["everything"], [], ["book", "x"]):
        with pytest.raises(Invalid) as refused:
            add_api_token("x", scopes=scopes)
        assert "scopes" in refused.value.fields


@pytest.mark.parametrize(
    ("typed", "days"),
    [("90", 90), ("90d", 90), (" 7 days ", 7), ("never", None), ("2026-06-30", 29), ("2026-06-01", 0)],
)
def test_an_end_is_a_number_of_days_a_day_or_never(typed, days):
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    ends_at = read_expiry(typed, now=now)
    assert (None if ends_at is None else (ends_at - now).days) == days


@pytest.mark.parametrize("typed", ["", "0", "-5", "99999999999999", "2026-05-31", "2026-13-01", "soon", "³"])
def test_an_end_that_is_none_is_refused(typed):
    with pytest.raises(Invalid):
        read_expiry(typed, now=datetime(2026, 6, 1, 12, tzinfo=UTC))


def test_tokens_are_long_random_and_alike_in_nothing():
    """A26: at least 128 random bits each."""
    tokens = {new_token() for _ in range(10_000)}
    assert len(tokens) == 10_000
    assert all(len(token) >= 43 for token in tokens)
    assert len({token[:6] for token in tokens}) > 9_990


def test_a_token_needs_a_name():
    for name in ("", "  ", "x" * 101):
        with pytest.raises(Invalid):
            add_api_token(name)


def test_calendars_and_health_are_told(client, service, bearer):
    make_calendar(db.session.get(Resource, service.needs[0].resource_id), name="Work")
    (told,) = client.get("/api/v1/calendars", headers=bearer).get_json()["calendars"]
    assert (told["name"], told["resource"], told["state"], told["last_read_at"]) == ("Work", "ana", "connected", None)
    health = client.get("/api/v1/health", headers=bearer).get_json()
    assert health["status"] == "attention"  # no worker has ever run here
    assert health["worker_silent_seconds"] is None


def test_public_answers_are_limited_and_those_with_a_token_are_not(app, client, service, bearer, monkeypatch):
    monkeypatch.setattr(limiter, "enabled", True)
    limiter.reset()
    statuses = {client.get("/api/v1/availability?service=nothing").status_code for _ in range(601)}
    assert statuses == {404, 429}
    assert client.get("/api/v1/availability?service=nothing", headers=bearer).status_code == 404
    limiter.reset()
