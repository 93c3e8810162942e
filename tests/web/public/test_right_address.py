"""The confirmation names the address that is written to, and whoever has just booked may put it right; nobody else, and not for long."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask

from portal.booking import operations
from portal.booking.models import Booking
from portal.booking.strangers import address
from portal.business.models import Service
from portal.clock import now_utc
from portal.errors import NotAllowedNow
from portal.extensions import db
from portal.outbox import OutboxEntry
from tests import factories
from tests.support.visitor import Visitor

EVERY_DAY = {day: [(9 * 60, 17 * 60)] for day in range(7)}
WRONG, RIGHT = "maria@exmaple.org", "maria@example.org"


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    """Who has just booked under a mistyped address, on the page that says so."""
    ana = factories.make_resource(slug="ana", name="Ana Ruiz", weekly=EVERY_DAY)
    factories.make_service([ana], slug="consultation")
    visitor = Visitor(app).get("/consultation")
    visitor.press(visitor.times()[3]).press("Book this time", name="María Pérez", email=WRONG)
    return visitor


def booking() -> Booking:
    db.session.rollback()
    return db.session.query(Booking).one()


def news() -> list[dict[str, object]]:
    db.session.rollback()
    rows = db.session.query(OutboxEntry).filter_by(topic="notify.customer").order_by(OutboxEntry.id)
    return [dict(row.payload) for row in rows]


def correct(visitor: Visitor, email: str) -> Visitor:
    return visitor.follow("Not right? Correct it").press("Write to this address", email=email)


def test_the_confirmation_names_the_address_to_who_has_booked_alone(visitor: Visitor, app: Flask) -> None:
    assert f"Our e-mail goes to {WRONG}" in visitor.text()
    assert WRONG not in Visitor(app).get(visitor.url).response.get_data(as_text=True)


def test_a_corrected_address_gets_the_mail_and_the_only_link(visitor: Visitor) -> None:
    old = visitor.url
    correct(visitor, f" {RIGHT} ")
    assert visitor.status == 200
    assert visitor.url != old
    assert f"Our e-mail goes to {RIGHT}" in visitor.text()
    assert booking().customer_email == RIGHT
    assert [each["news"] for each in news()] == ["booked", "booked"]
    assert news()[1]["sequence"] == booking().sequence
    published = db.session.query(OutboxEntry).filter_by(topic="calendar.publish").count()
    assert published == 2, "the event may name the guest"
    assert db.session.query(OutboxEntry).filter_by(topic="notify.staff").count() == 1, "staff need not hear of it twice"
    manage = visitor.url
    assert visitor.get(old).status == 404, "whoever got the mail that went astray"
    assert visitor.get(manage).status == 200


def test_back_from_a_corrected_booking_knows_the_new_link(app: Flask, visitor: Visitor) -> None:
    hold = next(made_of for made_of, _ in _session(visitor)["booked"])
    correct(visitor, RIGHT)
    manage = visitor.url
    assert visitor.get(f"/consultation/holds/{hold}").follow("See your booking").url == manage


def _session(visitor: Visitor) -> dict[str, list[list[str]]]:
    with visitor.client.session_transaction() as session:
        return dict(session)


def test_a_stranger_with_the_link_cannot_turn_the_mail_to_themselves(visitor: Visitor, app: Flask) -> None:
    token = urlsplit(visitor.url).path.rpartition("/")[2]
    stranger = Visitor(app)
    assert stranger.get(f"/b/{token}/address").status == 409
    assert "Not right?" not in stranger.get(f"/b/{token}").text()
    answer = stranger.client.post(f"/b/{token}/address", data={"email": "eve@example.org"})
    assert answer.status_code == 409
    assert booking().customer_email == WRONG


def test_what_is_no_address_is_said_beside_the_field(visitor: Visitor) -> None:
    correct(visitor, "nonsense")
    assert visitor.status == 422
    assert visitor.value("email") == "nonsense"
    assert booking().customer_email == WRONG


def test_it_ends_half_an_hour_after_booking(visitor: Visitor) -> None:
    booking().created_at = now_utc() - timedelta(minutes=31)
    db.session.commit()
    page = visitor.get(visitor.url)
    assert f"Our e-mail goes to {WRONG}" in page.text()
    assert "Not right?" not in page.text()
    with pytest.raises(NotAllowedNow):
        address.correct_address(booking().id, RIGHT, now=now_utc())


def test_it_can_be_done_twice_and_not_to_write_to_all_the_world(visitor: Visitor) -> None:
    correct(visitor, "first@example.org")
    correct(visitor, RIGHT)
    assert "Not right?" not in visitor.text()
    with pytest.raises(NotAllowedNow):
        address.correct_address(booking().id, "third@example.org", now=now_utc())
    assert len(news()) == 3


def test_a_cancelled_booking_is_not_written_about(visitor: Visitor) -> None:
    operations.cancel_booking(booking().id, by="staff", now=now_utc())
    assert "Our e-mail goes to" not in visitor.get(visitor.url).text()
    with pytest.raises(NotAllowedNow):
        address.correct_address(booking().id, RIGHT, now=now_utc())


def test_an_address_that_has_as_many_bookings_as_it_may_is_refused(visitor: Visitor, app: Flask) -> None:
    other = Visitor(app).get("/consultation")
    other.press(other.times()[5]).press("Book this time", name="María", email=RIGHT)
    db.session.query(Service).update({"per_customer": 1})
    db.session.commit()
    correct(visitor, RIGHT)
    assert visitor.status == 409
    assert db.session.query(Booking).filter_by(customer_email=RIGHT).count() == 1
