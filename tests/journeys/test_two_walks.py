"""The two walks of the design, with real servers and processes: a customer books, and staff move the event in their own calendar.

The portal runs as a user runs it (`lockstep serve`: web, worker, embedded queue server), the calendar stands on a real Radicale,
the customer has a browser without scripts, and staff use a calendar program of their own (python-caldav).
"""

from __future__ import annotations

import email
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import policy

import caldav
import icalendar
import pytest

from tests.providers.servers import RadicaleServer
from tests.support.instance import Instance, links, until
from tests.support.remote import RemoteApp
from tests.support.visitor import Visitor

SEED = """
[business]
name = "Studio Ana"
zone = "Europe/Madrid"

[[resource]]
slug = "ana"
kind = "staff"
name = "Ana"
email = "ana@studio.example"
hours = {hours}

[[resource.calendar]]
provider = "caldav"
url = "{ana}"
username = "ana"
password = "secret"
roles = ["busy", "destination"]

[[resource]]
slug = "ben"
kind = "staff"
name = "Ben"
email = "ben@studio.example"
hours = {hours}

[[resource.calendar]]
provider = "caldav"
url = "{ben}"
username = "ben"
password = "hidden"
roles = ["busy", "destination"]

[[service]]
slug = "consultation"
name = "Consultation"
duration = 30
step = 30
notice = 0
horizon = 60
assignment = "choose"
resources = ["ana", "ben"]
"""
HOURS = ", ".join(f'{day} = ["08:00-20:00"]' for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
EVA = {"name": "Eva Sanz", "email": "eva@example.org"}


class Calendar:
    """One calendar, seen by its owner's own calendar program."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self.url, self._login = url, (name, password)

    def events(self) -> list[icalendar.Event]:
        return [event.icalendar_component for event in self._calendar().events()]

    def ours(self) -> list[icalendar.Event]:
        return [event for event in self.events() if "Consultation" in event["SUMMARY"]]

    def add(self, summary: str, start_at: datetime, end_at: datetime) -> None:
        self._calendar().add_event(summary=summary, dtstart=start_at, dtend=end_at, uid=f"{summary.lower()}@person")

    def move(self, uid: str, start_at: datetime, end_at: datetime) -> None:
        event = self._calendar().get_event_by_uid(uid)
        with event.edit_icalendar_component() as component:
            component.DTSTART, component.DTEND = start_at, end_at
        event.save()

    def remove(self, uid: str) -> None:
        self._calendar().get_event_by_uid(uid).delete()

    def _calendar(self) -> caldav.Calendar:
        client = caldav.DAVClient(self.url, username=self._login[0], password=self._login[1])
        return client.calendar(url=self.url)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[tuple[Instance, Calendar, Calendar]]:
    folder = tmp_path_factory.mktemp("walks")
    with RadicaleServer(folder / "radicale", {"ana": "secret", "ben": "hidden"}) as server:
        ana = Calendar(server.make_calendar("ana", "bookings"), "ana", "secret")
        ben = Calendar(server.make_calendar("ben", "bookings"), "ben", "hidden")
        instance = Instance(folder / "portal")
        instance.data.mkdir()
        seed = folder / "studio.toml"
        seed.write_text(SEED.format(ana=ana.url, ben=ben.url, hours=f"{{ {HOURS} }}"))
        instance.run("seed", str(seed))
        with instance:
            yield instance, ana, ben


def day(offset: int) -> datetime:
    """Midnight UTC, so many days from today: far enough that no notice is in the way."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=offset)


def at(offset: int, hour: int, minute: int = 0) -> datetime:
    return day(offset) + timedelta(hours=hour, minutes=minute)


def offered(instance: Instance, who: str, offset: int) -> list[datetime]:
    answer = instance.api(
        "GET", f"availability?service=consultation&resource={who}&from={day(offset):%Y-%m-%d}&to={day(offset):%Y-%m-%d}"
    )
    assert answer.status_code == 200, answer.text
    return [datetime.fromisoformat(slot["start_at"]) for slot in answer.json()["slots"]]


def book(instance: Instance, who: str, start_at: datetime, email: str = EVA["email"]) -> Visitor:
    """Two clicks and the form, without scripts. For one address three bookings count at once in an hour: then it is asked for by mail."""
    visitor = Visitor(RemoteApp(instance.url)).get(f"/consultation?day={start_at:%Y-%m-%d}&resource={who}&zone=UTC")
    visitor.press(f"{start_at:%H:%M}")
    assert visitor.status == 200, visitor.text()
    visitor.press("Book this time", **{**EVA, "email": email})
    assert visitor.status == 200, visitor.text()
    assert visitor.url.startswith("/b/")
    return visitor


def news(instance: Instance, recipient: str) -> list[str]:
    """The subjects of the mails to this address, oldest first."""
    mails = (email.message_from_bytes(path.read_bytes(), policy=policy.default) for path in instance.mails)
    return [mail["Subject"] for mail in mails if recipient in mail["To"]]


def is_connected(instance: Instance) -> bool:
    token = instance.token()
    return all(row["last_read_at"] for row in instance.api("GET", "calendars", token=token).json()["calendars"])


def test_a_customer_books_and_the_event_stands_in_the_right_calendar(world):
    instance, ana, ben = world
    start_at = at(3, 9)
    visitor = book(instance, "ana", start_at)
    assert "booked" in visitor.text().lower()
    event = until(lambda: next(iter(ana.ours()), None), what="the event in Ana's calendar")
    assert event["DTSTART"].dt == start_at
    assert event["DTEND"].dt == start_at + timedelta(minutes=30)
    assert "ATTENDEE" not in event
    assert ben.ours() == []
    until(lambda: news(instance, "eva@example.org"), what="the customer's mail")
    mail = next(path for path in instance.mails if b"To: Eva Sanz" in path.read_bytes())
    assert b"text/calendar" in mail.read_bytes()
    assert any("/b/" in link for link in links(mail))
    assert start_at not in offered(instance, "ana", 3)
    assert start_at in offered(instance, "ben", 3)


def test_the_customer_moves_and_cancels_by_the_link_in_the_mail(world):
    instance, _, ben = world
    visitor = book(instance, "ben", at(4, 9))
    until(ben.ours, what="the event in Ben's calendar")
    visitor.follow("Move to another time")
    visitor.get(visitor.url.partition("?")[0] + f"?day={at(4, 11):%Y-%m-%d}&zone=UTC")
    visitor.press("11:00").press("Move my appointment")
    until(lambda: [e for e in ben.ours() if e["DTSTART"].dt == at(4, 11)], what="the moved event")
    assert len(ben.ours()) == 1
    assert at(4, 9) in offered(instance, "ben", 4)
    visitor.get(visitor.url).follow("Cancel the booking")
    visitor.press("Yes, cancel it")
    until(lambda: ben.ours() == [], what="the event to vanish")
    assert at(4, 11) in offered(instance, "ben", 4)


def test_an_event_of_their_own_closes_the_slot_and_removing_it_opens_it(world):
    instance, ana, _ = world
    ana.add("Dentist", at(5, 10), at(5, 11))
    until(lambda: at(5, 10) not in offered(instance, "ana", 5), what="the slot to close")
    assert {at(5, 9, 30), at(5, 11)} <= set(offered(instance, "ana", 5))
    ana.remove("dentist@person")
    until(lambda: at(5, 10) in offered(instance, "ana", 5), what="the slot to open again")


def test_staff_move_the_event_and_the_booking_follows(world):
    instance, ana, _ = world
    before = len(news(instance, "eva@example.org")) + 1
    visitor = book(instance, "ana", at(6, 9))
    event = until(lambda: [e for e in ana.ours() if e["DTSTART"].dt == at(6, 9)], what="the event")[0]
    until(lambda: len(news(instance, "eva@example.org")) == before, what="the mail about the booking")
    ana.move(str(event["UID"]), at(6, 15), at(6, 15, 30))
    until(lambda: at(6, 15) not in offered(instance, "ana", 6), what="the booking to follow")
    until(lambda: at(6, 9) in offered(instance, "ana", 6), what="its old time to be free")
    until(lambda: len(news(instance, "eva@example.org")) > before, what="the mail about the move")
    visitor.get(visitor.url)
    assert "15:00" in visitor.text() or "16:00" in visitor.text()
    time.sleep(4)  # two more readings: the move is told once, and the calendar is left as it is
    assert len(news(instance, "eva@example.org")) == before + 1
    assert [e["DTSTART"].dt for e in ana.ours() if e["UID"] == event["UID"]] == [at(6, 15)]


def test_staff_delete_the_event_and_are_asked_while_the_booking_stands(world):
    instance, ana, _ = world
    visitor = book(instance, "ana", at(7, 9), "eva.sanz@example.org")
    event = until(lambda: [e for e in ana.ours() if e["DTSTART"].dt == at(7, 9)], what="the event")[0]
    ana.remove(str(event["UID"]))
    admin = sign_in(instance)
    until(lambda: "Eva Sanz" in admin.get("/admin/questions").text(), what="the question to staff")
    assert at(7, 9) not in offered(instance, "ana", 7)
    assert "cancelled" not in visitor.get(visitor.url).text().lower()
    admin.press("Put the event back")
    until(lambda: [e for e in ana.ours() if e["DTSTART"].dt == at(7, 9)], what="the event to be put back")
    again = next(e for e in ana.ours() if e["DTSTART"].dt == at(7, 9))
    ana.remove(str(again["UID"]))
    until(lambda: "Eva Sanz" in admin.get("/admin/questions").text(), what="the second question")
    admin.press("Cancel the booking and tell")
    until(lambda: at(7, 9) in offered(instance, "ana", 7), what="the time to be free")
    assert "cancelled" in visitor.get(visitor.url).text().lower()
    until(lambda: "ancel" in news(instance, "eva.sanz@example.org")[-1], what="the mail about the cancellation")


def test_at_the_end_bookings_and_calendars_agree(world):
    instance, _, _ = world
    instance.run("doctor", "--strict")
    assert "error" not in instance.log.lower()


_owner: dict[str, Visitor] = {}


def sign_in(instance: Instance) -> Visitor:
    """The first owner, made by the one-time link that `serve` printed."""
    if instance.url not in _owner:
        link = re.search(r"(/setup/\S+)", instance.log)
        assert link, instance.log
        visitor = Visitor(RemoteApp(instance.url)).get(link.group(1))
        typed = {"name": "Olga", "email": "olga@studio.example", "password": "correct horse battery"}
        visitor.press("Begin", **typed, password_again=typed["password"])
        assert visitor.status == 200, visitor.text()
        _owner[instance.url] = visitor
    return _owner[instance.url]
