"""Every way back leads to where the visitor was: the same day, zone, person and party, whatever came between."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from portal.booking import operations
from portal.booking.models import Booking, WaitlistEntry
from portal.business.models import Service
from portal.clock import now_utc
from portal.extensions import db
from portal.waitlist.steps import entry_token
from tests import factories
from tests.operations.waitlist.house import make_class, take
from tests.support.visitor import Visitor
from tests.web.public.test_manage import make_booking

MADRID = ZoneInfo("Europe/Madrid")
EVERY_DAY = {day: [(9 * 60, 17 * 60)] for day in range(7)}
TYPED = {"name": "María Pérez", "email": "maria@example.org"}
WHERE = "zone=Europe/London&resource=ben&people=2"


@pytest.fixture
def app(sqlite_app: Flask) -> Flask:
    people = [factories.make_resource(slug=name, name=name.title(), weekly=EVERY_DAY) for name in ("ana", "ben")]
    factories.make_service(people, slug="consultation", capacity=3)
    return sqlite_app


def in_days(days: int) -> date:
    return (now_utc() + timedelta(days=days)).date()


def open_day(visitor: Visitor) -> str | None:
    found = visitor.page.xpath('//*[@id="slots"]/@data-day')
    return str(found[0]) if found else None


def assert_back(visitor: Visitor, on: date) -> None:
    """On that day, by London's clocks, with Ben, for two."""
    assert visitor.url.startswith("/consultation?"), visitor.url
    assert open_day(visitor) == on.isoformat()
    assert "London time" in visitor.text('//*[@id="slots"]')
    chosen = visitor.page.xpath('//select[@id="field-resource" or @id="field-people"]/option[@selected]/@value')
    assert chosen == ["ben", "2"]


def held(app: Flask, on: date) -> Visitor:
    visitor = Visitor(app).get(f"/consultation?day={on}&{WHERE}")
    return visitor.press(visitor.times()[3])


def test_choosing_another_time_leads_back_to_the_day(app: Flask) -> None:
    assert_back(held(app, in_days(22)).press("Choose another time"), in_days(22))


def test_a_hold_that_was_extended_leads_back_all_the_same(app: Flask) -> None:
    visitor = held(app, in_days(22)).press("Keep it 5 minutes longer")
    assert_back(visitor.press("Choose another time"), in_days(22))


def test_a_form_with_mistakes_leads_back_all_the_same(app: Flask) -> None:
    visitor = held(app, in_days(22)).press("Book this time", name="María", email="nonsense")
    assert visitor.status == 422
    assert_back(visitor.press("Choose another time"), in_days(22))


def test_of_a_time_out_of_the_soonest_ones_it_leads_back_to_the_day_that_was_open(app: Flask) -> None:
    visitor = Visitor(app).get(f"/consultation?day={in_days(22)}&{WHERE}")
    visitor.press(visitor.times("soonest")[0])
    assert_back(visitor.press("Choose another time"), in_days(22))


def test_a_page_opened_without_a_day_leads_back_to_the_one_that_it_showed(app: Flask) -> None:
    visitor = Visitor(app).get("/consultation")
    day = open_day(visitor)
    visitor.press(visitor.times()[0]).press("Choose another time")
    assert open_day(visitor) == day
    assert f"day={day}" in visitor.url


def test_a_hold_without_a_word_of_where_it_came_from_leads_back_to_its_own_day(app: Flask) -> None:
    visitor = held(app, in_days(22))
    visitor.get(visitor.url.partition("?")[0]).press("Choose another time")
    assert open_day(visitor) == in_days(22).isoformat()


@pytest.mark.parametrize("opened_again", [True, False], ids=["by its address", "by sending the form"])
def test_a_hold_that_has_run_out_leads_back_to_the_day(app: Flask, opened_again: bool) -> None:
    visitor = held(app, in_days(22))
    operations.release_hold(visitor.value("hold"))
    visitor = visitor.get(visitor.url) if opened_again else visitor.press("Book this time", **TYPED)
    assert visitor.status == 409
    assert_back(visitor.follow("See all free times"), in_days(22))


def test_a_time_taken_meanwhile_leaves_the_visitor_on_the_day(app: Flask) -> None:
    visitor = Visitor(app).get(f"/consultation?day={in_days(22)}&{WHERE}")
    time = visitor.times()[0]
    other = Visitor(app).get(f"/consultation?day={in_days(22)}&zone=Europe/London&resource=ben&people=3").press(time)
    assert other.status == 200
    visitor.press(time)
    assert visitor.status == 409
    visitor.press(visitor.times("flash")[0]).press("Choose another time")
    assert_back(visitor, in_days(22))


def test_letting_ones_own_hold_go_stays_on_the_day(app: Flask) -> None:
    visitor = held(app, in_days(22)).get(f"/consultation?day={in_days(12)}&{WHERE}")
    assert_back(visitor.press("Let it go"), in_days(12))


def test_the_language_stays_on_the_way_back(app: Flask) -> None:
    visitor = Visitor(app).get(f"/consultation?day={in_days(22)}")
    visitor.headers = {"Referer": f"http://localhost{visitor.url}"}
    visitor.press("Español").press(visitor.times()[0]).press("Elegir otra hora")
    assert open_day(visitor) == in_days(22).isoformat()
    assert visitor.page.get("lang") == "es"


def test_the_waitlist_leads_back_to_the_day_from_each_of_its_pages(app: Flask) -> None:
    on = in_days(9)
    yoga = make_class(1, start_at=datetime(on.year, on.month, on.day, 13, tzinfo=MADRID).astimezone(UTC), slug="yoga")
    take(yoga, "Zebedee")
    visitor = Visitor(app).get(f"/yoga?day={on}").follow("13:00")
    assert open_day(Visitor(app).get(visitor.page.xpath('//a[text()="Back to the times"]/@href')[0])) == on.isoformat()
    visitor.press("Join the waitlist", **TYPED).follow("See the free times")
    assert open_day(visitor) == on.isoformat()
    db.session.rollback()
    visitor.get(f"/w/{entry_token(db.session.query(WaitlistEntry).one())}").follow("See the free times")
    assert open_day(visitor) == on.isoformat()


def test_moving_leads_back_to_the_day_too(app: Flask) -> None:
    db.session.query(Service).update({"capacity": 1})
    db.session.commit()
    token = make_booking()
    visitor = Visitor(app).get(f"/b/{token}/move?day={in_days(22)}&zone=Europe/London")
    visitor.press(visitor.times()[0]).follow("Choose another time")
    assert visitor.url.startswith(f"/b/{token}/move?")
    assert open_day(visitor) == in_days(22).isoformat()
    assert "London time" in visitor.text('//*[@id="slots"]')


def test_a_new_time_that_was_taken_meanwhile_leaves_the_mover_on_the_day(app: Flask) -> None:
    db.session.query(Service).update({"capacity": 1})
    db.session.commit()
    token = make_booking()
    visitor = Visitor(app).get(f"/b/{token}/move?day={in_days(22)}")
    visitor.press(visitor.times()[0])
    start_at = visitor.value("start_at")
    for person in ("ana", "ben"):
        stranger = Visitor(app).get(f"/consultation?day={in_days(22)}&resource={person}")
        stranger.client.post("/consultation/holds", data={"start_at": start_at, "resource": person})
    visitor.press("Move my appointment")
    assert visitor.status == 409
    assert open_day(visitor) == in_days(22).isoformat()
    assert db.session.query(Booking).filter_by(status="confirmed").count() == 1
