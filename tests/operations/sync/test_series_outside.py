"""A weekly class of twelve in real calendars: Radicale with an ordinary CalDAV program at work in it, and the stand-in for Google."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import caldav
import pytest

from portal.booking.fixed import series
from portal.booking.models import Appointment, Booking
from portal.booking.operations import book
from portal.booking.rules import Customer
from portal.business.models import Service
from portal.calendars.connect import ChosenCalendar, connect_caldav
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.sync.account import operations
from portal.sync.models import Question
from portal.sync.outside import questions
from portal.sync.pull.pull import pull
from portal.upkeep.invariants import invariants
from portal.worker import drain
from portal.worker.jobs import handler_of
from tests.factories import make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, fresh, rows
from tests.providers.servers import RadicaleServer
from tests.support.google import connect
from tests.support.google_server import GoogleServer

TOPICS = ("calendar.publish", "calendar.outside", "calendar.rewrite")
HOUR = timedelta(hours=1)
MADRID = ZoneInfo("Europe/Madrid")


def drain_all():
    for _ in range(60):
        works = drain.claim(10, topics=TOPICS)
        if not works:
            return
        for work in works:
            drain.do(work, handler_of(work.topic))
    raise AssertionError("The outbox never became empty.")


@dataclasses.dataclass
class School:
    """A weekly class at ten, Madrid time, in somebody's calendar."""

    calendar_id: int
    service_slug: str
    series_id: int

    def read(self):
        pull(self.calendar_id)
        drain_all()

    def dates(self):
        """Its appointments, in the order of the series."""
        found = rows(Appointment, Appointment.series_id == self.series_id)
        return sorted(found, key=lambda appointment: appointment.series_on)

    def starts(self):
        return [appointment.start_at for appointment in self.dates()]

    def join(self, start_at, name, party_size=1):
        customer = Customer(name=name, email=f"{name.partition(' ')[0].lower()}@example.org", note="Bad knee")
        done = book(
            service_slug=self.service_slug, start_at=start_at, customer=customer, party_size=party_size,
            idempotency_key=f"{name} {start_at}", now=now_utc(),
        )  # fmt: skip
        drain_all()
        return done.booking_id

    def switch(self, privacy):
        operations.set_rules(self.calendar_id, {"privacy": privacy}, is_busy_source=True, by="Ana")
        drain_all()


def open_school(resource, calendar_id):
    service = make_service([resource], duration=60, step=60, capacity=12, timing="fixed", name="Yoga", horizon=35)
    slug, service_id = service.slug, service.id
    transaction(lambda session: setattr(session.get_one(Service, service_id), "location", "Garden room"))
    tomorrow = now_utc().astimezone(MADRID).date() + timedelta(days=1)
    series_id = series.plan_series(
        slug, weekday=tomorrow.weekday(), starts=600, first_on=tomorrow, capacity=12, now=now_utc()
    )
    drain_all()
    return School(calendar_id, slug, series_id)


@pytest.fixture(scope="module")
def radicale(tmp_path_factory):
    with RadicaleServer(tmp_path_factory.mktemp("radicale")) as server:
        yield server


@pytest.fixture
def diary(radicale, app, monkeypatch):
    """(the school, its calendar as an ordinary program opens it)."""
    settings = dataclasses.replace(app.extensions["settings"], outbound_allow=("127.0.0.1",))
    monkeypatch.setitem(app.extensions, "settings", settings)
    url = radicale.make_calendar("ana", f"work-{time.monotonic_ns()}")
    resource = make_resource(weekly=ALL_DAY)
    chosen = ChosenCalendar(remote_id=url, is_destination=True)
    resource_id = resource.id
    made = connect_caldav(resource_id=resource_id, url=url, username="ana", password="secret", chosen=[chosen])
    pull(made.calendar_ids[0])
    school = open_school(resource, made.calendar_ids[0])
    with caldav.DAVClient(url=radicale.url, username="ana", password="secret") as client:
        yield school, client.calendar(url=url)


def vevents(calendar):
    """The program's view: its events by start."""
    return sorted(calendar.events(), key=lambda event: event.icalendar_component["dtstart"].dt)


def shown(calendar):
    return [
        (one["dtstart"].dt.astimezone(UTC), str(one["summary"]))
        for one in (event.icalendar_component for event in vevents(calendar))
    ]


def drag(event, start_at):
    component = event.icalendar_component
    length = component["dtend"].dt - component["dtstart"].dt
    for name, at in (("dtstart", start_at), ("dtend", start_at + length)):
        component.pop(name)
        component.add(name, at)
    event.save()


def test_a_planned_series_stands_in_the_calendar_date_by_date(diary):
    school, calendar = diary
    assert len(school.dates()) == 5
    assert shown(calendar) == [(start, "Yoga · 0 of 12") for start in school.starts()]
    school.join(school.starts()[2], "Eva Ruiz", party_size=8)
    assert [title for _, title in shown(calendar)] == ["Yoga · 0 of 12"] * 2 + ["Yoga · 8 of 12"] + [
        "Yoga · 0 of 12"
    ] * 2


def test_one_date_moved_by_a_calendar_program_moves_and_the_others_stay(diary):
    school, calendar = diary
    before = school.starts()
    booking_id = school.join(before[1], "Eva Ruiz")
    drag(vevents(calendar)[1], before[1] + 6 * HOUR)
    school.read()
    assert school.starts() == [before[0], before[1] + 6 * HOUR, *before[2:]]
    moved = school.dates()[1]
    assert (moved.series_id, moved.is_fixed) == (school.series_id, True)
    assert moved.series_on == before[1].date(), "it keeps its place in the series"
    assert [entry.payload["by"] for entry in _told(booking_id, "moved")] == ["calendar"]
    assert shown(calendar)[1] == (before[1] + 6 * HOUR, "Yoga · 1 of 12")
    series.extend_series(now=now_utc())
    drain_all()
    assert len(school.dates()) == 5, "nothing takes the place that it has left"
    assert rows(Question) == []
    assert _is_healthy()


def test_a_date_that_nobody_has_booked_is_moved_likewise(diary):
    school, calendar = diary
    before = school.starts()
    drag(vevents(calendar)[3], before[3] + 48 * HOUR)
    school.read()
    assert school.starts() == [*before[:3], before[3] + 48 * HOUR, before[4]]
    school.read()
    assert rows(Question) == []
    assert _is_healthy()


def test_one_date_deleted_by_a_calendar_program_asks_and_the_answer_is_carried_out(diary):
    school, calendar = diary
    before = school.starts()
    booking_id = school.join(before[0], "Eva Ruiz")
    vevents(calendar)[0].delete()
    school.read()
    (question,) = rows(Question)
    assert (question.kind, question.appointment_id) == ("deleted", school.dates()[0].id)
    assert "The appointment stands, with 1 booking." in question.sentence
    assert fresh(Booking, booking_id).status == "confirmed"
    questions.answer(question.id, "cancel", user_id=None, now=now_utc())  # type: ignore[arg-type]
    drain_all()
    assert fresh(Booking, booking_id).status == "cancelled"
    assert [appointment.is_active for appointment in school.dates()] == [False, True, True, True, True]
    school.read()
    series.extend_series(now=now_utc())
    drain_all()
    assert shown(calendar) == [(start, "Yoga · 0 of 12") for start in before[1:]]
    assert _is_healthy()


def test_another_privacy_setting_rewrites_what_the_program_shows(diary):
    school, calendar = diary
    school.join(school.starts()[0], "Eva Ruiz")

    def texts():
        return [event.data for event in vevents(calendar)]

    first = texts()[0]
    assert "E. R." in first
    assert "Garden room" in first
    assert not [word for word in ("Eva", "eva@example.org", "Bad knee") if word in first]
    school.switch("full")
    assert "eva@example.org" in texts()[0]
    school.switch("busy only")
    assert [title for _, title in shown(calendar)] == ["Busy"] * 5
    hidden = ("Yoga", "Garden", "Eva", "E. R.", "eva@example.org", "knee", "12")
    words = " ".join(str(event.icalendar_component.get(name, "")) for event in vevents(calendar) for name in _WORDS)
    assert [word for word in hidden if word in words] == []
    assert not any("LOCATION" in text for text in texts())
    assert _is_healthy()


_WORDS = ("summary", "description", "location", "comment", "contact", "categories", "attendee")


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    with GoogleServer(tmp_path_factory.mktemp("google")) as server:
        yield server


@pytest.fixture
def account(google, sqlite_app, monkeypatch):
    """(the school, the account whose calendar it stands in)."""
    values = {name.lower(): value for name, value in google.environment().items() if name.startswith("GOOGLE_")}
    settings = dataclasses.replace(sqlite_app.extensions["settings"], **values, outbound_allow=("127.0.0.1",))
    monkeypatch.setitem(sqlite_app.extensions, "settings", settings)
    person = google.account(f"ana-{time.monotonic_ns()}@gmail.example")
    resource = make_resource(weekly=ALL_DAY)
    resource_id = resource.id
    made = connect(person, resource_id)
    pull(made.calendar_ids[0])
    return open_school(resource, made.calendar_ids[0]), person


def in_google(person):
    events = [event for event in person.events(person.email) if event.get("extendedProperties")]
    return sorted(events, key=lambda event: event["start"]["dateTime"])


def test_in_google_one_date_moved_and_one_deleted_concern_those_alone(account):
    school, person = account
    before = school.starts()
    assert [event["summary"] for event in in_google(person)] == ["Yoga · 0 of 12"] * 5
    school.join(before[1], "Eva Ruiz")
    first, second = (event["id"] for event in in_google(person)[:2])
    person.move_event(person.email, second, before[1] + 6 * HOUR)
    person.remove_event(person.email, first)
    school.read()
    assert school.starts() == [before[0], before[1] + 6 * HOUR, *before[2:]]
    (question,) = rows(Question)
    questions.answer(question.id, "put back", user_id=None, now=now_utc())  # type: ignore[arg-type]
    drain_all()
    school.read()
    assert [event["summary"] for event in in_google(person)] == ["Yoga · 0 of 12", "Yoga · 1 of 12"] + [
        "Yoga · 0 of 12"
    ] * 3
    assert [_start(event) for event in in_google(person)] == school.starts()
    assert _is_healthy()


def test_in_google_nothing_of_customer_service_or_place_is_left_by_the_strictest_setting(account):
    school, person = account
    school.join(school.starts()[0], "Eva Ruiz")
    school.switch("full")
    assert "eva@example.org" in str(in_google(person)[0])
    school.switch("busy only")
    (event, *_) = in_google(person)
    assert event["summary"] == "Busy"
    hidden = ("Yoga", "Garden", "Eva", "E. R.", "knee", "of 12")
    assert [
        word for word in hidden if word in str({k: v for k, v in event.items() if k not in ("creator", "organizer")})
    ] == []


def _start(event):
    return datetime.fromisoformat(event["start"]["dateTime"]).astimezone(UTC)


def _told(booking_id, news):
    found = rows(OutboxEntry, OutboxEntry.topic == "notify.customer", OutboxEntry.subject == f"booking:{booking_id}")
    return [entry for entry in found if entry.payload["news"] == news]


def _is_healthy():
    db.session.rollback()
    return invariants(db.session()) == []
