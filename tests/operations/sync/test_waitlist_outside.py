"""What becomes free because of something done in a calendar is offered to the waitlist, as if a customer had cancelled."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from portal.booking.models import Booking, Offer
from portal.booking.rules import Customer
from portal.clock import now_utc
from portal.extensions import db
from portal.waitlist import operations as waitlist
from portal.worker import drain
from portal.worker.jobs import handler_of, look_at_waitlists
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from tests.factories import make_calendar, make_resource, make_service
from tests.operations.sync.conftest import HOUR, Studio, at, fresh, rows

TOPICS = ("calendar.publish", "calendar.outside", "waitlist.look")


@pytest.fixture
def one_a_day(app):
    """A studio that gives one hour a day, at ten, with a waitlist; it may cancel what is deleted outside."""
    ana = make_resource(weekly={day: [(600, 660)] for day in range(7)}, zone="UTC")
    service = make_service([ana], duration=60, step=60, has_waitlist=True, per_customer=None)
    rules = {"when_deleted": "cancel", "when_moved": "follow"}
    calendar = make_calendar(ana, remote_id=DEFAULT_CALENDAR, url="one-a-day", zone="UTC", **rules)
    studio = Studio(ana.id, calendar.id, service.slug, MemoryCalendars.open("one-a-day"))
    studio.pull()
    return studio


def drain_all():
    for _ in range(20):
        works = drain.claim(10, topics=TOPICS)
        if not works:
            return
        for work in works:
            drain.do(work, handler_of(work.topic))


def wait(studio, days=2):
    joined = waitlist.join(
        service_slug=studio.service_slug, wish="day", wish_on=at(days, 10).date(), party_size=1,
        customer=Customer(name="Max Cole", email="max@example.org"), idempotency_key="max", now=now_utc(),
    )  # fmt: skip
    return joined.entry_id


def offered():
    db.session.rollback()
    return [
        offer.start_at for offer in db.session.scalars(select(Offer).where(Offer.state == "open").order_by(Offer.id))
    ]


def test_an_outside_deletion_frees_the_time_for_who_waits(one_a_day):
    appointment_id = one_a_day.booked(at(2, 10))
    wait(one_a_day)
    assert offered() == []
    one_a_day.store.remove_event(DEFAULT_CALENDAR, one_a_day.own_event().remote_id)
    one_a_day.pull()
    drain_all()
    assert one_a_day.booking(appointment_id).status == "cancelled"
    assert offered() == [at(2, 10)]


def test_an_event_dragged_to_another_time_frees_its_old_one(one_a_day):
    one_a_day.booked(at(2, 10))
    wait(one_a_day)
    one_a_day.store.move_event(DEFAULT_CALENDAR, one_a_day.own_event().remote_id, at(2, 15))
    one_a_day.pull()
    drain_all()
    assert offered() == [at(2, 10)]


def test_the_end_of_an_outside_event_is_found_by_the_periodic_look(one_a_day):
    dentist = one_a_day.store.add_event(DEFAULT_CALENDAR, "Dentist", at(2, 9), at(2, 9) + 3 * HOUR)
    one_a_day.pull()
    wait(one_a_day)
    look_at_waitlists()
    assert offered() == []
    one_a_day.store.remove_event(DEFAULT_CALENDAR, dentist)
    one_a_day.pull()
    look_at_waitlists()
    assert offered() == [at(2, 10)]


def test_an_offer_writes_nothing_into_the_calendar_until_it_is_accepted(one_a_day):
    appointment_id = one_a_day.booked(at(2, 10))
    joined = waitlist.join(
        service_slug=one_a_day.service_slug, wish="day", wish_on=at(2, 10).date(), party_size=1,
        customer=Customer(name="Max Cole", email="max@example.org"), idempotency_key="max", now=now_utc(),
    )  # fmt: skip
    one_a_day.store.remove_event(DEFAULT_CALENDAR, one_a_day.own_event().remote_id)
    one_a_day.pull()
    drain_all()
    assert [event for event in one_a_day.events() if event.mark] == []
    waitlist.accept(joined.token, now=now_utc())
    drain_all()
    assert one_a_day.own_event().summary == "Consultation · M. C."
    assert fresh(Booking, one_a_day.booking(appointment_id).id).status == "cancelled"
    assert len(rows(Booking, Booking.status == "confirmed")) == 1
