"""The integrations page in a real browser: it follows what happens without taking anything from under a person's hands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page
from sqlalchemy import update

from portal.accounts.models import UserSession
from portal.booking import operations
from portal.booking.models import EventLink
from portal.booking.time import queries
from portal.business.models import Resource, Service
from portal.calendars import titles
from portal.calendars.models import Calendar, Connection
from portal.clock import now_utc
from portal.extensions import db
from portal.sync.account import disconnect, disconnecting
from portal.worker import drain
from providers.calendars.memory import MemoryCalendars
from tests.factories import make_calendar
from tests.support.people import PASSWORD, make_user

NARROW = {"width": 320, "height": 700}
PAGE = "/admin/integrations"


@pytest.fixture
def calendar(address: str) -> Any:
    MemoryCalendars.reset()
    ana = db.session.query(Resource).filter_by(slug="ana").one()
    read = now_utc() - timedelta(seconds=3)
    MemoryCalendars.open("ana's account").add_calendar("bookings")
    return make_calendar(ana, last_read_at=read, name="Work", url="ana's account")


@pytest.fixture
def staff(page: Page, calendar: Any) -> Page:
    """The owner on the integrations page, with the browser's clock in the test's hand."""
    user = make_user("owner", name="Olga")
    page.goto(PAGE)
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{PAGE}")
    page.clock.install()
    page.reload()
    return page


def change(model: type, **values: Any) -> None:
    db.session.rollback()
    db.session.execute(update(model).values(**values))
    db.session.commit()


def book_and_write(calendar_id: int) -> None:
    """A booking whose event stands in the calendar, as far as we know."""
    db.session.rollback()
    service = db.session.query(Service).one()
    slot = queries.soonest_slots(db.session(), service, now=now_utc(), limit=1)[0]
    made = operations.book(
        service_slug=service.slug, start_at=slot.interval.start, customer=operations.Customer("Clara", "c@example.org"),
        idempotency_key="key-of-clara", now=now_utc(),
    )  # fmt: skip
    appointment = db.session.get_one(operations.Booking, made.booking_id).appointment
    db.session.add(
        EventLink(
            appointment_id=appointment.id, calendar_id=calendar_id, uid="u", remote_id="bookings/u", etag="1", state="done",
            wanted_version=appointment.version, applied_version=appointment.version,
        )
    )  # fmt: skip
    db.session.commit()


def test_a_new_state_appears_by_itself_and_what_was_opened_stays_open(staff: Page) -> None:
    staff.get_by_text("Rules, and how changes arrive").click()
    staff.get_by_role("button", name="Read now").focus()
    change(Connection, state="degraded", state_reason="It took too long.", state_since=now_utc())
    staff.clock.run_for(11_000)
    staff.get_by_text("It took too long.").wait_for()
    assert staff.get_by_text("This portal has no public https address").is_visible()
    assert staff.evaluate("document.activeElement.textContent") == "Read now"


def test_a_summary_keeps_the_focus_too_and_can_be_closed_again(staff: Page) -> None:
    summary = staff.locator("summary", has_text="Rules, and how changes arrive")
    summary.press("Enter")
    staff.clock.run_for(11_000)
    staff.wait_for_function("document.activeElement.tagName === 'SUMMARY'")
    summary.press("Enter")
    staff.clock.run_for(11_000)
    assert not staff.get_by_text("This portal has no public https address").is_visible()


def test_what_somebody_is_marking_is_not_swapped_away(staff: Page) -> None:
    staff.evaluate("getSelection().selectAllChildren(document.querySelector('.account__who'))")
    change(Calendar, name="Renamed")
    staff.clock.run_for(11_000)
    staff.wait_for_timeout(300)
    assert "ana's account" in str(staff.evaluate("getSelection().toString()"))
    staff.evaluate("getSelection().removeAllRanges()")
    staff.clock.run_for(11_000)
    staff.get_by_role("heading", name="Renamed").wait_for()


def test_signed_out_elsewhere_it_stops_asking_and_leads_to_the_sign_in(staff: Page) -> None:
    db.session.rollback()
    db.session.query(UserSession).delete()
    db.session.commit()
    staff.clock.run_for(11_000)
    staff.wait_for_url("**/admin/sign-in**")
    asked: list[str] = []
    staff.on("request", lambda request: asked.append(request.url))
    staff.clock.run_for(60_000)
    assert asked == []


def test_disconnecting_by_keyboard_asks_and_is_followed_to_its_end(staff: Page, calendar: Any) -> None:
    book_and_write(calendar.id)
    staff.get_by_role("link", name="Disconnect").press("Enter")
    staff.wait_for_url("**/disconnection")
    staff.get_by_role("button", name="Disconnect").press("Enter")
    assert staff.url.endswith("/disconnection"), "the browser wants an answer first"
    staff.get_by_label("Take it away").press("Space")
    staff.get_by_role("button", name="Disconnect").press("Enter")
    staff.get_by_text("Taking away 1 event of bookings to come").wait_for()
    db.session.rollback()
    for work in drain.claim(5, topics=[disconnecting.TOPIC]):
        drain.do(work, disconnect.farewell)
    staff.clock.run_for(2_500)
    staff.get_by_text("No calendar is connected").wait_for()


def test_with_everything_on_it_the_page_fits_a_narrow_phone(staff: Page, calendar: Any) -> None:
    now = now_utc()
    event = {
        "summary": "Donaudampfschifffahrtsgesellschaftskapitänsversammlung" * 2, "times": 3,
        "start": now.isoformat(), "end": (now + timedelta(days=9)).isoformat(), "from": now.isoformat(),
    }  # fmt: skip
    some = {"count": 12, "first": [event] * 3}
    ours: dict[str, Any] = {"count": 0, "first": []}
    times = {"since": now.isoformat(), "refreshed_at": now.isoformat(), "at": now.isoformat(), "waited": []}
    note = {**times, "new": some, "moved": some, "gone": some, "ours": ours}
    change(Calendar, sealed_meanwhile=titles.seal_note(calendar.id, note), name="W" * 80)
    change(Connection, state="needs reauth", state_reason="x" * 200, account={"username": "a" * 90 + "@example.org"})
    staff.set_viewport_size(NARROW)
    for path in (PAGE, f"{PAGE}/{calendar.connection_id}/disconnection"):
        staff.goto(path)
        for details in staff.locator("details").all():
            details.evaluate("each => each.open = true")
        sideways = staff.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert sideways <= 0, path
