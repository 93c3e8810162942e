"""The doctor says what is wrong, and the invariant checker sees every kind of damage that the keys would otherwise prevent."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from portal.booking.models import Appointment, AppointmentResource, Booking, Claim, EventLink, Seat
from portal.booking.operations import Customer, book, cancel_booking
from portal.booking.time.queries import free_slots
from portal.calendars.models import Connection
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.intervals import Interval
from portal.outbox import OutboxEntry
from portal.sync import ledger
from portal.sync.models import Lease, LedgerLine
from portal.upkeep.doctor import examine, invariants
from portal.upkeep.vitals import HEARTBEAT, read_vitals
from tests.factories import make_calendar, make_resource, make_service


@pytest.fixture
def two_bookings(app):
    return book_twice()


def book_twice():
    """Two confirmed appointments of Ana, whose calendar is a destination; gives their bookings."""
    ana = make_resource()
    make_calendar(ana, last_read_at=now_utc())
    service = make_service([ana], slug="consultation", buffer_after=10)
    now = now_utc()
    for number in range(2):
        slot = free_slots(db.session(), service, window=Interval(now, now + timedelta(days=9)), now=now)[0]
        customer = Customer(name="Carla", email="carla@customer.example")
        book(
            service_slug="consultation",
            start_at=slot.interval.start,
            customer=customer,
            idempotency_key=str(number),
            now=now,
        )
    return db.session.scalars(select(Booking).order_by(Booking.id)).all()


def wrong():
    db.session.expire_all()
    return invariants(db.session())


def test_all_is_well_after_bookings_and_cancellations(two_bookings):
    assert wrong() == []
    cancel_booking(two_bookings[0].id, by="customer", now=now_utc())
    assert wrong() == []


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda one, two: delete(Claim).where(Claim.appointment_id == one.appointment_id), "has 0 claims"),
        (lambda one, two: update(Claim).where(Claim.appointment_id == one.appointment_id).values(quantum_no=Claim.quantum_no + 9999), "claims on"),
        (lambda one, two: delete(Seat).where(Seat.booking_id == one.id), "has 0 seats"),
        (lambda one, two: update(Seat).where(Seat.booking_id == one.id).values(seat_no=9), "seat number 9"),
        (lambda one, two: update(Booking).where(Booking.id == one.id).values(status="cancelled"), "takes time although nobody is in it"),
        (lambda one, two: update(Appointment).where(Appointment.id == one.appointment_id).values(is_active=False), "owns no time although somebody"),
        (lambda one, two: update(AppointmentResource).values(is_active=False), "do not agree"),
        (lambda one, two: delete(OutboxEntry).where(OutboxEntry.subject == f"appointment:{one.appointment_id}"), "neither in calendar"),
    ],
)  # fmt: skip
def test_damage_is_seen(two_bookings, damage, part):
    transaction(lambda session: session.execute(damage(*two_bookings)))
    assert any(part in sentence for sentence in wrong()), wrong()


def test_an_overlap_is_seen_even_where_no_key_prevents_it(sqlite_app):
    """On SQLite alone: PostgreSQL's second guard refuses this damage."""
    first, second = (booking.appointment_id for booking in book_twice())
    start_at = db.session.get(Appointment, first).claim_start_at
    moved = update(AppointmentResource).where(AppointmentResource.appointment_id == second)
    transaction(lambda session: session.execute(moved.values(claim_start_at=start_at)))
    assert any("overlap on resource" in sentence for sentence in wrong())


def test_a_written_event_satisfies_and_an_outdated_one_does_not(two_bookings):
    appointment = db.session.get(Appointment, two_bookings[0].appointment_id)
    calendar_id = db.session.scalars(select(Connection)).one().calendars[0].id
    link = EventLink(
        appointment_id=appointment.id,
        calendar_id=calendar_id,
        uid="x",
        state="done",
        applied_version=appointment.version,
    )
    subject = f"appointment:{appointment.id}"

    def work(session):
        session.execute(delete(OutboxEntry).where(OutboxEntry.subject == subject))
        session.add(link)

    transaction(work)
    assert wrong() == []
    transaction(lambda session: session.execute(update(Appointment).values(version=Appointment.version + 1)))
    assert [s for s in wrong() if f"Appointment {appointment.id} " in s]


def test_an_altered_ledger_is_seen(two_bookings):
    def write(session):
        for number in range(3):
            ledger.write(session, "test", f"line {number}")
        session.flush()
        ledger.seal_lines(session)

    transaction(write)
    assert wrong() == []
    transaction(
        lambda session: session.execute(
            update(LedgerLine).where(LedgerLine.sentence == "line 1").values(sentence="line 7")
        )
    )
    assert any("ledger was altered" in sentence for sentence in wrong())


def states(findings, subject):
    return {finding.state for finding in findings if finding.subject.startswith(subject)}


def test_the_doctor_misses_the_worker(app):
    assert states(examine(), "worker") == {"bad"}
    transaction(lambda session: session.add(Lease(name=HEARTBEAT, last_done_at=now_utc())))
    findings = examine(strict=True)
    assert {finding.state for finding in findings} == {"ok"}
    assert len(states(findings, "self-test")) == 1
    transaction(lambda session: session.execute(update(Lease).values(last_done_at=now_utc() - timedelta(minutes=3))))
    assert any("last seen 3 minutes ago" in finding.sentence for finding in examine())


def test_the_doctor_tells_of_entries_that_wait_long_for_a_server_that_is_away(app):
    now = now_utc()
    waits = OutboxEntry(topic="notify.customer", subject="booking:1", attempts=5, next_at=now + timedelta(minutes=9))
    waits.created_at = now - timedelta(hours=2)
    transaction(lambda session: session.add(waits))
    assert "The oldest entry has been waiting for 2 hours: `lockstep outbox` says for what." in [
        f.sentence for f in examine()
    ]


def test_the_doctor_tells_of_a_broken_connection_and_a_stuck_entry(app):
    calendar = make_calendar(make_resource())
    assert states(examine(), f"calendar {calendar.id}") == {"warn"}  # not read yet

    def work(session):
        session.execute(update(Connection).values(state="needs reauth", state_reason="The password was refused."))
        session.add(
            OutboxEntry(topic="calendar.publish", subject="appointment:1", state="stuck", last_error="Not allowed.")
        )

    transaction(work)
    findings = examine()
    assert states(findings, f"calendar {calendar.id}") == {"bad"}
    assert any("The password was refused." in finding.sentence for finding in findings)
    assert any("Not allowed." in finding.sentence for finding in findings)


def test_the_doctor_sees_a_credential_that_does_not_open(app):
    make_calendar(make_resource())
    transaction(lambda session: session.execute(update(Connection).values(sealed_secret="00000000.abcd")))
    assert states(examine(), "keys") == {"bad"}


def test_vitals_count_what_waits(two_bookings):
    vitals = read_vitals(db.session(), now=now_utc() + timedelta(minutes=5))
    assert vitals.bookings == {"confirmed": 2}
    assert vitals.outbox == {"todo": 6}
    assert vitals.outbox_age > timedelta(minutes=4)
    assert any("oldest entry of the outbox" in problem for problem in vitals.problems)


GOOGLE = {"google_client_id": "id", "google_client_secret": "secret"}


@pytest.mark.parametrize(
    ("values", "connected", "state", "told"),
    [
        ({}, False, None, ""),
        ({}, True, "bad", "1 connected Google account(s)"),
        ({"google_client_id": "id"}, False, "warn", "only one is set"),
        (GOOGLE, True, "ok", "http://localhost/admin/integrations/google/callback must be among"),
        (
            {**GOOGLE, "url": "https://book.example"},
            False,
            "ok",
            "https://book.example/admin/integrations/google/callback",
        ),
        ({**GOOGLE, "url": "http://book.example"}, False, "bad", "LOCKSTEP_URL must begin with https://"),
    ],
)
def test_the_doctor_sees_whether_google_can_be_connected(sqlite_app, monkeypatch, values, connected, state, told):
    settings = dataclasses.replace(sqlite_app.extensions["settings"], **values)
    monkeypatch.setitem(sqlite_app.extensions, "settings", settings)
    if connected:
        make_calendar(make_resource()).connection.provider = "google"
        db.session.commit()
    found = [finding for finding in examine() if finding.subject == "google"]
    assert [finding.state for finding in found] == ([state] if state else [])
    assert all(told in finding.sentence for finding in found)


def test_services_that_promise_links_which_no_calendar_makes_are_named(app):
    ana, ben, room = make_resource(name="Ana"), make_resource(name="Ben"), make_resource(name="Hall", kind="room")
    choose = make_service([ana, ben], name="Talk", meeting="google")
    make_service([ana, ben], name="Duo", meeting="google", assignment="all")
    make_service([ben], [room], name="Lesson", meeting="google")
    make_service([ben], name="Massage")
    assert promised() == {"Talk": "Ana and Ben", "Duo": "Ana and Ben", "Lesson": "Ben"}
    make_calendar(ana)
    make_calendar(ben, provider="caldav")
    make_calendar(room, is_destination=False)
    assert promised() == {"Talk": "Ben", "Lesson": "Ben"}
    make_calendar(room)
    assert promised() == {"Talk": "Ben"}
    choose.is_active = False
    db.session.commit()
    assert promised() == {}


def promised():
    """Service -> whose bookings get no link, as the doctor says it."""
    warnings = [f.sentence for f in examine() if f.subject == "meetings" and f.state == "warn"]
    return {w.split("”")[0][1:]: w.split("bookings of ")[1].split(" go into")[0] for w in warnings}
