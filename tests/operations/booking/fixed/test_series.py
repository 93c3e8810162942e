"""Weekly series of fixed appointments, on both databases."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from portal.booking import operations
from portal.booking.fixed import dates
from portal.booking.fixed.series import extend_series, find_missing, plan_series
from portal.booking.fixed.series_changes import call_off_later, change_later
from portal.booking.models import Appointment, Booking, Series
from portal.errors import Invalid, NotAllowedNow, SlotTaken
from portal.extensions import db
from tests.factories import make_resource
from tests.operations.booking.fixed.test_dates import NOW, book, entries, forget_entries, make_class, offered, wrong

MONDAY = date(2027, 3, 8)
DAY, WEEK = timedelta(days=1), timedelta(days=7)
TEN = 600


def at(on, hour=10, minute=0):
    """That time on the clock of Madrid, which goes forward on 28 March."""
    offset = 2 if on >= date(2027, 3, 28) else 1
    return datetime(on.year, on.month, on.day, hour, minute, tzinfo=UTC) - timedelta(hours=offset)


def plan(service, **values):
    return plan_series(service.slug, **{"weekday": 0, "starts": TEN, "first_on": MONDAY, "now": NOW, **values})


def rows(service):
    db.session.rollback()
    mine = select(Appointment).where(Appointment.service_id == service.id).order_by(Appointment.start_at)
    return db.session.scalars(mine).all()


def starts(service):
    return [row.start_at for row in rows(service) if row.is_active]


def mondays(count, first=MONDAY):
    return [first + n * WEEK for n in range(count)]


def test_a_series_is_made_up_to_the_horizon_at_ten_on_the_wall(app):
    service = make_class(horizon=35)
    plan(service, capacity=8)
    assert offered(service) == [(at(on), 8) for on in mondays(4)]
    assert starts(service) == [at(on) for on in mondays(5)]
    assert wrong() == []


def test_it_grows_with_the_days_and_is_made_once(app):
    service = make_class(horizon=10)
    plan(service)
    assert starts(service) == [at(MONDAY)]
    assert extend_series(now=NOW) == 0
    assert extend_series(now=NOW + WEEK) == 1
    assert starts(service) == [at(on) for on in mondays(2)]


def test_exceptions_and_the_last_date_hold(app):
    service = make_class(horizon=60)
    plan(service, except_on=[MONDAY + WEEK], last_on=MONDAY + 3 * WEEK)
    assert starts(service) == [at(on) for on in mondays(4) if on != MONDAY + WEEK]


def test_a_date_that_was_called_off_or_moved_is_not_made_again(app):
    service = make_class(horizon=30)
    plan(service)
    first, second, *_ = rows(service)
    dates.call_off(first.id, now=NOW)
    dates.move_appointment(second.id, at(MONDAY + WEEK + DAY, 18), by="calendar", now=NOW)
    extend_series(now=NOW)
    assert starts(service)[:1] == [at(MONDAY + WEEK + DAY, 18)]
    assert at(MONDAY) not in starts(service)
    assert at(MONDAY + WEEK) not in starts(service)


def test_a_date_whose_time_is_taken_stays_unmade_is_shown_and_tried_again(app):
    ana = make_resource(name="Ana Ruiz")
    service, other = make_class([ana], horizon=25), make_class([ana], horizon=25)
    blocker = dates.plan_date(other.slug, at(MONDAY + WEEK), now=NOW)
    plan(service)
    assert starts(service) == [at(MONDAY), at(MONDAY + 2 * WEEK)]
    missing = find_missing(db.session(), now=NOW, service_id=service.id)
    assert [(each.on, "Ana Ruiz" in each.why) for each in missing] == [(MONDAY + WEEK, True)]
    dates.call_off(blocker, now=NOW)
    assert extend_series(now=NOW) == 1
    assert starts(service) == [at(on) for on in mondays(3)]


def test_this_and_later_moves_to_another_day_and_time_and_tells_who_comes(app):
    service = make_class(horizon=30)
    plan(service)
    second = rows(service)[1]
    book(service, at(MONDAY + WEEK))
    forget_entries()
    change_later(second.id, weekday=2, starts=18 * 60 + 30, capacity=5, now=NOW)
    wednesday = MONDAY + 2 * DAY
    assert starts(service) == [at(MONDAY)] + [at(wednesday + n * WEEK, 18, 30) for n in (1, 2, 3)]
    assert [row.capacity for row in rows(service)] == [12, 5, 5, 5]
    assert entries().count(("notify.customer", "moved")) == 1
    extend_series(now=NOW + WEEK)
    assert starts(service)[-1] == at(wednesday + 4 * WEEK, 18, 30)
    assert wrong() == []


def test_a_change_from_the_first_date_on_leaves_one_series(app):
    service = make_class(horizon=30)
    plan(service)
    change_later(rows(service)[0].id, starts=11 * 60, now=NOW)
    extend_series(now=NOW)
    assert starts(service) == [at(on, 11) for on in mondays(4)]
    assert len(db.session.scalars(select(Series)).all()) == 1


def test_a_date_moved_singly_keeps_its_time_and_one_called_off_stays_off(app):
    service = make_class(horizon=30)
    plan(service)
    first, second, third, _ = rows(service)
    dates.move_appointment(second.id, at(MONDAY + WEEK, 15), by="staff", now=NOW)
    dates.call_off(third.id, now=NOW)
    change_later(first.id, starts=11 * 60, now=NOW)
    extend_series(now=NOW)
    assert starts(service) == [at(MONDAY, 11), at(MONDAY + WEEK, 15), at(MONDAY + 3 * WEEK, 11)]


def test_all_later_dates_change_or_none_and_the_clashing_ones_are_named(app):
    ana = make_resource()
    service, other = make_class([ana], horizon=30), make_class([ana])
    plan(service)
    dates.plan_date(other.slug, at(MONDAY + 2 * WEEK, 12), now=NOW)
    before = starts(service)
    with pytest.raises(SlotTaken, match="Monday 22 March") as refusal:
        change_later(rows(service)[0].id, starts=12 * 60, now=NOW)
    assert "15 March" not in str(refusal.value)
    assert starts(service) == before
    assert extend_series(now=NOW) == 0


def test_seats_below_those_taken_on_any_later_date_change_nothing(app):
    service = make_class(horizon=30)
    plan(service)
    book(service, at(MONDAY + 2 * WEEK), party_size=6)
    with pytest.raises(NotAllowedNow, match="6 seats"):
        change_later(rows(service)[0].id, capacity=5, now=NOW)
    assert {row.capacity for row in rows(service)} == {12}


def test_calling_off_this_and_later_ends_the_series(app):
    service = make_class(horizon=30)
    plan(service)
    outcome = book(service, at(MONDAY + 2 * WEEK))
    call_off_later(rows(service)[1].id, now=NOW)
    extend_series(now=NOW + 2 * WEEK)
    assert starts(service) == [at(MONDAY)]
    assert db.session.get(Booking, outcome.booking_id).status == "cancelled"
    assert wrong() == []


def test_a_single_date_has_no_later_ones(app):
    service = make_class()
    appointment_id = dates.plan_date(service.slug, at(MONDAY), now=NOW)
    for change in (change_later, call_off_later):
        with pytest.raises(NotAllowedNow):
            change(appointment_id, now=NOW)


@pytest.mark.parametrize(
    "values", [{"weekday": 7}, {"starts": 1440}, {"starts": 601}, {"last_on": MONDAY - DAY}, {"capacity": 0}]
)
def test_what_is_no_week_is_refused_field_by_field(app, values):
    with pytest.raises(Invalid) as refusal:
        plan(make_class(), **values)
    assert list(refusal.value.fields) == list(values)


def test_a_booking_of_a_series_can_move_to_its_next_date(app):
    service = make_class(horizon=30)
    plan(service)
    outcome = book(service, at(MONDAY))
    operations.move_booking(outcome.booking_id, at(MONDAY + WEEK), by="customer", now=NOW)
    assert offered(service)[:2] == [(at(MONDAY), 12), (at(MONDAY + WEEK), 11)]
