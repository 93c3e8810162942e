"""The waitlist in a browser: from a full class to an offer that arrives while the page is open, its clock, and all of it without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.booking.models import Appointment, Offer, WaitlistEntry
from portal.clock import now_utc
from portal.extensions import db
from portal.waitlist import operations as waitlist
from portal.waitlist.steps import entry_token
from portal.web.instants import instant_text
from tests.operations.waitlist.house import cancel, make_class, run_out, take
from tests.support.people import PASSWORD, make_user

MADRID = ZoneInfo("Europe/Madrid")


@pytest.fixture
def yoga(address: str) -> Appointment:
    """A class of two seats at six in the evening in three days, full."""
    on = (now_utc().astimezone(MADRID) + timedelta(days=3)).date()
    start_at = datetime(on.year, on.month, on.day, 18, tzinfo=MADRID).astimezone(ZoneInfo("UTC"))
    appointment = make_class(2, start_at=start_at, slug="yoga", name="Evening yoga", offer_minutes=30)
    take(appointment, "Zoe")
    take(appointment, "Yan")
    return appointment


@pytest.fixture
def plain(browser: Browser, address: str) -> Iterator[Page]:
    """A visitor without scripts, on a narrow screen."""
    context = browser.new_context(base_url=address, java_script_enabled=False, viewport={"width": 320, "height": 640})
    yield context.new_page()
    context.close()


def fill_in(page: Page) -> None:
    page.get_by_label("Name").fill("Clara Marín")
    page.get_by_label("E-mail").fill("clara@example.org")


def join(page: Page) -> None:
    """Join the waitlist of the full class, beginning at the page of the service, and follow the link in the mail."""
    page.goto("/yoga")
    page.get_by_role("link", name="Join the waitlist").click()
    fill_in(page)
    page.get_by_role("button", name="Join the waitlist").click()
    expect(page.get_by_text("We have written to clara@example.org.")).to_be_visible()
    open_own_page(page)
    expect(page.get_by_role("heading", name="You are on the waitlist")).to_be_visible()


def open_own_page(page: Page) -> None:
    """By the link that the mail carries."""
    db.session.rollback()
    page.goto(f"/w/{entry_token(db.session.query(WaitlistEntry).one())}")


def free_a_seat(appointment: Appointment) -> Offer:
    """A cancellation elsewhere, and the offer that follows."""
    db.session.rollback()
    service_id, booking_id = appointment.service_id, appointment.bookings[0].id
    cancel(booking_id, now=now_utc())
    waitlist.look(service_id, cause="cancelled", now=now_utc())
    db.session.rollback()
    return db.session.query(Offer).filter_by(state="open").one()


def status_of_entry() -> str:
    db.session.rollback()
    return db.session.query(WaitlistEntry).one().status


def is_too_wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def test_a_full_class_is_waited_for_in_two_clicks_and_the_form(page: Page, yoga: Appointment) -> None:
    join(page)
    assert "/w/" in page.url
    expect(page.get_by_text("You are the next in line")).to_be_visible()


def test_the_form_keeps_what_was_typed_and_leads_the_focus_to_what_is_wrong(page: Page, yoga: Appointment) -> None:
    page.goto("/yoga")
    page.get_by_role("link", name="Join the waitlist").click()
    fill_in(page)
    page.get_by_label("E-mail").fill("clara@example")
    page.evaluate("window.stillTheSamePage = true")
    page.get_by_role("button", name="Join the waitlist").click()
    expect(page.locator(".error-summary")).to_be_focused()
    assert page.evaluate("window.stillTheSamePage")
    expect(page.get_by_label("Name")).to_have_value("Clara Marín")
    page.get_by_role("link", name="Please give an e-mail address").click()
    expect(page.get_by_label("E-mail")).to_be_focused()


def test_a_day_in_the_month_leads_to_its_full_class_by_keyboard(page: Page, yoga: Appointment) -> None:
    page.goto("/yoga")
    day = page.get_by_role("link", name="full, with a waitlist")
    day.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#slots-title")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="18:00 Full Join the waitlist")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Join the waitlist")).to_be_visible()


def test_an_open_page_shows_the_offer_when_it_comes_and_says_so(page: Page, yoga: Appointment) -> None:
    page.clock.install()
    join(page)
    free_a_seat(yoga)
    page.clock.run_for(16_000)
    expect(page.get_by_role("heading", name="It is your turn, Clara")).to_be_focused()
    expect(page.locator("#status")).to_have_text("It is your turn")
    page.get_by_role("button", name="Accept and book").click()
    expect(page.get_by_role("heading", name="You are booked")).to_be_visible()
    assert status_of_entry() == "accepted"


def test_the_clock_of_an_offer_runs_down_and_the_last_minute_is_said(page: Page, yoga: Appointment) -> None:
    join(page)
    offer = free_a_seat(yoga)
    page.clock.install(time=offer.ends_at - timedelta(seconds=90))
    page.reload()
    left = page.locator(".until__left")
    expect(left).to_have_text(re.compile(r"^1:(30|2\d|1\d)$"))
    assert page.locator(".until--soon").count() == 1
    page.clock.run_for(31_000)
    expect(left).to_have_text(re.compile(r"^0:[1-5]\d$"))
    expect(page.locator("#status")).to_have_text("One minute left to accept.")
    page.get_by_role("button", name="Accept and book").click()
    expect(page.get_by_role("heading", name="You are booked")).to_be_visible()


def test_when_the_clock_has_run_down_the_page_tells_what_can_be_done(page: Page, yoga: Appointment) -> None:
    join(page)
    offer = free_a_seat(yoga)
    page.clock.install(time=offer.ends_at - timedelta(seconds=5))
    page.reload()
    run_out(offer)
    page.clock.run_for(8_000)
    expect(page.get_by_role("heading", name="This offer is over")).to_be_visible()
    expect(page.locator("#status")).to_have_text("This offer is over")
    page.get_by_role("link", name="Join the waitlist again").click()
    expect(page.get_by_role("heading", name="Join the waitlist")).to_be_visible()


def test_without_scripts_all_of_it_works_on_a_narrow_screen(plain: Page, yoga: Appointment) -> None:
    plain.goto("/yoga")
    plain.get_by_role("link", name="Join the waitlist").click()
    fill_in(plain)
    plain.get_by_role("button", name="Join the waitlist").click()
    open_own_page(plain)
    offer = free_a_seat(yoga)
    plain.reload()
    until = offer.ends_at.astimezone(MADRID).strftime("%H:%M")
    expect(plain.locator(".until time")).to_contain_text(until.lstrip("0").split(":")[1])
    assert plain.locator(".until__left").inner_text() == ""
    plain.get_by_role("link", name="No thanks, take me off").click()
    plain.get_by_role("button", name="Yes, take me off").click()
    expect(plain.get_by_role("heading", name="You have declined")).to_be_visible()


def test_no_page_of_it_scrolls_sideways_on_the_narrowest_screen(page: Page, yoga: Appointment) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    join(page)
    own = page.url
    free_a_seat(yoga)
    joined = f"/yoga/waitlist/joined?appointment={instant_text(yoga.start_at)}"
    for address in ("/yoga", "/yoga?people=2", joined, own, f"{own}/leave"):
        page.goto(address)
        assert not is_too_wide(page), address


def test_staff_look_ahead_and_offer_by_hand(page: Page, yoga: Appointment) -> None:
    join(page)
    user = make_user("owner", name="Olga")
    page.goto("/admin/waitlist")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Reasons, and what if").click()
    page.get_by_role("button", name="Look ahead").click()
    expect(page.locator("#trial")).to_contain_text("Clara Marín")
    waitlist.pause("yoga", True)
    db.session.rollback()
    cancel(yoga.bookings[0].id, now=now_utc())
    page.get_by_role("link", name="Offer something to Clara Marín by hand").click()
    page.get_by_role("button", name="Offer it").click()
    expect(page.get_by_text("It is kept for Clara Marín")).to_be_visible()
    page.set_viewport_size({"width": 320, "height": 640})
    assert not is_too_wide(page)
    assert status_of_entry() == "offered"
