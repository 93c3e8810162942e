"""The pages of fixed dates in a real browser, with and without JavaScript: planning a series, moving one date, calling one off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page

from portal.booking import operations
from portal.booking.models import Appointment
from portal.business.models import Resource
from portal.clock import now_utc
from portal.extensions import db
from tests.factories import make_service
from tests.support.people import PASSWORD, make_user

NARROW = {"width": 320, "height": 700}
SOON = (now_utc() + timedelta(days=8)).date()


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def staff(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """The owner, signed in, with a class of twelve to plan."""
    people = db.session.query(Resource).all()
    make_service(people, slug="yoga", name="Yoga", timing="fixed", duration=60, step=60, capacity=12, horizon=40)
    user = make_user("owner", name="Olga")
    context = browser.new_context(base_url=address, java_script_enabled=request.param, viewport=NARROW, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(8000)
    page.goto("/admin/dates")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/dates")
    yield page
    context.close()


def book(start_at: object) -> None:
    operations.book(
        service_slug="yoga", start_at=start_at, customer=operations.Customer("Clara", "clara@example.org"),
        idempotency_key="key-clara", now=now_utc(), party_size=2,
    )  # fmt: skip


def fits(page: Page) -> bool:
    return bool(page.locator("html").evaluate("node => node.scrollWidth <= node.clientWidth + 1"))


def test_a_series_is_planned_one_date_moved_and_one_called_off(staff: Page) -> None:
    staff.get_by_role("link", name="Plan one").click()
    series = staff.locator("form[action$='/series']")
    series.get_by_label("Every").select_option(str(SOON.weekday()))
    series.get_by_label("Begins at").fill("18:30")
    series.get_by_label("First day").fill(SOON.isoformat())
    assert fits(staff)
    series.get_by_role("button", name="Plan this series").click()
    staff.get_by_text("The series is planned").wait_for()
    assert staff.get_by_text("0 of 12").count() == 5
    assert fits(staff)

    db.session.rollback()  # see what the server has written
    first = db.session.query(Appointment).order_by(Appointment.start_at).first()
    assert first is not None
    book(first.start_at)
    staff.locator(f"#date-{first.id}").click()
    staff.get_by_text("2 of 12").wait_for()
    staff.get_by_role("link", name="Clara").wait_for()
    assert fits(staff)

    staff.get_by_role("link", name="Move this one").click()
    staff.get_by_label("Begins at").fill("19:00")
    staff.get_by_role("button", name="Go on").click()
    staff.get_by_text("1 customer is told").wait_for()
    assert fits(staff)
    staff.get_by_role("button", name="Move it").click()
    staff.get_by_text("everybody in it is told").wait_for()

    staff.get_by_label("Number of seats").fill("14")
    staff.get_by_role("button", name="Change the seats").click()
    staff.get_by_role("heading", name="14 seats instead of 12?").wait_for()
    assert fits(staff)
    staff.get_by_role("button", name="Change the seats").click()
    staff.get_by_text("It has 14 seats now").wait_for()

    staff.get_by_role("link", name="Call off this and later").click()
    staff.get_by_text("5 dates").wait_for()
    assert fits(staff)
    staff.get_by_role("button", name="Call them all off").click()
    staff.get_by_text("It was called off").wait_for()
    staff.goto("/admin/dates")
    staff.get_by_text("No date to come").wait_for()
