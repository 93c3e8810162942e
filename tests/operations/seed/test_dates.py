"""Fixed dates and weekly series in a seed file: planned, changed by loading again, written back."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, select

from portal.booking import operations
from portal.booking.fixed import dates, series, series_changes
from portal.booking.models import Appointment, Booking, Series
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.errors import Invalid
from portal.extensions import db
from portal.notifications import reminders
from portal.notifications.models import Reminder
from portal.seed import load as seeding

MADRID = ZoneInfo("Europe/Madrid")
DAY = (now_utc().astimezone(MADRID) + timedelta(days=10)).date()
WEEKDAY = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[DAY.weekday()]
WEEK = timedelta(days=7)

STUDIO = """
[business]
name = "Studio Ana"
zone = "Europe/Madrid"

[[resource]]
slug = "ana"
name = "Ana"

[[resource]]
slug = "ben"
name = "Ben"

[[service]]
slug = "yoga"
name = "Yoga"
timing = "fixed"
duration = 60
capacity = 12
horizon = 40
resources = ["ana", "ben"]
"""
DATE = f"""
[[service.date]]
start = "{DAY} 18:00"
capacity = 8
resource = "ben"
"""
SERIES = f"""
[[service.series]]
weekday = "{WEEKDAY}"
time = "10:00"
first = "{DAY}"
resource = "ana"
except = ["{DAY + WEEK}"]
"""


def load(text):
    return seeding.load(text, name="studio.toml", environ={})


def standing():
    db.session.rollback()
    rows = db.session.scalars(select(Appointment).where(Appointment.is_active).order_by(Appointment.start_at))
    return [(row.start_at.astimezone(MADRID), row.capacity) for row in rows]


def at(on, hour):
    return datetime(on.year, on.month, on.day, hour, tzinfo=MADRID)


def book(on, hour):
    return operations.book(
        service_slug="yoga", start_at=at(on, hour), now=now_utc(), idempotency_key=f"{on}{hour}",
        customer=operations.Customer("Eva", "eva@example.org"),
    )  # fmt: skip


def test_dates_and_series_are_planned_once(app):
    load(STUDIO + DATE + SERIES)
    days = [DAY + n * WEEK for n in (0, 2, 3, 4)]
    series = [(at(on, 10), 12) for on in days]
    assert standing() == sorted([(at(DAY, 18), 8), *series])
    assert load(STUDIO + DATE + SERIES) == []
    assert standing() == sorted([(at(DAY, 18), 8), *series])


def test_a_changed_capacity_and_series_are_changed_and_said(app):
    load(STUDIO + DATE + SERIES)
    changes = load(STUDIO + DATE.replace("= 8", "= 9") + SERIES.replace("except", f'last = "{DAY + 2 * WEEK}"\nexcept'))
    assert f"service yoga: {DAY} 18:00: capacity 8 -> 9" in changes
    assert f"service yoga: every {WEEKDAY} 10:00: last_on nothing -> {DAY + 2 * WEEK}" in changes
    assert standing() == [(at(DAY, 10), 12), (at(DAY, 18), 9), (at(DAY + 2 * WEEK, 10), 12)]


def test_an_exception_takes_back_an_empty_date_but_never_a_booked_one(app):
    load(STUDIO + SERIES)
    book(DAY + 2 * WEEK, 10)
    off = SERIES.replace(f'["{DAY + WEEK}"]', f'["{DAY + WEEK}", "{DAY + 2 * WEEK}", "{DAY + 3 * WEEK}"]')
    changes = load(STUDIO + off)
    assert f"service yoga: every {WEEKDAY} 10:00: {DAY + 2 * WEEK} stays: somebody has booked it" in changes
    assert [start.date() for start, _ in standing()] == [DAY, DAY + 2 * WEEK, DAY + 4 * WEEK]
    load(STUDIO + SERIES)
    assert [start.date() for start, _ in standing()] == [DAY + n * WEEK for n in (0, 2, 3, 4)]


def test_a_series_that_was_split_in_the_portal_stands_once_each_day_when_the_file_is_loaded_again(app):
    load(STUDIO + SERIES.replace('resource = "ana"', ""))
    third = db.session.scalars(select(Appointment.id).order_by(Appointment.start_at)).all()[2]
    series_changes.change_later(third, capacity=5, now=now_utc())
    days = [start for start, _ in standing()]
    load(STUDIO + SERIES.replace('resource = "ana"', ""))
    assert [start for start, _ in standing()] == days
    assert series.find_missing(db.session(), now=now_utc()) == [], "nor does staff read that a day could not be planned"


def test_the_export_of_a_split_series_loads_again_and_changes_nothing(app):
    load(STUDIO + SERIES)
    third = db.session.scalars(select(Appointment.id).order_by(Appointment.start_at)).all()[2]
    series_changes.change_later(third, capacity=5, now=now_utc())
    before, text = standing(), read_transaction(seeding.export)
    assert load(text) == []
    assert standing() == before
    for table in (Appointment, Series):  # and into a database that has none of it
        db.session.execute(delete(table))
    db.session.commit()
    load(text)
    assert standing() == before
    assert load(text) == []


def test_two_series_at_one_time_may_follow_each_other_but_not_overlap(app):
    first = SERIES.replace("except", f'last = "{DAY + 2 * WEEK}"\nexcept')
    second = SERIES.replace(f'first = "{DAY}"', f'first = "{DAY + 3 * WEEK}"\ncapacity = 5')
    load(STUDIO + first + second)
    assert [capacity for _, capacity in standing()] == [12, 12, 5, 5]
    with pytest.raises(Invalid, match="time is named twice"):
        load(STUDIO + first + SERIES)


def test_other_reminders_are_planned_at_once_for_who_has_booked(app):
    load(STUDIO + SERIES)
    booking = book(DAY, 10).booking_id
    transaction(lambda session: reminders.plan_booking(session, session.get_one(Booking, booking), now_utc()))
    load((STUDIO + SERIES).replace("horizon = 40", "horizon = 40\nreminders = [120]"))
    db.session.rollback()
    leads = {row.lead: row.state for row in db.session.scalars(select(Reminder))}
    assert leads == {1440: "dropped", 120: "waiting"}


def test_what_was_moved_or_called_off_in_the_portal_stays_so(app):
    second = DATE.replace("18:00", "20:00")
    load(STUDIO + DATE + second)
    first, other = db.session.scalars(select(Appointment.id).order_by(Appointment.start_at))
    dates.move_appointment(first, at(DAY, 12), by="calendar", now=now_utc())
    dates.call_off(other, now=now_utc())
    assert load(STUDIO + DATE + second) == []
    assert standing() == [(at(DAY, 12), 8)]


def test_a_date_whose_time_is_taken_is_said_and_hinders_no_other(app):
    clash = DATE.replace("18:00", "18:30")
    changes = load(STUDIO + DATE + clash + SERIES)
    assert f"service yoga: {DAY} 18:30: not done. No time then: Ben." in changes
    assert len(standing()) == 5


def test_what_has_passed_is_not_planned(app):
    assert load(STUDIO + DATE.replace(str(DAY), "2020-01-01"))[-1] == "service yoga: new"
    assert standing() == []


def test_the_export_loads_again_and_changes_nothing(app):
    load(STUDIO + DATE + SERIES)
    fourth = db.session.scalars(select(Appointment.id).where(Appointment.series_on == DAY + 3 * WEEK)).one()
    dates.call_off(fourth, now=now_utc())
    before = standing()
    text = read_transaction(seeding.export)
    assert f'except = ["{DAY + WEEK}", "{DAY + 3 * WEEK}"]' in text
    load(text)
    assert standing() == before
    assert read_transaction(seeding.export) == text
    assert len(db.session.scalars(select(Series)).all()) == 1


@pytest.mark.parametrize(
    ("table", "change", "sentence"),
    [
        (DATE, ("18:00", "18:03"), 'start must have a time of day such as "10:00", in steps of 5 minutes'),
        (DATE, (f'"{DAY} 18:00"', "2027-01-01T10:00:00Z"), "start must be a day and a time"),
        (DATE, ('resource = "ben"', 'resource = "zoe"'), "resource is none of the service's resources: “zoe”"),
        (DATE, ("capacity = 8", "capacity = 0"), "capacity must be between 1 and 500"),
        (DATE, ("capacity", "capacitty"), "capacitty is not a known key; did you mean capacity?"),
        (SERIES, (f'"{WEEKDAY}"', '"someday"'), "weekday must be one of mon"),
        (SERIES, ("first =", f'last = "{DAY - WEEK}"\nfirst ='), "last must not lie before first"),
        (SERIES, (f'except = ["{DAY + WEEK}"]', 'except = ["easter"]'), "an exception is a day"),
        (SERIES, (f'first = "{DAY}"', ""), "first is missing"),
        (DATE + DATE, ("", ""), "start is named twice"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(sqlite_app, table, change, sentence):
    with pytest.raises(Invalid, match=r"studio.toml, line \d+: ") as refusal:
        load(STUDIO + table.replace(*change))
    assert sentence in str(refusal.value)


def test_dates_belong_to_services_with_fixed_dates(sqlite_app):
    with pytest.raises(Invalid, match='date belongs to timing = "fixed"'):
        load(STUDIO.replace('timing = "fixed"', "") + DATE)


def test_toml_own_dates_are_understood(sqlite_app):
    load(STUDIO + DATE.replace(f'"{DAY} 18:00"', f"{DAY} 18:00:00") + SERIES.replace(f'"{DAY}"', str(DAY)))
    assert (at(DAY, 18), 8) in standing()
    assert date.fromisoformat(str(DAY)) == standing()[0][0].date()
