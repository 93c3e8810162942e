"""What a refreshed connection tells of the time it was away: changes of others, changes of our own events and what the rule made of them, clashes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.booking.fixed import dates
from portal.business.models import Resource
from portal.calendars.models import Calendar
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.sync.account import operations
from portal.sync.account.catch_up_card import card_of
from portal.sync.publish.publish import publish_entry
from portal.sync.pull import pull as pull_module
from portal.sync.reconcile import reconcile
from portal.sync.state.catch_up_note import NAMED
from portal.worker import drain
from providers.calendars.memory import DEFAULT_CALENDAR
from providers.errors import AccessRevoked, Temporary
from tests.factories import make_service
from tests.operations.sync.conftest import at, rows


@pytest.fixture
def away(studio):
    """A studio whose calendar was read once, with two events in it, and is away since."""
    studio.dentist = studio.store.add_event(DEFAULT_CALENDAR, "Dentist", at(2, 14), at(2, 15))
    studio.lunch = studio.store.add_event(DEFAULT_CALENDAR, "Lunch", at(2, 12), at(2, 13))
    studio.appointment_id = studio.booked(at(3, 10))
    studio.pull()
    return studio


def refresh(studio):
    operations.refresh_connection(studio.connection().id, password="new")


def card(studio):
    return read_transaction(
        lambda s: card_of(s, s.get_one(Calendar, studio.calendar_id), now=now_utc(), with_titles=True)
    )


def named(changes):
    return [(change.summary, change.start_at) for change in changes.first]


def test_nothing_is_told_before_somebody_refreshed(away):
    away.store.add_event(DEFAULT_CALENDAR, "New", at(4, 10), at(4, 11))
    away.pull()
    assert card(away) is None


def test_right_after_the_refresh_it_waits_for_the_first_reading(away):
    last_read = away.calendar().last_read_at
    refresh(away)
    told = card(away)
    assert (told.since, told.until, told.is_quiet) == (last_read, None, False)


def test_new_moved_and_vanished_events_are_named(away):
    away.store.add_event(DEFAULT_CALENDAR, "Choir", at(4, 18), at(4, 20))
    away.store.move_event(DEFAULT_CALENDAR, away.dentist, at(5, 9))
    away.store.remove_event(DEFAULT_CALENDAR, away.lunch)
    refresh(away)
    away.pull()
    told = card(away)
    assert named(told.new) == [("Choir", at(4, 18))]
    assert named(told.moved) == [("Dentist", at(5, 9))]
    assert told.moved.first[0].from_at == at(2, 14)
    assert named(told.gone) == [("Lunch", at(2, 12))]
    assert told.until is not None
    assert not told.is_quiet


def test_only_the_first_reading_after_it_counts(away):
    refresh(away)
    away.pull()
    away.store.add_event(DEFAULT_CALENDAR, "Later", at(4, 10), at(4, 11))
    away.pull()
    assert card(away).is_quiet


def test_a_reading_that_began_before_the_refresh_is_not_it(away, monkeypatch):
    away.store.add_event(DEFAULT_CALENDAR, "Choir", at(4, 18), at(4, 20))
    monkeypatch.setattr(pull_module, "reach", lambda name: name == "pull.after_request" and refresh(away))
    pull_module.pull(away.calendar_id)
    monkeypatch.undo()
    assert card(away).until is None
    away.store.add_event(DEFAULT_CALENDAR, "Lecture", at(5, 18), at(5, 20))
    away.pull()
    assert named(card(away).new) == [("Lecture", at(5, 18))]


def test_a_complete_reading_tells_the_same_as_the_change_feed(away):
    away.store.add_event(DEFAULT_CALENDAR, "Choir", at(4, 18), at(4, 20))
    away.store.remove_event(DEFAULT_CALENDAR, away.lunch)
    away.store.expire_tokens()
    refresh(away)
    away.pull()
    told = card(away)
    assert (named(told.new), named(told.gone), told.moved.count) == ([("Choir", at(4, 18))], [("Lunch", at(2, 12))], 0)


def test_what_nobody_can_miss_is_not_told(away):
    """A new title, an event that closes no time, one that is over, a series whose next time merely came into sight."""
    far = now_utc() + timedelta(days=81)
    repeats = tuple((far + timedelta(days=n), far + timedelta(days=n, hours=1)) for n in range(5))
    away.store.add_event(DEFAULT_CALENDAR, "Series", at(1, 8), at(1, 9), repeats=repeats)
    away.pull()
    away.store.retitle_event(DEFAULT_CALENDAR, away.dentist, "Doctor")
    away.store.add_event(DEFAULT_CALENDAR, "Birthday", at(4, 0), at(5, 0), is_transparent=True)
    away.store.add_event(DEFAULT_CALENDAR, "Over", at(-1, 8), at(-1, 9))
    refresh(away)
    reconcile(away.calendar_id)
    assert card(away).is_quiet


def test_of_many_the_first_ten_are_named_and_all_are_counted(away):
    for hour in range(NAMED + 4):
        away.store.add_event(DEFAULT_CALENDAR, f"Event {hour}", at(6, hour), at(6, hour, 30))
    refresh(away)
    away.pull()
    told = card(away)
    assert (told.new.count, len(told.new.first), told.new.more) == (NAMED + 4, NAMED, 4)
    assert told.new.first[0].summary == "Event 0"


def test_a_series_is_named_once_however_the_provider_tells_it(away):
    for days in (4, 5, 6):
        away.store.add_event(DEFAULT_CALENDAR, "Choir", at(days, 18), at(days, 20))
    refresh(away)
    away.pull()
    (choir,) = card(away).new.first
    assert (choir.summary, choir.start_at, choir.times) == ("Choir", at(4, 18), 3)


@pytest.mark.parametrize(("rule", "outcome"), [("follow", "followed"), ("ask", "asked"), ("put back", "kept")])
def test_a_booking_moved_outside_is_told_with_what_the_rule_made_of_it(away, rule, outcome):
    away.set_rule(when_moved=rule)
    away.store.move_event(DEFAULT_CALENDAR, away.own_event().remote_id, at(3, 16))
    refresh(away)
    away.pull()
    (change,) = card(away).ours
    assert (change.who, change.from_at, change.to_at) == ("Eva Ruiz", at(3, 10), at(3, 16))
    assert change.outcome == outcome


@pytest.mark.parametrize(("rule", "outcome"), [("cancel", "cancelled"), ("ask", "asked"), ("put back", "kept")])
def test_a_booking_deleted_outside_too(away, rule, outcome):
    away.set_rule(when_deleted=rule)
    away.store.remove_event(DEFAULT_CALENDAR, away.own_event().remote_id)
    refresh(away)
    away.pull()
    (change,) = card(away).ours
    assert (change.to_at, change.outcome) == (None, outcome)


def test_a_class_that_nobody_has_booked_is_told_by_its_name(away):
    (ana,) = rows(Resource, Resource.id == away.resource_id)
    slug = make_service([ana], duration=60, step=60, capacity=12, timing="fixed", name="Yoga").slug
    appointment_id = dates.plan_date(slug, at(4, 10), now=now_utc())
    away.publish_all()
    own = next(event for event in away.events() if event.summary.startswith("Yoga"))
    away.store.move_event(DEFAULT_CALENDAR, own.remote_id, at(4, 16))
    refresh(away)
    away.pull()
    (change,) = card(away).ours
    assert (change.appointment_id, change.booking_id, change.who) == (appointment_id, None, "")
    assert (change.service, change.to_at, change.outcome) == ("Yoga", at(4, 16), "followed")


def test_an_event_over_a_booking_is_told_until_that_is_settled(away):
    over = away.store.add_event(DEFAULT_CALENDAR, "Vet", at(3, 10), at(3, 11))
    refresh(away)
    away.pull()
    assert named(card(away).clashing) == [("Vet", at(3, 10))]
    away.store.move_event(DEFAULT_CALENDAR, over, at(3, 20))
    away.pull()
    assert card(away).clashing.count == 0


def test_bookings_that_waited_are_counted_as_they_are_written(away):
    away.store.fail_always(AccessRevoked("It is revoked."))
    away.book(at(5, 10))
    away.book(at(5, 12))
    for work in drain.claim(5, topics=["calendar.publish"]):
        drain.do(work, publish_entry)
    away.store.fail_always(None)
    refresh(away)
    told = card(away)
    assert (told.waited, told.written) == (2, 0)
    away.publish_all()
    away.pull()
    told = card(away)
    assert (told.waited, told.written, told.stuck) == (2, 2, 0)


def test_the_end_of_a_pause_tells_it_too(away):
    operations.pause_connection(away.connection().id)
    away.store.add_event(DEFAULT_CALENDAR, "Choir", at(4, 18), at(4, 20))
    operations.resume_connection(away.connection().id)
    away.pull()
    assert named(card(away).new) == [("Choir", at(4, 18))]


def test_a_second_refresh_before_the_first_reading_keeps_the_beginning(away):
    refresh(away)
    since = card(away).since
    away.store.fail_always(Temporary("The server is down."))
    with pytest.raises(Temporary):
        away.pull()
    away.store.fail_always(None)
    refresh(away)
    assert card(away).since == since


def test_a_calendar_that_was_never_read_has_nothing_to_tell(studio):
    studio.store.add_event(DEFAULT_CALENDAR, "Dentist", at(2, 14), at(2, 15))
    refresh(studio)
    studio.pull()
    assert card(studio) is None


def test_it_is_gone_when_dismissed_or_a_week_old(away):
    refresh(away)
    away.pull()
    assert card(away) is not None
    week_ago = (now_utc() - timedelta(days=8)).isoformat()

    def age(session):
        calendar = session.get_one(Calendar, away.calendar_id)
        calendar.meanwhile = calendar.meanwhile | {"refreshed_at": week_ago}

    transaction(age)
    assert card(away) is None
    refresh(away)
    operations.dismiss_meanwhile(away.calendar_id)
    assert card(away) is None


def test_it_is_stored_with_the_reading_or_not_at_all(away, monkeypatch):
    away.store.add_event(DEFAULT_CALENDAR, "Choir", at(4, 18), at(4, 20))
    refresh(away)

    def die(name):
        if name == "pull.before_commit":
            raise KeyboardInterrupt

    monkeypatch.setattr(pull_module, "reach", die)
    with pytest.raises(KeyboardInterrupt):
        pull_module.pull(away.calendar_id)
    monkeypatch.undo()
    assert card(away).until is None
    away.pull()
    assert named(card(away).new) == [("Choir", at(4, 18))]
