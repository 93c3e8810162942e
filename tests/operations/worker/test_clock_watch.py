"""A worker whose clock leaps, or is wrong from the start: nothing that is due by time is done, people are told, and it goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update

from portal.accounts.models import User
from portal.booking import operations
from portal.booking.operations import Customer
from portal.business.models import Resource
from portal.calendars.models import Calendar
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.notifications.models import Mail, Reminder
from portal.outbox import OutboxEntry
from portal.sync import clock_doubts, leases
from portal.sync.models import Lease
from portal.timekeeping import timekeeper
from portal.timekeeping.timekeeper import SETTLES_AFTER
from portal.upkeep.vitals import HEARTBEAT, read_vitals
from portal.worker import clock_watch, drain, jobs
from portal.worker.loops import Background
from tests.factories import make_business, make_calendar, make_resource, make_service
from tests.support.mails import HANDLERS, memory_mail

MONDAY = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
REMINDED = 24 * 60


@dataclass
class Machine:
    """The clocks of the machine that the worker runs on."""

    app: Flask
    wall: time_machine.Coordinates
    seconds: float = 1000.0

    def goes_on(self, by: timedelta) -> None:
        self.wall.shift(by)
        self.seconds += by.total_seconds()

    def leaps(self, by: timedelta) -> None:
        self.wall.shift(by)


@pytest.fixture
def machine(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with time_machine.travel(MONDAY, tick=False) as wall:
        made = Machine(app, wall)
        monkeypatch.setattr(timekeeper, "steady", lambda: made.seconds)
        monkeypatch.setattr(clock_watch, "steady", lambda: made.seconds)
        monkeypatch.setattr(clock_watch, "database_now", lambda _session: now_utc())
        monkeypatch.setattr(clock_watch.witnesses, "last_heard", lambda: None)
        yield made


class Worker:
    """The worker's loops, turned by hand."""

    def __init__(self, app: Flask) -> None:
        self.loops = Background(app)

    def works(self) -> None:
        self.loops._due_at.clear()
        self.loops._keep_table()
        while works := drain.claim(50, topics=tuple(HANDLERS)):
            for work in works:
                drain.do(work, HANDLERS[work.topic])


@pytest.fixture
def worker(machine: Machine) -> Iterator[Worker]:
    made = Worker(machine.app)
    yield made
    made.loops._clock.end()


@pytest.fixture
def sent(app: Flask) -> Iterator[list]:
    yield memory_mail(app).sent
    del app.extensions["messenger"]


@pytest.fixture
def eight(machine: Machine, sent: list) -> list[int]:
    """Bookings two days from now, each with a reminder a day before; their first mails have left."""
    make_business(name="Studio Ana", instance_id="instance-1")
    ana = make_resource(slug="ana", name="Ana", email="ana@studio.example")
    service = make_service([ana], slug="consultation", reminders=[REMINDED])
    found = [
        operations.book(
            service_slug=service.slug,
            start_at=MONDAY + 2 * DAY + timedelta(hours=2 + number // 2, minutes=30 * (number % 2)),
            customer=Customer(name=f"Customer {number}", email=f"c{number}@customer.example"),
            idempotency_key=str(number),
            now=now_utc(),
        ).booking_id
        for number in range(8)
    ]
    db.session.add(User(email="owner@studio.example", name="Olga", role="owner", is_enabled=True))
    db.session.commit()
    for work in drain.claim(50, topics=tuple(HANDLERS)):
        drain.do(work, HANDLERS[work.topic])
    sent.clear()
    return found


def reminded(sent: list) -> int:
    """Customers have nothing else to be told."""
    return sum("customer.example" in str(mail["To"]) for mail in sent)


def reminders() -> set[str]:
    db.session.rollback()
    return set(db.session.scalars(select(Reminder.state)))


def test_a_worker_a_day_ahead_for_a_minute_reminds_nobody(machine, worker, eight, sent):
    worker.works()
    machine.leaps(DAY + timedelta(hours=6))
    for _ in range(12):
        worker.works()
        machine.goes_on(timedelta(seconds=5))
    machine.leaps(-DAY - timedelta(hours=6))
    worker.works()
    assert reminders() == {"waiting"}
    assert reminded(sent) == 0
    machine.goes_on(DAY + timedelta(hours=6))
    worker.works()
    assert (reminders(), reminded(sent)) == ({"queued"}, 8), "each at its time, once"


def test_a_worker_started_a_day_ahead_reminds_nobody(machine, worker, eight, sent):
    worker.works()
    worker.loops._clock.end()
    machine.leaps(DAY + timedelta(hours=6))
    other = Worker(machine.app)
    for _ in range(12):
        other.works()
        machine.goes_on(timedelta(seconds=5))
    other.loops._clock.end()
    assert (reminders(), reminded(sent)) == ({"waiting"}, 0)


def test_after_a_pause_of_the_machine_what_is_still_of_use_is_sent(machine, worker, eight, sent):
    worker.works()
    machine.leaps(2 * DAY + timedelta(hours=3, minutes=10))  # four have begun meanwhile
    worker.works()
    assert reminded(sent) == 0
    for _ in range(8):
        machine.goes_on(SETTLES_AFTER / 6)
        worker.works()
    assert reminded(sent) == 8 - 3
    assert clock_doubts.doubts(db.session()) == []


def test_a_leap_back_sends_nothing_twice_and_stops_nothing(machine, worker, eight, sent):
    worker.works()
    machine.goes_on(DAY + timedelta(hours=6))
    worker.works()
    assert reminded(sent) == 8
    machine.leaps(-DAY)
    for _ in range(8):
        worker.works()
        machine.goes_on(SETTLES_AFTER / 6)
    assert reminded(sent) == 8
    assert worker.loops._clock.keep() is None


def test_a_correction_by_a_second_changes_nothing(machine, worker, eight, sent):
    worker.works()
    for by in (1, -2, 1):
        machine.leaps(timedelta(seconds=by))
        assert worker.loops._clock.keep() is None


def test_nothing_is_given_up_erased_refused_or_lapsed_by_a_clock_in_doubt(machine, worker, eight, sent):
    worker.works()
    machine.leaps(10 * DAY)
    periodic = []
    for each in jobs.PERIODIC:
        if each.by_clock:
            periodic.append(each.name)
    before = {row.name: row.last_done_at for row in db.session.scalars(select(Lease).where(Lease.name.in_(periodic)))}
    db.session.rollback()
    worker.works()
    after = {row.name: row.last_done_at for row in db.session.scalars(select(Lease).where(Lease.name.in_(periodic)))}
    assert after == before
    assert {"sweep holds", "look at waitlists", "forget customers by age", "refuse unanswered requests"} <= set(
        periodic
    )


def test_a_mail_about_a_booking_is_not_thrown_away_because_the_clock_says_that_it_is_over(machine, worker, eight, sent):
    worker.works()
    operations.move_booking(eight[0], MONDAY + 2 * DAY + timedelta(hours=7), by="staff", now=now_utc())
    machine.leaps(10 * DAY)
    worker.works()
    assert sent == []
    machine.leaps(-10 * DAY)
    machine.goes_on(MINUTE)
    worker.works()
    assert [str(mail["To"]) for mail in sent if "customer.example" in str(mail["To"])] == [
        "Customer 0 <c0@customer.example>"
    ]


def test_what_fails_is_not_stuck_by_a_clock_in_doubt(machine, worker, eight):
    worker.works()
    transaction(lambda s: s.add(OutboxEntry(topic="x", subject="x:1")))
    machine.leaps(2 * DAY)

    def stumble(_work):
        raise RuntimeError("not yet")

    [work] = drain.claim(5, topics=["x"])
    drain.do(work, stumble)
    db.session.rollback()
    assert db.session.get_one(OutboxEntry, work.entry_id).state == "todo"


def test_it_is_said_in_the_log_on_the_home_page_and_once_by_mail(machine, worker, eight, sent, monkeypatch):
    said = []
    monkeypatch.setattr(clock_watch, "log", SimpleNamespace(warning=lambda sentence, **_about: said.append(sentence)))
    worker.works()
    machine.leaps(DAY)
    for _ in range(12):
        worker.works()
        machine.goes_on(timedelta(seconds=5))
    assert clock_doubts.doubts(db.session()) == [
        "This machine's clock leapt forward by 1 day. Is it right? Have it set by NTP."
    ]
    [mail] = [mail for mail in sent if str(mail["To"]) == "Olga <owner@studio.example>"]
    assert mail["Subject"] == "Is the clock right? Reminders wait"
    assert "leapt forward by 1 day" in mail.get_body(("plain",)).get_content()
    machine.leaps(-DAY)
    machine.goes_on(timedelta(seconds=6))
    worker.works()
    assert clock_doubts.doubts(db.session()) == []
    assert said == ["the clock is in doubt, so what is due by time waits", "the clock is believed again"]


def test_a_short_leap_is_in_the_log_alone(machine, worker, eight, sent):
    worker.works()
    machine.leaps(DAY)
    worker.works()
    machine.goes_on(timedelta(seconds=10))
    machine.leaps(-DAY)
    for _ in range(12):
        worker.works()
        machine.goes_on(timedelta(seconds=10))
    assert sent == []


def test_what_a_wrong_clock_wrote_down_holds_nothing_up(machine, worker, eight):
    worker.works()
    machine.leaps(DAY)
    calendar = make_calendar(db.session.scalars(select(Resource)).one(), last_read_at=now_utc())
    db.session.execute(update(Calendar).values(next_read_at=now_utc(), read_lease_until=now_utc() + MINUTE))
    db.session.add(OutboxEntry(topic="x", subject="x:1", lease_until=now_utc() + MINUTE, lease_token="gone"))
    db.session.add(OutboxEntry(topic="x", subject="x:2", next_at=now_utc() + MINUTE, last_error="down", attempts=1))
    db.session.commit()
    worker.works()
    machine.leaps(-DAY)
    machine.goes_on(timedelta(seconds=6))
    worker.works()
    db.session.rollback()
    mended = db.session.get_one(Calendar, calendar.id)
    assert (mended.read_lease_until, mended.last_read_at, mended.next_read_at <= now_utc()) == (None, None, True)
    assert len(drain.claim(5, topics=["x"])) == 2


def test_periodic_work_noted_for_a_time_to_come_is_done_now(app):
    now = MONDAY
    take = {"holder": "one", "every": MINUTE}
    assert transaction(lambda s: leases.take(s, "x", now=now + DAY, **take))
    assert transaction(lambda s: leases.take(s, "x", now=now, **take))
    assert not transaction(lambda s: leases.take(s, "x", now=now, **take))


def test_a_sign_of_life_from_tomorrow_is_no_sign_of_life(machine, app):
    transaction(lambda s: s.add(Lease(name=HEARTBEAT, last_done_at=now_utc() + DAY)))
    [problem, *_] = read_vitals(db.session(), now=now_utc()).problems
    assert "1 day ahead" in problem


def test_a_database_with_another_clock_is_a_reason_to_wait(machine, worker, eight, sent, monkeypatch):
    if db.engine.dialect.name == "sqlite":
        pytest.skip("its clock is this machine's")
    monkeypatch.setattr(clock_watch, "database_now", lambda _session: now_utc() - DAY)
    machine.goes_on(DAY + timedelta(hours=6))
    worker.works()
    assert reminders() == {"waiting"}
    assert "the database's differ by 1 day" in clock_doubts.doubts(db.session())[0]
    assert db.session.scalars(select(Mail).where(Mail.kind == "reminder")).all() == []
