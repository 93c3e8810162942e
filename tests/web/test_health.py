"""`/healthz` and `/readyz` tell how the instance is, to everybody, and nothing about anybody; `/metrics` tells whoever may know."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from portal.api import health
from portal.app import create_app
from portal.clock import now_utc
from portal.database import schema
from portal.database.engine import transaction
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.sync.models import Lease
from portal.upkeep.vitals import HEARTBEAT
from tests.factories import make_calendar, make_resource


@pytest.fixture(autouse=True)
def nothing_kept(app):
    app.extensions.pop(health._KEPT, None)


def beat(age=timedelta(0)):
    transaction(lambda session: session.add(Lease(name=HEARTBEAT, last_done_at=now_utc() - age)))


def test_alive_is_alive_whatever_else(client):
    assert client.get("/healthz").status_code == 200


def test_ready_when_the_worker_beats_and_nothing_is_late(client):
    beat()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"ready": True, "problems": []})


def test_not_ready_without_a_worker(client):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "worker has never run" in answer.json["problems"][0]


def test_not_ready_when_the_worker_is_silent(client):
    beat(timedelta(minutes=2))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["problems"] == ["The worker was last seen 2 minutes ago. Is it running?"]


def test_not_ready_when_the_outbox_is_late(client):
    beat()
    late = now_utc() - timedelta(minutes=5)
    transaction(
        lambda session: session.add(OutboxEntry(topic="calendar.publish", subject="appointment:1", next_at=late))
    )
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["problems"] == ["The oldest entry of the outbox has been due for 5 minutes."]


@pytest.mark.parametrize("topic", ["calendar.publish", "notify.customer"])
def test_ready_while_a_server_outside_is_away(client, topic):
    """What was tried waits for its turn, what came later waits behind it, and what is being tried keeps somebody waiting."""
    beat()
    now = now_utc()
    hours_ago = now - timedelta(hours=3)
    entries = [
        OutboxEntry(topic=topic, subject="appointment:1", next_at=now + timedelta(minutes=9), attempts=9, created_at=hours_ago),
        OutboxEntry(topic=topic, subject="appointment:1", next_at=hours_ago, created_at=hours_ago),
        OutboxEntry(
            topic=topic, subject="appointment:2", next_at=now - timedelta(seconds=75), attempts=1,
            lease_until=now + timedelta(seconds=15), lease_token="held",
        ),
    ]  # fmt: skip
    transaction(lambda session: session.add_all(entries))
    assert (client.get("/readyz").status_code, client.get("/readyz").json["problems"]) == (200, [])
    vitals = health.read_vitals(db.session(), now=now)
    assert (vitals.outbox_age, vitals.outbox_waiting) == (None, timedelta(hours=3))


def test_an_entry_is_late_from_when_the_one_before_it_was_over(client):
    beat()
    now = now_utc()
    hour_ago = now - timedelta(hours=1)
    same = {"topic": "calendar.publish", "subject": "appointment:1", "next_at": hour_ago}
    for over_at, late in ((now - timedelta(seconds=2), False), (now - timedelta(minutes=2), True)):
        db.session.execute(delete(OutboxEntry))
        db.session.add(OutboxEntry(**same, state="done", finished_at=over_at))
        db.session.flush()
        db.session.add(OutboxEntry(**same))
        db.session.commit()
        assert bool(health.read_vitals(db.session(), now=now).problems) is late


def test_an_entry_whose_worker_died_is_late(client):
    beat()
    now = now_utc()
    lease = {"lease_until": now - timedelta(minutes=2), "lease_token": "lost"}
    late = OutboxEntry(topic="notify.customer", subject="booking:1", next_at=now - timedelta(minutes=4), **lease)
    transaction(lambda session: session.add(late))
    assert client.get("/readyz").status_code == 503


def test_not_ready_without_a_database(client, monkeypatch):
    def fail(*_args, **_values):
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(health, "read_vitals", fail)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["problems"]) == (503, ["The database does not answer."])


def test_metrics_are_prometheus_texts(client):
    from prometheus_client.parser import text_string_to_metric_families

    beat(timedelta(seconds=3))
    make_calendar(make_resource(name="Carla Secret"))
    answer = client.get("/metrics")
    assert answer.status_code == 200
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    samples = families["lockstep_connections"].samples
    assert [(sample.labels, sample.value) for sample in samples] == [({"state": "connected"}, 1.0)]
    assert 3 <= families["lockstep_worker_silent_seconds"].samples[0].value < 10
    assert "Secret" not in answer.text


@pytest.fixture
def metrics(app, monkeypatch):
    """Asks for /metrics with these headers, from this address, where METRICS_TOKEN is set or not; gives the answer."""
    kept = app.extensions["settings"]

    def ask(headers=None, *, address="127.0.0.1", token=""):
        app.extensions["settings"] = dataclasses.replace(kept, metrics_token=token)
        return app.test_client().get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": address})

    yield ask
    app.extensions["settings"] = kept


def test_without_a_token_only_this_machine_may_ask_for_figures(metrics):
    make_calendar(make_resource())
    assert metrics().status_code == metrics(address="::1").status_code == 200
    for refused in (metrics(address="192.0.2.7"), metrics(address="")):
        assert refused.status_code == 403
        assert "lockstep_" not in refused.text


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-For",
        "X-Real-IP",
        "Forwarded",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Server",
        "Via",
        "CF-Connecting-IP",
        "True-Client-IP",
    ],
)
def test_what_a_proxy_passed_on_does_not_come_from_this_machine(metrics, name):
    assert metrics({name: "127.0.0.1"}).status_code == 403


@pytest.mark.parametrize("host", ["booking.example", "localhost.booking.example", "192.0.2.7:8000", "[", ""])
def test_a_proxy_on_this_machine_that_tells_no_address_is_known_by_the_name_that_was_asked_for(metrics, host):
    assert metrics({"Host": host}).status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_this_machine_asks_itself_by_any_of_its_own_names(metrics, host):
    assert metrics({"Host": host}).status_code == 200


def test_behind_a_trusted_proxy_the_visitor_s_address_counts(make_settings, tmp_path):
    app = create_app(make_settings(data=tmp_path, trusted_proxies=1))
    with app.app_context():
        schema.upgrade()
        for spoofed in ("127.0.0.1, 192.0.2.7", "192.0.2.7", "127.0.0.1"):
            assert app.test_client().get("/metrics", headers={"X-Forwarded-For": spoofed}).status_code == 403
        assert app.test_client().get("/metrics").status_code == 200
        db.engine.dispose()


def test_with_a_token_whoever_knows_it_may_ask_and_nobody_else(metrics):
    right = {"Authorization": "Bearer secret-of-metrics", "X-Forwarded-For": "192.0.2.7"}
    assert metrics(right, address="192.0.2.7", token="secret-of-metrics").status_code == 200
    for headers in (
        None,
        {"Authorization": "Bearer other"},
        {"Authorization": "Basic c2VjcmV0Og=="},
        {"Authorization": "Bearer é"},
    ):
        refused = metrics(headers, token="secret-of-metrics")
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "lockstep_" not in refused.text


def test_asking_often_costs_one_look(client, monkeypatch):
    looks = []
    read = health.read_vitals
    monkeypatch.setattr(health, "read_vitals", lambda *a, **k: looks.append(1) or read(*a, **k))
    for _ in range(5):
        client.get("/readyz")
    assert len(looks) == 1
