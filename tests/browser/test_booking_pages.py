"""What only a browser can show: two clicks, keyboard, focus, refreshing, the clock of a hold, narrow screens."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from portal.booking import operations
from portal.booking.models import Booking
from portal.business.models import Service
from portal.clock import now_utc
from portal.extensions import db
from portal.web.instants import read_instant

DAY = (now_utc() + timedelta(days=1)).date()
MIDDLE = (now_utc().replace(day=1) + timedelta(days=32)).date().replace(day=11)
"""A day with two weeks around it in its month, at most 41 days ahead."""
SERVICE = f"/consultation?day={DAY}&resource=ana"


def take(page: Page, place: int = 0) -> str:
    """Somebody else takes a time that the page shows; returns its label."""
    return _take(page.locator("#slots .time").nth(place))


def _take(button: Locator) -> str:
    start_at = read_instant(button.get_attribute("value") or "")
    assert start_at is not None
    operations.place_hold(service_slug="consultation", start_at=start_at, resource_slug="ana", now=now_utc())
    return button.inner_text()


def fill_in(page: Page) -> None:
    page.get_by_label("Name").fill("María Pérez")
    page.get_by_label("E-mail").fill("maria@example.org")


def held_booking() -> Booking:
    db.session.rollback()
    return db.session.query(Booking).filter_by(status="held").one()


def test_two_clicks_and_the_form(page: Page) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto("/consultation")
    assert len([url for url in requests if not url.startswith("data:")]) <= 4, requests
    page.locator("#slots .time").first.click()
    expect(page.get_by_text("Held for you until")).to_be_visible()
    fill_in(page)
    page.get_by_role("button", name="Book this time").click()
    expect(page.get_by_role("heading", name="You are booked")).to_be_visible()
    assert "/b/" in page.url


def test_a_day_swaps_the_times_only_and_the_focus_goes_with_them(page: Page) -> None:
    page.goto("/consultation")
    page.evaluate("window.stillTheSamePage = true")
    page.locator(".month__day[href]").last.click()
    expect(page.locator("#slots-title")).to_be_focused()
    assert page.evaluate("window.stillTheSamePage")
    assert "day=" in page.url
    chosen = page.locator(".month__day[aria-current=date]")
    expect(chosen).to_have_count(1)
    assert chosen.get_attribute("data-day") == page.locator("#slots").get_attribute("data-day")
    expect(page.locator("#status")).to_contain_text("times free on")


def test_from_an_empty_month_a_way_leads_back(page: Page) -> None:
    page.goto("/consultation?month=2020-01")
    assert page.locator("#slots[hx-get]").count() == 0, "nothing to refresh"
    page.get_by_role("link", name="Show it").click()
    expect(page.locator("#slots .time").first).to_be_visible()


def test_an_open_page_refreshes_itself_and_leaves_focus_and_place_alone(page: Page) -> None:
    page.clock.install()
    page.goto(SERVICE)
    page.set_viewport_size({"width": 375, "height": 600})
    watched = page.locator("#slots .time").nth(5)
    watched.focus()
    id_, top = watched.get_attribute("id"), page.evaluate("window.scrollY")
    page.clock.run_for(21_000)
    assert page.locator("#status").inner_text() == "", "no news, no words"
    soonest = page.locator("#soonest .time").first
    soon = soonest.get_attribute("value")
    if soon != page.locator("#slots .time").first.get_attribute(
        "value"
    ):  # there may still be times before the day that is open
        _take(soonest)
    gone = take(page)
    with page.expect_response("**/slots?**"):
        page.clock.run_for(21_000)
    expect(page.locator("#slots .time", has_text=gone)).to_have_count(0)
    page.clock.run_for(1000)
    expect(page.locator("#status")).to_contain_text("15 times free on")
    assert page.evaluate("document.activeElement.id") == id_
    assert page.evaluate("window.scrollY") == top
    expect(page.locator(f"#soonest .time[value='{soon}']")).to_have_count(0)


def test_a_time_that_vanishes_under_the_focus_hands_it_to_the_heading(page: Page) -> None:
    page.goto(SERVICE)
    page.locator("#slots .time").first.focus()
    take(page)
    page.evaluate("htmx.trigger('#slots', 'refresh')")
    expect(page.locator("#slots-title")).to_be_focused()


def test_a_lost_race_shows_the_three_nearest_in_place(page: Page) -> None:
    page.goto(SERVICE)
    take(page, 2)
    page.locator("#slots .time").nth(2).click()
    offer = page.locator("#flash [role=alert]")
    expect(offer).to_be_focused()
    expect(offer).to_contain_text("Somebody was quicker")
    expect(offer.locator(".time")).to_have_count(3)
    offer.locator(".time").first.click()
    expect(page.get_by_text("Held for you until")).to_be_visible()


def test_everything_can_be_done_with_the_keyboard(page: Page) -> None:
    page.goto(SERVICE)
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    page.keyboard.press("Enter")
    page.locator(f"#day-{DAY}").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#slots-title")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#slots .time").first).to_be_focused()
    assert _has_visible_focus(page)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Held for you until")).to_be_visible()
    page.get_by_label("Name").focus()
    page.keyboard.type("María")
    page.keyboard.press("Tab")
    page.keyboard.type("maria@example.org")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="You are booked")).to_be_visible()


def _has_visible_focus(page: Page) -> bool:
    width = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
    return bool(width >= 2)


def test_wrong_fields_get_the_focus_through_their_summary(page: Page) -> None:
    page.goto(SERVICE)
    page.locator("#slots .time").first.click()
    page.get_by_label("Name").fill("María")
    page.get_by_label("E-mail").fill("maria@home")
    page.get_by_role("button", name="Book this time").click()
    summary = page.locator(".error-summary")
    expect(summary).to_be_focused()
    summary.get_by_role("link").click()
    expect(page.get_by_label("E-mail")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value("María")


def test_a_hold_warns_a_minute_before_its_end_and_then_offers_the_time_again(page: Page) -> None:
    page.clock.install()
    page.goto(SERVICE)
    page.locator("#slots .time").first.click()
    expect(page.get_by_text("Held for you until")).to_be_visible()
    page.get_by_label("Name").fill("María")
    page.clock.run_for(230_000)
    expect(page.locator("#status")).to_be_empty()
    page.clock.run_for(15_000)
    expect(page.locator("#status")).to_contain_text("One minute left")
    held_booking().held_until = now_utc() - timedelta(seconds=1)
    db.session.commit()
    page.clock.run_for(70_000)
    expect(page.locator("#lost-title")).to_be_focused()
    page.get_by_role("button", name="Take").click()
    expect(page.get_by_text("Held for you until")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("María")
    assert "/holds/" in page.url


def test_extending_a_hold_leaves_the_form_alone(page: Page) -> None:
    page.goto(SERVICE)
    page.locator("#slots .time").first.click()
    page.get_by_label("Name").fill("María")
    page.get_by_role("button", name="Keep it 5 minutes longer").click()
    expect(page.get_by_role("button", name="Keep it 5 minutes longer")).to_have_count(0)
    expect(page.get_by_label("Name")).to_have_value("María")


def test_back_from_the_form_shows_the_held_time_as_mine(page: Page) -> None:
    page.goto(SERVICE)
    page.locator("#slots .time").first.click()
    expect(page.get_by_text("Held for you until")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("You are holding")).to_be_visible()
    page.get_by_role("link", name="Continue").click()
    expect(page.get_by_text("Held for you until")).to_be_visible()


def test_the_devices_zone_is_suggested_and_never_taken(page: Page) -> None:
    context = page.context.browser.new_context(timezone_id="America/New_York", base_url=page.url)  # type: ignore[union-attr]
    page.goto("/consultation")
    expect(page.locator("#zone-hint")).to_be_hidden()
    traveller = context.new_page()
    traveller.goto(page.url)
    expect(traveller.locator("#slots")).to_contain_text("Madrid time")
    traveller.get_by_role("link", name="Show New York time").click()
    expect(traveller.locator("#slots")).to_contain_text("New York time")
    context.close()


def test_a_select_waits_for_its_button_and_the_focus_stays_there(page: Page) -> None:
    page.goto(f"/consultation?day={DAY}")
    select = page.locator("#field-zone")
    select.focus()
    page.keyboard.type("Lond")
    expect(select).to_have_value("Europe/London")
    page.keyboard.press("ArrowDown")
    assert "zone=" not in page.url, "choosing alone changes nothing"
    select.select_option("Europe/London")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#slots")).to_contain_text("London time")
    expect(page.locator("#show-zone")).to_be_focused()
    page.get_by_label("With").select_option("Ben")
    page.locator("#show-people").click()
    expect(page).to_have_url(re.compile("resource=ben"))
    expect(page.locator("#show-people")).to_be_focused()
    expect(page.locator("#slots")).to_contain_text("London time")
    expect(page.locator("#status")).to_contain_text("times free on")
    assert page.locator("#slots").get_attribute("data-day") == str(DAY)


def test_the_month_is_one_stop_of_the_tab_key_with_arrows_inside(page: Page) -> None:
    page.goto(f"/consultation?day={MIDDLE}")
    grid = page.get_by_role("grid")
    assert grid.locator("[tabindex='0']").count() == 1
    at(page, MIDDLE).focus()
    for key, days in (("ArrowRight", 1), ("ArrowDown", 8), ("ArrowLeft", 7), ("ArrowUp", 0)):
        page.keyboard.press(key)
        expect(at(page, MIDDLE + timedelta(days=days))).to_be_focused()
    week = MIDDLE - timedelta(days=MIDDLE.weekday())
    page.keyboard.press("Home")
    expect(at(page, week)).to_be_focused()
    page.keyboard.press("End")
    expect(at(page, week + timedelta(days=6))).to_be_focused()
    assert grid.locator("[tabindex='0']").count() == 1
    page.keyboard.press("PageDown")
    expect(page.locator("#day-" + str((week + timedelta(days=37)).replace(day=1)))).to_be_visible()
    expect(page.locator("#status")).to_contain_text(str((week + timedelta(days=37)).year))
    assert page.evaluate("document.activeElement.closest('[role=grid]') !== null")
    page.keyboard.press("PageUp")
    expect(at(page, MIDDLE)).to_be_visible()
    page.keyboard.press("Shift+PageDown")
    expect(page.locator("#month")).to_have_attribute(
        "data-month", page.locator("#month").get_attribute("data-last") or ""
    )
    page.keyboard.press("Shift+PageUp")
    expect(page.locator("#month")).to_have_attribute(
        "data-month", page.locator("#month").get_attribute("data-first") or ""
    )
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('[role=grid]') === null")


def test_space_chooses_the_day_under_the_focus(page: Page) -> None:
    page.goto(SERVICE)
    at(page, DAY).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    expect(page.locator("#slots-title")).to_be_focused()
    assert page.locator("#slots").get_attribute("data-day") == str(DAY + timedelta(days=1))


def at(page: Page, on: date) -> Locator:
    return page.locator(f"#day-{on}")


def test_choosing_another_time_leads_back_to_the_day_that_was_opened(page: Page) -> None:
    later = DAY + timedelta(days=2)
    page.goto(f"/consultation?day={later}&zone=Europe/London&resource=ben")
    page.locator("#slots .time").first.click()
    page.get_by_role("button", name="Choose another time").click()
    expect(page.locator("#slots")).to_have_attribute("data-day", str(later))
    expect(page.locator("#slots")).to_contain_text("London time")
    expect(page.get_by_label("With")).to_have_value("ben")
    page.locator("#slots .time").first.click()
    expect(page.get_by_text("Held for you until")).to_be_visible()
    page.go_back()
    expect(page.locator("#slots")).to_have_attribute("data-day", str(later))


@pytest.mark.parametrize("language", ["en-US", "es-MX", "hu"])
@pytest.mark.parametrize("font", ["Inter", "Roboto"])
def test_no_time_breaks_within_itself(page: Page, address: str, language: str, font: str) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(base_url=address, locale=language, bypass_csp=True)
    reader = context.new_page()
    reader.goto(SERVICE)
    reader.add_style_tag(content=f"* {{ font-family: {font} !important; }}")
    for width in (320, 375, 640, 768, 1280):
        reader.set_viewport_size({"width": width, "height": 800})
        assert reader.evaluate(BROKEN) == [], width
        assert reader.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


BROKEN = """() => [...document.querySelectorAll(".time")].filter((button) => {
    const text = [...button.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const range = document.createRange();
    range.selectNodeContents(text);
    return range.getClientRects().length !== 1 || button.scrollWidth > button.clientWidth;
}).map((button) => button.innerText)"""


def test_on_a_phone_the_times_begin_on_the_first_screen_below_one_week(page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 812})
    page.goto(f"/consultation?day={MIDDLE}")
    top = page.locator("#slots .time").first.bounding_box()
    assert top is not None
    assert top["y"] < 600
    expect(page.locator(".month tbody tr:visible")).to_have_count(1)
    page.get_by_label("Whole month").check()
    assert page.locator(".month tbody tr:visible").count() > 1
    page.locator(".month__day[href]:visible").last.click()
    expect(page.locator("#slots-title")).to_be_focused()
    expect(page.locator(".month tbody tr:visible")).to_have_count(1)


def test_on_a_phone_the_arrows_unfold_the_month(page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 812})
    page.goto(f"/consultation?day={MIDDLE}")
    at(page, MIDDLE).focus()
    page.keyboard.press("ArrowDown")
    expect(at(page, MIDDLE + timedelta(days=7))).to_be_focused()


def test_an_online_service_opens_by_the_devices_clock_and_says_so(page: Page) -> None:
    db.session.query(Service).update({"location_kind": "online"})
    db.session.commit()
    context = page.context.browser.new_context(timezone_id="America/New_York", base_url=page.url)  # type: ignore[union-attr]
    page.goto("/consultation")
    expect(page.locator("#slots")).to_contain_text("Madrid time")
    traveller = context.new_page()
    traveller.goto(page.url)
    expect(traveller.locator("#slots")).to_contain_text("New York time")
    expect(traveller.get_by_text("You need not travel")).to_be_visible()
    traveller.get_by_role("link", name="Show Madrid").click()
    expect(traveller.locator("#slots")).to_contain_text("Madrid time")
    traveller.goto(page.url)
    traveller.wait_for_load_state("networkidle")
    expect(traveller.locator("#slots")).to_contain_text("Madrid time")
    context.close()


def test_back_after_booking_says_that_it_is_booked(page: Page) -> None:
    page.goto(SERVICE)
    page.locator("#slots .time").first.click()
    fill_in(page)
    page.get_by_role("button", name="Book this time").click()
    expect(page.get_by_role("heading", name="You are booked")).to_be_visible()
    booked = page.url
    page.go_back()
    expect(page.get_by_role("heading", name="You have booked it")).to_be_visible()
    expect(page.get_by_role("button", name="Book this time")).to_be_hidden()
    page.get_by_role("link", name="See your booking").click()
    assert page.url == booked


@pytest.mark.parametrize("width", [320, 375])
def test_narrow_screens_need_no_sideways_scrolling_and_have_large_targets(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    page.goto("/")
    _check_narrow(page, width)
    page.goto(SERVICE)
    _check_narrow(page, width)
    page.locator("#slots .time").first.click()
    expect(page.get_by_text("Held for you until")).to_be_visible()
    _check_narrow(page, width)
    fill_in(page)
    page.get_by_role("button", name="Book this time").click()
    expect(page.get_by_role("heading", name="You are booked")).to_be_visible()
    _check_narrow(page, width)
    for link in ("Move to another time", "Cancel the booking"):
        address = page.url
        page.get_by_role("link", name=link).click()
        expect(page).not_to_have_url(address)
        expect(page.locator("#page-title, h1").first).to_be_visible()
        _check_narrow(page, width)
        page.goto(address)


def _check_narrow(page: Page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, .button, .month__day[href], select, input:not([type=hidden]), .site-nav a')]
            .filter((each) => each.offsetParent && !each.closest('.form__trap') && each.getBoundingClientRect().height < 44)
            .map((each) => each.outerHTML.slice(0, 120))"""
    )
    assert small == [], page.url


def test_the_zone_can_be_chosen_without_scripts(page: Page) -> None:
    context = page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    plain = context.new_page()
    page.goto("/consultation")
    plain.goto(page.url)
    plain.get_by_label("Time zone").select_option("Asia/Tokyo")
    plain.get_by_role("button", name="Show times").click()
    expect(plain.locator("#slots")).to_contain_text("Tokyo time (UTC+9)")
    context.close()


def test_a_page_left_open_in_the_background_is_quiet(page: Page) -> None:
    page.clock.install()
    page.goto(SERVICE)
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(65_000)
    assert asked == []
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { value: false }); document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_timeout(300)
    assert len(asked) == 1


def test_dates_and_times_read_well_to_a_screen_reader(page: Page) -> None:
    page.goto(SERVICE)
    expect(page.get_by_role("grid")).to_be_visible()
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("group", name="Morning").get_by_role("button").first.inner_text() == "09:00"
    assert page.get_by_role("link", name="16 times free").count() >= 1
    assert page.get_by_role("heading", level=1).inner_text() == "First consultation"
