"""A member of staff connects her own Google account in a real browser, and lives with it: bookings, moves, a permission taken away, its refresh.

The portal runs as a user runs it, and Google is the stand-in, used through its own pages. Each step looks at what the people concerned see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.google_server import GoogleServer
from tests.support.instance import Instance, until

SEED = """
[business]
name = "Studio Ana"
zone = "Europe/Madrid"

[[resource]]
slug = "ana"
kind = "staff"
name = "Ana"
email = "ana@gmail.example"
hours = {{ {hours} }}

[[service]]
slug = "consultation"
name = "Consultation"
duration = 60
step = 60
notice = 0
horizon = 60
meeting = "google"
resources = ["ana"]
"""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MADRID = ZoneInfo("Europe/Madrid")
ANA = "ana@gmail.example"
PASSWORD = "violet anvil jumping"
A_MINUTE = 60_000


class World:
    """The portal, Google, and the windows of Ana (two) and of a customer."""

    def __init__(self, instance: Instance, google: GoogleServer, browser: Browser) -> None:
        self.instance, self.google = instance, google
        self.account = google.account(ANA, zone="Europe/Madrid")
        self.ana, self.her_google, self.customer = (self._page(browser) for _ in range(3))

    def _page(self, browser: Browser) -> Page:
        context = browser.new_context(timezone_id="Europe/Madrid", viewport={"width": 1280, "height": 900})
        context.set_default_timeout(15_000)
        return context.new_page()

    def sign_in(self) -> None:
        invitation = self.instance.run("user", "add", "owner@studio.example", "--role", "owner")
        (link,) = re.findall(r"http\S+/setup/\S+", invitation)
        self.ana.goto(link)
        self.ana.get_by_label("Your name").fill("Ana")
        for field in self.ana.locator("input[type=password]").all():
            field.fill(PASSWORD)
        self.ana.locator("main button[type=submit]").click()
        self.ana.wait_for_url("**/admin**")

    def integrations(self) -> Page:
        self.ana.goto(f"{self.instance.url}/admin/integrations")
        return self.ana

    def book(self, start_at: datetime, name: str) -> str:
        """Through the public pages; gives the address of the manage page."""
        page, local = self.customer, start_at.astimezone(MADRID)
        page.goto(f"{self.instance.url}/consultation?day={local:%Y-%m-%d}")
        page.get_by_role("button", name=re.compile(rf"^{local:%H:%M}")).first.click()
        page.get_by_label("Name").fill(name)
        page.get_by_label(re.compile("E-?mail")).fill("eva@example.org")
        page.wait_for_timeout(2100)  # a form sent back quicker than that is no person's
        page.locator("main form button[type=submit]").last.click()
        page.wait_for_url("**/b/**")
        return page.url

    def move_in_google(self, summary: str, start_at: datetime) -> None:
        """On Google's own page, as a person does it."""
        (event,) = [one for one in self.ours() if one["summary"] == summary]
        stood = datetime.fromisoformat(event["start"]["dateTime"]).astimezone(MADRID)
        page = self.her_google
        page.goto(f"{self.google.url}/calendar?account={ANA}&day={stood:%Y-%m-%d}")
        row = page.locator(f"[data-event='{event['id']}']")
        row.locator("summary").click()
        row.get_by_label("Start").fill(f"{start_at.astimezone(MADRID):%Y-%m-%dT%H:%M}")
        row.get_by_role("button", name="Move").click()

    def revoke_at_google(self) -> None:
        page = self.her_google
        page.goto(f"{self.google.url}/account?account={ANA}")
        page.get_by_role("button", name="Revoke").click()
        expect(page.get_by_text("No program has access")).to_be_visible()

    def ours(self) -> list[dict]:
        """Our events in Ana's calendar, as Google holds them."""
        return [event for event in self.account.events(ANA) if "extendedProperties" in event]

    def starts(self) -> list[datetime]:
        return sorted(datetime.fromisoformat(event["start"]["dateTime"]).astimezone(UTC) for event in self.ours())

    def is_told(self, words: str) -> bool:
        """Whether a mail has gone out whose subject says so."""
        mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in self.instance.mails]
        return any(words in mail["Subject"].lower() for mail in mails)


@pytest.fixture
def world(tmp_path: Path, browser: Browser) -> Iterator[World]:
    with GoogleServer(tmp_path / "google") as google:
        instance = Instance(tmp_path / "portal", **{**google.environment(), "LOCKSTEP_POLL_SECONDS": "30"})
        instance.data.mkdir()
        seed = tmp_path / "studio.toml"
        seed.write_text(SEED.format(hours=", ".join(f'{day} = ["08:00-20:00"]' for day in DAYS)))
        instance.run("seed", str(seed))
        with instance:
            yield World(instance, google, browser)
        assert google.violations() == [], "all that was sent to Google has Google's shapes"


def at(days: int, hour: int) -> datetime:
    """So many days from today in Madrid, at this hour there, as UTC."""
    day = datetime.now(MADRID).replace(hour=hour, minute=0, second=0, microsecond=0) + timedelta(days=days)
    return day.astimezone(UTC)


def consent(page: Page) -> None:
    """Google's page: choose the account, leave all boxes ticked, allow."""
    page.wait_for_url("**/o/oauth2/v2/auth**")
    page.get_by_label(ANA).first.check()
    for box in page.locator("input[type=checkbox]").all():
        box.check()
    page.get_by_role("button", name="Allow").click()


def connect(world: World) -> None:
    page = world.integrations()
    page.get_by_role("button", name="Connect Google").click()
    consent(page)
    expect(page.get_by_role("heading", name="Choose calendars")).to_be_visible()
    page.get_by_role("button", name="Connect").click()
    page.wait_for_url("**/admin/integrations")


def test_a_connected_google_calendar_and_the_bookings_never_disagree(world: World):
    world.account.add_event(ANA, "Dentist", at(2, 10), at(2, 11))
    world.account.make_calendar("Family")
    world.sign_in()
    connect(world)
    page = world.ana
    expect(page.get_by_text("1 busy time in the next two months")).to_be_visible()
    card = page.locator(".account")
    expect(card).to_contain_text(ANA)
    expect(card).to_contain_text("Connected")
    expect(card).to_contain_text("Push is on", timeout=A_MINUTE)

    # Her own event closes its time; a booking stands in her calendar, and takes no time from itself.
    world.customer.goto(f"{world.instance.url}/consultation?day={at(2, 12).astimezone(MADRID):%Y-%m-%d}")
    expect(world.customer.get_by_role("button", name=re.compile("^09:00"))).to_be_visible()
    expect(world.customer.get_by_role("button", name=re.compile("^10:00"))).to_have_count(0)
    manage = world.book(at(2, 12), "Eva Sanz")
    until(lambda: world.starts() == [at(2, 12)], what="the booking to stand in Google")
    (event,) = world.ours()
    assert event["summary"].endswith(" · E. S."), "a calendar that was just connected tells initials, no names"
    assert "Eva Sanz" not in str(event)
    assert not event.get("attendees"), "the portal mails the customer, Google does not"
    expect(world.customer.get_by_role("link", name=re.compile("meet.google.com|[Vv]ideo"))).to_be_visible()

    # She moves it in Google: the booking follows, and the customer is told.
    world.move_in_google(event["summary"], at(3, 16))
    until(lambda: world.is_told("moved"), seconds=10, what="the customer's mail")
    world.customer.goto(manage)
    expect(world.customer.locator("main")).to_contain_text("16:00")

    # The permission is taken away at Google: the page says so within a minute, by itself.
    world.integrations()
    world.revoke_at_google()
    world.integrations()
    expect(page.locator(".account")).to_contain_text("no longer accept", timeout=A_MINUTE)
    until(lambda: world.is_told("sign in again"), seconds=10, what="the mail about it")

    # Life goes on meanwhile, on both sides.
    world.book(at(4, 9), "Ben Ruiz")
    world.account.add_event(ANA, "Sport", at(5, 18), at(5, 19))
    (stays,) = world.ours()
    world.account.move_event(ANA, stays["id"], at(6, 11))

    # Refreshed: nothing is lost, what waited is written, and what changed is told.
    page = world.integrations()
    page.get_by_role("button", name="Refresh connection").first.click()
    consent(page)
    page.wait_for_url("**/admin/integrations")
    expect(page.locator(".account")).to_contain_text("Connected")
    until(lambda: world.starts() == [at(4, 9), at(6, 11)], seconds=20, what="the waiting booking to be written")
    world.integrations()
    expect(page.locator(".account")).to_contain_text(re.compile(r"An event\s+·.*18:00"), timeout=20_000)
    expect(page.locator("main")).not_to_contain_text("Sport")  # its title is for Ana alone
    world.customer.goto(manage)
    expect(world.customer.locator("main")).to_contain_text("11:00")
    assert world.google.mails() == [], "Google mailed nobody"
