"""Several people, several accounts each: an appointment stands in the destination calendars of those who give it, and nowhere else."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from portal.booking.time import queries
from portal.business.models import Resource
from portal.calendars.models import Calendar, Connection
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import TryAgain
from portal.extensions import db
from portal.intervals import Interval
from portal.sync import reconcile
from portal.sync.pull import pull
from providers.calendars.base import RemoteEvent
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from tests.factories import make_calendar, make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, HOUR, Studio, at, fresh

_numbers = itertools.count(1)


class House:
    """Ana with two accounts (bookings go into the second), Ben with one, and a room with its own."""

    def __init__(self) -> None:
        self._number = next(_numbers)
        self.ana, self.ben = (self._person(name) for name in ("ana", "ben"))
        self.room: Resource = make_resource(slug="room", kind="room", name="Room", weekly=ALL_DAY, zone="UTC")
        self.private = self._calendar(self.ana, "ana-private", is_destination=False)
        self.calendars = {name: self._calendar(row, name) for name, row in self._destinations().items()}
        self.stores = {name: MemoryCalendars.open(self._url(name)) for name in ("ana-private", *self.calendars)}
        self.service = make_service([self.ana, self.ben], [self.room], duration=60, step=60, assignment="choose")
        self.studio = Studio(self.ana.id, self.calendars["ana"].id, self.service.slug, self.stores["ana"])

    def standing(self) -> dict[str, int]:
        """Account -> number of our events in it, where there are any."""
        counts = {
            name: sum(event.mark is not None for event in store.events(DEFAULT_CALENDAR))
            for name, store in self.stores.items()
        }
        return {name: count for name, count in counts.items() if count}

    def pull_all(self) -> None:
        for calendar in (self.private, *self.calendars.values()):
            pull.pull(calendar.id)

    def free(self, hour: int) -> list[int]:
        """Who is free for that hour the day after tomorrow."""
        window = Interval(at(2, hour), at(2, hour + 1))
        slots = queries.free_slots(db.session(), self.service, window=window, now=now_utc())
        return sorted(choice for slot in slots for choice in slot.choices)

    def _person(self, slug: str) -> Resource:
        made: Resource = make_resource(slug=slug, weekly=ALL_DAY, zone="UTC", email=f"{slug}@studio.example")
        return made

    def _calendar(self, resource: Resource, name: str, **roles: bool) -> Calendar:
        made: Calendar = make_calendar(resource, url=self._url(name), remote_id=DEFAULT_CALENDAR, zone="UTC", **roles)
        return made

    def _url(self, name: str) -> str:
        return f"{name}-of-house-{self._number}"

    def _destinations(self) -> dict[str, Resource]:
        return {"ana": self.ana, "ben": self.ben, "room": self.room}


@pytest.fixture
def house(app: Flask) -> House:
    return House()


def test_a_booking_stands_in_the_destination_of_whoever_gives_it_and_in_the_rooms(house: House):
    house.studio.booked(at(2, 9), resource_slug="ben")
    assert house.standing() == {"ben": 1, "room": 1}


def test_of_two_accounts_only_the_destination_gets_bookings(house: House):
    house.studio.booked(at(2, 9), resource_slug="ana")
    assert house.standing() == {"ana": 1, "room": 1}


def test_anyone_means_the_calendar_of_the_one_who_was_chosen(house: House):
    appointment_id = house.studio.booked(at(2, 9))
    (chosen,) = {row.resource_id for row in house.studio.appointment(appointment_id).resources} - {house.room.id}
    assert house.standing() == {"ana" if chosen == house.ana.id else "ben": 1, "room": 1}


def test_each_of_two_accounts_closes_times(house: House):
    for name, hour in (("ana-private", 10), ("ana", 12)):
        house.stores[name].add_event(DEFAULT_CALENDAR, "Errand", at(2, hour), at(2, hour) + HOUR)
    house.pull_all()
    assert [house.free(hour) for hour in (10, 12, 14)] == [[house.ben.id], [house.ben.id], [house.ana.id, house.ben.id]]


def test_one_meeting_in_the_calendars_of_two_people_blocks_both(house: House):
    for name in ("ana-private", "ben"):
        house.stores[name].add_event(DEFAULT_CALENDAR, "All hands", at(2, 10), at(2, 11), remote_id="all-hands")
    house.pull_all()
    assert house.free(10) == []
    house.stores["ben"].remove_event(DEFAULT_CALENDAR, "all-hands")
    house.pull_all()
    assert house.free(10) == [house.ben.id], "the one copy that is left blocks its own person alone"


def test_a_busy_room_closes_the_time_for_everybody(house: House):
    house.stores["room"].add_event(DEFAULT_CALENDAR, "Painting", at(2, 10), at(2, 11))
    house.pull_all()
    assert house.free(10) == []


def test_a_shared_calendar_that_shows_our_event_twice_does_not_block_it(house: House):
    """The room's event, seen through Ana's account too: our mark, at the booking's own time."""
    appointment_id = house.studio.booked(at(2, 9), resource_slug="ana")
    (event,) = house.stores["room"].events(DEFAULT_CALENDAR)
    copy = {"uid": event.uid, "mark": event.mark}
    house.stores["ana-private"].add_event(DEFAULT_CALENDAR, event.summary, at(2, 9), at(2, 10), **copy)
    house.pull_all()
    assert house.studio.appointment(appointment_id).is_active
    assert house.studio.conflicts() == []


class TestDraggedToAColleague:
    """The rule of Ana's calendar is to cancel what is deleted there."""

    @pytest.fixture
    def appointment_id(self, house: House) -> int:
        house.studio.set_rule(when_deleted="cancel")
        appointment_id = house.studio.booked(at(2, 9), resource_slug="ana")
        house.pull_all()
        return appointment_id

    def take_out(self, house: House) -> RemoteEvent:
        (own,) = (event for event in house.stores["ana"].events(DEFAULT_CALENDAR) if event.mark)
        house.stores["ana"].remove_event(DEFAULT_CALENDAR, own.remote_id)
        pull.pull(house.calendars["ana"].id)
        return own

    def test_nothing_is_cancelled_but_staff_are_asked(self, house: House, appointment_id: int):
        own = self.take_out(house)
        assert house.studio.booking(appointment_id).status == "confirmed", "the other calendars were not read since"
        times = (own.start_at, own.end_at)
        house.stores["ben"].add_event(
            DEFAULT_CALENDAR, own.summary, *times, uid=own.uid, remote_id=own.remote_id, mark=own.mark
        )
        self.settle_later(house)
        assert house.studio.booking(appointment_id).status == "confirmed"
        (question,) = house.studio.questions()
        assert question.kind == "deleted"
        assert f"stands in the calendar “{house.calendars['ben'].name}” now" in question.sentence

    def test_what_stands_nowhere_else_is_cancelled_once_all_calendars_were_read(
        self, house: House, appointment_id: int
    ):
        self.take_out(house)
        with pytest.raises(TryAgain):
            house.studio.publish_all()
        self.settle_later(house)
        assert house.studio.booking(appointment_id).status == "cancelled"
        assert house.studio.questions() == []

    def test_put_back_what_was_dragged_away_is_taken_out_of_the_other_calendar(self, house: House, appointment_id: int):
        house.studio.set_rule(when_deleted="put back")
        own = self.take_out(house)
        times = (own.start_at, own.end_at)
        house.stores["ben"].add_event(
            DEFAULT_CALENDAR, own.summary, *times, uid=own.uid, remote_id=own.remote_id, mark=own.mark
        )
        self.settle_later(house)
        assert house.standing() == {"ana": 1, "ben": 1, "room": 1}
        for calendar in house.calendars.values():
            reconcile.reconcile(calendar.id)
        assert house.standing() == {"ana": 1, "room": 1}
        assert house.studio.booking(appointment_id).status == "confirmed"

    def test_a_calendar_that_cannot_be_read_is_not_waited_for(self, house: House, appointment_id: int):
        for name in ("ben", "room"):
            connection = house.calendars[name].connection
            transaction(lambda s, row=connection: setattr(s.get_one(Connection, row.id), "state", "degraded"))
        transaction(lambda s: setattr(s.get_one(Connection, house.private.connection_id), "state", "paused"))
        self.take_out(house)
        assert house.studio.booking(appointment_id).status == "cancelled"

    def test_a_calendar_that_has_just_failed_is_waited_for_but_not_hurried(self, house: House, appointment_id: int):
        ben, later = house.calendars["ben"].id, now_utc() + timedelta(seconds=40)
        values = {"failures": 1, "next_read_at": later}
        transaction(lambda s: s.query(Calendar).filter_by(id=ben).update(values) and None)
        self.take_out(house)
        assert house.studio.booking(appointment_id).status == "confirmed"
        assert fresh(Calendar, ben).next_read_at == later
        assert fresh(Calendar, house.calendars["room"].id).next_read_at < now_utc() + timedelta(seconds=4)

    def settle_later(self, house: House) -> None:
        with time_machine.travel(now_utc() + timedelta(seconds=100), tick=True):
            house.pull_all()
            house.studio.publish_all()
