"""What a service's rules look like to a customer: questions, requests, prices, places, limits, and services by link only."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from portal.booking import operations
from portal.booking.fixed import dates
from portal.booking.models import Booking
from portal.booking.steps import manage_token
from portal.booking.time import queries
from portal.business.models import Service
from portal.clock import now_utc
from portal.extensions import db
from portal.outbox import OutboxEntry
from tests import factories
from tests.support.mails import deliver_all, memory_mail, text
from tests.support.visitor import Visitor, fields

EVERY_DAY = {day: [(9 * 60, 17 * 60)] for day in range(7)}
TYPED = {"name": "María Pérez", "email": "maria@example.org"}
NASTY = '<b>size</b> & "shape"?'


@pytest.fixture
def service(sqlite_app: Flask) -> Service:
    ana = factories.make_resource(slug="ana", name="Ana Ruiz", weekly=EVERY_DAY)
    return factories.make_service([ana], slug="consultation", capacity=4)


@pytest.fixture
def visitor(sqlite_app: Flask, service: Service) -> Visitor:
    return Visitor(sqlite_app)


def set_rules(service: Service, **rules: object) -> None:
    for name, value in rules.items():
        setattr(service, name, value)
    db.session.commit()


def hold(visitor: Visitor, time: str = "10:00 4 places left") -> Visitor:
    on = (now_utc() + timedelta(days=1)).date().isoformat()
    return visitor.get(f"/consultation?day={on}").press(time)


def bookings() -> list[Booking]:
    db.session.rollback()
    return db.session.query(Booking).filter(Booking.status != "held").order_by(Booking.id).all()


def outbox_entries(topic: str) -> list[OutboxEntry]:
    db.session.rollback()
    return db.session.query(OutboxEntry).filter_by(topic=topic).order_by(OutboxEntry.id).all()


def ask_everything(service: Service) -> None:
    factories.ask(service, "shape", label=NASTY, is_required=True, position=0)
    factories.ask(service, "story", kind="long", position=1)
    factories.ask(service, "guests", kind="number", position=2)
    factories.ask(
        service, "drink", kind="choice", choices=["tea", "coffee & <i>cake</i>"], is_required=True, position=3
    )
    factories.ask(service, "terms", kind="checkbox", label="I agree", is_required=True, position=4)


def test_each_question_has_the_field_that_fits_it(visitor: Visitor, service: Service) -> None:
    ask_everything(service)
    hold(visitor)
    found = {
        element.get("name"): (
            element.tag,
            element.get("type") or element.get("inputmode"),
            element.get("required") is not None,
        )
        for element in visitor.page.xpath('//*[starts-with(@name, "answer-")]')
    }
    assert found == {
        "answer-shape": ("input", "text", True), "answer-story": ("textarea", None, False), "answer-guests": ("input", "text", False),
        "answer-drink": ("select", None, True), "answer-terms": ("input", "checkbox", True),
    }  # fmt: skip
    assert visitor.text('//label[@for="field-answer-guests"]') == "Guests? (optional)"
    assert visitor.text('//label[@for="field-answer-shape"]') == NASTY


def test_wrong_answers_are_named_beside_their_fields_and_everything_typed_stays(
    visitor: Visitor, service: Service
) -> None:
    ask_everything(service)
    hold(visitor).press(
        "Book this time", **TYPED, **{"answer-story": "once", "answer-guests": "many", "answer-drink": "tea"}
    )
    assert visitor.status == 422
    for name, sentence in (("shape", "Please answer this"), ("guests", "with a number"), ("terms", "Please tick this")):
        assert sentence in visitor.text(f'//*[@id="error-answer-{name}"]')
        assert visitor.page.xpath(f'//*[contains(@class, "error-summary")]//a[@href="#field-answer-{name}"]')
        assert visitor.page.xpath(f'//*[@id="field-answer-{name}"]/@aria-invalid') == ["true"]
    assert [visitor.value(f"answer-{name}") for name in ("story", "guests")] == ["once", "many"]
    assert visitor.page.xpath('//select[@name="answer-drink"]/option[@selected]/@value') == ["tea"]
    visitor.press("Book this time", **{"answer-shape": NASTY, "answer-guests": "2", "answer-terms": "1"})
    assert visitor.url.startswith("/b/")
    assert bookings()[0].answers == {"shape": NASTY, "story": "once", "guests": 2, "drink": "tea", "terms": True}
    assert visitor.text('//*[@class="answers"]').split("Story?")[0].count(NASTY) == 2


def test_answers_survive_the_loss_of_the_hold(visitor: Visitor, service: Service) -> None:
    ask_everything(service)
    hold(visitor)
    operations.release_hold(visitor.value("hold"))
    visitor.press("Book this time", **{"answer-story": "long and typed", "answer-terms": "1"})
    assert visitor.status == 409
    assert visitor.value("answer-story") == "long and typed"
    assert visitor.page.xpath('//input[@name="answer-terms"]/@checked')


def test_a_question_taken_away_while_the_form_is_open_stops_nobody(visitor: Visitor, service: Service) -> None:
    question = factories.ask(service, "shape")
    hold(visitor)
    db.session.delete(db.session.merge(question))
    db.session.commit()
    visitor.press("Book this time", **TYPED, **{"answer-shape": "round"})
    assert visitor.url.startswith("/b/")
    assert bookings()[0].answers == {}


def test_a_request_says_that_it_is_one(visitor: Visitor, service: Service) -> None:
    set_rules(service, needs_approval=True)
    hold(visitor)
    assert "This is a request" in visitor.text()
    visitor.press("Ask for this time", **TYPED)
    assert bookings()[0].status == "pending"
    assert "We look at every request ourselves, and answer by e-mail." in visitor.text()


def test_moving_what_was_approved_warns_that_it_is_a_request_again(visitor: Visitor, service: Service) -> None:
    set_rules(service, needs_approval=True)
    hold(visitor).press("Ask for this time", **TYPED)
    operations.approve_booking(bookings()[0].id, now=now_utc())
    manage = visitor.url
    visitor.get(manage).follow("Move to another time")
    visitor.press(visitor.times()[0])
    assert "the one you have is given up" in visitor.text()
    visitor.press("Move my appointment")
    assert "We look at every request ourselves" in visitor.text()
    assert (bookings()[0].status, bookings()[0].pending_reason) == ("pending", "approval")


def test_a_request_that_nobody_answered_is_told_so(visitor: Visitor, service: Service) -> None:
    set_rules(service, needs_approval=True)
    hold(visitor).press("Ask for this time", **TYPED)
    operations.refuse_unanswered(now=now_utc() + timedelta(days=2))
    assert "Nobody could answer your request in time" in visitor.get(visitor.url).text()


def test_who_is_called_is_asked_for_the_number(visitor: Visitor, service: Service) -> None:
    set_rules(service, location_kind="phone")
    assert "By phone: we call you" in hold(visitor).text('//*[@id="summary"]')
    visitor.press("Book this time", **TYPED)
    assert visitor.status == 422
    assert "we call you" in visitor.text('//*[@id="error-phone"]')
    visitor.press("Book this time", phone="+34 600 123 456")
    assert "By phone: we call you" in visitor.text()


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"location_kind": "on-site", "location": "Calle Mayor 12"}, "At: Calle Mayor 12"),
        ({"location_kind": "on-site"}, "At our place"),
        ({"location_kind": "online"}, "Online"),
        ({"location_kind": "online", "location": "meet.example/ana"}, "meet.example/ana"),
        ({"location_kind": "online", "meeting": "google"}, "Video call"),
        ({"location": "Calle Mayor 12"}, "Calle Mayor 12"),
    ],
)
def test_the_kind_of_place_is_said_in_words(
    visitor: Visitor, service: Service, rules: dict[str, str], words: str
) -> None:
    set_rules(service, price="40 € <per hour>", **rules)
    for page in ("/", "/consultation"):
        facts = visitor.get(page).text('//ul[contains(@class, "facts")]')
        assert words in facts
        assert "40 € <per hour>" in facts
        assert ("Online" in facts) == (words == "Online")
    assert "40 € <per hour>" in hold(visitor).text('//*[@id="summary"]')


def test_a_limit_per_customer_tells_nobody_but_the_address_that_it_is_reached(
    visitor: Visitor, service: Service, sqlite_app: Flask
) -> None:
    """Who types somebody's address learns nothing: status, page, and what becomes of the time are the same."""
    sent = memory_mail(sqlite_app).sent
    set_rules(service, per_customer=1)
    seen = {}
    for time, email in (("10:00", TYPED["email"]), ("11:00", TYPED["email"].upper()), ("12:00", "new@example.org")):
        hold(visitor, f"{time} 4 places left").press("Book this time", **{**TYPED, "email": email})
        assert deliver_all() == []
        body = visitor.text("//main").replace(email, "ADDRESS")
        seen[time] = (
            visitor.status,
            visitor.url,
            body,
            visitor.get("/consultation").times().count(f"{time} 4 places left"),
        )
    assert seen["10:00"] == seen["11:00"] == seen["12:00"]
    assert "Please look into your mail" in seen["10:00"][2]
    assert len(bookings()) == 2
    subjects = [str(mail["Subject"]) for mail in sent if TYPED["email"] in str(mail["To"]).lower()]
    assert [subject.split(":")[0] for subject in subjects] == ["Booked", "Not booked"]
    [told] = [mail for mail in sent if mail["Subject"].startswith("Not booked")]
    assert "One booking to come is as many as we take" in text(told)
    assert f"/b/{manage_token(bookings()[0])}" in text(told)
    del sqlite_app.extensions["messenger"]


def test_the_same_form_sent_twice_is_answered_alike_whether_or_not_the_limit_is_reached(
    visitor: Visitor, service: Service, sqlite_app: Flask
) -> None:
    set_rules(service, per_customer=1)
    answers = []
    for time in ("10:00", "11:00"):
        page = hold(visitor, f"{time} 4 places left")
        sent = fields(page, "Book this time") | TYPED
        answers.append([visitor.client.post("/consultation/bookings", data=sent).location for _ in range(2)])
        held = visitor.client.get(f"/consultation/holds/{sent['hold']}")
        answers[-1].append((held.status_code, "not kept for you any more" in held.text))
    assert answers[0] == answers[1]
    assert answers[0][0] == answers[0][1] == "/consultation/answered"
    assert len(bookings()) == 1
    assert len(outbox_entries("notify.limit")) == 1


@pytest.mark.parametrize("confirm_by_mail", [False, True])
def test_long_after_the_time_was_kept_a_repeat_tells_nobody_who_is_known(
    visitor: Visitor, service: Service, sqlite_app: Flask, monkeypatch: pytest.MonkeyPatch, confirm_by_mail: bool
) -> None:
    monkeypatch.setitem(sqlite_app.config, "BUDGETS", True)
    make_known(service)
    set_rules(service, per_customer=1, confirm_by_mail=confirm_by_mail)
    answers = {}
    for time, email in (("10:00", TYPED["email"]), ("11:00", "new@example.org")):
        page = hold(visitor, f"{time} 4 places left")
        sent = fields(page, "Book this time") | TYPED | {"email": email}
        first = send_anew(sqlite_app, sent)
        db.session.query(Booking).filter_by(status="held").update({"held_until": now_utc() - timedelta(seconds=1)})
        db.session.commit()
        operations.sweep_expired_holds()
        repeat, changed = send_anew(sqlite_app, sent), send_anew(sqlite_app, sent | {"name": "Another"})
        with time_machine.travel(now_utc() + timedelta(days=1, minutes=1), tick=True):
            late = send_anew(sqlite_app, sent)
        assert first == repeat
        assert changed[0] == 409
        assert late[0] == 409
        answers[email] = [first, repeat, changed, late[:2]]
    known, unknown = answers.values()
    assert known == unknown


def send_anew(app: Flask, sent: dict[str, Any]) -> tuple[int, str, str]:
    """What somebody without cookies is answered: status, address and page."""
    answer = app.test_client().post("/consultation/bookings", data=sent)
    body = re.sub(r'(nonce|value)="[^"]*"', "", answer.text)
    return answer.status_code, answer.location or "", body.replace(sent["email"], "ADDRESS").replace(sent["hold"], "")


def make_known(service: Service) -> None:
    slot = queries.soonest_slots(db.session(), service, now=now_utc() + timedelta(days=3), limit=1)[0]
    operations.book(
        service_slug="consultation",
        start_at=slot.interval.start,
        customer=operations.Customer("Known", TYPED["email"]),
        idempotency_key="known",
        now=now_utc(),
    )


def test_nobody_s_mailbox_is_filled_by_asking_again_and_again(visitor: Visitor, service: Service) -> None:
    set_rules(service, per_customer=1)
    for time in ("10:00", "11:00", "12:00", "13:00"):
        hold(visitor, f"{time} 4 places left").press("Book this time", **TYPED)
    assert len(outbox_entries("notify.limit")) == 1


def test_hidden_services_are_found_by_link_only(visitor: Visitor, service: Service) -> None:
    set_rules(service, is_hidden=True)
    assert "Consultation" not in visitor.get("/").text()
    assert visitor.client.get("/api/v1/services").get_json() == {"services": []}
    hold(visitor).press("Book this time", **TYPED)
    assert len(bookings()) == 1


def test_the_last_seat_is_called_so_and_a_party_can_be_as_large_as_any_appointment(
    visitor: Visitor, service: Service
) -> None:
    on = (now_utc() + timedelta(days=1)).date().isoformat()
    visitor.get(f"/consultation?day={on}&people=3").press("10:00 4 places left")
    visitor.press("Book this time", **TYPED)
    assert "10:00 last place" in visitor.get(f"/consultation?day={on}").times()
    db.session.rollback()
    bookings()[0].appointment.capacity = 7
    db.session.commit()
    people = visitor.get(f"/consultation?day={on}").page.xpath('//select[@name="people"]/option/@value')
    assert people == [str(number) for number in range(1, 8)]
    assert [time for time in visitor.get(f"/consultation?day={on}&people=4").times() if time.startswith("10:00")] == [
        "10:00 4 places left"
    ]


def test_the_download_for_calendars_holds_the_bare_address(visitor: Visitor, service: Service) -> None:
    set_rules(service, location_kind="on-site", location="Calle Mayor 12")
    hold(visitor).press("Book this time", **TYPED)
    assert "At: Calle Mayor 12" in visitor.text()
    assert "LOCATION:Calle Mayor 12\r\n" in visitor.client.get(visitor.url + ".ics").get_data(as_text=True)


def test_fixed_dates_say_how_many_seats_they_have_left_and_parties_are_as_large_as_the_largest_of_them(
    visitor: Visitor, service: Service
) -> None:
    set_rules(service, timing="fixed")
    noon = (now_utc() + timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)
    for days, capacity in ((0, 3), (1, 6)):
        dates.plan_date("consultation", noon + timedelta(days=days), capacity=capacity, now=now_utc())
    visitor.get(f"/consultation?day={noon.date().isoformat()}")
    assert [time.split(" ", 1)[1] for time in visitor.times()] == ["3 places left"]
    assert visitor.page.xpath('//select[@name="people"]/option/@value') == list("123456")
    visitor.get(f"/consultation?day={(noon + timedelta(days=1)).date().isoformat()}&people=6")
    visitor.press(visitor.times()[0]).press("Book this time", **TYPED)
    assert bookings()[0].party_size == 6
    assert visitor.get("/consultation").page.xpath('//select[@name="people"]/option/@value') == list("123456")
