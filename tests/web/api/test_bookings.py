"""Bookings over the API: made once however often they are sent, moved and cancelled with a token, and each mistake named."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from portal.accounts.operations import add_api_token
from portal.booking.models import Booking, Claim
from portal.booking.rules import check_key
from portal.business.models import Resource
from portal.clock import now_utc
from portal.extensions import db
from portal.sync.publish.publish import publish
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from tests.factories import ask, make_calendar

URL = "/api/v1/bookings"


def later(start_at, **delta):
    return (datetime.fromisoformat(start_at) + timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


def count(model=Booking):
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model))


def test_a_booking_is_made(client, service, post, start_at):
    ask(service, "allergies")
    response = post(start_at, resource="ben", answers={"allergies": "none"})
    told = response.get_json()
    assert response.status_code == 201
    assert told["status"] == "confirmed"
    assert (told["start_at"], told["end_at"]) == (start_at, later(start_at, minutes=30))
    assert told["resources"] == ["ben"]
    assert told["sync"] == {"state": "none"}
    assert told["answers"] == {"allergies": "none"}
    assert told["manage_url"].startswith("http://localhost/b/")
    assert response.headers["Location"] == f"{URL}/{told['id']}"


def test_a_booking_for_a_connected_calendar_waits_to_be_written(service, post, start_at):
    make_calendar(db.session.get(Resource, service.needs[0].resource_id), last_read_at=now_utc())
    assert post(start_at, resource="ana").get_json()["sync"] == {"state": "waiting"}


def test_a_booked_time_is_gone_and_the_nearest_are_named(client, service, post, start_at):
    assert post(start_at, resource="ana").status_code == 201
    response = post(start_at, resource="ana", key="key-number-2")
    told = response.get_json()
    assert response.status_code == 409
    assert told["code"] == "slot_taken"
    assert len(told["nearest"]) == 3
    assert later(start_at, minutes=30) in [slot["start_at"] for slot in told["nearest"]]
    assert {tuple(slot["resources"]) for slot in told["nearest"]} == {("ana",)}
    assert count() == 1


def test_a_repeat_gives_the_first_answer_and_books_nothing(service, post, start_at):
    first, second = post(start_at), post(start_at)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.get_json() == second.get_json()
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert count() == 1


def test_the_same_key_with_other_content_is_refused(service, post, start_at):
    post(start_at)
    response = post(later(start_at, hours=1))
    assert response.status_code == 409
    assert response.get_json()["code"] == "idempotency_mismatch"
    assert count() == 1


def test_a_booking_without_a_key_is_refused(client, service, bearer, start_at):
    body = {"service": "consultation", "start_at": start_at, "customer": {"name": "C", "email": "c@example.org"}}
    response = client.post(URL, json=body, headers=bearer)
    assert response.status_code == 422
    assert "Idempotency-Key" in response.get_json()["fields"]


def test_a_booking_is_read_without_its_manage_link(client, service, post, bearer, start_at):
    made = post(start_at).get_json()
    read = client.get(f"{URL}/{made['id']}", headers=bearer).get_json()
    link = made.pop("manage_url")
    assert read == made
    assert link.rpartition("/")[2] not in json.dumps(read)


def test_a_booking_is_cancelled_once_and_for_all(client, service, post, bearer, start_at):
    made = post(start_at).get_json()
    for _ in range(2):
        response = client.post(f"{URL}/{made['id']}/cancellation", headers=bearer)
        assert response.status_code == 200
        assert response.get_json()["status"] == "cancelled"
    assert count(Claim) == 0
    assert post(start_at, key="key-number-2").status_code == 201


def test_a_booking_is_moved(client, service, post, bearer, start_at):
    made = post(start_at, resource="ana").get_json()
    wanted = later(start_at, hours=2)
    response = client.post(f"{URL}/{made['id']}/move", json={"start_at": wanted}, headers=bearer)
    assert response.status_code == 200
    assert response.get_json()["start_at"] == wanted
    assert post(start_at, resource="ana", key="key-number-2").status_code == 201


def test_a_move_onto_a_taken_time_leaves_everything_as_it_was(client, service, post, bearer, start_at):
    made = post(start_at, resource="ana").get_json()
    taken = later(start_at, hours=2)
    assert post(taken, resource="ana", key="key-number-2").status_code == 201
    response = client.post(f"{URL}/{made['id']}/move", json={"start_at": taken}, headers=bearer)
    assert response.status_code == 409
    assert response.get_json()["nearest"]
    assert client.get(f"{URL}/{made['id']}", headers=bearer).get_json()["start_at"] == start_at


def test_a_cancelled_booking_cannot_be_moved(client, service, post, bearer, start_at):
    made = post(start_at).get_json()
    client.post(f"{URL}/{made['id']}/cancellation", headers=bearer)
    response = client.post(f"{URL}/{made['id']}/move", json={"start_at": later(start_at, hours=1)}, headers=bearer)
    assert response.status_code == 409
    assert response.get_json()["code"] == "not_allowed_now"


@pytest.mark.parametrize("public_id", ["1", "x" * 32, "0" * 32, "%00" * 32, "..%2f..%2fetc"])
def test_an_unknown_booking_is_not_found(client, service, bearer, public_id):
    for method, path in (("get", ""), ("post", "/cancellation")):
        assert getattr(client, method)(f"{URL}/{public_id}{path}", headers=bearer).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"service": None}, "service"),
        ({"service": 7}, "service"),
        ({"service": "a\ud800b"}, "service"),
        ({"start_at": "2026-12-01"}, "start_at"),
        ({"start_at": "2026-12-01T09:00:00"}, "start_at"),
        ({"start_at": 1764579600}, "start_at"),
        ({"start_at": "2026-02-30T09:00:00Z"}, "start_at"),
        ({"start_at": "9999-12-31T23:59:59Z"}, "start_at"),
        ({"resource": ["ana"]}, "resource"),
        ({"party_size": 0}, "party_size"),
        ({"party_size": 1.5}, "party_size"),
        ({"party_size": True}, "party_size"),
        ({"party_size": 10**30}, "party_size"),
        ({"party_size": 2}, "party_size"),
        ({"customer": None}, "customer"),
        ({"customer": "Clara"}, "customer"),
        ({"customer": {"name": "Clara"}}, "customer.email"),
        ({"customer": {"name": "Clara", "email": ["c@example.org"]}}, "customer.email"),
        ({"customer": {"name": "Clara", "email": "no address"}}, "email"),
        ({"customer": {"name": "x" * 300, "email": "c@example.org"}}, "name"),
        ({"customer": {"name": "Clara", "email": "c@example.org", "zone": "Mars"}}, "customer.zone"),
        ({"customer": {"name": "Clara", "email": "c@example.org", "phone": "call me"}}, "phone"),
        ({"answers": []}, "answers"),
        ({"answers": {"a": {"b": "c"}}}, "answers.a"),
        ({"price": 0}, "price"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_booked(service, post, start_at, change, field):
    response = post(**{"start_at": start_at, **change})
    assert response.status_code == 422
    assert field in response.get_json()["fields"]
    assert count() == 0


def test_all_mistakes_are_named_at_once(service, post):
    fields = post("soon", service="", party_size=-1, customer={}).get_json()["fields"]
    assert {"service", "start_at", "party_size", "customer.name", "customer.email"} <= set(fields)


def test_each_mistake_has_its_place_in_the_body(service, post, start_at):
    told = post(
        "soon", party_size=0, answers={"a/b": [], "c": {}}, price=0, customer={"name": "", "email": 7, "x": 1}
    ).get_json()
    assert {each["pointer"] for each in told["errors"]} == {
        "#/start_at", "#/party_size", "#/answers/a~1b", "#/answers/c", "#/price", "#/customer/name", "#/customer/email", "#/customer/x",
    }  # fmt: skip
    assert sorted(each["detail"] for each in told["errors"]) == sorted(told["fields"].values())
    judged = post(start_at, customer={"name": "Clara", "email": "ana@localhost"}).get_json()
    assert [(each["pointer"], list(judged["fields"])) for each in judged["errors"]] == [("#/customer/email", ["email"])]


def test_a_mistake_in_a_query_or_a_header_names_it(client, service, bearer, start_at):
    asked = client.get("/api/v1/availability?zone=Mars&party_size=none").get_json()
    assert {each["parameter"] for each in asked["errors"]} == {"service", "zone", "party_size"}
    body = {"service": "consultation", "start_at": start_at, "customer": {"name": "C", "email": "c@example.org"}}
    assert client.post(URL, json=body, headers=bearer).get_json()["errors"][0]["header"] == "Idempotency-Key"
    assert client.post(URL, json=[], headers=bearer).get_json()["errors"][0]["pointer"] == "#"


def test_an_unknown_service_is_not_found(service, post, start_at):
    assert post(start_at, service="nothing").status_code == 404


def test_a_time_off_the_grid_in_the_past_or_too_far_is_not_given(service, post, start_at):
    for number, wrong in enumerate((later(start_at, minutes=7), later(start_at, days=-9), later(start_at, days=400))):
        assert post(wrong, key=f"key-number-{number}").get_json()["code"] == "slot_taken"
    assert count() == 0


@pytest.mark.parametrize("path", ["", "/" + "0" * 32 + "/move"])
def test_a_body_that_is_no_json_is_refused_in_words(client, service, bearer, path):
    headers = {**bearer, "Idempotency-Key": "key-number-1"}
    broken = client.post(URL + path, data="{", content_type="application/json", headers=headers)
    form = client.post(URL + path, data={"service": "consultation"}, headers=headers)
    a_list = client.post(URL + path, json=[], headers=headers)
    huge = client.post(URL + path, data=b" " * 300_000, content_type="application/json", headers=headers)
    deep = client.post(URL + path, data="[" * 100_000, content_type="application/json", headers=headers)
    assert [r.status_code for r in (broken, form, a_list, huge, deep)] == [400, 415, 422, 413, 400]
    nan = client.post(URL + path, data='{"answers": {"a": NaN}}', content_type="application/json", headers=headers)
    assert nan.status_code == 400
    assert all(r.mimetype == "application/problem+json" for r in (broken, form, a_list, huge, deep))


def test_names_in_every_script_arrive_as_they_were_sent(service, post, client, bearer, start_at):
    name = "Zoë O’Ñandú 山田 👩‍🔧 <b>"
    made = post(start_at, customer={"name": name, "email": "zoe@example.org"}).get_json()
    assert client.get(f"{URL}/{made['id']}", headers=bearer).get_json()["customer"]["name"] == name


def test_a_booking_by_video_tells_its_link_once_a_calendar_has_made_it(client, bearer, service, post, start_at):
    service.meeting = "google"
    ana = db.session.get(Resource, service.needs[0].resource_id)
    calendar = make_calendar(ana, remote_id=DEFAULT_CALENDAR, last_read_at=now_utc())
    store = MemoryCalendars.open(calendar.connection.account["url"])
    told = post(start_at, resource="ana").get_json()
    assert told["meeting_url"] is None
    db.session.rollback()
    appointment_id = db.session.scalars(select(Booking)).one().appointment_id
    db.session.rollback()
    publish(appointment_id)
    [event] = store.events()
    address = f"{URL}/{told['id']}"
    assert client.get(address, headers=bearer).get_json()["meeting_url"] == event.meeting_url != ""
    assert client.post(f"{address}/cancellation", headers=bearer).get_json()["meeting_url"] is None
    assert [row["meeting"] for row in client.get("/api/v1/services").get_json()["services"]] == ["google"]


@pytest.mark.parametrize(
    ("said", "header", "remembered"),
    [("hu", "es", "hu"), ("", "es-MX,es;q=0.9", "es-MX"), ("", "de", ""), ("", "", "")],
)
def test_the_customers_language_is_the_one_said_else_the_one_asked_for(
    service, client, bearer, start_at, said, header, remembered
):
    """Empty is the business's, when a mail is written."""
    customer = {"name": "Clara", "email": "clara@example.org", **({"language": said} if said else {})}
    headers = {**bearer, "Idempotency-Key": "key-number-1", "Accept-Language": header}
    body = {"service": "consultation", "start_at": start_at, "customer": customer}
    assert client.post(URL, json=body, headers=headers).status_code == 201
    db.session.rollback()
    assert db.session.scalar(select(Booking.customer_language)) == remembered


def test_an_idempotency_key_belongs_to_its_token(client, service, start_at, post):
    """The same key from another program is another request, with the same content and with other."""
    other = {"Authorization": f"Bearer {add_api_token('another')}"}
    first = post(start_at, resource="ana").get_json()
    body = {
        "service": "consultation",
        "start_at": start_at,
        "customer": {"name": "Clara", "email": "clara@example.org"},
    }
    headers = {**other, "Idempotency-Key": "key-number-1"}
    same = client.post("/api/v1/bookings", json={**body, "resource": "ben"}, headers=headers)
    assert (same.status_code, same.headers.get("Idempotent-Replayed")) == (201, None)
    assert same.get_json()["id"] != first["id"]
    again = post(start_at, resource="ana")
    assert (again.get_json()["id"], again.headers["Idempotent-Replayed"]) == (first["id"], "true")


def test_a_key_from_before_keys_had_owners_is_good_for_tokens_of_that_time_alone(
    client, service, start_at, post, bearer
):
    """After an upgrade a program that repeats its call books nothing twice."""
    made = post(start_at, resource="ana").get_json()
    db.session.execute(
        update(Booking).where(Booking.public_id == made["id"]).values(idempotency_key=check_key("key-number-1"))
    )
    db.session.commit()
    assert post(start_at, resource="ana").get_json()["id"] == made["id"]
    assert post(start_at, resource="ben").status_code == 409
    young = {"Authorization": f"Bearer {add_api_token('young')}", "Idempotency-Key": "key-number-1"}
    body = {
        "service": "consultation",
        "start_at": start_at,
        "customer": {"name": "Clara", "email": "clara@example.org"},
    }
    assert client.post("/api/v1/bookings", json={**body, "resource": "ben"}, headers=young).status_code == 201


@pytest.mark.parametrize("way", ["version", "If-Match"])
@pytest.mark.parametrize("action", ["move", "cancellation", "refusal", "approval"])
def test_a_change_with_an_old_version_is_refused(client, service, bearer, post, start_at, way, action):
    service.needs_approval = True
    db.session.commit()
    made = post(start_at).get_json()
    address = f"{URL}/{made['id']}"
    read = client.get(address, headers=bearer)
    old = read.get_json()["version"]
    assert read.headers["ETag"] == f'"{old}"'
    body = {"start_at": later(start_at, minutes=120)} if action == "move" else {}

    def send(version):
        headers = {**bearer, "If-Match": f'"{version}"'} if way == "If-Match" else bearer
        more = {"version": version} if way == "version" else {}
        return client.post(f"{address}/{action}", json={**body, **more}, headers=headers)

    moved = client.post(f"{address}/move", json={"start_at": later(start_at, minutes=60)}, headers=bearer)
    assert moved.status_code == 200
    refused = send(old)
    told = refused.get_json()
    assert (refused.status_code, told["code"], told["changed"]) == (409 if way == "version" else 412, "stale", ["time"])
    assert client.get(address, headers=bearer).get_json()["start_at"] == later(start_at, minutes=60)
    assert send(moved.get_json()["version"]).status_code == 200


@pytest.mark.parametrize("tags", ['W/"{}"', '"other", "{}"', 'W/"other", W/"{}"'])
def test_weak_and_several_etags_are_compared_as_well(client, service, bearer, post, start_at, tags):
    """A proxy that compresses answers makes weak ones of ours; a condition is never left out unseen."""
    made = post(start_at).get_json()
    address = f"{URL}/{made['id']}"

    def move(version, *, minutes):
        headers = {**bearer, "If-Match": tags.format(version)}
        body = {"start_at": later(start_at, minutes=minutes)}
        return client.post(f"{address}/move", json=body, headers=headers)

    assert move("0" * 6, minutes=60).status_code == 412
    assert client.get(address, headers=bearer).get_json()["start_at"] == start_at
    assert move(made["version"], minutes=60).status_code == 200
