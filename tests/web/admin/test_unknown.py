"""The list of bookings that the backup does not know, and what staff do with each."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from portal.booking.models import Booking
from portal.calendars.models import Calendar, UnknownBooking
from portal.clock import now_utc
from portal.extensions import db
from portal.language.say import speaking
from portal.sync.event.text import Guest, Subject, description
from providers.calendars.base import EventDraft, EventMark
from providers.calendars.ical.draft import write_event
from providers.calendars.ical.mapping import read_event
from tests.factories import make_calendar


@pytest.fixture
def lost(studio):
    """An event of ours in Ana's calendar that no booking stands behind."""
    calendar = make_calendar(studio.ana)
    start_at = (now_utc() + timedelta(days=3)).replace(hour=9, minute=0, second=0, microsecond=0)
    row = UnknownBooking(
        calendar_id=calendar.id, remote_id="x", instance_id="former", appointment_no=7,
        start_at=start_at, end_at=start_at + timedelta(minutes=30),
    )  # fmt: skip
    row.tell("Consultation · Eva Ruiz")
    db.session.add(row)
    db.session.commit()
    return row.id


def test_they_are_listed_with_three_answers_and_named_on_today(lost, admin):
    text = admin.get("/admin/questions").get_data(as_text=True)
    for said in (
        "Bookings that the backup does not know",
        "Eva Ruiz",
        "Take up again",
        "Keep the time closed",
        "Remove it",
    ):
        assert said in text, said
    assert "1 booking that the backup does not know" in admin.get("/admin").get_data(as_text=True)


def test_what_their_events_tell_is_stored_sealed(lost):
    row = db.session.get_one(UnknownBooking, lost)
    assert "Eva" not in str(db.session.execute(select(UnknownBooking.__table__)).mappings().all())
    before = row.sealed_summary
    row.tell("Consultation · Eva Ruiz")
    assert row.sealed_summary == before
    assert row.summary == "Consultation · Eva Ruiz"


def test_a_booking_is_taken_up_with_what_the_event_tells(lost, admin, studio):
    form = admin.get(f"/admin/unknown/{lost}").get_data(as_text=True)
    assert 'value="Eva Ruiz"' in form
    assert re.search(rf'value="{studio.service.id}" selected', form)
    assert re.search(rf'name="resource-{studio.ana.id}"[^>]* checked', form)
    typed = {
        "service": studio.service.id,
        f"resource-{studio.ana.id}": "1",
        "name-1": "Eva Ruiz",
        "email-1": "",
        "party_size-1": "1",
    }
    answer = admin.post(f"/admin/unknown/{lost}/booking", data=typed)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    db.session.rollback()
    booking = db.session.scalars(select(Booking)).one()
    assert (booking.status, booking.customer_name, booking.channel) == ("confirmed", "Eva Ruiz", "staff")
    assert "Bookings that the backup" not in admin.get("/admin/questions").get_data(as_text=True)
    assert admin.get(f"/admin/unknown/{lost}").status_code == 404


def test_what_the_events_text_tells_of_people_stands_in_the_form(lost, admin):
    guests = (Guest(name="Eva Ruiz", email="eva@example.org", phone="+34 600 123 456", note="Tea", party_size=2),)
    subject = Subject(
        instance_id="i", appointment_id=1, service="Yoga", location="", zone="UTC", portal_url="https://x.example/1",
        guests=guests, privacy="full", language="hu",
    )  # fmt: skip
    with speaking("hu"):
        text = description(subject)
    db.session.get_one(UnknownBooking, lost).tell("Consultation · Eva Ruiz", text)
    db.session.commit()
    form = admin.get(f"/admin/unknown/{lost}").get_data(as_text=True)
    for said in ("Eva Ruiz", "eva@example.org", "+34 600 123 456", "2"):
        assert f'value="{said}"' in form, said


def test_a_calendar_server_tells_the_text_of_our_own_events_alone():
    draft = EventDraft(
        uid="u", mark=EventMark(instance_id="i", appointment_id=1, generation=0), summary="Yoga", zone="UTC",
        description="Eva Ruiz\neva@example.org; " + "long " * 40, url="", location="",
        start_at=datetime(2030, 1, 1, 9, tzinfo=UTC), end_at=datetime(2030, 1, 1, 10, tzinfo=UTC), sequence=0,
    )  # fmt: skip
    body = write_event(draft, stamp=draft.start_at)
    window = (draft.start_at, draft.end_at)
    told = [
        read_event(text, remote_id="/a", etag="1", window=window, zone="UTC").description
        for text in (body, body.replace("X-LOCKSTEP", "X-OTHER"))
    ]
    assert told == [draft.description, ""]


def test_what_is_missing_is_named_and_nothing_typed_is_lost(lost, admin):
    answer = admin.post(f"/admin/unknown/{lost}/booking", data={"phone-1": "+34 600 000 000"})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    for said in ("Please choose what was booked", "Please choose whose time", "Please give a name", "+34 600 000 000"):
        assert said in text, said


@pytest.mark.parametrize("given", ["keep", "remove"])
def test_it_is_answered_by_button_once(lost, admin, given):
    assert admin.post(f"/admin/unknown/{lost}/answer", data={"answer": given}).status_code == 303
    db.session.rollback()
    row = db.session.get_one(UnknownBooking, lost)
    assert (row.answer, row.summary) == (given, "")
    assert admin.post(f"/admin/unknown/{lost}/answer", data={"answer": given}).status_code == 404


def test_staff_decide_about_their_own_calendar_alone(lost, staff, studio):
    assert staff.get(f"/admin/unknown/{lost}").status_code == 404
    assert staff.post(f"/admin/unknown/{lost}/answer", data={"answer": "remove"}).status_code == 404
    assert "Eva Ruiz" not in staff.get("/admin/questions").get_data(as_text=True)
    calendar = db.session.scalars(select(Calendar)).one()
    calendar.resource_id = studio.ben.id
    db.session.commit()
    assert "Eva Ruiz" in staff.get("/admin/questions").get_data(as_text=True)


def test_looking_decides_nothing(lost, admin):
    admin.get(f"/admin/unknown/{lost}")
    admin.get("/admin/questions")
    db.session.rollback()
    assert db.session.get_one(UnknownBooking, lost).answered_at is None


def test_a_request_that_was_approved_since_leads_to_the_request(lost, admin, studio):
    booking = studio.book()
    booking.status, booking.pending_reason = "pending", "approval"
    db.session.get_one(UnknownBooking, lost).appointment_id = booking.appointment_id
    db.session.commit()
    text = admin.get("/admin/questions").get_data(as_text=True)
    assert "See the request, and approve it" in text
    assert "it was approved after the backup" in text
    assert admin.get(f"/admin/unknown/{lost}").location == f"/admin/bookings/{booking.id}"
