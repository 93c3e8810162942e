"""The customers' pages: who is found, one customer in numbers, taking the data out, erasing it, and how long it is kept."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from portal.booking import operations
from portal.booking.models import Booking
from portal.business.models import Business
from portal.clock import now_utc
from portal.customers.models import Erasure
from portal.extensions import db
from portal.outbox import OutboxEntry
from tests.support.people import PASSWORD, make_user, signed_in


def of(booking_id):
    db.session.rollback()
    return db.session.get(Booking, booking_id)


def retention():
    db.session.rollback()
    return db.session.scalars(select(Business.retention_days)).one()


def test_a_customer_is_one_address_in_whatever_letters(studio, admin, page):
    studio.book("Clara", email="Clara@example.org")
    studio.book("Clara Vidal", email="clara@EXAMPLE.org")
    studio.book("Dora")
    text = page(admin, "/admin/customers")
    assert text.count("<tr>") == 3
    assert "Clara Vidal" in text
    assert "Dora" not in page(admin, "/admin/customers?search=VIDAL")
    assert "Nobody found" in page(admin, "/admin/customers?search=%25")


def test_the_search_finds_people_by_any_name_they_used(studio, admin, page):
    studio.book("Old Name", email="clara@example.org")
    studio.book("New Name", email="clara@example.org")
    text = page(admin, "/admin/customers?search=old")
    assert "New Name" in text
    assert text.count("<tr>") == 2


def test_visits_and_no_shows_are_counted(studio, page):
    bookings = [studio.book("Clara") for _ in range(6)]
    with time_machine.travel(now_utc() + timedelta(days=3)):
        admin = signed_in(studio.app, make_user("admin"))
        for booking in bookings[:3]:
            operations.mark_attendance(booking.id, "completed", now=now_utc())
        operations.mark_attendance(bookings[3].id, "no_show", now=now_utc())
        text = " ".join(page(admin, f"/admin/customers/{bookings[0].public_id}").split())
    assert "<strong>3</strong> visits" in text
    assert "<strong>1</strong> no-show<" in text


def test_a_booking_leads_to_its_customer_and_no_address_of_a_page_holds_an_e_mail(studio, admin, page):
    booking = studio.book("Clara")
    assert f"/admin/customers/{booking.public_id}" in page(admin, f"/admin/bookings/{booking.id}")
    for address in ("/admin/customers", f"/admin/customers/{booking.public_id}"):
        links = [part.split('"')[0] for part in page(admin, address).split('href="')[1:]]
        assert not [link for link in links if "@" in link or "%40" in link]


def test_staff_who_are_no_admins_see_none_of_it(studio, staff):
    booking = studio.book("Clara", who="ben")
    for address in ("", f"/{booking.public_id}", f"/{booking.public_id}/export", f"/{booking.public_id}/erasure"):
        assert staff.get(f"/admin/customers{address}").status_code == 403
    assert staff.post(f"/admin/customers/{booking.public_id}/erasure", data={"password": PASSWORD}).status_code == 403
    assert "/admin/customers/" not in staff.get(f"/admin/bookings/{booking.id}").get_data(as_text=True)


def test_the_data_comes_as_a_file(studio, admin):
    booking = studio.book("Clara", note="has a dog")
    response = admin.get(f"/admin/customers/{booking.public_id}/export")
    assert response.headers["Content-Disposition"] == 'attachment; filename="customer-data.json"'
    assert response.headers["Cache-Control"] == "no-store"
    found = json.loads(response.get_data(as_text=True))
    assert (found["email"], found["bookings"][0]["note"]) == ("clara@example.org", "has a dog")


def test_the_page_before_erasing_says_what_will_happen_and_changes_nothing(studio, admin, page):
    booking = studio.book("Clara")
    text = page(admin, f"/admin/customers/{booking.public_id}/erasure")
    assert "1 booking to come is" in text
    assert "Backups" in text
    assert of(booking.id).status == "confirmed"


@pytest.mark.parametrize("password", ["", "wrong", None])
def test_erasing_needs_the_password(studio, admin, password):
    booking = studio.book("Clara")
    data = {} if password is None else {"password": password}
    response = admin.post(f"/admin/customers/{booking.public_id}/erasure", data={"told": "no", **data})
    assert response.status_code == 422
    assert "This is not your password" in response.get_data(as_text=True)
    assert of(booking.id).customer_name == "Clara"


def test_erasing_in_silence_is_done_at_once(studio, admin, page):
    booking = studio.book("Clara")
    text = page(admin, f"/admin/customers/{booking.public_id}/erasure", post={"told": "no", "password": PASSWORD})
    assert "is erased" in text
    assert "clara@example.org" not in text
    assert (of(booking.id).customer_name, of(booking.id).status) == ("", "cancelled")
    assert admin.get(f"/admin/customers/{booking.public_id}").status_code == 404
    assert "Erased customer" in page(admin, f"/admin/bookings/{booking.id}")
    assert db.session.scalars(select(Erasure)).one().user_id is not None


def test_when_the_customer_is_told_the_mail_leaves_first(studio, admin, page):
    booking = studio.book("Clara")
    text = page(admin, f"/admin/customers/{booking.public_id}/erasure", post={"told": "yes", "password": PASSWORD})
    assert "is being erased" in text
    assert of(booking.id).status == "cancelled"
    assert of(booking.id).customer_email == "clara@example.org"
    assert db.session.scalars(select(OutboxEntry).where(OutboxEntry.topic == "customer.erase")).one().state == "todo"


def test_the_age_is_set_after_saying_what_it_does(studio, page):
    studio.book("Clara")
    with time_machine.travel(now_utc() + timedelta(days=11)):
        admin = signed_in(studio.app, make_user("admin"))
        text = page(admin, "/admin/customers/retention", post={"days": "10"})
        assert "1 booking" in text
        assert retention() is None
        assert admin.post("/admin/customers/retention", data={"days": "10", "password": "wrong"}).status_code == 422
        assert retention() is None
        page(admin, "/admin/customers/retention", post={"days": "10", "password": PASSWORD})
        assert retention() == 10
        page(admin, "/admin/customers/retention", post={"days": ""})
        assert retention() is None


@pytest.mark.parametrize("days", ["0", "-1", "ten", "3651", "1.5", "٣"])
def test_an_age_that_is_none_is_refused(studio, admin, days):
    response = admin.post("/admin/customers/retention", data={"days": days, "password": PASSWORD})
    assert response.status_code == 422
    assert retention() is None


def test_attendance_is_marked_from_each_list_and_leads_back_there(studio, admin, staff):
    mine = studio.book("Clara", who="ben")
    with time_machine.travel(of(mine.id).appointment.start_at + timedelta(minutes=1)):
        for came_from, show, back in (
            ("home", "", "/admin"), ("bookings", "unmarked", "/admin/bookings?show=unmarked"), ("", "", f"/admin/bookings/{mine.id}"),
            ("customer", mine.public_id, f"/admin/customers/{mine.public_id}"),
            ("appointment", str(of(mine.id).appointment_id), f"/admin/appointments/{of(mine.id).appointment_id}"),
            ("appointment", "//evil.example", f"/admin/bookings/{mine.id}"),
        ):  # fmt: skip
            form = {"status": "no_show", "from": came_from, "show": show}
            response = admin.post(f"/admin/bookings/{mine.id}/attendance", data=form)
            assert (response.status_code, response.location) == (303, back)
        assert of(mine.id).status == "no_show"
        home = staff.get("/admin").get_data(as_text=True)
        assert "Who came today?" in home
        assert home.count(f'href="/admin/bookings/{mine.id}"') == 1  # it has begun, so it is not still to come
        assert "Clara" in staff.get("/admin/bookings?show=no_show").get_data(as_text=True)
        assert "Clara" not in staff.get("/admin/bookings?show=unmarked").get_data(as_text=True)
        assert staff.post(f"/admin/bookings/{mine.id}/attendance", data={"status": "cancelled"}).status_code == 404


def test_the_page_of_an_appointment_marks_each_of_those_who_come(studio, page):
    mine = studio.book("Clara")
    appointment = of(mine.id).appointment
    address, start = f"/admin/appointments/{appointment.id}", appointment.start_at
    with time_machine.travel(start + timedelta(minutes=1)):
        admin = signed_in(studio.app, make_user("admin"))
        assert "Did not come" in page(admin, address)
        text = page(
            admin,
            f"/admin/bookings/{mine.id}/attendance",
            post={"status": "completed", "from": "appointment", "show": str(appointment.id)},
        )
        assert 'value="completed" aria-pressed="true"' in text


def test_what_has_not_begun_cannot_be_marked(studio, admin, page):
    booking = studio.book("Clara")
    assert "Did not come" not in page(admin, f"/admin/bookings/{booking.id}")
    text = page(admin, f"/admin/bookings/{booking.id}/attendance", post={"status": "completed"})
    assert "has not begun yet" in text
    assert of(booking.id).status == "confirmed"


def test_guessing_in_the_form_of_erasing_is_slowed(studio, admin):
    """D17: and nothing is erased by the right password while it is too early for it."""
    studio.book("Clara")
    key = db.session.scalars(select(Booking.public_id)).one()
    url = f"/admin/customers/{key}/erasure"
    for n in range(6):
        assert admin.post(url, data={"password": f"guess {n}"}).status_code == 422
    early = admin.post(url, data={"password": PASSWORD})
    assert early.status_code == 422
    assert "wait some minutes" in early.get_data(as_text=True)
    db.session.rollback()
    assert db.session.scalars(select(Booking.customer_name)).one() == "Clara"
    shorter = admin.post("/admin/customers/retention", data={"days": "30", "password": PASSWORD})
    assert shorter.status_code == 422
    with time_machine.travel(now_utc() + timedelta(minutes=5)):
        assert admin.post(url, data={"password": PASSWORD}).status_code == 303
