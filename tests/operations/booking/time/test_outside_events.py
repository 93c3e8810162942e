"""Promise 2 where a booking waits for a yes: nobody confirms it over an outside event that is known, save knowingly."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from portal.booking import operations
from portal.booking.fixed import dates
from portal.booking.models import Appointment, Booking, EventLink
from portal.booking.operations import Customer
from portal.booking.time.outside_events import standing_over
from portal.calendars.models import BusyInterval
from portal.errors import OutsideEvent, SlotTaken
from portal.extensions import db
from portal.sync.models import LedgerLine
from portal.sync.outside.approvals import approve
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from tests.factories import make_calendar, make_resource, make_service

NOW = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)
NINE = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)
HALF = timedelta(minutes=30)


@pytest.fixture(autouse=True)
def empty_calendars():
    MemoryCalendars.reset()
    yield
    MemoryCalendars.reset()


def add_busy(calendar, start_at=NINE, end_at=NINE + HALF, *, remote_id="dentist"):
    row = BusyInterval(
        calendar_id=calendar.id,
        resource_id=calendar.resource_id,
        remote_id=remote_id,
        start_at=start_at,
        end_at=end_at,
    )
    db.session.add(row)
    db.session.commit()


def book(service, start_at=NINE, *, email="eva@example.org"):
    customer = Customer(name="Eva Sanz", email=email)
    key = f"key-{start_at.isoformat()}-{email}"
    made = operations.book(
        service_slug=service.slug, start_at=start_at, customer=customer, idempotency_key=key, now=NOW
    )
    return made.booking_id


def status(booking_id):
    db.session.rollback()
    return db.session.get(Booking, booking_id).status


@pytest.fixture
def asked(app):
    """(calendar, booking id) of a request whose calendar was read just now."""
    ana = make_resource(slug="ana", name="Ana")
    calendar = make_calendar(ana, remote_id=DEFAULT_CALENDAR, last_read_at=NOW)
    service = make_service([ana], needs_approval=True, buffer_after=10)
    return calendar, book(service)


def test_a_request_is_not_confirmed_over_an_event_that_was_read(asked):
    calendar, booking_id = asked
    add_busy(calendar)
    with pytest.raises(OutsideEvent) as refused:
        operations.approve_booking(booking_id, now=NOW)
    assert [(event.start_at, event.calendar) for event in refused.value.events] == [(NINE, "Bookings")]
    assert status(booking_id) == "pending"


def test_an_event_over_the_buffer_counts_and_one_beside_it_does_not(asked):
    calendar, booking_id = asked
    add_busy(calendar, NINE + 2 * HALF, NINE + 3 * HALF)
    appointment_id = db.session.get(Booking, booking_id).appointment_id
    assert standing_over(db.session(), [appointment_id]) == {}
    add_busy(calendar, NINE + HALF, NINE + 2 * HALF, remote_id="lunch")
    with pytest.raises(OutsideEvent):
        operations.approve_booking(booking_id, now=NOW)


def test_a_calendar_that_closes_no_time_does_not_matter(asked):
    calendar, booking_id = asked
    add_busy(calendar)
    calendar.is_busy_source = False
    db.session.commit()
    operations.approve_booking(booking_id, now=NOW)
    assert status(booking_id) == "confirmed"


def test_who_knows_of_the_event_confirms_over_it_and_the_ledger_tells(asked):
    calendar, booking_id = asked
    add_busy(calendar)
    with pytest.raises(OutsideEvent):
        approve(booking_id, by="Ana", now=NOW)
    approve(booking_id, by="Ana", over=True, now=NOW)
    assert status(booking_id) == "confirmed"
    line = db.session.scalars(select(LedgerLine).where(LedgerLine.kind == "confirmed over")).one()
    assert "Ana confirmed a request over an event in the calendar “Bookings”" in line.sentence
    assert line.appointment_id == db.session.get(Booking, booking_id).appointment_id


def test_a_yes_where_nothing_stands_leaves_no_line(asked):
    _, booking_id = asked
    approve(booking_id, by="Ana", over=True, now=NOW)
    assert list(db.session.scalars(select(LedgerLine).where(LedgerLine.kind == "confirmed over"))) == []


def test_a_calendar_read_a_while_ago_is_looked_at_once_more_before_the_yes(asked):
    calendar, booking_id = asked
    calendar.last_read_at = NOW - timedelta(minutes=2)
    db.session.commit()
    store = MemoryCalendars.open(calendar.connection.account["url"])
    store.add_event(DEFAULT_CALENDAR, "Just typed in", NINE, NINE + HALF)
    with pytest.raises(OutsideEvent) as refused:
        operations.approve_booking(booking_id, now=NOW)
    assert [event.start_at for event in refused.value.events] == [NINE]
    assert status(booking_id) == "pending"


def test_an_event_over_the_room_counts_as_one_over_the_person(app):
    ana, room = make_resource(slug="ana"), make_resource(slug="room", kind="room")
    calendar = make_calendar(room, last_read_at=NOW)
    booking_id = book(make_service([ana], [room], needs_approval=True))
    add_busy(calendar)
    with pytest.raises(OutsideEvent):
        operations.approve_booking(booking_id, now=NOW)


def test_nobody_is_let_into_a_class_under_an_event_unseen(app):
    ana = make_resource(slug="ana")
    calendar = make_calendar(ana, last_read_at=NOW)
    service = make_service([ana], timing="fixed", capacity=5, needs_approval=True)
    dates.plan_date(service.slug, NINE, now=NOW)
    booking_id = book(service)
    add_busy(calendar)
    with pytest.raises(OutsideEvent):
        operations.approve_booking(booking_id, now=NOW)
    assert status(booking_id) == "pending"


def test_its_own_event_that_somebody_moved_does_not_stand_against_a_request(asked):
    calendar, booking_id = asked
    appointment = db.session.get(Booking, booking_id).appointment
    link = EventLink(appointment_id=appointment.id, calendar_id=calendar.id, uid="own", remote_id="own")
    db.session.add(link)
    add_busy(calendar, NINE + timedelta(minutes=10), NINE + timedelta(minutes=40), remote_id="own")
    operations.approve_booking(booking_id, now=NOW)
    assert status(booking_id) == "confirmed"


def test_what_waited_for_one_calendar_is_not_confirmed_over_an_event_in_the_other(app):
    """Its person's calendar is read again; in the room's, which was read a minute ago, an event was entered since."""
    ana, room = make_resource(slug="ana"), make_resource(slug="room", kind="room")
    hers = make_calendar(ana, remote_id=DEFAULT_CALENDAR, when_unreadable="pending", last_read_at=None, failures=3)
    its = make_calendar(room, remote_id=DEFAULT_CALENDAR, last_read_at=NOW)
    booking_id = book(make_service([ana], [room]))
    assert status(booking_id) == "pending"
    for calendar, ago in ((hers, 0), (its, 60)):
        db.session.merge(calendar).last_read_at = NOW - timedelta(seconds=ago)
    db.session.commit()
    store = MemoryCalendars.open(its.connection.account["url"])
    event = store.add_event(DEFAULT_CALENDAR, "Painters", NINE, NINE + HALF)
    assert operations.settle_pending(ana.id, now=NOW) == []
    store.remove_event(DEFAULT_CALENDAR, event)
    assert operations.settle_pending(ana.id, now=NOW) == [booking_id]
    assert status(booking_id) == "confirmed"


def test_staff_move_nothing_onto_an_outside_event(asked):
    calendar, booking_id = asked
    add_busy(calendar, NINE + 4 * HALF, NINE + 5 * HALF)
    for by in ("staff", "customer"):
        with pytest.raises(SlotTaken):
            operations.move_booking(booking_id, NINE + 4 * HALF, by=by, now=NOW)
    appointment_id = db.session.get(Booking, booking_id).appointment_id
    assert db.session.get(Appointment, appointment_id).start_at == NINE
