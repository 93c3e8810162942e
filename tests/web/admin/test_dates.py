"""The staff pages about dates and their appointments: planning, who comes, seats, moving, calling off."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from portal.admin.dates import queries
from portal.booking import operations
from portal.booking.fixed import dates
from portal.booking.fixed.series import plan_series
from portal.booking.models import Appointment, Booking, Series
from portal.business.models import Service
from portal.clock import now_utc
from portal.extensions import db
from portal.language.dates import day_starts_at
from portal.sync.models import Conflict
from portal.waitlist import operations as waitlist
from tests.factories import make_calendar, make_service

MADRID = ZoneInfo("Europe/Madrid")
IN_TEN_DAYS = (now_utc().astimezone(MADRID) + timedelta(days=10)).date()


def at(on, hour=10):
    return datetime(on.year, on.month, on.day, hour, tzinfo=MADRID).astimezone(UTC)


@pytest.fixture
def yoga(studio):
    values = {"slug": "yoga", "name": "Yoga", "timing": "fixed", "duration": 60, "step": 60, "capacity": 12}
    make_service([studio.ana, studio.ben], **values, has_waitlist=True, horizon=60)
    return studio


def plan(start_at=None, **values):
    return dates.plan_date("yoga", start_at or at(IN_TEN_DAYS), resource_slug="ana", now=now_utc(), **values)


def book(start_at=None, name="Clara", party_size=1):
    customer = operations.Customer(name, f"{name.lower().strip('</>')}@example.org")
    return operations.book(
        service_slug="yoga", start_at=start_at or at(IN_TEN_DAYS), customer=customer, idempotency_key=f"key-{name}",
        now=now_utc(), party_size=party_size,
    ).booking_id  # fmt: skip


def series(**values):
    """A series of Ana's, four dates or so; the ids of its appointments."""
    plan_series(
        "yoga", weekday=IN_TEN_DAYS.weekday(), starts=600, first_on=IN_TEN_DAYS, resource_slug="ana", now=now_utc(),
        last_on=IN_TEN_DAYS + timedelta(days=21), **values,
    )  # fmt: skip
    return list(db.session.scalars(select(Appointment.id).order_by(Appointment.start_at)))


def appointments():
    db.session.rollback()
    return list(db.session.scalars(select(Appointment).order_by(Appointment.start_at)))


def test_a_date_is_planned_and_shown_with_its_seats(yoga, admin, page):
    assert "No date to come" in page(admin, "/admin/services/yoga/dates")
    form = {"day": IN_TEN_DAYS.isoformat(), "time": "18:30", "capacity": "8", "resource": "ben"}
    text = page(admin, "/admin/services/yoga/dates", post=form)
    assert "18:30–19:30" in text
    assert "0 of 8" in text
    assert "Ben" in text
    assert "/admin/services/yoga/dates" in page(admin, "/admin/dates")


def test_a_series_is_planned_and_told_in_words(yoga, admin, page):
    form = {
        "weekday": str(IN_TEN_DAYS.weekday()), "starts": "10:00", "first_on": IN_TEN_DAYS.isoformat(), "last_on": "",
        "seats": "6", "except_on": (IN_TEN_DAYS + timedelta(days=7)).isoformat(),
    }  # fmt: skip
    text = page(admin, "/admin/services/yoga/series", post=form)
    assert f"Every {IN_TEN_DAYS:%A} at 10:00" in text
    assert ", not on " in text
    assert text.count("0 of 6") == len(appointments()) > 4
    assert IN_TEN_DAYS + timedelta(days=7) not in [row.series_on for row in appointments()]


@pytest.mark.parametrize(
    ("address", "form", "field"),
    [
        ("dates", {"day": "soon", "time": "10:00"}, "day"),
        ("dates", {"day": "2020-01-01", "time": "10:00"}, "day"),
        ("dates", {"day": "2999-01-01", "time": "25:00"}, "time"),
        ("dates", {"day": IN_TEN_DAYS.isoformat(), "time": "10:02"}, "time"),
        ("dates", {"day": IN_TEN_DAYS.isoformat(), "time": "10:00", "capacity": "٣"}, "capacity"),
        ("dates", {"day": IN_TEN_DAYS.isoformat(), "time": "10:00", "resource": "zoe"}, "resource"),
        ("series", {"weekday": "9", "starts": "10:00", "first_on": IN_TEN_DAYS.isoformat()}, "weekday"),
        ("series", {"weekday": "1", "starts": "", "first_on": IN_TEN_DAYS.isoformat()}, "starts"),
        ("series", {"weekday": "1", "starts": "10:00", "first_on": "2027-05-05", "last_on": "2027-05-04"}, "last_on"),
        ("series", {"weekday": "1", "starts": "10:00", "first_on": "2027-05-05", "except_on": "Monday"}, "except_on"),
        ("series", {"weekday": "1", "starts": "10:00", "first_on": "2027-05-05", "seats": "0"}, "seats"),
    ],
)
def test_what_does_not_fit_is_named_at_its_field_and_keeps_what_was_typed(yoga, admin, address, form, field):
    response = admin.post(f"/admin/services/yoga/{address}", data=form)
    text = response.get_data(as_text=True)
    assert response.status_code == 422
    assert f'href="#field-{field}"' in text
    assert f'id="field-{field}"' in text
    kept = re.search(
        r'id="field-(?:time|starts)"[^>]* value="([^"]*)"',
        text[text.index("weekly series") if address == "series" else 0 :],
    )
    assert kept[1] == form.get("time", form.get("starts"))
    assert appointments() == []


def test_a_taken_time_is_refused_by_name(yoga, admin):
    plan()
    form = {"day": IN_TEN_DAYS.isoformat(), "time": "10:30", "resource": "ana"}
    response = admin.post("/admin/services/yoga/dates", data=form)
    assert response.status_code == 409
    assert "No time then: Ana." in response.get_data(as_text=True)


def test_a_date_of_a_series_that_could_not_be_made_is_shown_with_the_reason(yoga, admin, page):
    plan(at(IN_TEN_DAYS + timedelta(days=7)))
    series()
    text = page(admin, "/admin/services/yoga/dates")
    assert "could not be made" in text
    assert "No time then: Ana." in text


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Madrid", "Pacific/Auckland"])
def test_a_series_goes_on_until_its_last_day_is_over_by_its_own_clock(yoga, zone):
    series()
    db.session.execute(update(Series).values(zone=zone))
    ends_at = day_starts_at(IN_TEN_DAYS + timedelta(days=22), zone)
    found = [
        len(queries.coming_series(db.session(), db.session.query(Service).filter_by(slug="yoga").one(), now=at))
        for at in (ends_at - timedelta(minutes=5), ends_at + timedelta(minutes=5))
    ]
    assert found == [1, 0]


def test_a_date_under_an_outside_event_says_that_it_is_shut(yoga, admin, page):
    appointment_id, calendar = plan(), make_calendar(yoga.ana)
    assert "another event stands over it" not in page(admin, "/admin/dates")
    times = {"start_at": at(IN_TEN_DAYS), "end_at": at(IN_TEN_DAYS, 11)}
    db.session.add(Conflict(appointment_id=appointment_id, calendar_id=calendar.id, remote_id="r", **times))
    db.session.commit()
    for address in ("/admin/dates", "/admin/services/yoga/dates", f"/admin/appointments/{appointment_id}"):
        assert "another event stands over it" in page(admin, address)


def test_the_page_of_a_date_says_who_comes(yoga, admin, page):
    appointment_id = plan()
    booking_id = book(name="Clara", party_size=3)
    text = page(admin, f"/admin/appointments/{appointment_id}")
    assert "3 of 12" in text
    assert f'href="/admin/bookings/{booking_id}"' in text
    assert "Nobody waits." in text


def test_more_seats_show_first_who_would_be_offered_them(yoga, admin, page):
    appointment_id = plan(capacity=1)
    book()
    waitlist.join(
        service_slug="yoga", wish="appointment", customer=operations.Customer("Zoe", "zoe@example.org"), party_size=1,
        appointment_start_at=at(IN_TEN_DAYS), idempotency_key="key-zoe", now=now_utc(),
    )  # fmt: skip
    text = page(admin, f"/admin/appointments/{appointment_id}/capacity?capacity=2")
    assert "2 seats instead of 1?" in text
    assert "Zoe" in text
    assert appointments()[0].capacity == 1, "a question changes nothing"
    text = page(admin, f"/admin/appointments/{appointment_id}/capacity", post={"capacity": "2"})
    assert "It has 2 seats now." in text
    assert appointments()[0].capacity == 2


def test_fewer_seats_than_are_taken_are_refused_in_words(yoga, admin):
    appointment_id = plan()
    book(party_size=3)
    response = admin.post(f"/admin/appointments/{appointment_id}/capacity", data={"capacity": "2"})
    assert response.status_code == 409
    assert "3 seats are taken" in response.get_data(as_text=True)


def test_moving_asks_first_and_says_who_is_told(yoga, admin, page):
    appointment_id = plan()
    book()
    address = f"/admin/appointments/{appointment_id}/move"
    new = {"day": IN_TEN_DAYS.isoformat(), "time": "17:00"}
    text = page(admin, f"{address}?day={new['day']}&time=17:00")
    assert "1 customer is told" in text
    assert "17:00–18:00" in text
    assert appointments()[0].start_at == at(IN_TEN_DAYS)
    assert "everybody in it is told" in page(admin, address, post=new)
    assert appointments()[0].start_at == at(IN_TEN_DAYS, 17)


def test_moving_onto_taken_time_says_so_and_moves_nothing(yoga, admin):
    appointment_id = plan()
    plan(at(IN_TEN_DAYS, 12))
    new = {"day": IN_TEN_DAYS.isoformat(), "time": "12:30"}
    response = admin.post(f"/admin/appointments/{appointment_id}/move", data=new)
    assert response.status_code == 409
    assert "No time then: Ana." in response.get_data(as_text=True)
    assert appointments()[0].start_at == at(IN_TEN_DAYS)


def test_this_and_later_move_together(yoga, admin, page):
    second = series()[1]
    text = page(admin, f"/admin/appointments/{second}/move?later=1&weekday={IN_TEN_DAYS.weekday()}&time=11:00")
    assert "3 dates" in text
    page(
        admin, f"/admin/appointments/{second}/move",
        post={"later": "1", "weekday": str(IN_TEN_DAYS.weekday()), "time": "11:00"},
    )  # fmt: skip
    assert [row.start_at.astimezone(MADRID).hour for row in appointments()] == [10, 11, 11, 11]
    assert len(db.session.scalars(select(Series)).all()) == 2


def test_calling_off_asks_first_and_cancels(yoga, admin, page):
    appointment_id = plan()
    booking_id = book()
    text = page(admin, f"/admin/appointments/{appointment_id}/call-off")
    assert "1 booking is cancelled" in text
    assert db.session.get(Booking, booking_id).status == "confirmed"
    text = page(admin, f"/admin/appointments/{appointment_id}/call-off", post={})
    assert "It was called off" in text
    db.session.rollback()
    assert db.session.get(Booking, booking_id).status == "cancelled"


def test_calling_off_this_and_later_leaves_the_earlier_ones(yoga, admin, page):
    first, second, *_ = series()
    assert "3 dates" in page(admin, f"/admin/appointments/{second}/call-off?later=1")
    page(admin, f"/admin/appointments/{second}/call-off", post={"later": "1"})
    assert [row.id for row in appointments() if row.is_active] == [first]


def test_staff_see_and_change_their_own_dates_alone(yoga, staff, page):
    anas = plan()
    bens = dates.plan_date("yoga", at(IN_TEN_DAYS, 12), resource_slug="ben", now=now_utc())
    text = page(staff, "/admin/services/yoga/dates")
    assert f"/admin/appointments/{bens}" in text
    assert f"/admin/appointments/{anas}" not in text
    assert "Plan this date" not in text
    assert staff.post("/admin/services/yoga/dates", data={}).status_code == 403
    for address in ("", "/capacity", "/move", "/call-off"):
        assert staff.get(f"/admin/appointments/{anas}{address}").status_code == 404
        assert staff.get(f"/admin/appointments/{bens}{address}").status_code == 200
    assert staff.post(f"/admin/appointments/{anas}/call-off").status_code == 404
    page(staff, f"/admin/appointments/{bens}/call-off", post={})
    assert [row.id for row in appointments() if row.is_active] == [anas]


def test_staff_cannot_change_later_dates_that_others_give(yoga, staff):
    ids = series()
    fixed_by_ben = db.session.get(Appointment, ids[0])
    for member in fixed_by_ben.resources:
        member.resource_id = yoga.ben.id
    db.session.commit()
    assert staff.get(f"/admin/appointments/{ids[0]}/call-off").status_code == 200
    assert staff.get(f"/admin/appointments/{ids[0]}/call-off?later=1").status_code == 404
    assert staff.post(f"/admin/appointments/{ids[0]}/move", data={"later": "1"}).status_code == 404


def test_a_group_of_another_service_has_its_page_and_one_for_one_no_seats_to_change(studio, admin, page):
    booking = studio.book("Clara")
    text = page(admin, f"/admin/appointments/{booking.appointment_id}")
    assert "Number of seats" not in text
    service = db.session.get(Service, studio.service.id)
    service.capacity = 4
    db.session.commit()
    text = page(admin, f"/admin/appointments/{booking.appointment_id}")
    assert "Number of seats" in text


def test_a_service_with_working_hours_has_no_page_of_dates(studio, admin):
    assert admin.get("/admin/services/consultation/dates").status_code == 404
    assert 'href="/admin/dates"' not in admin.get("/admin").get_data(as_text=True)


def test_markup_in_names_stays_text(yoga, admin, page):
    appointment_id = plan()
    book(name="<script>")
    assert "&lt;script&gt;" in page(admin, f"/admin/appointments/{appointment_id}")
