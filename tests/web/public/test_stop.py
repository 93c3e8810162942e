"""Ending reminders, or one's place on a waitlist, from a mail: by the link, and by a mail program's own button."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from portal.booking.models import Booking, WaitlistEntry
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.notifications.models import Reminder
from portal.notifications.reminders import plan_booking
from portal.notifications.stop_links import stop_url
from portal.security import token_hash
from portal.waitlist.steps import token_place
from tests import factories
from tests.support.visitor import Visitor
from tests.web.public.test_manage import booking_of, make_booking

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture(autouse=True)
def form_tokens_count(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)


@pytest.fixture
def booking(app: Flask) -> Booking:
    booking = booking_of(make_booking(day=4))
    transaction(lambda session: plan_booking(session, session.get_one(Booking, booking.id), now_utc()))
    return booking


def path(kind: str, row_id: int) -> str:
    return stop_url(kind, row_id).removeprefix("http://localhost")


def states() -> list[str]:
    db.session.rollback()
    return [row.state for row in db.session.query(Reminder).order_by(Reminder.id)]


def test_opening_the_link_asks_and_changes_nothing(app: Flask, booking: Booking) -> None:
    visitor = Visitor(app).get(path("reminders", booking.id))
    assert "No more reminders of this booking?" in visitor.text()
    assert states() == ["waiting"]


def test_the_button_of_a_mail_program_needs_neither_cookie_nor_form_token_and_may_come_twice(
    app: Flask, booking: Booking
) -> None:
    for _ in range(2):
        answer = app.test_client().post(path("reminders", booking.id), data=ONE_CLICK)
        assert answer.status_code == 200
        assert states() == ["dropped"]
    db.session.refresh(booking)
    assert booking.wants_reminders is False
    assert booking.status == "confirmed"


def test_the_page_names_a_service_and_a_time_and_nobody(app: Flask, booking: Booking) -> None:
    answer = app.test_client().get(path("reminders", booking.id))
    page = answer.get_data(as_text=True)
    assert "Consultation" in page
    assert booking.customer_name not in page
    assert booking.customer_email not in page
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Robots-Tag"] == "noindex"


@pytest.mark.parametrize("spoil", [lambda token: token[:-2], lambda token: "x" + token, lambda _token: "nonsense"])
def test_a_link_that_the_portal_has_not_made_ends_nothing(app: Flask, booking: Booking, spoil) -> None:
    token = spoil(path("reminders", booking.id).removeprefix("/u/"))
    client = app.test_client()
    assert client.get(f"/u/{token}").status_code == 404
    assert client.post(f"/u/{token}", data=ONE_CLICK).status_code == 404
    assert states() == ["waiting"]


def test_a_link_for_one_booking_ends_no_other_ones_reminders(app: Flask, booking: Booking) -> None:
    other = booking_of(make_booking(name="Max", email="max@example.org", day=5))
    transaction(lambda session: plan_booking(session, session.get_one(Booking, other.id), now_utc()))
    app.test_client().post(path("reminders", booking.id), data=ONE_CLICK)
    db.session.rollback()
    assert db.session.get_one(Booking, other.id).wants_reminders is True
    assert sorted(states()) == ["dropped", "waiting"]


def test_one_click_leaves_the_waitlist_and_keeps_nothing_for_who_left(app: Flask) -> None:
    entry_id = make_entry(app)
    client, where = app.test_client(), path("waitlist", entry_id)
    assert "Leave the waitlist?" in client.get(where).get_data(as_text=True)
    assert db.session.get_one(WaitlistEntry, entry_id).status == "waiting"
    for _ in range(2):
        assert client.post(where, data=ONE_CLICK).status_code == 200
        db.session.rollback()
        assert db.session.get_one(WaitlistEntry, entry_id).status == "left"


def test_who_has_accepted_learns_that_a_booking_is_cancelled_elsewhere(app: Flask) -> None:
    entry_id = make_entry(app, status="accepted")
    answer = app.test_client().post(path("waitlist", entry_id), data=ONE_CLICK)
    assert "You are not on the waitlist any more" not in answer.get_data(as_text=True)
    db.session.rollback()
    assert db.session.get_one(WaitlistEntry, entry_id).status == "accepted"


def make_entry(app: Flask, *, status: str = "waiting") -> int:
    service = factories.make_service([factories.make_resource(slug="ana")], slug="yoga", has_waitlist=True)
    entry = WaitlistEntry(
        public_id="entry", service_id=service.id, wish="any", status=status, customer_name="Zoë", token_hash=token_hash("secret"),
        customer_email="zoe@customer.example", joined_at=now_utc() - timedelta(days=1),
    )  # fmt: skip
    entry.sealed_token = app.extensions["sealer"].seal("secret", place=token_place(entry))
    db.session.add(entry)
    db.session.commit()
    return entry.id
