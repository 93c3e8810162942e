"""One Google calendar that is connected for two: its one event of a booking goes only when neither needs it any more."""

from __future__ import annotations

import pytest

from portal.booking.models import Booking, EventLink
from portal.booking.operations import cancel_booking, move_booking
from portal.calendars.models import Calendar, Connection
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import SlotTaken
from portal.sync.account import operations
from portal.sync.event.shared import is_same
from portal.sync.pull.pull import pull
from tests.factories import make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, Studio, at, fresh, rows
from tests.operations.sync.test_google_account import ana, drain_all, google, ours
from tests.support.google import connect

__all__ = ["ana", "google"]


def share(person, resources, **rules):
    """Her own calendar receives the bookings of all of them; it closes no times."""
    ids = tuple(connect(person, resource_id, **rules).calendar_ids[0] for resource_id in resources)

    def work(session):
        for calendar_id in ids:
            session.get_one(Calendar, calendar_id).is_busy_source = False

    transaction(work)
    read(ids)
    return ids


def close_times(calendar_ids):
    """The shared calendar closes times besides: for all of them what people enter, for each their own bookings."""

    def work(session):
        for calendar_id in calendar_ids:
            session.get_one(Calendar, calendar_id).is_busy_source = True

    transaction(work)


def read(calendar_ids):
    for _ in range(2):
        for calendar_id in calendar_ids:
            pull(calendar_id)
        drain_all()


@pytest.fixture
def colleagues(ana):
    """(slugs, calendar ids, the studio as its tests use it) of two who can give the same service."""
    both = [make_resource(weekly=ALL_DAY, zone="UTC") for _ in range(2)]
    slugs, ids = [resource.slug for resource in both], [resource.id for resource in both]
    service = make_service(both, duration=60, step=30).slug
    calendars = share(ana, ids, when_deleted="cancel")
    return slugs, calendars, Studio(ids[0], calendars[0], service, None)  # type: ignore[arg-type]


@pytest.fixture
def room(ana):
    """(calendar ids, studio) of a person and her room."""
    person, room = (make_resource(weekly=ALL_DAY, zone="UTC") for _ in range(2))
    ids = [person.id, room.id]
    service = make_service([person], [room], duration=60, step=30).slug
    calendars = share(ana, ids, when_deleted="cancel")
    return calendars, Studio(ids[0], calendars[0], service, None)  # type: ignore[arg-type]


def states():
    return sorted((link.calendar_id, link.state, link.outside) for link in rows(EventLink))


@pytest.mark.parametrize("hour", [10, 14])
@pytest.mark.parametrize("giver", [0, 1])
def test_a_booking_that_a_colleague_takes_over_keeps_its_event(colleagues, ana, giver, hour):
    slugs, calendars, studio = colleagues
    appointment_id = studio.book(at(2, 10), resource_slug=slugs[giver])
    drain_all()
    read(calendars)
    booking_id = studio.booking(appointment_id).id
    move_booking(booking_id, at(2, hour), by="staff", now=now_utc(), resource_slug=slugs[1 - giver])
    drain_all()
    read(calendars)
    assert [start for _, start in ours(ana)] == [f"{at(2, hour):%Y-%m-%dT%H:%M:%SZ}"]
    assert fresh(Booking, booking_id).status == "confirmed"
    assert sorted(states()) == sorted([(calendars[giver], "none", ""), (calendars[1 - giver], "done", "")])


def test_taken_over_there_and_back_leaves_one_event(colleagues, ana):
    slugs, calendars, studio = colleagues
    booking_id = studio.booking(studio.book(at(2, 10), resource_slug=slugs[0])).id
    for slug in (slugs[1], slugs[0], slugs[1]):
        drain_all()
        move_booking(booking_id, at(2, 10), by="staff", now=now_utc(), resource_slug=slug)
    drain_all()
    read(calendars)
    assert len(ours(ana)) == 1


def test_a_booking_in_a_calendar_that_all_share_takes_the_time_of_its_own_person_alone(colleagues, ana):
    slugs, calendars, studio = colleagues
    close_times(calendars)
    appointment_id = studio.book(at(2, 10), resource_slug=slugs[0])
    drain_all()
    read(calendars)
    other = studio.book(at(2, 10), key="the colleague", resource_slug=slugs[1])
    drain_all()
    read(calendars)
    assert len(ours(ana)) == 2
    assert studio.conflicts() == []
    assert [studio.booking(i).status for i in (appointment_id, other)] == ["confirmed", "confirmed"]


def test_what_a_person_enters_there_takes_the_time_of_all(colleagues, ana):
    slugs, calendars, studio = colleagues
    close_times(calendars)
    ana.add_event(ana.email, "Closed for painting", at(2, 10), at(2, 11))
    read(calendars)
    for slug in slugs:
        with pytest.raises(SlotTaken):
            studio.book(at(2, 10), resource_slug=slug)


def test_moved_there_by_hand_its_booking_follows_and_the_colleague_stays_free(colleagues, ana):
    slugs, calendars, studio = colleagues
    close_times(calendars)
    appointment_id = studio.book(at(2, 10), resource_slug=slugs[0])
    drain_all()
    read(calendars)
    ((event_id, _),) = ours(ana)
    ana.move_event(ana.email, event_id, at(2, 15))
    read(tuple(reversed(calendars)))
    assert studio.appointment(appointment_id).start_at == at(2, 15)
    studio.book(at(2, 15), resource_slug=slugs[1])


def test_a_cancelled_booking_leaves_no_event(room, ana):
    calendars, studio = room
    appointment_id = studio.book(at(2, 10))
    drain_all()
    assert len(ours(ana)) == 1
    cancel_booking(studio.booking(appointment_id).id, by="staff", now=now_utc())
    drain_all()
    read(calendars)
    assert ours(ana) == []


def test_disconnecting_one_of_them_takes_nothing_away_from_the_other(room, ana):
    calendars, studio = room
    appointment_id = studio.book(at(2, 10))
    drain_all()
    leave(calendars[1])
    read(calendars[:1])
    assert len(ours(ana)) == 1
    assert studio.booking(appointment_id).status == "confirmed"
    assert states() == [(calendars[0], "done", "")]
    leave(calendars[0])
    assert ours(ana) == []
    assert studio.booking(appointment_id).status == "confirmed"


def leave(calendar_id):
    connection_id = fresh(Calendar, calendar_id).connection_id
    operations.disconnect(connection_id, take_away=True, by="Ana", now=now_utc())
    drain_all()


@pytest.mark.parametrize(("provider", "is_one"), [("memory", False), ("caldav", True), ("google", True)])
def test_an_id_names_one_calendar_in_all_accounts_where_ids_are_world_wide(provider, is_one):
    one, other = (
        Calendar(remote_id="calendar", connection=Connection(provider=provider, account={"url": url})) for url in "ab"
    )
    assert is_same(one, other) == is_one
    assert is_same(one, one)
