"""Entries that nobody can read, and of which somebody decided that they shall not close times."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.booking.time.queries import free_slots
from portal.business.models import Service
from portal.calendars.last_look import look
from portal.clock import now_utc
from portal.errors import NotAllowedNow, NotFound
from portal.extensions import db
from portal.intervals import Interval
from portal.sync.outside import left_open
from portal.upkeep.doctor import _connections
from tests.operations.sync.conftest import Studio, at

FOREVER = "It ends beyond all calendars."


@pytest.fixture
def closed(studio: Studio) -> str:
    """An entry that takes all time that can be booked; its remote id."""
    path = studio.store.add_event("calendar", "Endless", at(0, 0), at(300, 0), problem=FOREVER)
    studio.pull()
    assert times(studio) == 0
    return path


def times(studio: Studio) -> int:
    db.session.rollback()
    service = db.session.query(Service).filter_by(slug=studio.service_slug).one()
    now = now_utc()
    return len(free_slots(db.session(), service, window=Interval(now, now + timedelta(days=5)), now=now))


def decide(studio: Studio, path: str) -> None:
    left_open.leave_open(studio.calendar_id, path, by="Ana", now=now_utc())


def test_an_entry_left_open_closes_no_times_whatever_is_read(studio: Studio, closed: str):
    decide(studio, closed)
    assert times(studio) > 0
    for _ in range(2):
        studio.pull(is_complete=True)
        assert studio.busy() == []
    assert studio.calendar().unreadable_objects == 1, "it is shown all the same"
    assert "left open" in studio.story()
    sentences = " ".join(finding.sentence for finding in _connections(db.session()))
    assert "1 of them close no times, as somebody decided" in sentences


def test_the_last_look_leaves_it_open_too(studio: Studio, closed: str):
    decide(studio, closed)
    studio.set_rule(last_read_at=now_utc() - timedelta(minutes=2))
    window = Interval(at(2, 10), at(2, 11))
    assert look([studio.resource_id], window, now=now_utc()).busy == []


def test_when_the_entry_changes_the_decision_is_over(studio: Studio, closed: str):
    decide(studio, closed)
    studio.store.move_event("calendar", closed, at(0, 1))
    studio.pull()
    assert times(studio) == 0
    assert [row.left_open for row in studio.objects()] == [""]
    decide(studio, closed)
    assert times(studio) > 0


def test_the_decision_can_be_taken_back(studio: Studio, closed: str):
    decide(studio, closed)
    left_open.close_again(studio.calendar_id, closed, by="Ana", now=now_utc())
    assert studio.calendar().next_read_at <= now_utc()
    studio.pull()
    assert times(studio) == 0


def test_what_is_read_well_or_is_a_bookings_is_no_matter_of_decision(studio: Studio):
    path = studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    studio.booked(at(3, 10))
    studio.pull()
    for remote_id in (path, studio.own_event().remote_id):
        with pytest.raises(NotAllowedNow):
            decide(studio, remote_id)
    with pytest.raises(NotFound):
        decide(studio, "/no-such.ics")
    assert len(studio.busy()) == 1


def test_a_conflict_with_it_is_over(studio: Studio):
    studio.booked(at(2, 10))
    path = studio.store.add_event("calendar", "Endless", at(0, 0), at(300, 0), problem=FOREVER)
    studio.pull()
    assert len(studio.conflicts()) == 1
    decide(studio, path)
    assert studio.conflicts() == []
