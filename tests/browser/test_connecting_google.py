"""Connecting Google in a real browser, which holds a form's redirect against the page's own policy, with and without JavaScript."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from portal.calendars.models import Connection
from portal.extensions import db
from tests.support.google_server import GoogleServer
from tests.support.people import PASSWORD, make_user

PHONE = {"width": 375, "height": 800}


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleServer]:
    with GoogleServer(tmp_path_factory.mktemp("google")) as server:
        yield server


@pytest.fixture
def ana(sqlite_app: Flask, address: str, google: GoogleServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Google account; the portal is set up for the stand-in."""
    values = {name.lower(): value for name, value in google.environment().items() if name.startswith("GOOGLE_")}
    settings = dataclasses.replace(
        sqlite_app.extensions["settings"], **values, url=address, outbound_allow=("127.0.0.1",)
    )
    monkeypatch.setitem(sqlite_app.extensions, "settings", settings)
    return google.account(f"ana-{time.monotonic_ns()}@gmail.example")


@pytest.fixture
def plain(browser: Browser, address: str) -> Iterator[Page]:
    """A browser without JavaScript, on a phone."""
    context = browser.new_context(base_url=address, java_script_enabled=False, viewport=PHONE)
    page = context.new_page()
    page.set_default_timeout(8000)
    yield page
    context.close()


def sign_in(page: Page) -> None:
    user = make_user("owner", name="Olga")
    page.goto("/admin/integrations")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/integrations")


def walk(page: Page, ana: Any) -> None:
    """From the integrations page over Google's to a connected account; at first with one box not ticked."""
    page.get_by_role("link", name="Connect Google").click()
    page.get_by_label("Whose calendars are these?").select_option("Ana")
    page.get_by_role("button", name="Continue with Google").click()
    page.get_by_label(ana.email).check()
    page.get_by_label("View and edit events on all your calendars").uncheck()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A permission is missing")
    expect(page.get_by_text("View and edit events on all your calendars.")).to_be_visible()
    page.get_by_role("button", name="Ask Google again").click()
    page.get_by_label(ana.email).check()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(re.compile("/admin/integrations/choice/"))
    assert page.locator("input[type=checkbox][name^=busy]").first.is_checked()
    page.get_by_role("button", name="Connect", exact=True).click()
    page.wait_for_url("**/admin/integrations")
    expect(page.get_by_text("The account is connected.")).to_be_visible()
    db.session.rollback()
    assert db.session.scalars(select(Connection)).one().account["username"] == ana.email


def test_the_browser_goes_to_google_and_comes_back_connected(page: Page, ana: Any) -> None:
    """The `page` fixture fails the test if the browser complains of the page's policy."""
    sign_in(page)
    walk(page, ana)
    page.get_by_role("button", name="Refresh connection").click()
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("You did not allow the portal to use your calendars.")).to_be_visible()
    page.get_by_role("button", name="Ask Google again").click()
    page.get_by_role("button", name="Allow").click()  # the account is chosen already
    expect(page.get_by_text("Google accepts the portal again.")).to_be_visible()


def test_it_works_without_javascript_on_a_phone(plain: Page, ana: Any) -> None:
    sign_in(plain)
    walk(plain, ana)
