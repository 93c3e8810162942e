"""The staff pages in a real browser: they refresh themselves, fit a phone, and break no rule of their own security policy."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from portal.accounts.models import User
from portal.accounts.operations import add_api_token, add_user
from portal.booking import operations
from portal.booking.time import queries
from portal.business.models import Resource, Service
from portal.clock import now_utc
from portal.extensions import db
from tests.factories import make_calendar
from tests.support.people import PASSWORD, make_user

NARROW = {"width": 320, "height": 700}


@pytest.fixture
def staff(page: Page, address: str) -> Page:
    """The owner, signed in by hand."""
    user = make_user("owner", name="Olga")
    page.goto("/admin/bookings")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/bookings")
    return page


def book(name: str) -> Any:
    db.session.rollback()
    service = db.session.query(Service).one()
    slot = queries.soonest_slots(db.session(), service, now=now_utc(), limit=1)[0]
    customer = operations.Customer(name, "a-rather-long-address-for-a-narrow-telephone@an-equally-long-domain.example")
    made = operations.book(
        service_slug=service.slug, start_at=slot.interval.start, customer=customer, idempotency_key=f"key-of-{name}", now=now_utc()
    )  # fmt: skip
    db.session.rollback()
    return made


def test_the_list_shows_a_new_booking_by_itself_and_keeps_the_focus(staff: Page) -> None:
    book("Clara")
    staff.clock.install()
    staff.reload()
    link = staff.get_by_role("link", name="Clara", exact=True)
    link.focus()
    book("Dora")
    staff.clock.run_for(11_000)
    staff.get_by_role("link", name="Dora", exact=True).wait_for()
    assert staff.evaluate("document.activeElement.textContent").strip() == "Clara"


def test_a_booking_is_cancelled_by_keyboard(staff: Page) -> None:
    book("Clara")
    staff.reload()
    staff.get_by_role("link", name="Cancel the booking of Clara").press("Enter")
    staff.wait_for_url("**/cancellation")
    staff.get_by_role("button", name="Cancel it and tell the customer").press("Enter")
    staff.get_by_text("The booking is cancelled, and the customer is told.").wait_for()


def test_every_staff_page_fits_a_narrow_phone(staff: Page) -> None:
    made = book("Maximiliane-Dorothea")
    ana = db.session.query(Resource).filter_by(slug="ana").one()
    calendar = make_calendar(
        ana, url="https://a-rather-long-name-of-a-calendar-server.example.org/remote.php/dav/calendars"
    )
    add_api_token("a-program-with-a-rather-long-name-that-somebody-gave-it")
    person, invited = (
        db.session.query(User).first(),
        add_user("somebody-with-a-long-address@a-long-domain.example.org", "admin"),
    )
    assert person is not None
    assert invited
    staff.set_viewport_size(NARROW)
    for path in (
        f"/admin/people/{person.id}", f"/admin/people/{person.id}/removal", "/admin/tokens", "/admin/forgotten",
        "/admin", "/admin/bookings", f"/admin/bookings/{made.booking_id}", f"/admin/bookings/{made.booking_id}/cancellation",
        "/admin/questions", "/admin/people", "/admin/account", "/admin/integrations", "/admin/integrations/caldav",
        f"/admin/integrations/{calendar.connection_id}/refresh", f"/admin/integrations/calendars/{calendar.id}",
    ):  # fmt: skip
        answer = staff.goto(path)
        assert answer is not None
        assert answer.ok, path
        sideways = staff.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert sideways <= 0, path
        small = staff.evaluate(
            "[...document.querySelectorAll('main button, main .button')]"
            ".filter(e => e.getClientRects().length && e.getBoundingClientRect().height < 24).length"
        )
        assert small == 0, path
        assert staff.locator("h1").count() == 1, path
