"""`make demo` and `make demo GOOGLE=1` as a newcomer clicks through them, without scripts: connect, book, move, take the permission away, refresh.

One demo runs at a time on a machine (`tests/support/demo.py`), so all of their tests stand in this file, which one process runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from zoneinfo import ZoneInfo

import psutil
import pytest
import requests

from tests.support.demo import Demo
from tests.support.google_server import GoogleAccount, GoogleServer
from tests.support.instance import until
from tests.support.mails import text
from tests.support.remote import RemoteApp
from tests.support.visitor import Visitor

MADRID = ZoneInfo("Europe/Madrid")
CLARA = "clara@gmail.example"
EVA = {"name": "Eva Sanz", "email": "eva@example.org"}


class GoogleDemo(Demo):
    """With what the newcomer does in it. `clara` acts as Clara in her “Google”."""

    @property
    def google(self) -> GoogleServer:
        found = re.search(r"(http://127\.0\.0\.1:(\d+))/calendar\?account=", self.announcement)
        assert found, self.log
        server = GoogleServer(self.data)
        server.port = int(found[2])
        return server

    @property
    def clara(self) -> GoogleAccount:
        return GoogleAccount(self.google, CLARA)

    def event(self) -> dict[str, object] | None:
        """The one event of a booking in her Google calendar."""
        return next((e for e in self.clara.events(CLARA) if "Video consultation" in str(e.get("summary"))), None)

    def mails(self, subject: str) -> list[str]:
        """The texts of the customer's mails whose subject begins so, oldest first."""
        paths = sorted((self.data / "demo" / "mail").glob("*.eml"))
        found = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in paths]
        return [text(mail) for mail in found if EVA["email"] in mail["To"] and mail["Subject"].startswith(subject)]


@pytest.fixture
def demo(tmp_path) -> Iterator[GoogleDemo]:
    with GoogleDemo(tmp_path, "--google") as running:
        yield running


def connect(demo: GoogleDemo) -> Visitor:
    """Sign in as the owner, and connect Clara's Google account; her own calendar there receives the bookings."""
    visitor = owner(demo).get("/admin/integrations").follow("Connect Google")
    visitor.press("Continue with Google", resource_id=option(visitor, "resource_id", "Clara"))
    assert "A stand-in for Google, on this machine only" in visitor.text("//body")
    visitor.press("Allow", account=CLARA)
    assert "accepted clara@gmail.example" in visitor.text()
    visitor.press("Connect")
    assert "The account is connected." in visitor.text()
    return visitor


def option(visitor: Visitor, field: str, label: str) -> str:
    [found] = [o for o in visitor.page.xpath(f'//select[@name="{field}"]/option') if o.text_content().strip() == label]
    return str(found.get("value"))


def book(demo: GoogleDemo) -> Visitor:
    """The first time that the public page offers from tomorrow on."""
    day = datetime.now(UTC).date() + timedelta(days=1)
    visitor = Visitor(RemoteApp(demo.url)).get(f"/video-consultation?day={day}&zone=UTC")
    if not visitor.times():
        visitor.get(f"/video-consultation?day={day + timedelta(days=3)}&zone=UTC")
    visitor.press(visitor.times()[0])
    assert "Video call; you get the link when you have booked" in visitor.text()
    return visitor.press("Book this time", **EVA)


def start_of(event: dict) -> datetime:
    """By her clock, which may be put forward or back before the day that it is moved to."""
    return datetime.fromisoformat(event["start"]["dateTime"]).astimezone(MADRID)


def test_a_newcomer_connects_google_and_everything_follows(demo):
    staff = connect(demo)
    customer = book(demo)
    assert "You are booked" in customer.text()
    event = until(demo.event, what="the event in Google")
    assert event["hangoutLink"].startswith("https://meet.google.com/")
    [mail] = until(lambda: demo.mails("Booked"), what="the mail with the link")
    assert f"Video call: {event['hangoutLink']}" in mail
    assert event["hangoutLink"] in customer.get(customer.url).text()

    person = her_calendar(demo, event)
    moved_to = start_of(event).replace(hour=15, minute=0) + timedelta(days=7)
    person.press("Move", start=f"{moved_to:%Y-%m-%dT%H:%M}")
    [mail] = until(lambda: demo.mails("New time"), what="the mail about the move")
    assert event["hangoutLink"] in mail
    assert f"{moved_to.astimezone(UTC):%H:%M}" in customer.get(customer.url).text()
    until(lambda: "Push is on until" in staff.get("/admin/integrations").text(), seconds=45, what="push")

    person.follow("Third-party access").press("Revoke")
    assert "No program has access" in person.text()
    her_account(staff).press("Read now")  # without it the portal notices within a minute
    until(lambda: "Needs a new sign-in" in staff.get("/admin/integrations").text(), seconds=60, what="it to be noticed")
    staff.press("Refresh connection").press("Allow")
    assert "Google accepts the portal again." in staff.text()
    until(lambda: "Needs a new sign-in" not in staff.get("/admin/integrations").text(), what="the connection to work")
    assert start_of(demo.event()) == moved_to
    assert "You are booked" in customer.get(customer.url).text()


def her_calendar(demo: GoogleDemo, event: dict) -> Visitor:
    """Clara's page in “Google”, with nothing but this event on it: its buttons are the only ones of their name then."""
    day = start_of(event).date()
    visitor = Visitor(RemoteApp(demo.google.url)).get(f"/calendar?account={CLARA}&day={day}")
    leave_out(visitor, f'//li[@data-event and @data-event!="{event["id"]}"]')
    assert "Video consultation · E. S." in visitor.text(), "a new calendar tells initials"
    return visitor


def her_account(visitor: Visitor) -> Visitor:
    """The integrations page, with her Google account alone on it."""
    leave_out(
        visitor.get("/admin/integrations"), f'//section[contains(@class, "account")][not(contains(., "{CLARA}"))]'
    )
    return visitor


def leave_out(visitor: Visitor, others: str) -> None:
    for other in visitor.page.xpath(others):
        other.getparent().remove(other)


def test_its_google_is_gone_with_the_demo_and_what_was_connected_to_it_too(tmp_path):
    with GoogleDemo(tmp_path, "--google") as demo:
        connect(demo)
        assert CLARA in owner(demo).get("/admin/integrations").text()
        assert any("providers.standins.google" in " ".join(process.cmdline()) for process in demo.below)
    with GoogleDemo(tmp_path) as demo:
        assert "Google" not in demo.announcement
        assert not any("providers.standins.google" in " ".join(process.cmdline()) for process in demo.below)
        assert CLARA not in owner(demo).get("/admin/integrations").text()


def owner(demo: Demo) -> Visitor:
    """The owner, signed in."""
    return Visitor(RemoteApp(demo.url)).get("/admin").press("Sign in", **demo.owner)


def test_the_demo_is_ready_to_be_tried_and_keeps_to_itself(tmp_path):
    demo = Demo(tmp_path)
    with demo:
        first = demo.announcement
        until(demo.is_ready, what="both calendars to be read")
        page = requests.get(f"{demo.url}/", timeout=5).text
        assert all(
            name in page for name in ("Consultation", "Massage", "First assessment", "Morning yoga", "Back class")
        )
        address, user, password = re.search(r"Ana's calendar\s+(\S+)\s+(\S+)\s+(\S+)", first).groups()
        listed = requests.request("PROPFIND", address, auth=(user, password), headers={"Depth": "1"}, timeout=5)
        assert listed.status_code == 207
        assert listed.text.count(".ics") >= 8
        assert requests.request("PROPFIND", address, timeout=5).status_code == 401
        worker = int(re.search(r"kill -9 (\d+)", demo.log)[1])
        assert psutil.Process(worker).ppid() == demo.pid, "of this demo, whatever else runs here"
        visitor = Visitor(RemoteApp(demo.url)).get("/admin")
        assert visitor.press("Sign in", **demo.owner).url.rstrip("/").endswith("/admin")
    with demo:
        assert demo.announcement == first
    assert not (tmp_path / "real.sqlite3").exists()  # the DATABASE_URL of the real portal
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["demo"]
