"""The customer's own link: look, add to a calendar, move, cancel; and nobody else's."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import icalendar
import pytest
from flask import Flask

from portal.booking import operations
from portal.booking.models import Appointment, Booking, Claim
from portal.booking.rules import Customer
from portal.booking.time import queries
from portal.business.models import Service
from portal.clock import now_utc
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.security import new_token
from tests import factories
from tests.support.visitor import Visitor

EVERY_DAY = {day: [(9 * 60, 17 * 60)] for day in range(7)}


def make_booking(
    *, name: str = "María Pérez", email: str = "maria@example.org", day: int = 2, **service: object
) -> str:
    """A confirmed booking some days ahead; returns the token of its link."""
    row = db.session.query(Service).filter_by(slug="consultation").first()
    if row is None:
        person = factories.make_resource(slug="ana", name="Ana Ruiz", weekly=EVERY_DAY)
        row = factories.make_service([person], slug="consultation", **service)
    after = now_utc().replace(hour=6, minute=0) + timedelta(days=day)  # whatever the hour, with time left behind it
    slot = queries.soonest_slots(db.session(), row, now=now_utc(), after=after, limit=1)[0]
    hold = operations.place_hold(service_slug="consultation", start_at=slot.interval.start, now=now_utc())
    customer = Customer(name=name, email=email, phone="+34 600 123 456", note="a private note")
    return operations.confirm_hold(hold.token, customer, idempotency_key=new_token(), now=now_utc()).manage_token


def booking_of(token: str) -> Booking:
    db.session.rollback()
    return queries.booking_of_manage_token(db.session(), token)


def test_the_page_shows_a_first_name_a_service_and_a_time_and_nothing_else(app: Flask) -> None:
    token = make_booking()
    visitor = Visitor(app).get(f"/b/{token}")
    assert "You are booked" in visitor.text()
    assert "Consultation" in visitor.text()
    assert "Madrid time (UTC" in visitor.text()
    page = visitor.response.get_data(as_text=True)
    for private in ("Pérez", "maria@example.org", "600 123", "private note"):
        assert private not in page


def test_cancelling_asks_first_and_then_tells_so(app: Flask) -> None:
    token = make_booking()
    visitor = Visitor(app).get(f"/b/{token}").follow("Cancel the booking")
    assert booking_of(token).status == "confirmed"
    visitor.press("Yes, cancel it")
    assert "This booking is cancelled" in visitor.text()
    assert booking_of(token).status == "cancelled"
    assert db.session.query(Claim).count() == 0
    assert "This booking is cancelled" in Visitor(app).get(f"/b/{token}/move").text()


def test_cancelling_twice_changes_nothing_more(app: Flask) -> None:
    token = make_booking()
    client = app.test_client()
    for _ in range(2):
        assert client.post(f"/b/{token}/cancellation").status_code == 303
    news = db.session.query(OutboxEntry).filter_by(topic="notify.customer").order_by(OutboxEntry.id).all()
    assert [entry.payload["news"] for entry in news] == ["booked", "cancelled"]


def test_moving_takes_two_clicks_and_a_yes(app: Flask) -> None:
    token = make_booking()
    old = booking_of(token).appointment.start_at
    visitor = Visitor(app).get(f"/b/{token}").follow("Move to another time")
    visitor.press(visitor.times()[-1])
    assert "Take this time instead?" in visitor.text()
    assert booking_of(token).appointment.start_at == old
    visitor.press("Move my appointment")
    assert "your appointment has a new time" in visitor.text()
    assert booking_of(token).appointment.start_at != old


def test_ones_own_old_time_counts_as_free_when_moving(app: Flask) -> None:
    token = make_booking(duration=60, step=15)
    start_at = booking_of(token).appointment.start_at
    response = app.test_client().post(
        f"/b/{token}/move", data={"start_at": (start_at + timedelta(minutes=15)).isoformat()}
    )
    assert response.status_code == 303
    assert booking_of(token).appointment.start_at == start_at + timedelta(minutes=15)


def test_moving_to_a_time_taken_meanwhile_keeps_the_old_one(app: Flask) -> None:
    first, second = make_booking(day=2), make_booking(name="Other", email="other@example.org", day=3)
    taken, old = booking_of(second).appointment.start_at, booking_of(first).appointment.start_at
    visitor = Visitor(app)
    visitor._keep(visitor.client.post(f"/b/{first}/move", data={"start_at": taken.isoformat()}))
    assert visitor.status == 409
    assert len(visitor.times("flash")) == 3
    assert booking_of(first).appointment.start_at == old
    visitor.press(visitor.times("flash")[0]).press("Move my appointment")
    assert booking_of(first).appointment.start_at != old


def test_after_the_cut_off_the_page_says_why(app: Flask) -> None:
    token = make_booking(cancel_until=7 * 1440, move_until=7 * 1440)
    visitor = Visitor(app).get(f"/b/{token}")
    assert "only until 7 days before the start" in visitor.text()
    assert not visitor.page.xpath('//a[contains(., "Cancel the booking")]')
    for action in ("cancellation", "move"):
        data = {"start_at": (now_utc() + timedelta(days=5)).isoformat()}
        response = visitor.client.post(f"/b/{token}/{action}", data=data)
        assert response.status_code == 409
        assert "7 days" in response.get_data(as_text=True)
    assert booking_of(token).status == "confirmed"


def test_a_pending_booking_says_what_that_means(app: Flask) -> None:
    token = make_booking()
    booking = booking_of(token)
    booking.status, booking.pending_reason = "pending", "calendar"
    db.session.commit()
    text = Visitor(app).get(f"/b/{token}").text()
    assert "Almost there" in text
    assert "we confirm by e-mail" in text


def test_unknown_foreign_and_outdated_links_get_the_same_404(app: Flask) -> None:
    token = make_booking()
    appointment = db.session.query(Appointment).one()
    span = timedelta(days=40)
    for name in ("start_at", "end_at", "claim_start_at", "claim_end_at"):
        setattr(appointment, name, getattr(appointment, name) - span)
    db.session.commit()
    paths = ("", "/cancellation", "/move", ".ics")
    outdated = [Visitor(app).get(f"/b/{token}{path}") for path in paths]
    unknown = [Visitor(app).get(f"/b/{new_token()}{path}") for path in paths]
    assert {page.status for page in outdated + unknown} == {404}
    assert len({page.response.data for page in outdated + unknown}) == 1
    assert "Please use the newest link" in outdated[0].text()


def test_a_hold_token_opens_no_booking(app: Flask) -> None:
    make_booking()
    hold = operations.place_hold(
        service_slug="consultation", start_at=booking_start() + timedelta(days=1), now=now_utc()
    )
    assert Visitor(app).get(f"/b/{hold.token}").status == 404


def booking_start():  # type: ignore[no-untyped-def]
    return db.session.query(Appointment.start_at).scalar()


def test_the_ics_is_an_entry_for_ones_own_calendar(app: Flask) -> None:
    token = make_booking(location="Calle Mayor 12; 3º")
    response = app.test_client().get(f"/b/{token}.ics")
    assert response.mimetype == "text/calendar"
    calendar = icalendar.Calendar.from_ical(response.data)
    event = calendar.walk("VEVENT")[0]
    assert calendar["METHOD"] == "PUBLISH"
    assert event.decoded("DTSTART") == booking_of(token).appointment.start_at
    assert event["LOCATION"] == "Calle Mayor 12; 3º"
    assert "ATTENDEE" not in event


def test_links_to_other_calendars_hold_no_right(app: Flask) -> None:
    token = make_booking()
    visitor = Visitor(app).get(f"/b/{token}")
    links = visitor.page.xpath('//a[starts-with(@href, "https://")]')
    assert len(links) == 2
    for link in links:
        assert token not in link.get("href")
        assert "noreferrer" in link.get("rel")
    dates = parse_qs(urlsplit(links[0].get("href")).query)["dates"][0]
    assert re.fullmatch(r"\d{8}T\d{6}Z/\d{8}T\d{6}Z", dates)


def test_the_link_leaks_nowhere(app: Flask) -> None:
    response = Visitor(app).get(f"/b/{make_booking()}").response
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_the_time_is_shown_in_the_zone_that_the_customer_booked_in(app: Flask, zone: str) -> None:
    token = make_booking()
    booking_of(token).customer_zone = zone
    db.session.commit()
    assert f"{zone.split('/')[1].replace('_', ' ')} time (UTC" in Visitor(app).get(f"/b/{token}").text()
