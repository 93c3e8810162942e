"""The link of a video call comes up on the customer's page by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from portal.booking.models import Booking
from portal.business.models import Resource, Service
from portal.clock import now_utc
from portal.extensions import db
from portal.sync.publish.publish import publish
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from tests.factories import make_calendar


@pytest.fixture
def store(address: str) -> Iterator[MemoryCalendars]:
    """Ana's calendar, which makes links."""
    MemoryCalendars.reset()
    db.session.query(Service).one().meeting = "google"
    ana = db.session.query(Resource).filter_by(slug="ana").one()
    calendar = make_calendar(ana, remote_id=DEFAULT_CALENDAR, last_read_at=now_utc())
    yield MemoryCalendars.open(calendar.connection.account["url"])
    MemoryCalendars.reset()


def test_the_link_is_shown_as_soon_as_it_is_made(page: Page, store: MemoryCalendars) -> None:
    page.goto("/consultation?resource=ana")
    expect(page.locator(".facts").first).to_contain_text("Video call")
    page.locator("#slots .time").first.click()
    expect(page.locator("#summary")).to_contain_text("Video call; you get the link when you have booked")
    page.get_by_label("Name").fill("María Pérez")
    page.get_by_label("E-mail").fill("maria@example.org")
    page.get_by_role("button", name="Book").click()
    expect(page.locator("#call")).to_contain_text("Video call; the link will stand here")
    db.session.rollback()
    appointment_id = db.session.query(Booking).filter_by(status="confirmed").one().appointment_id
    db.session.rollback()
    publish(appointment_id)
    [event] = store.events()
    link = page.locator("#call a")
    expect(link).to_have_attribute("href", event.meeting_url)
    expect(link).to_have_text(event.meeting_url)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(3500)
    assert asked == []  # it has what it looked for
