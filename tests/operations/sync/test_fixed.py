"""Appointments at fixed times stand in the calendar from the day they are planned on, and what people do to their events concerns all who come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.booking.fixed import dates
from portal.booking.models import Booking
from portal.booking.operations import book, cancel_booking
from portal.booking.rules import Customer
from portal.business.models import Resource
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.sync.outside import questions
from portal.sync.pull.pull import pull
from portal.sync.reconcile import reconcile
from portal.upkeep.invariants import invariants
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from tests.factories import make_calendar, make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, Studio, at, fresh, rows


@pytest.fixture
def yoga(studio):
    """The studio with a service of classes for twelve, none of them planned yet."""
    (ana,) = rows(Resource, Resource.id == studio.resource_id)
    studio.service_slug = make_service([ana], duration=60, step=60, capacity=12, timing="fixed", name="Yoga").slug
    return studio


def plan(studio, start_at, **more):
    appointment_id = dates.plan_date(studio.service_slug, start_at, now=now_utc(), **more)
    studio.publish_all()
    return appointment_id


def join(studio, start_at, name, party_size=1):
    customer = Customer(name=name, email=f"{name.partition(' ')[0].lower()}@example.org")
    done = book(
        service_slug=studio.service_slug, start_at=start_at, customer=customer, party_size=party_size,
        idempotency_key=f"{name} {start_at}", now=now_utc(),
    )  # fmt: skip
    studio.publish_all()
    return done.booking_id


def titles(studio):
    return [event.summary for event in studio.events() if event.mark]


def drag(studio, start_at, end_at=None):
    studio.store.move_event(DEFAULT_CALENDAR, studio.own_event().remote_id, start_at, end_at)
    studio.pull()


def delete(studio):
    studio.store.remove_event(DEFAULT_CALENDAR, studio.own_event().remote_id)
    studio.pull()


def told(studio, news):
    return sorted(entry.subject for entry in studio.news("notify.customer") if entry.payload["news"] == news)


def healthy():
    db.session.rollback()
    return invariants(db.session()) == []


def test_a_planned_class_stands_at_once_with_none_of_twelve(yoga):
    plan(yoga, at(2, 10))
    assert (yoga.own_event().summary, yoga.own_event().start_at) == ("Yoga · 0 of 12", at(2, 10))
    assert healthy()


def test_it_stays_when_the_last_one_leaves(yoga):
    plan(yoga, at(2, 10))
    booking_id = join(yoga, at(2, 10), "Eva Ruiz", party_size=8)
    assert titles(yoga) == ["Yoga · 8 of 12"]
    cancel_booking(booking_id, by="customer", now=now_utc())
    yoga.publish_all()
    assert titles(yoga) == ["Yoga · 0 of 12"]
    assert yoga.store.calls.count("delete") == 0
    assert healthy()


def test_called_off_its_event_goes(yoga):
    appointment_id = plan(yoga, at(2, 10))
    join(yoga, at(2, 10), "Eva Ruiz")
    dates.call_off(appointment_id, now=now_utc())
    yoga.publish_all()
    yoga.pull()
    assert titles(yoga) == []
    assert yoga.link(appointment_id).state == "none"
    assert healthy()


def test_another_capacity_shows(yoga):
    appointment_id = plan(yoga, at(2, 10))
    dates.change_capacity(appointment_id, 15, now=now_utc())
    yoga.publish_all()
    assert titles(yoga) == ["Yoga · 0 of 15"]


def test_its_room_shows_it_too(app):
    ana, room = (make_resource(weekly=ALL_DAY, zone="UTC") for _ in range(2))
    slug = make_service([ana], [room], duration=60, step=60, capacity=12, timing="fixed", name="Yoga").slug
    hers, its = (make_calendar(who, remote_id=DEFAULT_CALENDAR, url=who.slug, zone="UTC") for who in (ana, room))
    studio = Studio(ana.id, hers.id, slug, MemoryCalendars.open(ana.slug))
    of_the_room = Studio(room.id, its.id, slug, MemoryCalendars.open(room.slug))
    plan(studio, at(2, 10))
    join(studio, at(2, 10), "Eva Ruiz")
    assert titles(studio) == titles(of_the_room) == ["Yoga · 1 of 12"]
    drag(of_the_room, at(2, 15))
    assert [event.start_at for event in studio.events()] == [at(2, 15)], "moved in the room's calendar, hers follows"


@pytest.mark.parametrize("names", [(), ("Eva Ruiz",), ("Eva Ruiz", "Max Cole", "Kim Lee")])
def test_moved_outside_it_follows_with_everybody_in_it(yoga, names):
    appointment_id = plan(yoga, at(2, 10))
    ids = [join(yoga, at(2, 10), name) for name in names]
    drag(yoga, at(3, 15), at(3, 16, 30))
    appointment = yoga.appointment(appointment_id)
    assert (appointment.start_at, appointment.end_at) == (at(3, 15), at(3, 16, 30))
    assert told(yoga, "moved") == sorted(f"booking:{booking_id}" for booking_id in ids)
    assert (yoga.link(appointment_id).state, yoga.link(appointment_id).outside) == ("done", "")
    assert (titles(yoga), yoga.questions(), yoga.busy()) == ([f"Yoga · {len(names)} of 12"], [], [])
    assert healthy()


def test_a_time_that_is_taken_is_asked_about_and_everything_stays(yoga):
    first, second = plan(yoga, at(2, 10)), plan(yoga, at(2, 14))
    own = next(event for event in yoga.events() if event.start_at == at(2, 10))
    yoga.store.move_event(DEFAULT_CALENDAR, own.remote_id, at(2, 14, 30))
    yoga.pull()
    assert yoga.appointment(first).start_at == at(2, 10)
    (question,) = yoga.questions()
    assert "could not follow" in question.sentence
    assert "“Yoga”" in question.sentence
    assert [conflict.appointment_id for conflict in yoga.conflicts()] == [second]


def test_who_books_while_a_question_is_open_does_not_answer_it(yoga):
    yoga.set_rule(when_moved="ask")
    appointment_id = plan(yoga, at(2, 10))
    drag(yoga, at(3, 15))
    join(yoga, at(2, 10), "Eva Ruiz")
    assert yoga.own_event().start_at == at(3, 15), "it stays where the person has put it"
    (question,) = yoga.questions()
    questions.answer(question.id, "follow", user_id=None, now=now_utc())  # type: ignore[arg-type]
    yoga.publish_all()
    assert (yoga.own_event().start_at, titles(yoga)) == (at(3, 15), ["Yoga · 1 of 12"])
    assert yoga.appointment(appointment_id).start_at == at(3, 15)
    assert told(yoga, "moved") != []


def test_put_back_by_hand_the_event_learns_who_has_booked_meanwhile(yoga):
    yoga.set_rule(when_moved="ask")
    plan(yoga, at(2, 10))
    drag(yoga, at(3, 15))
    join(yoga, at(2, 10), "Eva Ruiz")
    assert titles(yoga) == ["Yoga · 0 of 12"]
    drag(yoga, at(2, 10))
    assert (titles(yoga), yoga.questions()) == (["Yoga · 1 of 12"], [])


def test_moved_here_while_a_question_is_open_the_question_ends(yoga):
    yoga.set_rule(when_moved="ask")
    appointment_id = plan(yoga, at(2, 10))
    drag(yoga, at(3, 15))
    dates.move_appointment(appointment_id, at(4, 9), by="staff", now=now_utc())
    yoga.publish_all()
    assert (yoga.own_event().start_at, yoga.questions()) == (at(4, 9), [])
    assert yoga.link(appointment_id).state == "done"


def test_deleted_outside_staff_are_asked_and_it_stands_meanwhile(yoga):
    appointment_id = plan(yoga, at(2, 10))
    delete(yoga)
    (question,) = yoga.questions()
    assert question.kind == "deleted"
    assert "“Yoga”" in question.sentence
    assert "The appointment stands, with no bookings." in question.sentence
    assert yoga.appointment(appointment_id).is_active
    join(yoga, at(2, 10), "Eva Ruiz")
    assert (titles(yoga), len(yoga.questions())) == ([], 1), "a booking is no answer"


@pytest.mark.parametrize("names", [(), ("Eva Ruiz", "Max Cole")])
def test_the_answer_cancel_calls_it_off_and_everybody_is_told(yoga, names):
    appointment_id = plan(yoga, at(2, 10))
    ids = [join(yoga, at(2, 10), name) for name in names]
    delete(yoga)
    (question,) = yoga.questions()
    questions.answer(question.id, "cancel", user_id=None, now=now_utc())  # type: ignore[arg-type]
    yoga.publish_all()
    assert yoga.appointment(appointment_id).called_off_at is not None
    assert told(yoga, "cancelled") == sorted(f"booking:{booking_id}" for booking_id in ids)
    assert (titles(yoga), yoga.questions(), yoga.link(appointment_id).state) == ([], [], "none")
    assert healthy()


@pytest.mark.parametrize("names", [(), ("Eva Ruiz", "Max Cole")])
def test_the_answer_put_back_writes_it_anew(yoga, names):
    appointment_id = plan(yoga, at(2, 10))
    for name in names:
        join(yoga, at(2, 10), name)
    delete(yoga)
    (question,) = yoga.questions()
    questions.answer(question.id, "put back", user_id=None, now=now_utc())  # type: ignore[arg-type]
    yoga.publish_all()
    assert (titles(yoga), yoga.own_event().start_at) == ([f"Yoga · {len(names)} of 12"], at(2, 10))
    assert yoga.link(appointment_id).state == "done"


@pytest.mark.parametrize("names", [(), ("Eva Ruiz", "Max Cole")])
def test_by_the_rule_cancel_it_is_called_off(yoga, names):
    yoga.set_rule(when_deleted="cancel")
    appointment_id = plan(yoga, at(2, 10))
    ids = [join(yoga, at(2, 10), name) for name in names]
    delete(yoga)
    assert yoga.appointment(appointment_id).called_off_at is not None
    assert [fresh(Booking, booking_id).status for booking_id in ids] == ["cancelled"] * len(ids)
    assert [entry.payload["by"] for entry in yoga.news("notify.customer") if entry.payload["news"] == "cancelled"] == [
        "calendar"
    ] * len(ids)
    assert healthy()


def test_by_the_rule_cancel_a_group_of_any_service_loses_all_its_bookings(studio):
    (ana,) = rows(Resource, Resource.id == studio.resource_id)
    studio.service_slug = make_service([ana], duration=60, step=60, capacity=5, name="Workshop").slug
    studio.set_rule(when_deleted="cancel")
    ids = [join(studio, at(2, 10), name) for name in ("Eva Ruiz", "Max Cole")]
    delete(studio)
    assert [fresh(Booking, booking_id).status for booking_id in ids] == ["cancelled"] * 2
    assert told(studio, "cancelled") == sorted(f"booking:{booking_id}" for booking_id in ids)


def test_an_outside_event_over_a_class_that_nobody_has_booked_is_a_conflict(yoga):
    appointment_id = plan(yoga, at(2, 10))
    yoga.store.add_event(DEFAULT_CALENDAR, "Dentist", at(2, 10, 30), at(2, 11))
    yoga.pull()
    assert [conflict.appointment_id for conflict in yoga.conflicts()] == [appointment_id]
    dates.move_appointment(appointment_id, at(2, 15), by="staff", now=now_utc())
    yoga.publish_all()
    assert yoga.conflicts() == []


def test_reconcile_writes_a_class_whose_event_was_never_made(yoga):
    appointment_id = dates.plan_date(yoga.service_slug, at(2, 10), now=now_utc())
    transaction(lambda s: [s.delete(s.merge(entry)) for entry in yoga.news("calendar.publish")])
    assert titles(yoga) == []
    report = reconcile(yoga.calendar_id)
    yoga.publish_all()
    assert (report.republished, titles(yoga)) == (1, ["Yoga · 0 of 12"])
    assert yoga.link(appointment_id).state == "done"


def test_the_doctor_misses_a_class_that_is_in_no_calendar(yoga):
    appointment_id = dates.plan_date(yoga.service_slug, at(2, 10), now=now_utc())
    transaction(lambda s: [s.delete(s.merge(entry)) for entry in yoga.news("calendar.publish")])
    found = invariants(db.session())
    assert [sentence for sentence in found if f"Appointment {appointment_id} is neither in calendar" in sentence]


def test_connected_anew_the_events_of_classes_are_taken_up_again(yoga):
    appointment_id = plan(yoga, at(2, 10))
    before = yoga.own_event().remote_id
    calendar = yoga.calendar()
    url = calendar.connection.account["url"]
    transaction(lambda s: s.delete(s.merge(calendar.connection)))
    (ana,) = rows(Resource, Resource.id == yoga.resource_id)
    yoga.calendar_id = make_calendar(ana, remote_id=DEFAULT_CALENDAR, url=url, zone="UTC").id
    pull(yoga.calendar_id)
    yoga.publish_all()
    assert [event.remote_id for event in yoga.events()] == [before]
    assert yoga.link(appointment_id).state == "done"


def test_what_was_never_answered_ends_with_the_appointment(yoga):
    yoga.set_rule(when_moved="ask")
    appointment_id = plan(yoga, at(2, 10))
    drag(yoga, at(3, 15))
    join(yoga, at(2, 10), "Eva Ruiz")
    yoga.store.add_event(DEFAULT_CALENDAR, "Dentist", at(2, 10, 30), at(2, 11))
    yoga.pull()
    assert (len(yoga.questions()), len(yoga.conflicts())) == (1, 1)
    ended = transaction(lambda s: questions.end_those_over(s, now=at(2, 11) - timedelta(seconds=1)))
    assert (ended, len(yoga.questions())) == (0, 1)
    assert transaction(lambda s: questions.end_those_over(s, now=at(2, 11))) == 1
    assert (yoga.questions(), yoga.conflicts()) == ([], [])
    assert (yoga.link(appointment_id).state, yoga.link(appointment_id).outside) == ("done", "")
    reconcile(yoga.calendar_id)
    yoga.publish_all()
    assert yoga.own_event().start_at == at(3, 15), "people's calendar stays as they left it"
    assert "over" in yoga.story()


def test_the_page_about_it_is_named_by_service_and_seats(yoga):
    """The names that the portal's pages and mails use when no booking names it."""
    plan(yoga, at(2, 10))
    delete(yoga)
    from portal.accounts.models import User
    from portal.admin.questions import queries

    (asked,) = queries.open_questions(db.session(), User(email="o@example.org", role="owner"))
    assert (asked.about.name, asked.about.only, asked.about.taken) == ("Yoga", None, 0)
