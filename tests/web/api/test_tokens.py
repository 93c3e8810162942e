"""Who may use the API: bearer tokens and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from portal.accounts.models import ApiToken
from portal.accounts.operations import add_api_token, revoke_api_token
from portal.business.models import Resource
from portal.clock import now_utc
from portal.errors import Invalid
from portal.extensions import db, limiter
from portal.security import new_token, token_hash
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


def test_a_revoked_token_ends_within_seconds(app, client, token, bearer):
    assert client.get("/api/v1/health", headers=bearer).status_code == 200
    revoke_api_token(db.session.query(ApiToken).one().id, now=now_utc())
    assert client.get("/api/v1/health", headers=bearer).status_code == 200  # remembered
    with time_machine.travel(now_utc() + timedelta(seconds=6)):
        assert client.get("/api/v1/health", headers=bearer).status_code == 401


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
