"""Outside changes that staff decide about, with a real calendar in memory behind them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from portal.api import present
from portal.booking.fixed import dates
from portal.booking.models import Appointment, Booking
from portal.calendars.models import Calendar
from portal.clock import now_utc
from portal.extensions import db
from portal.notifications.compose.messages import compose
from portal.notifications.gather import bookings
from portal.outbox import OutboxEntry, work_of
from portal.sync.models import Conflict, Question
from portal.sync.publish.publish import publish
from portal.sync.pull.pull import pull
from portal.sync.state import overview
from providers.calendars.memory import MemoryCalendars
from tests.factories import make_calendar, make_service
from tests.support.people import make_user, signed_in


@pytest.fixture
def diary(studio):
    """Ana's calendar in memory, connected, with one booking written into it; rules say: ask."""
    MemoryCalendars.reset()
    calendar = make_calendar(studio.ana, name="Work", remote_id="calendar", when_moved="ask", when_deleted="ask")
    pull(calendar.id)
    booking_id = studio.book("Clara").id
    appointment_id = db.session.get(Booking, booking_id).appointment_id
    publish(appointment_id)
    db.session.rollback()
    store = MemoryCalendars.open(calendar.connection.account["url"])
    assert len(store.events()) == 1
    return store, calendar.id, booking_id, appointment_id


def fresh(model, row_id):
    db.session.rollback()
    return db.session.get(model, row_id)


def open_question():
    db.session.rollback()
    return db.session.scalars(select(Question).where(Question.answered_at.is_(None))).one_or_none()


def ask_by_deleting(diary):
    store, calendar_id, _, _ = diary
    store.remove_event("calendar", store.events()[0].remote_id)
    pull(calendar_id)
    return open_question()


def test_nothing_to_decide_is_said(studio, admin, page):
    assert "Nothing to decide" in page(admin, "/admin/questions")


def test_a_deleted_event_asks_with_two_buttons_and_the_booking_stands(diary, admin, page):
    question = ask_by_deleting(diary)
    text = page(admin, "/admin/questions")
    assert question.sentence in text
    assert "Cancel the booking and tell the customer" in text
    assert "Put the event back" in text
    assert fresh(Booking, diary[2]).status == "confirmed"
    assert page(admin, "/admin/questions", partial=True).lstrip().startswith('<div id="questions"')


def test_the_booking_is_cancelled_when_staff_say_so(diary, admin, page):
    question = ask_by_deleting(diary)
    text = page(admin, f"/admin/questions/{question.id}/answer", post={"answer": "cancel"})
    assert "It is cancelled, and everybody who had booked is told" in text
    assert fresh(Booking, diary[2]).status == "cancelled"
    assert open_question() is None
    assert db.session.get(Question, question.id).answered_by is not None


def test_the_event_is_put_back_when_staff_say_so(diary, admin, page):
    question = ask_by_deleting(diary)
    page(admin, f"/admin/questions/{question.id}/answer", post={"answer": "put back"})
    assert fresh(Booking, diary[2]).status == "confirmed"
    publish(diary[3])
    assert len(diary[0].events()) == 1


@pytest.mark.parametrize(("answer", "hours"), [("follow", 3), ("put back", 0)])
def test_a_moved_event_asks_and_the_answer_is_carried_out(diary, admin, page, answer, hours):
    store, calendar_id, _, appointment_id = diary
    event, before = store.events()[0], fresh(Appointment, appointment_id).start_at
    store.move_event("calendar", event.remote_id, event.start_at + timedelta(hours=3))
    pull(calendar_id)
    question = open_question()
    assert question.kind == "moved"
    assert "In the calendar:" in page(admin, "/admin/questions")
    page(admin, f"/admin/questions/{question.id}/answer", post={"answer": answer})
    assert fresh(Appointment, appointment_id).start_at == before + timedelta(hours=hours)
    publish(appointment_id)
    assert store.events()[0].start_at == before + timedelta(hours=hours)
    assert open_question() is None


def test_answering_twice_changes_nothing_more(diary, admin, page):
    question = ask_by_deleting(diary)
    page(admin, f"/admin/questions/{question.id}/answer", post={"answer": "put back"})
    assert "settled" in page(admin, f"/admin/questions/{question.id}/answer", post={"answer": "cancel"})
    assert fresh(Booking, diary[2]).status == "confirmed"


@pytest.mark.parametrize("answer", ["", "follow", "delete everything"])
def test_an_answer_that_was_not_offered_is_refused(diary, admin, answer):
    question = ask_by_deleting(diary)
    assert admin.post(f"/admin/questions/{question.id}/answer", data={"answer": answer}).status_code == 404
    assert open_question() is not None


def test_an_event_over_a_booking_is_told_in_words(studio, diary, admin, page):
    """And by its name to whom it belongs, who alone may know it."""
    store, calendar_id, _, _ = diary
    ana = signed_in(studio.app, make_user("staff", resource_id=studio.ana.id))
    start = store.events()[0].start_at
    store.add_event("calendar", "Dentist", start - timedelta(minutes=15), start + timedelta(minutes=15))
    pull(calendar_id)
    text = page(ana, "/admin/questions")
    assert "Ana · Consultation with" in text
    assert "overlaps “Dentist” in the calendar Work" in text
    assert "overlaps an event in the calendar Work" in page(admin, "/admin/questions")
    assert "Dentist" not in page(admin, "/admin/integrations")
    store.remove_event("calendar", next(e.remote_id for e in store.events() if e.summary == "Dentist"))
    pull(calendar_id)
    assert "Dentist" not in page(ana, "/admin/questions")
    assert all(db.session.scalars(select(Conflict.resolved_at)))


def test_the_worker_is_told_after_an_answer(diary, admin, page):
    question = ask_by_deleting(diary)
    page(admin, f"/admin/questions/{question.id}/answer", post={"answer": "put back"})
    db.session.rollback()
    todo = db.session.scalars(select(OutboxEntry.topic).where(OutboxEntry.state == "todo")).all()
    assert "calendar.publish" in todo
    assert db.session.get(Calendar, diary[1]).last_read_at <= now_utc()


@pytest.fixture
def weekly_class(studio):
    """Ana's calendar with the event of a class of twelve that nobody has booked; (its store, calendar id, appointment id)."""
    MemoryCalendars.reset()
    calendar = make_calendar(studio.ana, name="Work", remote_id="calendar", when_moved="ask", when_deleted="ask")
    calendar_id, url = calendar.id, calendar.connection.account["url"]
    pull(calendar_id)
    slug = make_service([studio.ana], name="Yoga", timing="fixed", capacity=12, duration=60, step=60).slug
    start = (now_utc() + timedelta(days=3)).replace(hour=10, minute=0, second=0, microsecond=0)
    appointment_id = dates.plan_date(slug, start, now=now_utc())
    publish(appointment_id)
    return MemoryCalendars.open(url), calendar_id, appointment_id


def test_a_class_that_nobody_has_booked_is_named_by_what_takes_place(weekly_class, admin, page):
    store, calendar_id, appointment_id = weekly_class
    store.remove_event("calendar", store.events()[0].remote_id)
    pull(calendar_id)
    text = page(admin, "/admin/questions")
    for part in ("Yoga, ", "0 of 12 seats taken", ">Call it off<", "Put the event back"):
        assert part in text
    assert f"/admin/appointments/{appointment_id}" in text
    page(admin, f"/admin/questions/{open_question().id}/answer", post={"answer": "cancel"})
    assert fresh(Appointment, appointment_id).called_off_at is not None
    assert "Nothing to decide" in page(admin, "/admin/questions")


def test_an_event_over_such_a_class_is_told_too(weekly_class, admin, page):
    store, calendar_id, appointment_id = weekly_class
    start = store.events()[0].start_at
    store.add_event("calendar", "Dentist", start, start + timedelta(minutes=15))
    pull(calendar_id)
    text = page(admin, "/admin/questions")
    for part in ("overlaps an event", "0 of 12 seats taken", f"/admin/appointments/{appointment_id}"):
        assert part in text


def test_staff_are_mailed_of_it_by_its_name(weekly_class, studio):
    store, calendar_id, _ = weekly_class
    store.move_event("calendar", store.events()[0].remote_id, store.events()[0].start_at + timedelta(hours=5))
    pull(calendar_id)
    db.session.rollback()
    entry = db.session.scalars(select(OutboxEntry).where(OutboxEntry.subject.startswith("question:"))).one()
    news, *_ = bookings.for_staff(db.session(), work_of(entry), now=now_utc())
    mail = compose(news)
    assert "Yoga" in mail.subject
    assert "nobody has booked it yet" in mail.text


def test_a_move_over_another_event_says_so_and_is_followed_knowingly_alone(studio, diary, admin, page):
    store, calendar_id, _, appointment_id = diary
    before = fresh(Appointment, appointment_id).start_at
    later = before + timedelta(days=1)
    store.add_event("calendar", "Dentist", later, later + timedelta(hours=1))
    store.move_event("calendar", store.events()[0].remote_id, later)
    pull(calendar_id)
    question = open_question()
    text = page(admin, "/admin/questions")
    assert "Another event stands there" in text
    assert 'name="over"' in text
    address = f"/admin/questions/{question.id}/answer"
    assert "stands there" in page(admin, address, post={"answer": "follow"})
    assert fresh(Appointment, appointment_id).start_at == before
    page(admin, address, post={"answer": "follow", "over": "1"})
    assert fresh(Appointment, appointment_id).start_at == later


@pytest.mark.parametrize(("act", "said"), [("remove", "Taken out of the calendar"), ("move", "Moved in the calendar")])
def test_an_event_that_waits_for_an_answer_is_not_called_unwritten(diary, admin, page, act, said):
    store, calendar_id, booking_id, _ = diary
    db.session.execute(update(OutboxEntry).values(state="done"))  # it was written, as the worker notes
    db.session.commit()
    remote_id = store.events()[0].remote_id
    if act == "remove":
        store.remove_event("calendar", remote_id)
    else:
        store.move_event("calendar", remote_id, store.events()[0].start_at + timedelta(hours=5))
    pull(calendar_id)
    for path in (f"/admin/bookings/{booking_id}", "/admin/bookings"):
        text = page(admin, path)
        assert said in text
        assert "yet in the calendar" not in text
    assert "waiting to be written" not in page(admin, "/admin/integrations")
    (facts,) = overview.list_calendars(db.session())
    assert (facts.waiting, facts.stuck) == (0, 0)
    told = present._sync(db.session(), diary[3])
    assert told["state"] == "stuck"
    assert ("taken out" if act == "remove" else "moved") in told["reason"]
    page(admin, f"/admin/questions/{open_question().id}/answer", post={"answer": "put back"})
    publish(diary[3])
    assert "reason" not in present._sync(db.session(), diary[3])
