"""A booking that waits for its customer's mail, as staff see it: on Today, in the list, on its page, and what they answer in the customer's place."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from portal.booking import operations
from portal.booking.models import Booking, Claim
from portal.booking.strangers import budgets
from portal.booking.time import queries
from portal.business.models import Service
from portal.calendars.models import BusyInterval
from portal.clock import now_utc
from portal.extensions import db
from portal.outbox import OutboxEntry
from tests.factories import make_calendar

WAITS = "Waits for the customer’s mail until"


@pytest.fixture
def waiting(studio: Any) -> int:
    """The id of one of Ana's."""
    db.session.execute(update(Service).values(confirm_by_mail=True))
    db.session.commit()
    slot = queries.soonest_slots(db.session(), studio.service, now=now_utc(), limit=1, resource_id=studio.ana.id)[0]
    start = slot.interval.start
    hold = operations.place_hold(service_slug="consultation", start_at=start, now=now_utc(), resource_slug="ana")
    made = operations.confirm_hold(
        hold.token,
        operations.Customer("Clara Gil", "clara@example.org"),
        idempotency_key="waits",
        now=now_utc(),
        visitor=budgets.Visitor("192.0.2.0/24"),
    )
    assert made.status == "held"
    return made.booking_id


def press(client: FlaskClient, booking_id: int, action: str) -> Any:
    return client.post(f"/admin/bookings/{booking_id}/{action}", follow_redirects=True)


def booking(booking_id: int) -> Booking | None:
    db.session.rollback()
    return db.session.get(Booking, booking_id)


def told() -> list[tuple[str, str]]:
    db.session.rollback()
    rows = db.session.scalars(
        select(OutboxEntry).where(OutboxEntry.topic != "calendar.publish").order_by(OutboxEntry.id)
    )
    return [(row.topic, str(row.payload.get("news"))) for row in rows]


@pytest.mark.parametrize("path", ["/admin", "/admin/bookings", "/admin/bookings/{}", "/admin/appointments/{}"])
def test_staff_see_that_it_waits_and_until_when(admin: FlaskClient, waiting: int, path: str) -> None:
    row = booking(waiting)
    assert row is not None
    text = admin.get(path.format(row.appointment_id if "appointments" in path else waiting)).get_data(as_text=True)
    assert "Clara Gil" in text
    assert WAITS in text or WAITS.lower() in text
    assert f"/admin/appointments/{row.appointment_id}/move" not in text or "appointments" in path


def test_only_those_see_it_whose_it_is(staff: FlaskClient, waiting: int) -> None:
    assert "Clara Gil" not in staff.get("/admin").get_data(as_text=True)
    assert staff.get(f"/admin/bookings/{waiting}").status_code == 404
    assert press(staff, waiting, "refusal").status_code == 404
    assert booking(waiting) is not None


def test_what_is_only_kept_while_a_form_is_filled_in_is_no_booking(admin: FlaskClient, studio: Any) -> None:
    slot = queries.soonest_slots(db.session(), studio.service, now=now_utc(), limit=1)[0]
    hold = operations.place_hold(service_slug="consultation", start_at=slot.interval.start, now=now_utc())
    assert admin.get(f"/admin/bookings/{hold.booking_id}").status_code == 404
    assert "No bookings yet" in admin.get("/admin/bookings").get_data(as_text=True)


@pytest.mark.parametrize("needs_approval", [False, True])
def test_staff_confirm_it_in_the_customer_s_place(admin: FlaskClient, waiting: int, needs_approval: bool) -> None:
    db.session.execute(update(Service).values(needs_approval=needs_approval))
    db.session.commit()
    page = press(admin, waiting, "approval").get_data(as_text=True)
    assert "The booking is confirmed, and the customer is told." in page
    row = booking(waiting)
    assert row is not None
    assert (row.status, row.pending_reason, row.confirmed_at is not None) == ("confirmed", "", True)
    assert ("notify.customer", "booked") in told()


def test_staff_refuse_it_and_nothing_of_it_is_left(admin: FlaskClient, waiting: int) -> None:
    before = told()
    page = press(admin, waiting, "refusal").get_data(as_text=True)
    assert "The booking is deleted, and its time is free again." in page
    assert booking(waiting) is None
    assert db.session.scalar(select(func.count()).select_from(Claim)) == 0
    assert told() == before, "the address may be somebody else's"


def test_nothing_is_confirmed_over_an_event_that_came_meanwhile(admin: FlaskClient, studio: Any, waiting: int) -> None:
    calendar = make_calendar(studio.ana, last_read_at=now_utc())
    row = booking(waiting)
    assert row is not None
    busy = {"calendar_id": calendar.id, "resource_id": calendar.resource_id, "remote_id": "x"}
    db.session.add(BusyInterval(**busy, start_at=row.appointment.start_at, end_at=row.appointment.end_at))
    db.session.commit()
    refused = press(admin, waiting, "approval")
    assert refused.status_code == 409
    assert "Clara Gil" in refused.get_data(as_text=True)
    row = booking(waiting)
    assert row is not None
    assert row.status == "held"


def test_what_the_customer_confirmed_meanwhile_is_not_deleted(admin: FlaskClient, waiting: int) -> None:
    page = admin.get(f"/admin/bookings/{waiting}").get_data(as_text=True)
    version = page.split('name="version" value="')[1].split('"')[0]
    press(admin, waiting, "approval")
    stale = admin.post(f"/admin/bookings/{waiting}/refusal", data={"version": version})
    assert stale.status_code == 409
    assert "This booking was confirmed meanwhile" in stale.get_data(as_text=True)
    row = booking(waiting)
    assert row is not None
    assert row.status == "confirmed"


def test_one_whose_time_is_over_is_no_booking(admin: FlaskClient, waiting: int) -> None:
    db.session.execute(update(Booking).values(held_until=now_utc() - timedelta(seconds=1)))
    db.session.commit()
    assert "Clara Gil" not in admin.get("/admin/bookings").get_data(as_text=True)
    assert press(admin, waiting, "approval").status_code == 404
