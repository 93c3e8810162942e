"""A customer books without scripts: days are links, times are buttons, and nothing that was typed gets lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask

from portal.booking import operations
from portal.booking.models import Booking
from portal.booking.time import queries
from portal.clock import now_utc
from portal.extensions import db
from tests import factories
from tests.support.visitor import Visitor

EVERY_DAY = {day: [(9 * 60, 17 * 60)] for day in range(7)}
TYPED = {
    "name": "María Pérez",
    "email": "maria@example.org",
    "phone": "+34 600 123 456",
    "note": "Second floor,\nplease.",
}


@pytest.fixture
def visitor(app: Flask) -> Iterator[Visitor]:
    ana = factories.make_resource(slug="ana", name="Ana Ruiz", weekly=EVERY_DAY)
    ben = factories.make_resource(slug="ben", name="Ben Okafor", weekly=EVERY_DAY)
    factories.make_service([ana, ben], slug="consultation", location="Calle Mayor 12")
    return Visitor(app)


def tomorrow() -> str:
    return (now_utc() + timedelta(days=1)).date().isoformat()


def hold(visitor: Visitor, time: str = "10:00", **query: str) -> Visitor:
    """Two clicks: the service, the time."""
    more = "".join(f"&{key}={value}" for key, value in query.items())
    return visitor.get(f"/consultation?day={tomorrow()}{more}").press(time)


def only_booking() -> Booking:
    db.session.rollback()
    return db.session.query(Booking).filter(Booking.status != "held").one()


def token_of(visitor: Visitor) -> str:
    return visitor.value("hold")


def test_two_clicks_and_the_form(visitor: Visitor) -> None:
    visitor.get("/").follow("Consultation")
    assert visitor.times(), "the first free day is open already"
    visitor.press(visitor.times()[0])
    assert "Held for you until" in visitor.text()
    visitor.press("Book this time", **TYPED)
    assert visitor.status == 200
    assert visitor.url.startswith("/b/")
    assert "You are booked" in visitor.text()
    booking = only_booking()
    assert (booking.status, booking.customer_name, booking.customer_phone) == (
        "confirmed",
        "María Pérez",
        "+34 600 123 456",
    )
    assert booking.note.split() == ["Second", "floor,", "please."]


def test_the_person_can_be_chosen(visitor: Visitor) -> None:
    hold(visitor, resource="ben")
    assert "with Ben Okafor" in visitor.text('//*[@id="summary"]')


def test_a_free_day_is_a_link_that_says_how_much_is_free(visitor: Visitor) -> None:
    visitor.get(f"/consultation?day={tomorrow()}")
    names = [link.get("aria-label") for link in visitor.page.xpath("//a[@data-day]")]
    assert any(name.endswith("16 times free") for name in names), names
    assert visitor.page.xpath("//table/caption"), "the month is a table with a caption"


def test_months_are_links_and_an_empty_month_names_the_first_free_day(visitor: Visitor) -> None:
    visitor.get("/consultation?month=2020-01")
    assert "The first free day is" in visitor.text()
    visitor.follow("Show it")
    assert visitor.times()


def test_a_held_time_is_gone_for_others_and_shown_as_mine(visitor: Visitor, app: Flask) -> None:
    for person in ("ana", "ben"):
        other = Visitor(app) if person == "ben" else visitor
        hold(other, resource=person)
    visitor.get(f"/consultation?day={tomorrow()}")
    assert "10:00" not in visitor.times()
    assert "You are holding this time: " in visitor.text('//*[@id="slots"]')
    visitor.follow("Continue")
    assert "Held for you until" in visitor.text()
    stranger = Visitor(app).get(f"/consultation?day={tomorrow()}")
    assert "You are holding" not in stranger.text()


def test_choosing_another_time_replaces_the_hold(visitor: Visitor) -> None:
    hold(visitor, "10:00", resource="ana")
    hold(visitor, "11:00", resource="ana")
    visitor.get(f"/consultation?day={tomorrow()}&resource=ana")
    assert "10:00" in visitor.times()
    assert "11:00" not in visitor.times()
    assert db.session.query(Booking).count() == 1


def test_a_visitor_holds_at_most_three_times(visitor: Visitor) -> None:
    ana = db.session.query(queries.Resource).filter_by(slug="ana").one()
    for number in range(4):
        factories.make_service([ana], slug=f"other-{number}")
        visitor.get(f"/other-{number}?day={tomorrow()}").press(f"1{number}:00")
    db.session.rollback()
    assert db.session.query(Booking).filter_by(status="held").count() == 3


def test_letting_go_frees_the_time(visitor: Visitor) -> None:
    hold(visitor, resource="ana").press("Choose another time")
    assert visitor.url.startswith("/consultation")
    assert "10:00" in Visitor(visitor.client.application).get(f"/consultation?day={tomorrow()}&resource=ana").times()


def test_a_hold_can_be_extended_once(visitor: Visitor) -> None:
    hold(visitor)
    before = db.session.query(Booking).one().held_until
    visitor.press("Keep it 5 minutes longer")
    db.session.rollback()
    assert db.session.query(Booking).one().held_until - before == timedelta(minutes=5)
    with pytest.raises(AssertionError):
        visitor.press("Keep it 5 minutes longer")


def test_a_time_taken_meanwhile_is_answered_with_the_three_nearest(visitor: Visitor, app: Flask) -> None:
    visitor.get(f"/consultation?day={tomorrow()}&resource=ana")
    hold(Visitor(app), "10:00", resource="ana")
    visitor.press("10:00")
    assert visitor.status == 409
    near = visitor.times("flash")
    assert [time.split()[-1] for time in near] == ["09:00", "09:30", "10:30"]
    assert "10:00" not in visitor.times()
    visitor.press(near[0])
    assert visitor.status == 200
    assert "Held for you until" in visitor.text()


def test_wrong_fields_are_named_and_what_was_typed_stays(visitor: Visitor) -> None:
    hold(visitor).press("Book this time", **{**TYPED, "name": "", "email": "maria at home"})
    assert visitor.status == 422
    assert visitor.value("email") == "maria at home"
    assert visitor.value("note").split() == TYPED["note"].split()
    email = visitor.page.get_element_by_id("field-email")
    assert email.get("aria-invalid") == "true"
    for id_ in email.get("aria-describedby").split():
        assert visitor.page.get_element_by_id(id_).text_content()
    targets = visitor.page.xpath('//*[contains(@class, "error-summary")]//a/@href')
    assert targets == ["#field-name", "#field-email"]
    for target in targets:
        assert visitor.page.get_element_by_id(target[1:]) is not None
    visitor.press("Book this time", name="María", email="maria@example.org")
    assert "You are booked" in visitor.text()


def test_a_lost_hold_keeps_what_was_typed_and_offers_the_same_time_again(visitor: Visitor) -> None:
    hold(visitor, resource="ana")
    operations.release_hold(token_of(visitor))
    visitor.press("Book this time", **TYPED)
    assert visitor.status == 409
    assert "What you typed is still here" in visitor.text()
    assert visitor.value("name") == "María Pérez"
    visitor.press("Take")
    assert visitor.status == 200
    assert visitor.value("name") == "María Pérez"
    assert visitor.value("phone") == TYPED["phone"]
    visitor.press("Book this time")
    assert "You are booked" in visitor.text()
    assert only_booking().customer_name == "María Pérez"


def test_a_lost_hold_whose_time_is_taken_offers_the_nearest(visitor: Visitor, app: Flask) -> None:
    hold(visitor, resource="ana")
    operations.release_hold(token_of(visitor))
    hold(Visitor(app), "10:00", resource="ana")
    visitor.press("Book this time", **TYPED)
    assert visitor.status == 409
    assert len(visitor.times("summary")) == 3
    visitor.press(visitor.times("summary")[1])
    assert visitor.value("email") == "maria@example.org"
    assert visitor.press("Book this time").url.startswith("/b/")


def test_the_address_of_a_lost_hold_explains_itself(visitor: Visitor) -> None:
    hold(visitor)
    address = visitor.url
    operations.release_hold(token_of(visitor))
    visitor.get(address)
    assert visitor.status == 409
    assert "This time is not held any more" in visitor.text()
    visitor.press("Take")
    assert "Held for you until" in visitor.text()


def test_sending_the_form_twice_books_once(visitor: Visitor) -> None:
    hold(visitor)
    form = visitor.page.get_element_by_id("details")
    values = {**dict(form.form_values()), **TYPED}
    first = visitor.client.post("/consultation/bookings", data=values)
    second = visitor.client.post("/consultation/bookings", data=values)
    assert first.status_code == second.status_code == 303
    assert first.location == second.location
    assert db.session.query(Booking).count() == 1


def test_programs_get_a_polite_422(visitor: Visitor) -> None:
    hold(visitor).press("Book this time", **TYPED, website="http://spam.example")
    assert visitor.status == 422
    assert visitor.value("name") == "María Pérez"
    visitor.press("Book this time", key="made up")
    assert visitor.status == 422
    assert db.session.query(Booking).filter(Booking.status != "held").count() == 0


def test_who_has_the_form_filled_in_at_once_books_and_a_filled_trap_is_emptied(visitor: Visitor) -> None:
    hold(visitor).press("Book this time", **TYPED, website="https://maria.example")
    assert visitor.value("website") == ""
    visitor.press("Book this time")
    assert "You are booked" in visitor.text()


def test_back_after_booking_says_that_it_is_booked(visitor: Visitor, app: Flask) -> None:
    hold(visitor)
    address = visitor.url
    visitor.press("Book this time", **TYPED)
    manage = visitor.url
    visitor.get(address)
    assert visitor.status == 200
    assert "You have booked it" in visitor.text()
    assert "not held any more" not in visitor.text()
    assert not visitor.page.xpath('//input[@name="email"]')
    assert visitor.follow("See your booking").url == manage
    stranger = Visitor(app).get(address)
    assert stranger.status == 409
    assert "You have booked it" not in stranger.text()
    assert manage not in stranger.response.get_data(as_text=True)


def test_back_after_booking_and_cancelling_says_both(visitor: Visitor) -> None:
    hold(visitor)
    address = visitor.url
    visitor.press("Book this time", **TYPED).follow("Cancel the booking").press("Yes, cancel it")
    assert "It has been cancelled since" in visitor.get(address).text()


def test_an_old_form_of_a_booked_time_leads_to_the_booking_as_well(visitor: Visitor) -> None:
    form = dict(hold(visitor).page.get_element_by_id("details").form_values())
    visitor.press("Book this time", **TYPED)
    for name, path in (("key", "bookings"), ("hold", f"holds/{form['hold']}/extension")):
        again = visitor.client.post(f"/consultation/{path}", data=form | TYPED | {name: form[name]})
        assert "/b/" in (again.location or again.get_data(as_text=True))


def test_a_party_takes_its_places(app: Flask) -> None:
    room = factories.make_resource(weekly=EVERY_DAY)
    factories.make_service([room], slug="yoga", capacity=8)
    visitor = Visitor(app).get(f"/yoga?day={tomorrow()}&people=3").press("10:00")
    visitor.press("Book this time", **TYPED)
    assert only_booking().party_size == 3
    other = Visitor(app).get(f"/yoga?day={tomorrow()}")
    assert "10:00 5 places left" in other.times()
    other.get(f"/yoga?day={tomorrow()}&people=6")
    assert not [time for time in other.times() if time.startswith("10:00")]


def test_a_full_service_says_so(app: Flask) -> None:
    factories.make_service([factories.make_resource(weekly={})], slug="nothing")
    visitor = Visitor(app).get("/nothing")
    assert visitor.status == 200
    assert "No free times just now" in visitor.text()


def test_a_calendar_that_cannot_be_read_is_not_called_taken_time(app: Flask) -> None:
    ana = factories.make_resource(weekly=EVERY_DAY)
    factories.make_service([ana], slug="unknown")
    factories.make_calendar(ana, when_unreadable="stop", last_read_at=now_utc() - timedelta(hours=1))
    text = Visitor(app).get("/unknown").text()
    assert "A calendar cannot be read at this moment" in text
    assert "Everything is taken" not in text


def test_nothing_to_book_yet_is_said(app: Flask) -> None:
    assert "Nothing can be booked here yet" in Visitor(app).get("/").text()


@pytest.mark.parametrize(
    "start_at", ["", "soon", "2026-12-01", "2026-12-01T10:00:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
)
def test_a_made_up_time_is_refused_with_a_sentence(visitor: Visitor, start_at: str) -> None:
    response = visitor.client.post("/consultation/holds", data={"start_at": start_at})
    assert response.status_code in (409, 422)
    assert db.session.query(Booking).count() == 0


def test_a_person_who_does_not_give_the_service_cannot_be_taken(visitor: Visitor) -> None:
    visitor.get(f"/consultation?day={tomorrow()}")
    visitor.press("10:00", resource="eve")
    assert visitor.status == 404
    assert "Please choose again" in visitor.text()


def test_hidden_services_are_like_none(app: Flask) -> None:
    factories.make_service(slug="secret", is_active=False)
    hidden, unknown = Visitor(app).get("/secret"), Visitor(app).get("/no-such-thing")
    assert hidden.status == unknown.status == 404
    assert hidden.text() == unknown.text()
