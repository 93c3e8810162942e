"""Unknown is not free: what becomes of slots and bookings when a calendar cannot be read, by the rule that the admin chose."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from portal.booking import operations
from portal.booking.models import Booking
from portal.booking.operations import Customer
from portal.booking.time.queries import free_slots, why_not
from portal.calendars.models import BusyInterval
from portal.errors import SlotTaken
from portal.extensions import db
from portal.intervals import Interval
from portal.outbox import OutboxEntry
from providers.calendars.memory import MemoryCalendars
from providers.errors import Temporary
from tests.factories import make_calendar, make_resource, make_service

NOW = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)
NINE = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
EVA = Customer(name="Eva Sanz", email="eva@example.org")


@pytest.fixture(autouse=True)
def _forget_calendars():
    yield
    MemoryCalendars.reset()


def staff_with_calendar(*, read_ago, rule="pending", freshness=600):
    """A service of one person whose calendar was last read so long ago; returns it with the calendar's store."""
    resource = make_resource()
    last_read_at = None if read_ago is None else NOW - read_ago
    calendar = make_calendar(resource, when_unreadable=rule, freshness=freshness, last_read_at=last_read_at)
    store = MemoryCalendars.open(calendar.connection.account["url"])
    store.add_calendar(calendar.remote_id, name="Bookings")
    return make_service([resource]), calendar, store


def starts(service):
    window = Interval(NINE, NINE + timedelta(hours=8))
    return [slot.interval.start for slot in free_slots(db.session(), service, window=window, now=NOW)]


def book(service, at=NINE, **more):
    return operations.book(
        service_slug=service.slug, start_at=at, customer=EVA, idempotency_key=f"key-{at}", now=NOW, **more
    )


@pytest.mark.parametrize("read_ago", [None, timedelta(minutes=11)])
def test_stop_offering_offers_nothing_and_says_why(app, read_ago):
    service, _, store = staff_with_calendar(read_ago=read_ago, rule="stop")
    store.fail_always(Temporary("down"))
    assert starts(service) == []
    assert why_not(db.session(), service, instant=NINE, now=NOW)
    with pytest.raises(SlotTaken):
        book(service)


def test_keep_offering_books_on_what_is_known(app):
    service, _, store = staff_with_calendar(read_ago=timedelta(hours=2), rule="keep")
    store.fail_always(Temporary("down"))
    assert book(service).status == "confirmed"


def test_take_as_pending_waits_for_the_calendar_and_publishes_nothing_yet(app):
    service, _, store = staff_with_calendar(read_ago=timedelta(hours=2))
    store.fail_always(Temporary("down"))
    assert NINE in starts(service)
    outcome = book(service)
    assert outcome.status == "pending"
    assert NINE not in starts(service)
    db.session.rollback()
    topics = db.session.scalars(select(OutboxEntry.topic).order_by(OutboxEntry.id)).all()
    assert topics == ["notify.customer", "notify.staff"]


def test_a_calendar_that_answers_the_last_look_is_known_whatever_its_last_read(app):
    service, _, _ = staff_with_calendar(read_ago=timedelta(hours=2))
    assert book(service).status == "confirmed"


def test_within_its_freshness_a_failed_last_look_changes_nothing(app):
    service, _, store = staff_with_calendar(read_ago=timedelta(minutes=5))
    store.fail_always(Temporary("down"))
    assert book(service).status == "confirmed"


def test_the_last_look_finds_an_event_that_came_in_the_same_minute(app):
    service, calendar, store = staff_with_calendar(read_ago=timedelta(minutes=1))
    hold = operations.place_hold(service_slug=service.slug, start_at=NINE, now=NOW)
    store.add_event(calendar.remote_id, "Dentist", NINE + timedelta(minutes=10), NINE + HALF_HOUR)
    with pytest.raises(SlotTaken) as refusal:
        operations.confirm_hold(hold.token, EVA, idempotency_key="key-12345", now=NOW)
    assert refusal.value.nearest
    assert db.session.scalars(select(Booking.id)).all() == []


def test_a_calendar_read_just_now_is_not_asked_again(app):
    service, _, store = staff_with_calendar(read_ago=timedelta(seconds=10))
    assert book(service).status == "confirmed"
    assert store.calls == []


def test_no_booking_is_confirmed_over_an_event_that_is_known(app):
    service, calendar, _ = staff_with_calendar(read_ago=timedelta(seconds=10))
    hold = operations.place_hold(service_slug=service.slug, start_at=NINE, now=NOW)
    add_busy(calendar, NINE, NINE + HALF_HOUR)
    with pytest.raises(SlotTaken):
        operations.confirm_hold(hold.token, EVA, idempotency_key="key-12345", now=NOW)


def test_a_pending_booking_is_confirmed_when_its_calendar_is_read_again(app):
    service, calendar, store = staff_with_calendar(read_ago=timedelta(hours=2))
    store.fail_always(Temporary("down"))
    booking_id = book(service).booking_id
    calendar.last_read_at = NOW
    db.session.commit()
    settled = operations.settle_pending(calendar.resource_id, now=NOW)
    assert settled == [booking_id]
    assert db.session.get(Booking, booking_id).status == "confirmed"


def test_a_pending_booking_over_an_outside_event_is_left_to_staff(app):
    service, calendar, store = staff_with_calendar(read_ago=timedelta(hours=2))
    store.fail_always(Temporary("down"))
    booking_id = book(service).booking_id
    calendar.last_read_at = NOW
    add_busy(calendar, NINE - HALF_HOUR, NINE + timedelta(minutes=5))
    assert operations.settle_pending(calendar.resource_id, now=NOW) == []
    assert db.session.get(Booking, booking_id).status == "pending"


def add_busy(calendar, start_at, end_at):
    db.session.add(
        BusyInterval(
            calendar_id=calendar.id, resource_id=calendar.resource_id, remote_id="x", start_at=start_at, end_at=end_at
        )
    )
    db.session.commit()
