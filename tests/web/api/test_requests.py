"""Requests, rules and questions over the API: what programs are told, what they may answer, and what they are refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import select

from portal.booking import operations
from portal.booking.models import Booking
from portal.business.models import Resource
from portal.calendars.models import BusyInterval
from portal.clock import now_utc
from portal.extensions import db
from portal.sync import throttle
from portal.sync.publish.publish import publish
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from tests.factories import ask, make_calendar
from tests.web.api.test_bookings import URL, later


@pytest.fixture
def calendars() -> Iterator[None]:
    """The calendars in memory as if nothing had ever been written, nor failed."""
    MemoryCalendars.reset()
    throttle.forget()
    yield
    MemoryCalendars.reset()
    throttle.forget()


@pytest.fixture
def request_made(service, post, start_at):
    """A booking that waits for staff, as it was told."""
    service.needs_approval = True
    db.session.commit()
    return post(start_at, resource="ana").get_json()


@pytest.mark.parametrize(
    ("first", "becomes", "second", "sentence"),
    [
        ("approval", "confirmed", "refusal", "confirmed already"),
        ("refusal", "cancelled", "approval", "cancelled already"),
    ],
)
def test_a_request_is_answered_once(client, bearer, request_made, first, becomes, second, sentence):
    assert (request_made["status"], request_made["pending_reason"]) == ("pending", "approval")
    address = f"{URL}/{request_made['id']}"
    answered = client.post(f"{address}/{first}", headers=bearer)
    assert (answered.status_code, answered.get_json()["status"]) == (200, becomes)
    assert answered.get_json()["pending_reason"] is None or becomes == "cancelled"
    late = client.post(f"{address}/{second}", headers=bearer)
    assert (late.status_code, late.get_json()["code"]) == (409, "not_allowed_now")
    assert sentence in late.get_json()["title"]
    assert client.get(address, headers=bearer).get_json()["status"] == becomes


@pytest.mark.parametrize("answer", ["approval", "refusal"])
def test_an_answer_needs_a_token_and_a_booking(client, bearer, request_made, answer):
    assert client.post(f"{URL}/{request_made['id']}/{answer}").status_code == 401
    assert client.post(f"{URL}/{'0' * 32}/{answer}", headers=bearer).status_code == 404


def test_the_event_of_an_approved_booking_goes_while_its_new_time_waits_and_comes_back(
    client, bearer, service, post, start_at, calendars
):
    calendar = make_calendar(
        db.session.get(Resource, service.needs[0].resource_id), remote_id=DEFAULT_CALENDAR, last_read_at=now_utc()
    )
    store = MemoryCalendars.open(calendar.connection.account["url"])
    service.needs_approval = True
    db.session.commit()
    address = f"{URL}/{post(start_at, resource='ana').get_json()['id']}"

    def events():
        db.session.rollback()
        booking = db.session.scalars(select(Booking)).one()
        booking_id, appointment_id = booking.id, booking.appointment_id
        db.session.rollback()
        publish(appointment_id)
        return booking_id, [
            later(start_at, minutes=60) == event.start_at.strftime("%Y-%m-%dT%H:%M:%SZ") for event in store.events()
        ]

    assert events()[1] == []
    client.post(f"{address}/approval", headers=bearer)
    booking_id, shown = events()
    assert shown == [False]
    operations.move_booking(
        booking_id, datetime.fromisoformat(later(start_at, minutes=60)), by="customer", now=now_utc()
    )
    assert events()[1] == []
    client.post(f"{address}/approval", headers=bearer)
    assert events()[1] == [True]


def test_the_rules_and_questions_of_a_service_are_told(client, service):
    service.price, service.location_kind, service.per_customer, service.needs_approval = "40 €", "phone", 2, True
    db.session.commit()
    ask(service, "drink", label="Tea or coffee?", kind="choice", choices=["tea", "coffee"], is_required=True)
    [told] = client.get("/api/v1/services").get_json()["services"]
    assert (told["price"], told["location_kind"], told["per_customer"], told["needs_approval"], told["timing"]) == (
        "40 €", "phone", 2, True, "slots",
    )  # fmt: skip
    assert told["questions"] == [
        {
            "name": "drink",
            "label": "Tea or coffee?",
            "kind": "choice",
            "is_required": True,
            "choices": ["tea", "coffee"],
        }
    ]


def test_answers_are_checked_by_the_names_of_the_questions(service, post, start_at):
    ask(service, "shoes", kind="number", is_required=True)
    ask(service, "terms", kind="checkbox")
    refused = post(start_at, answers={"shoes": "many", "terms": 5, "hat": "red"})
    assert refused.status_code == 422
    assert set(refused.get_json()["fields"]) == {"answers.shoes", "answers.terms", "answers.hat"}
    assert set(post(start_at, key="key-number-2").get_json()["fields"]) == {"answers.shoes"}
    made = post(start_at, key="key-number-3", answers={"shoes": 39, "terms": False})
    assert made.get_json()["answers"] == {"shoes": 39, "terms": False}


def test_the_limit_of_a_customer_is_told_with_a_code(service, post, start_at):
    service.per_customer = 1
    db.session.commit()
    assert post(start_at).status_code == 201
    refused = post(later(start_at, minutes=30), key="key-number-2")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "limit_reached")
    assert "one booking to come" in refused.get_json()["title"]


def test_a_request_under_an_outside_event_is_approved_knowingly_alone(client, bearer, service, request_made):
    calendar = make_calendar(db.session.get(Resource, service.needs[0].resource_id), last_read_at=now_utc())
    start, end = (datetime.fromisoformat(request_made[name]) for name in ("start_at", "end_at"))
    busy = BusyInterval(
        calendar_id=calendar.id, resource_id=calendar.resource_id, remote_id="x", start_at=start, end_at=end
    )
    db.session.add(busy)
    db.session.commit()
    address = f"{URL}/{request_made['id']}"
    stands = [{"start_at": request_made["start_at"], "end_at": request_made["end_at"], "calendar": "Bookings"}]
    assert client.get(address, headers=bearer).get_json()["outside_events"] == stands
    for body in ({}, {"json": {}}, {"json": {"book_over": False}}):
        refused = client.post(f"{address}/approval", headers=bearer, **body)
        told = refused.get_json()
        assert (refused.status_code, told["code"], told["events"]) == (409, "outside_event", stands)
    wrong = client.post(f"{address}/approval", headers=bearer, json={"book_over": "yes", "hat": 1})
    assert (wrong.status_code, set(wrong.get_json()["fields"])) == (422, {"book_over", "hat"})
    approved = client.post(f"{address}/approval", headers=bearer, json={"book_over": True})
    assert (approved.status_code, approved.get_json()["status"]) == (200, "confirmed")
    assert approved.get_json()["outside_events"] == []
