"""A class of three, from planning to its last seat: real browsers, real processes, and the teacher's calendar on a real Radicale.

The class fills, somebody waits, somebody else cancels, the seat is offered and accepted with a minute left; a weekly class whose one
date the teacher moves in her own calendar; and two members of staff who answer one request at the same time.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import caldav
import icalendar
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.providers.servers import RadicaleServer
from tests.support.instance import Instance, until

MADRID = ZoneInfo("Europe/Madrid")
PASSWORD = "violet anvil jumping"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SEED = """
[business]
name = "Studio Ana"
zone = "Europe/Madrid"

[[resource]]
slug = "ana"
name = "Ana"
email = "ana@studio.example"
hours = {{ {hours} }}

[[resource.calendar]]
url = "{url}"
username = "ana"
password = "secret"
roles = ["busy", "destination"]

[[service]]
slug = "pottery"
name = "Pottery evening"
duration = 90
capacity = 3
timing = "fixed"
waitlist = true
offer_minutes = 60
resources = ["ana"]
reminders = []

[[service.date]]
start = "{evening:%Y-%m-%d %H:%M}"

[[service]]
slug = "morning-class"
name = "Morning class"
duration = 60
capacity = 12
timing = "fixed"
horizon = 30
resources = ["ana"]
reminders = []

[[service.series]]
weekday = "{weekday}"
time = "10:00"
first = {first:%Y-%m-%d}

[[service]]
slug = "portrait"
name = "Portrait"
duration = 60
approval = true
resources = ["ana"]
reminders = []
"""


def at(days: int, hour: int) -> datetime:
    """So many days from today in Madrid, at this hour there."""
    day = datetime.now(MADRID).date() + timedelta(days=days)
    return datetime(day.year, day.month, day.day, hour, tzinfo=MADRID)


EVENING, FIRST_CLASS = at(3, 18), at(5, 10)


class Teacher:
    """Ana's calendar, as her own calendar program shows it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def events(self, service: str) -> list[icalendar.Event]:
        found = [event.icalendar_component for event in self._calendar().events()]
        return sorted((e for e in found if e["SUMMARY"].startswith(service)), key=lambda e: e.start)

    def titles(self, service: str) -> list[str]:
        return [str(event["SUMMARY"]) for event in self.events(service)]

    def move(self, uid: str, start_at: datetime) -> None:
        event = self._calendar().get_event_by_uid(uid)
        with event.edit_icalendar_component() as component:
            length = component.DTEND - component.DTSTART
            component.DTSTART, component.DTEND = start_at.astimezone(UTC), start_at.astimezone(UTC) + length
        event.save()

    def _calendar(self) -> caldav.Calendar:
        return caldav.DAVClient(self.url, username="ana", password="secret").calendar(url=self.url)


class World:
    """The portal, Ana's calendar, and as many people with windows as are needed."""

    def __init__(self, instance: Instance, teacher: Teacher, browser: Browser) -> None:
        self.instance, self.teacher, self._browser = instance, teacher, browser
        self.token = instance.token()

    def window(self) -> Page:
        context = self._browser.new_context(timezone_id="Europe/Madrid", viewport={"width": 1280, "height": 900})
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.goto(self.instance.url)
        return page

    def book(self, service: str, start_at: datetime, name: str, *, party: int = 1) -> str:
        """As a program does it; gives the address of the manage page."""
        body = {
            "service": service,
            "start_at": start_at.astimezone(UTC).isoformat(),
            "party_size": party,
            "customer": {"name": name, "email": f"{name.lower()}@example.org"},
        }
        answer = self.instance.api("POST", "bookings", token=self.token, body=body, key=f"{service} {name}")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["manage_url"])

    def staff(self) -> Page:
        page = self.window()
        email = f"owner{int(time.time() * 1000)}@studio.example"
        (link,) = re.findall(r"http\S+/setup/\S+", self.instance.run("user", "add", email, "--role", "owner"))
        page.goto(link)
        page.get_by_label("Your name").fill("Olga")
        for field in page.locator("input[type=password]").all():
            field.fill(PASSWORD)
        page.locator("main button[type=submit]").click()
        page.wait_for_url("**/admin**")
        return page

    def mails(self, name: str) -> list[EmailMessage]:
        """What this customer was sent, oldest first."""
        mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in self.instance.mails]
        return [mail for mail in mails if f"{name.lower()}@example.org" in mail["To"]]  # type: ignore[misc]

    def has_mail(self, name: str, words: str) -> bool:
        return any(words in mail["Subject"] for mail in self.mails(name))

    def shorten_offers(self, ends_at: datetime) -> None:
        """As if the time of the open offers had gone by until then."""
        moment = ends_at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
        held = "UPDATE booking SET held_until = ? WHERE id IN (SELECT booking_id FROM offer WHERE state = 'open')"
        with sqlite3.connect(self.instance.data / "lockstep.sqlite3", timeout=10) as database:
            database.execute(held, (moment,))
            database.execute("UPDATE offer SET ends_at = ? WHERE state = 'open'", (moment,))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("class")
    with RadicaleServer(folder / "radicale", {"ana": "secret"}) as server:
        url = server.make_calendar("ana", "bookings")
        instance = Instance(folder / "portal")
        instance.data.mkdir()
        seed = folder / "studio.toml"
        hours = ", ".join(f'{day} = ["08:00-22:00"]' for day in DAYS)
        weekday = DAYS[FIRST_CLASS.weekday()]
        seed.write_text(SEED.format(hours=hours, url=url, evening=EVENING, weekday=weekday, first=FIRST_CLASS.date()))
        instance.run("seed", str(seed))
        with instance:
            yield World(instance, Teacher(url), browser)


def wait_in_line(world: World, name: str) -> Page:
    """Joins the waitlist of the full evening in a window of their own."""
    page = world.window()
    page.goto(f"{world.instance.url}/pottery?day={EVENING:%Y-%m-%d}")
    page.get_by_role("link", name=re.compile("Join the waitlist")).first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_label(re.compile("E-?mail")).fill(f"{name.lower()}@example.org")
    page.wait_for_timeout(2100)  # a form sent back quicker than that is no person's
    page.get_by_role("button", name="Join the waitlist").click()
    page.wait_for_url("**/waitlist/joined**")
    (mail,) = until(lambda: world.mails(name), what=f"the mail with {name}'s link")
    body = mail.get_body(preferencelist=("plain",))
    page.goto(re.findall(r"http\S+/w/\S+", body.get_content())[0])  # type: ignore[union-attr]
    return page


def cancel(world: World, manage_url: str) -> float:
    """Through the customer's own link; when it was done."""
    page = world.window()
    page.goto(manage_url)
    page.get_by_role("link", name=re.compile("Cancel")).click()
    page.get_by_role("button", name=re.compile("[Cc]ancel")).click()
    expect(page.locator("main")).to_contain_text(re.compile("cancelled", re.IGNORECASE))
    return time.monotonic()


def test_a_seat_of_a_full_class_goes_to_who_waits_first_until_the_last_minute(world: World):
    until(lambda: world.teacher.titles("Pottery") == ["Pottery evening · 0 of 3"], what="the planned evening to stand")
    berta = world.book("pottery", EVENING, "Berta", party=2)
    carlos = world.book("pottery", EVENING, "Carlos")
    until(lambda: world.teacher.titles("Pottery") == ["Pottery evening · 3 of 3"], what="the event to show the seats")
    (event,) = world.teacher.events("Pottery")
    assert not re.search("Berta|Carlos", event.to_ical().decode()), "the calendar's privacy names nobody"

    dora, emil = wait_in_line(world, "Dora"), wait_in_line(world, "Emil")
    expect(dora.get_by_role("heading", level=1)).to_contain_text("You are on the waitlist")
    expect(dora.locator("main")).to_contain_text("next in line")
    expect(emil.locator("main")).to_contain_text("number 2 in line")
    assert "Dora" not in emil.content()

    done_at = cancel(world, carlos)
    until(lambda: world.has_mail("Dora", "Free for you"), seconds=20, what="Dora's offer")
    assert time.monotonic() - done_at < 5, "a cancellation leads to the offer's mail within five seconds"
    assert not world.has_mail("Emil", "Free for you")
    public = world.window()
    public.goto(f"{world.instance.url}/pottery?day={EVENING:%Y-%m-%d}")
    expect(public.locator("#slots button[name=start_at]")).to_have_count(0)

    # Her open page says so by itself; she comes back with a minute left.
    expect(dora.get_by_role("heading", level=1)).to_contain_text("It is your turn", timeout=20_000)
    world.shorten_offers(datetime.now(UTC) + timedelta(seconds=59))
    dora.reload()
    expect(dora.locator(".until__left")).to_contain_text(re.compile(r"\d"))
    dora.get_by_role("button", name="Accept and book").click()
    dora.wait_for_url("**/b/**")
    expect(dora.locator("main")).to_contain_text("Pottery evening")
    until(lambda: world.teacher.titles("Pottery") == ["Pottery evening · 3 of 3"], what="the event to be full again")

    # Emil's turn comes, and he is too late: he reads what happened, and that he may join again.
    cancel(world, berta)
    expect(emil.get_by_role("heading", level=1)).to_contain_text("It is your turn", timeout=20_000)
    world.shorten_offers(datetime.now(UTC) - timedelta(seconds=1))
    emil.get_by_role("button", name="Accept and book").click()
    expect(emil.get_by_role("alert")).to_be_visible()
    expect(emil.get_by_role("heading", level=1)).to_contain_text("This offer is over")
    until(lambda: len(world.mails("Emil")) >= 3, what="Emil's mails: joined, offered, ended")
    public.reload()
    expect(public.locator("#slots button[name=start_at]")).to_have_count(1)


def test_one_date_of_a_weekly_class_moved_in_the_calendar_takes_its_bookings_along_and_no_others(world: World):
    until(lambda: len(world.teacher.events("Morning")) >= 3, what="the weekly dates to stand in the calendar")
    first, second, third = world.teacher.events("Morning")[:3]
    assert {event.start.astimezone(MADRID).hour for event in (first, second, third)} == {10}
    manage = world.book("morning-class", second.start, "Greta", party=2)
    until(lambda: "2 of 12" in world.teacher.titles("Morning")[1], what="her seats in the event")

    moved_to = second.start.astimezone(MADRID) + timedelta(hours=2)
    world.teacher.move(str(second["UID"]), moved_to)
    until(lambda: world.has_mail("Greta", "New time"), seconds=15, what="Greta's mail")
    page = world.window()
    page.goto(manage)
    expect(page.locator("main")).to_contain_text(f"{moved_to:%H:%M}")
    for event, hour in ((first, 10), (second, 12), (third, 10)):
        day = event.start.astimezone(MADRID).date()
        page.goto(f"{world.instance.url}/morning-class?day={day}")
        expect(page.locator("#slots button[name=start_at]").first).to_contain_text(f"{hour}:00")
    staff = world.staff()
    staff.goto(f"{world.instance.url}/admin/services/morning-class/dates")
    expect(staff.locator("main")).to_contain_text(f"{moved_to:%H:%M}")


def test_of_two_who_answer_one_request_at_the_same_time_one_wins(world: World):
    manage = world.book("portrait", at(7, 15), "Hugo")
    one, two = world.staff(), world.staff()
    for page in (one, two):
        page.goto(f"{world.instance.url}/admin/bookings")
        page.get_by_role("link", name=re.compile("Hugo")).first.click()
        expect(page.get_by_role("button", name="Confirm the booking")).to_be_visible()
    one.get_by_role("button", name="Confirm the booking").click()
    expect(one.locator("main")).to_contain_text(re.compile("confirmed", re.IGNORECASE))
    two.get_by_role("button", name="Refuse").click()
    expect(two.get_by_role("alert")).to_contain_text("This booking was confirmed meanwhile.")
    two.get_by_role("button", name="Do it all the same").click()
    expect(two.locator("main .notice--bad")).to_be_visible()
    customer = world.window()
    customer.goto(manage)
    expect(customer.locator("main")).not_to_contain_text(re.compile("refused|cancelled", re.IGNORECASE))
    until(lambda: world.has_mail("Hugo", "Confirmed:"), what="Hugo's mail")
    assert not world.has_mail("Hugo", "Not possible")


@pytest.fixture(autouse=True)
def ends(world: World) -> Iterator[None]:
    """Windows of one test are closed after it."""
    yield
    for context in world._browser.contexts:
        context.close()
