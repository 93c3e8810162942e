"""After a restore: what was booked since is neither taken over nor offered, and a person decides about it."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from portal.booking.approval import APPROVAL, refuse_booking
from portal.booking.models import Appointment, Booking, EventLink
from portal.booking.rules import Customer
from portal.booking.taking_up import Person, Wanted
from portal.booking.time.queries import free_slots
from portal.business.models import Service
from portal.calendars.models import BusyInterval, Calendar, UnknownBooking
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import Invalid, NotAllowedNow, SlotTaken
from portal.extensions import db
from portal.intervals import Interval
from portal.outbox import OutboxEntry, work_of
from portal.sync.outside import unknown
from portal.sync.outside.approvals import approve
from portal.sync.pull.pull import pull
from portal.sync.reconcile import reconcile
from portal.upkeep.adoption import adopt, settle, stand_back
from providers.calendars.memory import DEFAULT_CALENDAR
from tests.factories import make_calendar, make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, Studio, at, clean_slate, fresh, make_studio, rows

__all__ = ["clean_slate"]


@pytest.fixture
def studio(app) -> Studio:
    settle()
    made = make_studio()
    made.pull()
    return made


def restored(studio: Studio, *, known: int) -> None:
    """As if the database came from a backup made when the highest appointment was `known`: what was booked since is not in it."""

    def work(session):
        lost = [row.id for row in session.scalars(select(Appointment).where(Appointment.id > known))]
        for model in (OutboxEntry, BusyInterval):
            session.query(model).delete()
        for appointment_id in lost:
            session.query(EventLink).filter_by(appointment_id=appointment_id).delete()
            from portal.booking.models import AppointmentResource, Claim, Seat

            for model in (Claim, Seat, Booking, AppointmentResource):
                session.query(model).filter_by(appointment_id=appointment_id).delete()
            session.query(Appointment).filter_by(id=appointment_id).delete()
        from portal.calendars.models import RemoteObject

        session.query(RemoteObject).delete()
        stand_back(session, now=now_utc(), restored_from="then")

    transaction(work)
    _count_on_from(known)


def _count_on_from(number: int) -> None:
    if db.engine.dialect.name != "postgresql":
        return
    values = {"number": max(number, 1), "called": number > 0}
    statement = "SELECT setval(pg_get_serial_sequence('appointment', 'id'), :number, :called)"
    with db.engine.begin() as connection:
        connection.execute(text(statement), values)


def compare(studio: Studio) -> None:
    adopt(by="Olga", now=now_utc())
    studio.pull()
    studio.publish_all()


def marked(studio: Studio) -> list:
    return sorted(event.start_at for event in studio.events() if event.mark is not None)


def test_a_new_booking_does_not_take_over_the_event_of_a_lost_one_with_the_same_number(studio):
    lost = studio.booked(at(3, 9))
    restored(studio, known=0)
    new = studio.book(at(3, 14))
    assert new == lost  # the number is given again
    compare(studio)
    assert marked(studio) == [at(3, 9), at(3, 14)]
    assert [row.start_at for row in unknown.open_rows(db.session())] == [at(3, 9)]


def test_nothing_is_written_before_the_calendar_was_compared(studio):
    studio.booked(at(3, 9))
    known = studio.book(at(3, 11))
    restored(studio, known=known)
    transaction(lambda s: s.add(OutboxEntry(topic="calendar.publish", subject=f"appointment:{known}")))
    adopt(by="Olga", now=now_utc())
    with pytest.raises(Exception, match="compared"):
        studio.publish_all()
    assert marked(studio) == [at(3, 9)]


def test_the_time_of_a_lost_booking_is_not_offered_once_it_is_found(studio):
    studio.booked(at(3, 9))
    restored(studio, known=0)
    compare(studio)
    assert at(3, 9) not in _offered(studio)
    assert fresh(Calendar, studio.calendar_id).unsure_since is None
    assert reconcile(studio.calendar_id).orphans == 0
    assert marked(studio) == [at(3, 9)]


def test_it_is_not_offered_where_the_calendar_only_receives_bookings_either(studio):
    studio.set_rule(is_busy_source=False)
    studio.booked(at(3, 9))
    restored(studio, known=0)
    compare(studio)
    assert at(3, 9) not in _offered(studio)


def test_a_lost_booking_is_taken_up_and_one_event_stands(studio):
    studio.booked(at(3, 9))
    restored(studio, known=0)
    compare(studio)
    (row,) = unknown.open_rows(db.session())
    appointment_id = _take_up(studio, row.id)
    studio.publish_all()
    _clear()
    assert marked(studio) == [at(3, 9)]
    assert studio.link(appointment_id).state == "done"
    booking = studio.booking(appointment_id)
    assert (booking.status, booking.customer_name) == ("confirmed", "Carla")
    assert unknown.open_rows(db.session()) == []
    assert studio.conflicts() == []
    studio.pull(is_complete=True)
    assert (unknown.open_rows(db.session()), studio.conflicts()) == ([], [])
    with pytest.raises(NotAllowedNow):
        _take_up(studio, row.id)


def test_whoever_is_not_known_is_taken_up_without_an_address_and_nobody_is_mailed(studio):
    studio.booked(at(3, 9))
    restored(studio, known=0)
    compare(studio)
    (row,) = unknown.open_rows(db.session())
    with pytest.raises(Invalid):
        _take_up(studio, row.id, name="")
    appointment_id = _take_up(studio, row.id, email="")
    assert studio.booking(appointment_id).customer_email == ""


def test_its_time_stays_closed_when_somebody_wants_that(studio):
    studio.booked(at(3, 9))
    restored(studio, known=0)
    compare(studio)
    unknown.keep(unknown.open_rows(db.session())[0].id, user_id=None, now=now_utc())
    studio.pull(is_complete=True)
    assert unknown.open_rows(db.session()) == []
    assert marked(studio) == [at(3, 9)]
    assert at(3, 9) not in _offered(studio)


def test_it_is_removed_and_its_time_is_free(studio):
    studio.booked(at(3, 9))
    restored(studio, known=0)
    compare(studio)
    unknown.remove(unknown.open_rows(db.session())[0].id, user_id=None, now=now_utc())
    studio.pull(is_complete=True)
    assert at(3, 9) in _offered(studio)
    _clear()
    assert marked(studio) == []


def test_an_event_that_somebody_takes_away_outside_is_asked_about_no_longer(studio):
    studio.booked(at(3, 9))
    restored(studio, known=0)
    compare(studio)
    studio.store.remove_event(DEFAULT_CALENDAR, studio.own_event().remote_id)
    studio.pull()
    assert unknown.open_rows(db.session()) == []


@pytest.mark.parametrize("rule", ["ask", "cancel", "put back"])
def test_what_was_cancelled_since_is_asked_about_whatever_the_rule_says(studio, rule):
    known = [studio.booked(at(3, hour)) for hour in (9, 11, 13, 15)]
    studio.set_rule(when_deleted=rule)
    for event in studio.events():
        studio.store.remove_event(DEFAULT_CALENDAR, event.remote_id)
    restored(studio, known=max(known))
    compare(studio)
    assert sorted(question.appointment_id for question in studio.questions()) == known
    assert {studio.booking(i).status for i in known} == {"confirmed"}
    assert marked(studio) == []
    assert fresh(Calendar, studio.calendar_id).quarantine is None


def test_what_was_moved_since_is_not_put_back(studio):
    known = studio.booked(at(3, 9))
    studio.set_rule(when_moved="put back")
    studio.store.move_event(DEFAULT_CALENDAR, studio.own_event().remote_id, at(3, 15))
    restored(studio, known=known)
    compare(studio)
    assert [question.kind for question in studio.questions()] == ["moved"]
    assert marked(studio) == [at(3, 15)]


def test_a_group_that_others_joined_since_takes_nobody_in_before_somebody_decides(studio):
    group = make_service([fresh_resource(studio)], slug="yoga", duration=60, step=60, capacity=4)
    known = studio.booked(at(3, 9), service="yoga")
    before = _state(known)
    studio.book(at(3, 9), service="yoga", key="another one", party_size=2)
    studio.publish_all()
    _forget_the_second(known, before)
    restored(studio, known=known)
    compare(studio)
    (row,) = unknown.open_rows(db.session())
    assert row.appointment_id == known
    assert "3" in row.summary
    assert at(3, 9) not in _offered(studio, group.slug)
    assert "3" in studio.own_event().summary  # it was not written over
    wanted = Wanted(service_id=group.id, interval=Interval(at(3, 9), at(3, 10)), resource_ids=())
    unknown.take_up(row.id, wanted, [Person(Customer("Ben", "ben@example.org"), 2)], user_id=None, now=now_utc())
    studio.publish_all()
    assert sum(booking.party_size for booking in studio.appointment(known).bookings) == 3
    assert at(3, 9) in _offered(studio, group.slug)
    assert (studio.conflicts(), unknown.open_rows(db.session())) == ([], [])


def test_a_time_that_was_booked_anew_is_not_taken_up_twice(studio):
    studio.booked(at(3, 9))
    restored(studio, known=0)
    studio.set_rule(when_unreadable="pending")
    studio.book(at(3, 9))
    compare(studio)
    with pytest.raises(SlotTaken):
        _take_up(studio, unknown.open_rows(db.session())[0].id)


def test_a_lost_booking_in_a_calendar_of_two_is_listed_once_and_closes_the_time_of_both(studio):
    ben = make_resource(weekly=ALL_DAY, zone="UTC")
    url = db.session.get_one(Calendar, studio.calendar_id).connection.account["url"]
    theirs = make_calendar(ben, remote_id=DEFAULT_CALENDAR, url=url, zone="UTC").id
    other = make_service([ben], duration=60, step=30).slug
    studio.booked(at(3, 9))
    restored(studio, known=0)
    compare(studio)
    pull(theirs)
    assert unknown.count_open(db.session()) == 1
    assert at(3, 9) not in _offered(studio, other)
    _take_up(studio, unknown.open_rows(db.session())[0].id)
    studio.publish_all()
    _clear()
    for calendar_id in (studio.calendar_id, theirs):
        pull(calendar_id, is_complete=True)
    assert marked(studio) == [at(3, 9)]
    assert (unknown.count_open(db.session()), studio.conflicts()) == (0, [])
    assert at(3, 9) in _offered(studio, other)


def test_what_is_over_is_asked_about_no_longer(studio):
    studio.booked(at(3, 9))
    restored(studio, known=0)
    compare(studio)
    transaction(lambda session: unknown.end_those_over(session, now=at(4, 0)))
    assert unknown.count_open(db.session()) == 0


def fresh_resource(studio: Studio):
    from portal.business.models import Resource

    return db.session.get_one(Resource, studio.resource_id)


def _offered(studio: Studio, slug: str = "") -> set:
    db.session.rollback()
    service = db.session.scalars(select(Service).where(Service.slug == (slug or studio.service_slug))).one()
    window = Interval(at(3, 0), at(4, 0))
    return {slot.interval.start for slot in free_slots(db.session(), service, window=window, now=now_utc())}


def _take_up(studio: Studio, unknown_id: int, *, name: str = "Carla", email: str = "carla@example.org") -> int:
    service = db.session.scalars(select(Service).where(Service.slug == studio.service_slug)).one()
    row = db.session.get_one(UnknownBooking, unknown_id)
    wanted = Wanted(
        service_id=service.id, interval=Interval(row.start_at, row.end_at), resource_ids=(studio.resource_id,)
    )
    db.session.rollback()
    return unknown.take_up(unknown_id, wanted, [Person(Customer(name, email))], user_id=None, now=now_utc())


def _clear() -> None:
    for entry in rows(OutboxEntry, OutboxEntry.topic == unknown.TOPIC, OutboxEntry.state == "todo"):
        unknown.clear_away(work_of(entry))


def _state(appointment_id: int) -> dict:
    appointment = fresh(Appointment, appointment_id)
    (link,) = rows(EventLink, EventLink.appointment_id == appointment_id)
    return {
        "bookings": [booking.id for booking in appointment.bookings],
        "version": appointment.version,
        "link": {
            name: getattr(link, name)
            for name in ("etag", "content_hash", "sent_hash", "applied_version", "wanted_version")
        },
    }


def _forget_the_second(appointment_id: int, before: dict) -> None:
    """The appointment as the backup knew it."""
    from portal.booking.models import Seat

    def work(session):
        for booking in session.scalars(select(Booking).where(Booking.appointment_id == appointment_id)):
            if booking.id not in before["bookings"]:
                session.query(Seat).filter_by(booking_id=booking.id).delete()
                session.delete(booking)
        session.get_one(Appointment, appointment_id).version = before["version"]
        link = session.scalars(select(EventLink).where(EventLink.appointment_id == appointment_id)).one()
        for name, value in before["link"].items():
            setattr(link, name, value)

    transaction(work)


def request_approved_since(studio: Studio) -> int:
    """A request as the backup knew it, unanswered; its event stands, for it was approved after that."""
    appointment_id = studio.booked(at(3, 9))

    def work(session):
        booking = session.get_one(Appointment, appointment_id).bookings[0]
        booking.status, booking.pending_reason = "pending", APPROVAL
        session.query(EventLink).filter_by(appointment_id=appointment_id).delete()

    transaction(work)
    restored(studio, known=appointment_id)
    compare(studio)
    return appointment_id


def test_a_request_that_was_approved_since_keeps_its_event_and_meets_it_when_it_is_approved(studio):
    appointment_id = request_approved_since(studio)
    assert [row.appointment_id for row in unknown.open_rows(db.session())] == [appointment_id]
    before = studio.own_event()
    assert reconcile(studio.calendar_id).orphans == 0
    assert studio.own_event().remote_id == before.remote_id
    assert len(unknown.open_rows(db.session())) == 1
    with pytest.raises(NotAllowedNow, match="approve"):
        _take_up(studio, unknown.open_rows(db.session())[0].id)
    db.session.rollback()
    approve(studio.booking(appointment_id).id, now=now_utc(), by="Olga")
    studio.publish_all()
    _clear()
    studio.pull(is_complete=True)
    assert reconcile(studio.calendar_id).orphans == 0
    assert studio.own_event().remote_id == before.remote_id
    assert studio.link(appointment_id).state == "done"
    assert (unknown.open_rows(db.session()), studio.conflicts(), studio.busy()) == ([], [], [])


def test_when_it_is_refused_its_time_stays_closed_until_somebody_decides_about_the_event(studio):
    appointment_id = request_approved_since(studio)
    refuse_booking(studio.booking(appointment_id).id, now=now_utc())
    studio.publish_all()
    assert reconcile(studio.calendar_id).orphans == 0
    assert marked(studio) == [at(3, 9)]
    assert at(3, 9) not in _offered(studio)
    (row,) = unknown.open_rows(db.session())
    assert row.appointment_id is None
    unknown.remove(row.id, user_id=None, now=now_utc())
    _clear()
    assert marked(studio) == []


@pytest.mark.parametrize("status", ["held", "cancelled"])
def test_no_event_goes_only_because_the_backup_knew_its_booking_in_an_earlier_state(studio, status):
    appointment_id = studio.booked(at(3, 9))

    def work(session):
        appointment = session.get_one(Appointment, appointment_id)
        appointment.bookings[0].status = status
        appointment.bookings[0].held_until = now_utc() if status == "held" else None
        session.query(EventLink).filter_by(appointment_id=appointment_id).delete()

    transaction(work)
    restored(studio, known=appointment_id)
    compare(studio)
    assert len(unknown.open_rows(db.session())) == 1
    assert reconcile(studio.calendar_id).orphans == 0
    unknown.keep(unknown.open_rows(db.session())[0].id, user_id=None, now=now_utc())
    assert reconcile(studio.calendar_id).orphans == 0
    assert marked(studio) == [at(3, 9)]
