"""A request in a real browser: a customer answers questions and asks for a time, two of the staff answer at once, and one of them is too late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.booking.models import Booking
from portal.business.models import Service
from portal.clock import now_utc
from portal.extensions import db
from tests.factories import ask
from tests.support.people import PASSWORD, make_user

PHONE = {"width": 320, "height": 700}


@pytest.fixture
def service(address: str) -> Service:
    """Bookings of it wait for staff, and it asks two things."""
    service = db.session.query(Service).one()
    service.needs_approval, service.price, service.location_kind = True, "40 €", "on-site"
    db.session.commit()
    ask(service, "shoes", label="Which size of shoes?", kind="number", is_required=True)
    ask(service, "terms", label="I have read the house rules", kind="checkbox", is_required=True, position=1)
    return service


def desk(browser: Browser, address: str, role: str) -> Page:
    """The browser of somebody who works here, signed in by hand."""
    user = make_user(role)
    page = browser.new_context(base_url=address, timezone_id="Europe/Madrid").new_page()
    page.set_default_timeout(8000)
    page.goto("/admin/bookings")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/bookings")
    return page


@pytest.fixture
def desks(browser: Browser, address: str) -> Iterator[tuple[Page, Page]]:
    both = desk(browser, address, "owner"), desk(browser, address, "admin")
    yield both
    for page in both:
        page.context.close()


def ask_for_a_time(page: Page) -> None:
    page.goto("/consultation?day=" + (now_utc() + timedelta(days=2)).date().isoformat())
    page.locator("#slots .time").first.click()
    page.get_by_label("Name").fill("María Pérez")
    page.get_by_label("E-mail").fill("maria@example.org")
    page.get_by_label("Which size of shoes?").fill("39")
    page.get_by_label("I have read the house rules").check()
    page.get_by_role("button", name="Ask for this time").click()
    page.wait_for_url("**/b/*")


def test_of_two_who_answer_at_once_one_is_told_that_it_is_too_late(
    page: Page, service: Service, desks: tuple[Page, Page]
) -> None:
    ask_for_a_time(page)
    expect(page.get_by_text("We look at every request ourselves")).to_be_visible()
    expect(page.get_by_text("39", exact=True)).to_be_visible()
    for each in desks:
        each.goto("/admin/bookings")
        each.get_by_role("link", name="María Pérez").click()
        expect(each.get_by_text("asks for this time")).to_be_visible()
        expect(each.get_by_text("Which size of shoes?")).to_be_visible()
    first, second = desks
    first.get_by_role("button", name="Confirm the booking").click()
    expect(first.get_by_text("The booking is confirmed, and the customer is told.")).to_be_visible()
    with second.expect_response("**/refusal") as answer:
        second.get_by_role("button", name="Refuse").click()
    assert answer.value.status == 409
    expect(second.get_by_role("alert")).to_contain_text("This booking was confirmed meanwhile.")
    second.get_by_role("button", name="Do it all the same").click()
    expect(second.get_by_role("alert")).to_contain_text("This booking is confirmed already.")
    expect(second.get_by_role("button", name="Refuse")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("heading", name="You are booked")).to_be_visible()
    db.session.rollback()
    assert db.session.query(Booking).filter_by(status="confirmed").count() == 1


def test_wrong_answers_are_shown_without_a_new_page_and_take_the_focus(page: Page, service: Service) -> None:
    page.goto("/consultation?day=" + (now_utc() + timedelta(days=2)).date().isoformat())
    page.locator("#slots .time").first.click()
    page.get_by_label("Name").fill("María Pérez")
    page.get_by_label("E-mail").fill("maria@example.org")
    page.get_by_label("Which size of shoes?").fill("many")
    page.get_by_label("I have read the house rules").check()
    page.get_by_role("button", name="Ask for this time").click()
    summary = page.locator(".error-summary")
    expect(summary).to_contain_text("Which size of shoes? Please answer with a number.")
    expect(summary).to_be_focused()
    summary.get_by_role("link").first.click()
    expect(page.get_by_label("Which size of shoes?")).to_be_focused()
    expect(page.get_by_label("I have read the house rules")).to_be_checked()
    page.get_by_label("Which size of shoes?").fill("39")
    page.get_by_role("button", name="Ask for this time").click()
    page.wait_for_url("**/b/*")


def test_the_form_of_a_service_fits_a_phone_and_takes_a_question(
    page: Page, service: Service, desks: tuple[Page, Page]
) -> None:
    desk, _ = desks
    desk.set_viewport_size(PHONE)
    for path in ("/admin/services", "/admin/services/new", "/admin/services/consultation"):
        desk.goto(path)
        assert desk.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
    desk.get_by_text("Add a question").first.click()
    row = desk.locator("details.asked[open]")
    row.get_by_label("Question").fill("Tea or coffee?")
    row.get_by_label("Answer", exact=True).select_option("One of a list")
    row.get_by_label("List").fill("tea\ncoffee")
    desk.get_by_role("button", name="Save the service").click()
    expect(desk.get_by_text("is saved")).to_be_visible()
    expect(desk.get_by_text("Tea or coffee?").first).to_be_visible()
    page.set_viewport_size(PHONE)
    page.goto("/consultation?day=" + (now_utc() + timedelta(days=2)).date().isoformat())
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator("#slots .time").first.click()
    expect(page.get_by_label("Tea or coffee?")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
