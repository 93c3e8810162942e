"""The languages in a real browser: chosen at the foot of a page, kept through a booking, and never wider than a small telephone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.booking.models import Booking
from portal.clock import now_utc
from portal.extensions import db

SERVICE = "/consultation"
TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter((each) => {
  const box = each.getBoundingClientRect(), style = getComputedStyle(each);
  const isOutside = box.width && box.right > document.documentElement.clientWidth + 1 && style.position !== "absolute";
  const isClipped = each.matches("button, .button, .badge") && each.scrollWidth > each.clientWidth + 1 && style.display !== "inline";
  return isOutside || isClipped;
}).map((each) => `${each.tagName} ${each.className}: ${each.textContent.trim().slice(0, 60)}`)"""


def test_the_chosen_language_stays_with_the_day_and_through_the_booking(page: Page) -> None:
    day = (now_utc() + timedelta(days=3)).date().isoformat()
    page.goto(f"{SERVICE}?day={day}")
    page.get_by_role("button", name="Español").focus()
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("lang", "es")
    assert page.url.endswith(f"{SERVICE}?day={day}")
    page.locator("#slots .time").first.click()
    page.get_by_label("Nombre").fill("María Pérez")
    page.get_by_label("Correo electrónico").fill("maria@example.org")
    page.get_by_role("button", name="Reservar esta hora").click()
    expect(page.get_by_role("heading", name="Reserva hecha")).to_be_visible()
    db.session.rollback()
    assert db.session.query(Booking).one().customer_language == "es"


@pytest.mark.parametrize("language", ["en-GB", "es", "hu"])
def test_long_words_stay_within_a_small_telephone(browser: Browser, address: str, language: str) -> None:
    context = browser.new_context(base_url=address, locale=language, viewport={"width": 320, "height": 640})
    page = context.new_page()
    for path in ("/", SERVICE, "/mine", "/nothing"):
        page.goto(path)
        assert page.evaluate(TOO_WIDE) == [], path
    page.goto(SERVICE)
    page.locator("#slots .time").first.click()
    page.locator("#field-name").fill("María Pérez")
    assert page.evaluate(TOO_WIDE) == []
    page.locator("#field-email").fill("maria@example.org")
    page.locator("#details .button--primary").click()
    expect(page.locator(".ticket--confirmed")).to_be_visible()
    assert page.evaluate(TOO_WIDE) == []
    here = page.url
    for more in ("/cancellation", "/move"):
        page.goto(here + more)
        assert page.evaluate(TOO_WIDE) == [], more
    context.close()
