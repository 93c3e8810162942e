"""The link of a video meeting on the pages: told to whoever has a confirmed place, and to staff."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import icalendar
import pytest
from flask import Flask

from portal.booking import operations
from portal.booking.models import Booking
from portal.booking.operations import Outcome
from portal.booking.rules import Customer
from portal.booking.time import queries
from portal.business.models import Service
from portal.clock import now_utc
from portal.extensions import db
from portal.sync.publish.publish import publish
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from tests.factories import make_calendar, make_resource, make_service
from tests.support.people import make_user, signed_in
from tests.support.visitor import Visitor

EVERY_DAY = {day: [(0, 1440)] for day in range(7)}


@dataclass
class Call:
    app: Flask
    service: Service
    store: MemoryCalendars

    def book(self, name: str = "Clara") -> Outcome:
        slot = queries.soonest_slots(db.session(), self.service, now=now_utc(), limit=1)[0]
        return operations.book(
            service_slug="call",
            start_at=slot.interval.start,
            customer=Customer(name, f"{name.lower()}@example.org"),
            idempotency_key=f"{name} books",
            now=now_utc(),
        )

    def write(self, outcome: Outcome) -> str:
        """Have the event written; gives its link."""
        appointment_id = db.session.get_one(Booking, outcome.booking_id).appointment_id
        db.session.rollback()
        publish(appointment_id)
        [event] = self.store.events(DEFAULT_CALENDAR)
        return event.meeting_url

    def page(self, outcome: Outcome) -> Visitor:
        return Visitor(self.app).get(f"/b/{outcome.manage_token}")

    def staff_page(self, outcome: Outcome) -> str:
        client = signed_in(self.app, make_user("owner", name="Olga"))
        return str(client.get(f"/admin/bookings/{outcome.booking_id}").get_data(as_text=True))


@pytest.fixture
def call(sqlite_app: Flask) -> Iterator[Call]:
    MemoryCalendars.reset()
    ana = make_resource(slug="ana", name="Ana", weekly=EVERY_DAY)
    calendar = make_calendar(ana, remote_id=DEFAULT_CALENDAR, last_read_at=now_utc())
    store = MemoryCalendars.open(calendar.connection.account["url"])
    yield Call(sqlite_app, make_service([ana], slug="call", meeting="google"), store)
    MemoryCalendars.reset()


def links(visitor: Visitor) -> list[str]:
    return [link.get("href") for link in visitor.page.iter("a") if "meet.example" in link.get("href", "")[:30]]


def test_who_books_knows_before_that_it_is_a_video_call(call):
    visitor = Visitor(call.app).get("/")
    assert "Video call" in visitor.text()
    visitor.follow("Consultation")
    assert "Video call" in visitor.text()
    label = visitor.times()[0]
    visitor.press(label)
    assert "Video call; you get the link when you have booked" in visitor.text()


def test_the_customers_page_has_the_link_as_soon_as_it_is_made(call):
    outcome = call.book()
    visitor = call.page(outcome)
    assert "Video call; the link will stand here" in visitor.text()
    [place] = visitor.page.xpath('//*[@id="call"]')
    assert place.get("hx-get") == f"/b/{outcome.manage_token}"
    url = call.write(outcome)
    visitor = call.page(outcome)
    assert links(visitor) == [url]
    assert visitor.page.xpath('//*[@id="call"]')[0].get("hx-get") is None


def test_the_download_holds_the_link(call):
    outcome = call.book()
    url = call.write(outcome)
    text = Visitor(call.app).client.get(f"/b/{outcome.manage_token}.ics").get_data()
    [event] = icalendar.Calendar.from_ical(text).walk("VEVENT")
    assert (event["LOCATION"], event["CONFERENCE"]) == (url, url)
    assert f"Video call: {url}" in event["DESCRIPTION"]


def test_a_cancelled_booking_shows_no_link_even_before_the_calendar_knows(call):
    outcome = call.book()
    url = call.write(outcome)
    operations.cancel_booking(outcome.booking_id, by="customer", now=now_utc())
    page = call.page(outcome).response.get_data(as_text=True)
    assert url not in page
    assert "Video call" not in page
    assert url not in call.staff_page(outcome)


def test_staff_see_the_link_or_why_there_is_none(call):
    outcome = call.book()
    assert "The link is not there yet; it comes with the event in the calendar." in call.staff_page(outcome)
    url = call.write(outcome)
    assert f'<a href="{url}"' in call.staff_page(outcome)


def test_where_no_calendar_makes_links_customers_and_staff_are_told(call):
    db.session.query(Service).one().needs[0].resource_id = make_resource(slug="ben", weekly=EVERY_DAY).id
    db.session.commit()
    outcome = call.book()
    assert outcome.status == "confirmed"
    assert "Video call; we will let you know the link in time" in call.page(outcome).text()
    assert "No calendar has made a link." in call.staff_page(outcome)


def test_services_without_a_video_call_say_nothing_of_one(call):
    db.session.query(Service).one().meeting = ""
    db.session.commit()
    outcome = call.book()
    assert "Video call" not in call.page(outcome).text() + Visitor(call.app).get("/call").text()
    assert "Video call" not in call.staff_page(outcome)
