"""Free times over the API: public, in UTC, for a bounded window, and with a clear sentence for each wrong parameter."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from portal.booking.fixed import dates
from portal.clock import now_utc
from tests.factories import make_resource, make_service

URL = "/api/v1/availability"


def fields(response):
    assert response.status_code == 422
    assert response.mimetype == "application/problem+json"
    return response.get_json()["fields"]


def test_services_are_listed_for_everybody(client, service):
    (told,) = client.get("/api/v1/services").get_json()["services"]
    assert (told["slug"], told["duration"]) == ("consultation", 30)
    assert [row["slug"] for row in told["resources"]] == ["ana", "ben"]


def test_an_inactive_service_is_nowhere(client, service):
    make_service(slug="hidden", is_active=False)
    assert [row["slug"] for row in client.get("/api/v1/services").get_json()["services"]] == ["consultation"]
    hidden, unknown = client.get(f"{URL}?service=hidden"), client.get(f"{URL}?service=nothing")
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.data == unknown.data  # A10: the same answer, byte for byte


def test_free_times_are_told_in_utc_with_who_can_give_them(client, service):
    day = (now_utc() + timedelta(days=3)).date()
    told = client.get(f"{URL}?service=consultation&from={day}&to={day}&zone=UTC").get_json()
    assert told["service"] == "consultation"
    assert told["zone"] == "UTC"
    assert len(told["slots"]) == 48
    assert told["slots"][0] == {
        "start_at": f"{day}T00:00:00Z",
        "end_at": f"{day}T00:30:00Z",
        "resources": ["ana", "ben"],
        "seats_left": 1,
    }


def test_a_date_means_the_whole_day_in_the_zone_asked_for(client, service):
    day = (now_utc() + timedelta(days=3)).date()
    told = client.get(f"{URL}?service=consultation&from={day}&to={day}&zone=Asia/Tokyo").get_json()
    first = datetime.fromisoformat(told["slots"][0]["start_at"]).astimezone(ZoneInfo("Asia/Tokyo"))
    last = datetime.fromisoformat(told["slots"][-1]["end_at"]).astimezone(ZoneInfo("Asia/Tokyo"))
    assert (first.date(), first.hour) == (day, 0)
    assert (last.date(), last.hour) == (day + timedelta(days=1), 0)


def test_the_zone_of_the_business_is_the_default(client, service):
    assert client.get(f"{URL}?service=consultation").get_json()["zone"] == "Europe/Madrid"


def test_a_window_of_instants_is_half_open(client, service):
    day = (now_utc() + timedelta(days=3)).date()
    query = f"{URL}?service=consultation&from={day}T10:00:00Z&to={day}T11:00:00Z"
    starts = [slot["start_at"] for slot in client.get(query).get_json()["slots"]]
    assert starts == [f"{day}T10:00:00Z", f"{day}T10:30:00Z"]


def test_a_plus_sign_lost_in_the_query_string_is_understood(client, service):
    day = (now_utc() + timedelta(days=3)).date()
    query = f"{URL}?service=consultation&from={day}T11:00:00+01:00&to={day}T11:30:00+01:00"
    assert [slot["start_at"] for slot in client.get(query).get_json()["slots"]] == [f"{day}T10:00:00Z"]


def test_one_resource_can_be_asked_for(client, service):
    slots = client.get(f"{URL}?service=consultation&resource=ben").get_json()["slots"]
    assert slots
    assert {tuple(slot["resources"]) for slot in slots} == {("ben",)}


def test_a_resource_of_another_service_is_not_found(client, service):
    make_resource(slug="carl")
    assert client.get(f"{URL}?service=consultation&resource=carl").status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "service"),
        ("service=consultation&from=tomorrow", "from"),
        ("service=consultation&from=2026-13-01", "from"),
        ("service=consultation&from=2026-12-01T09:00:00", "from"),
        ("service=consultation&from=0001-01-01", "from"),
        ("service=consultation&from=9999-12-31", "from"),
        ("service=consultation&from=2026-12-02&to=2026-12-01", "to"),
        ("service=consultation&from=2026-12-01T09:00:00Z&to=2026-12-01T09:00:00Z", "to"),
        ("service=consultation&from=2026-12-01&to=2027-12-01", "to"),
        ("service=consultation&zone=Europe/Atlantis", "zone"),
        ("service=consultation&zone=../../etc/passwd", "zone"),
        ("service=consultation&party_size=0", "party_size"),
        ("service=consultation&party_size=two", "party_size"),
        ("service=consultation&party_size=%D9%A1", "party_size"),
        ("service=consultation&form=2026-12-01", "form"),
        ("service=a&service=b", "service"),
        ("service=a%00b", "service"),
        (f"service={'x' * 300}", "service"),
    ],
)
def test_a_wrong_parameter_is_named(client, service, query, field):
    assert field in fields(client.get(f"{URL}?{query}"))


def test_ninety_two_days_are_the_most(client, service):
    day = now_utc().date()
    ok = f"{URL}?service=consultation&zone=UTC&from={day}&to={day + timedelta(days=91)}"
    too_much = f"{URL}?service=consultation&zone=UTC&from={day}&to={day + timedelta(days=92)}"
    assert client.get(ok).status_code == 200
    assert "92 days" in fields(client.get(too_much))["to"]


def test_why_a_time_is_not_offered_is_told_without_telling_who_is_busy(client, service, bearer, post, start_at):
    assert post(start_at, resource="ana").status_code == 201
    assert post(start_at, resource="ben", key="key-number-2").status_code == 201
    url = f"/api/v1/availability/explain?service=consultation&at={start_at}"
    public, full = client.get(url).get_json(), client.get(url, headers=bearer).get_json()
    assert public["is_offered"] is False
    assert public["reasons"] == [{"code": "taken", "sentence": "This time is not free.", "resource": None}]
    assert {reason["resource"] for reason in full["reasons"]} == {"ana", "ben"}


def test_an_offered_time_has_no_reasons_against_it(client, service, start_at):
    told = client.get(f"/api/v1/availability/explain?service=consultation&at={start_at}").get_json()
    assert told["is_offered"] is True
    assert told["reasons"] == []


def test_fixed_dates_are_free_times_and_nothing_else_is(client, service):
    ana = make_resource(weekly={})
    make_service([ana], slug="yoga", timing="fixed", duration=60, step=60, capacity=12)
    start = (now_utc() + timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    dates.plan_date("yoga", start, now=now_utc())
    day, at = start.date(), start.strftime("%Y-%m-%dT%H:%M:%SZ")
    slots = client.get(f"{URL}?service=yoga&zone=UTC&from={day}&to={day}").get_json()["slots"]
    assert [(slot["start_at"], slot["seats_left"], slot["resources"]) for slot in slots] == [(at, 12, [ana.slug])]
    later = (start + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (reason,) = client.get(f"/api/v1/availability/explain?service=yoga&at={later}").get_json()["reasons"]
    assert reason["code"] == "no_appointment"
    assert client.get(f"/api/v1/availability/explain?service=yoga&at={at}").get_json()["is_offered"] is True


def test_explain_wants_a_service_and_an_instant(client, service):
    assert set(fields(client.get("/api/v1/availability/explain"))) == {"service", "at"}
