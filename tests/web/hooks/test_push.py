"""The address to which Google sends its messages, as the world sees it."""

from __future__ import annotations

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from portal.extensions import limiter
from portal.hooks import push
from portal.logs import Seldom
from portal.sync.push import counts

MESSAGE = {
    "X-Goog-Channel-ID": "01234567-0123456789abcdef0123456789abcdef",
    "X-Goog-Channel-Token": "MARKER-secret",
    "X-Goog-Resource-ID": "watched",
    "X-Goog-Resource-State": "exists",
}


@pytest.fixture
def client(sqlite_app: Flask):
    return sqlite_app.test_client()


def test_takes_posts_alone(client):
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert client.open("/hooks/google", method=method).status_code == 405


def test_asks_for_no_csrf_token_and_no_sign_in(sqlite_app, client, monkeypatch):
    monkeypatch.setitem(sqlite_app.config, "WTF_CSRF_ENABLED", True)
    assert client.post("/hooks/google", headers=MESSAGE).status_code == 204


def test_sets_no_cookie_and_says_nothing(client):
    response = client.post("/hooks/google", headers=MESSAGE)
    assert (response.status_code, response.get_data()) == (204, b"")
    assert "Set-Cookie" not in response.headers


def test_refuses_what_is_too_large(client):
    assert client.post("/hooks/google", headers=MESSAGE, data=b"x" * push.LARGEST).status_code == 204
    assert client.post("/hooks/google", headers=MESSAGE, data=b"x" * (push.LARGEST + 1)).status_code == 413


def test_never_reads_a_body(client):
    body = b"X-Goog-Channel-Token=x&" * 100
    headers = MESSAGE | {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/hooks/google", headers=headers, data=body).status_code == 204


def test_a_thousand_messages_from_one_address_are_not_too_many(client, monkeypatch):
    monkeypatch.setattr(limiter, "enabled", True)
    assert {client.post("/hooks/google", headers=MESSAGE).status_code for _ in range(1000)} == {204}


def test_forged_messages_do_not_fill_the_log(client, monkeypatch):
    monkeypatch.setattr(push, "_ignored", Seldom())
    with capture_logs() as lines:
        for _ in range(200):
            client.post("/hooks/google", headers=MESSAGE)
    assert [(line["event"], line["reason"]) for line in lines] == [("messages were ignored", "unknown")]


def test_no_secret_reaches_the_log(client, monkeypatch):
    monkeypatch.setattr(push, "_ignored", Seldom())
    with capture_logs() as lines:
        client.post("/hooks/google", headers=MESSAGE)
    assert lines
    assert "MARKER-secret" not in str(lines)


def test_a_form_of_another_site_gets_no_further(client):
    assert client.post("/hooks/google", headers=MESSAGE | {"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_metrics_count_what_came(client):
    before = counted(client)
    for _ in range(3):
        client.post("/hooks/google", headers=MESSAGE)
    assert counted(client)["unknown"] == before["unknown"] + 3


def test_counts_that_are_lost_or_damaged_begin_at_nought(tmp_path):
    counts.count(tmp_path, "over")
    counts.count(tmp_path, "over")
    assert counts.counts(tmp_path)["over"] == 2
    (tmp_path / "hook-counts").write_bytes(b"abc")
    counts.count(tmp_path, "noted")
    assert set(counts.counts(tmp_path)) == set(counts.OUTCOMES)
    (tmp_path / "hook-counts").unlink()
    assert set(counts.counts(tmp_path).values()) == {0}


def counted(client) -> dict[str, float]:
    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
    return {sample.labels["outcome"]: sample.value for sample in families["lockstep_hook_messages"].samples}
