"""What people do to our events in their own calendar, and the rules that answer it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from portal.booking.operations import cancel_booking, move_booking
from portal.clock import now_utc
from portal.database.engine import read_transaction
from portal.errors import Invalid, NotAllowedNow, SlotTaken
from portal.sync.outside import changes as outside_changes
from portal.sync.outside import questions, steps
from portal.sync.pull import pull
from providers.errors import Temporary
from tests.factories import make_calendar, make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, HOUR, MemoryCalendars, Studio, at


def drag(studio, start_at, end_at=None):
    studio.store.move_event("calendar", studio.own_event().remote_id, start_at, end_at)
    studio.pull()


def matter_of(studio, appointment_id):
    link = studio.link(appointment_id)
    return read_transaction(lambda session: steps.matter_of(session, appointment_id, link.calendar_id))


def delete(studio):
    studio.store.remove_event("calendar", studio.own_event().remote_id)
    studio.pull()


class TestMoved:
    def test_the_booking_follows_and_the_customer_is_told_once(self, studio):
        appointment_id = studio.booked(at(2, 10))
        drag(studio, at(3, 15))
        studio.pull()
        appointment = studio.appointment(appointment_id)
        assert (appointment.start_at, appointment.end_at) == (at(3, 15), at(3, 16))
        news = [entry.payload for entry in studio.news("notify.customer") if entry.payload["news"] == "moved"]
        assert [(n["by"], n["previous_start_at"]) for n in news] == [("calendar", at(2, 10).isoformat())]
        assert studio.link(appointment_id).state == "done"
        assert studio.link(appointment_id).outside == ""
        assert studio.store.calls.count("put") == 1, "the event stands where it was put; nothing is written"
        assert studio.busy() == [], "the claims guard the new time now"

    def test_a_move_by_ten_minutes_over_its_own_old_time_follows(self, studio):
        appointment_id = studio.booked(at(2, 10))
        drag(studio, at(2, 10, 10))
        assert studio.appointment(appointment_id).start_at == at(2, 10, 10)
        assert studio.questions() == []

    def test_the_new_length_is_followed_too(self, studio):
        appointment_id = studio.booked(at(2, 10))
        drag(studio, at(3, 15), at(3, 16, 30))
        assert studio.appointment(appointment_id).end_at == at(3, 16, 30)

    def test_a_time_that_is_taken_becomes_a_question_and_a_conflict(self, studio):
        first = studio.booked(at(2, 10))
        own = studio.own_event().remote_id
        other = studio.booked(at(2, 14))
        studio.store.move_event("calendar", own, at(2, 14, 30))
        studio.pull()
        assert studio.appointment(first).start_at == at(2, 10)
        (question,) = studio.questions()
        assert (question.kind, question.appointment_id, question.start_at) == ("moved", first, at(2, 14, 30))
        assert "could not follow" in question.sentence
        assert [conflict.appointment_id for conflict in studio.conflicts()] == [other]

    def test_a_move_over_another_event_becomes_a_question(self, studio):
        appointment_id = studio.booked(at(2, 10))
        studio.store.add_event("calendar", "Dentist", at(3, 15), at(3, 16))
        drag(studio, at(3, 15, 30))
        assert studio.appointment(appointment_id).start_at == at(2, 10)
        (question,) = studio.questions()
        assert "Another event in the calendar stands there" in question.sentence

    def test_dragged_back_to_where_we_once_wrote_it_the_booking_follows_again(self, studio):
        """Many programs leave SEQUENCE alone, so the event is then the very one that we wrote; it is no echo all the same."""
        appointment_id = studio.booked(at(2, 10))
        own = studio.own_event()
        drag(studio, at(3, 15))
        assert studio.appointment(appointment_id).start_at == at(3, 15)
        studio.store.add_event(
            "calendar", own.summary, own.start_at, own.end_at, uid=own.uid, remote_id=own.remote_id, mark=own.mark
        )
        studio.pull()
        assert studio.appointment(appointment_id).start_at == at(2, 10)

    def test_ask_keeps_the_booking_and_asks_once(self, studio):
        studio.set_rule(when_moved="ask")
        appointment_id = studio.booked(at(2, 10))
        drag(studio, at(3, 15))
        studio.pull()
        assert studio.appointment(appointment_id).start_at == at(2, 10)
        assert len(studio.questions()) == 1
        assert sum(entry.subject.startswith("question:") for entry in studio.news("notify.staff")) == 1
        assert studio.busy() == [(at(3, 15), at(3, 16))], "where the event stands nobody can book meanwhile"
        assert studio.link(appointment_id).state == "waiting"

    def test_put_back_writes_the_event_where_the_booking_stands(self, studio):
        studio.set_rule(when_moved="put back")
        appointment_id = studio.booked(at(2, 10))
        before = studio.own_event()
        drag(studio, at(3, 15))
        assert (studio.own_event().start_at, studio.own_event().remote_id) == (at(2, 10), before.remote_id)
        assert studio.appointment(appointment_id).start_at == at(2, 10)
        assert (studio.busy(), studio.link(appointment_id).state) == ([], "done")

    def test_moved_back_by_hand_the_question_ends(self, studio):
        studio.set_rule(when_moved="ask")
        appointment_id = studio.booked(at(2, 10))
        drag(studio, at(3, 15))
        drag(studio, at(2, 10))
        assert studio.questions() == []
        assert (studio.busy(), studio.link(appointment_id).state) == ([], "done")

    def test_moved_on_the_question_learns_the_new_time(self, studio):
        studio.set_rule(when_moved="ask")
        studio.booked(at(2, 10))
        drag(studio, at(3, 15))
        drag(studio, at(4, 9))
        assert [question.start_at for question in studio.questions()] == [at(4, 9)]
        assert studio.busy() == [(at(4, 9), at(4, 10))]

    @pytest.mark.parametrize("way_out", ["put back", "cancel"])
    def test_a_conflict_with_a_moved_event_ends_when_that_is_put_back_or_taken_away(self, studio, way_out):
        studio.set_rule(when_moved="ask")
        first = studio.booked(at(2, 10))
        own = studio.own_event().remote_id
        studio.booked(at(2, 14))
        studio.store.move_event("calendar", own, at(2, 14), at(2, 15))
        studio.pull()
        assert len(studio.conflicts()) == 1
        if way_out == "put back":
            steps.put_back(matter_of(studio, first), now=now_utc())
        else:
            cancel_booking(studio.booking(first).id, by="staff", now=now_utc())
        studio.publish_all()
        studio.pull()
        assert studio.conflicts() == []

    def test_a_move_into_the_past_is_not_followed_unasked(self, studio):
        appointment_id = studio.booked(at(2, 10))
        drag(studio, at(-1, 10))
        assert studio.appointment(appointment_id).start_at == at(2, 10)
        assert len(studio.questions()) == 1

    def test_an_event_blown_up_to_another_whole_day_is_not_followed_unasked(self, studio):
        appointment_id = studio.booked(at(2, 10))
        drag(studio, at(4, 0), at(5, 0))
        assert studio.appointment(appointment_id).start_at == at(2, 10)
        assert len(studio.questions()) == 1

    def test_made_longer_the_rest_blocks_and_nobody_is_told_anything(self, studio):
        appointment_id = studio.booked(at(2, 10))
        drag(studio, at(2, 10), at(2, 12))
        assert studio.appointment(appointment_id).end_at == at(2, 11)
        assert studio.busy() == [(at(2, 11), at(2, 12))]
        assert [e.payload["news"] for e in studio.news("notify.customer")] == ["booked"]

    def test_another_title_is_left_alone(self, studio):
        appointment_id = studio.booked(at(2, 10))
        studio.store.retitle_event("calendar", studio.own_event().remote_id, "Eva, bring papers")
        studio.pull()
        assert studio.own_event().summary == "Eva, bring papers"
        assert studio.link(appointment_id).etag == studio.own_event().etag
        assert studio.store.calls.count("put") == 1

    def test_another_etag_without_change_is_nothing(self, studio):
        appointment_id = studio.booked(at(2, 10))
        studio.store.touch_event("calendar", studio.own_event().remote_id)
        studio.pull()
        assert studio.link(appointment_id).etag == studio.own_event().etag
        assert studio.story().count("moved") == 0

    def test_everybody_in_a_class_moves_with_it(self, app):
        studio = class_studio()
        first = studio.booked(at(2, 10))
        studio.booked(at(2, 10), key="second customer")
        drag(studio, at(3, 15))
        assert {booking.appointment.start_at for booking in studio.appointment(first).bookings} == {at(3, 15)}
        moved = [entry for entry in studio.news("notify.customer") if entry.payload["news"] == "moved"]
        assert len({entry.subject for entry in moved}) == 2

    def test_the_event_in_the_other_calendar_follows_too(self, app):
        ana, room = make_resource(weekly=ALL_DAY, zone="UTC"), make_resource(kind="room", weekly=ALL_DAY, zone="UTC")
        service = make_service([ana], [room], duration=60, step=30)
        calendar = make_calendar(ana, remote_id="calendar", url=f"of-{ana.id}")
        make_calendar(room, remote_id="calendar", url=f"of-{room.id}")
        studio = Studio(ana.id, calendar.id, service.slug, MemoryCalendars.open(f"of-{ana.id}"))
        studio.booked(at(2, 10))
        drag(studio, at(3, 15))
        assert [event.start_at for event in MemoryCalendars.open(f"of-{room.id}").events()] == [at(3, 15)]

    def test_an_event_of_a_past_booking_may_be_dragged_about(self, studio):
        appointment_id = studio.booked(at(2, 10))
        own = studio.own_event().remote_id
        shift_into_past(appointment_id)
        studio.store.move_event("calendar", own, at(5, 9))
        studio.pull()
        assert studio.questions() == []
        assert studio.busy() == [(at(5, 9), at(5, 10))], "what stands in the calendar blocks"


class TestDeleted:
    def test_ask_is_the_default_and_the_booking_stands(self, studio):
        appointment_id = studio.booked(at(2, 10))
        delete(studio)
        studio.pull()
        assert studio.booking(appointment_id).status == "confirmed"
        (question,) = studio.questions()
        assert question.kind == "deleted"
        assert sum(entry.subject == f"question:{question.id}" for entry in studio.news("notify.staff")) == 1
        assert studio.link(appointment_id).state == "waiting"
        assert studio.events() == [], "it is not written again behind anybody's back"

    def test_cancel_cancels_and_tells_the_customer(self, studio):
        studio.set_rule(when_deleted="cancel")
        appointment_id = studio.booked(at(2, 10))
        delete(studio)
        booking = studio.booking(appointment_id)
        assert (booking.status, booking.cancelled_by) == ("cancelled", "calendar")
        assert studio.news("notify.customer")[-1].payload["news"] == "cancelled"
        assert studio.link(appointment_id).state == "none"

    def test_put_back_writes_it_under_a_new_identity(self, studio):
        studio.set_rule(when_deleted="put back")
        appointment_id = studio.booked(at(2, 10))
        before = studio.own_event()
        delete(studio)
        assert studio.own_event().start_at == at(2, 10)
        assert studio.own_event().uid != before.uid
        assert studio.link(appointment_id).generation == studio.appointment(appointment_id).generation == 2

    def test_before_any_reading_saw_it_is_noticed_though_the_feed_skips_it(self, studio, monkeypatch):
        studio.pull()
        changes = studio.store.changes

        def forgetful(calendar, token, **more):
            batch = changes(calendar, token, **more)
            return replace(batch, removals=()) if token else batch

        monkeypatch.setattr(studio.store, "changes", forgetful)
        appointment_id = studio.booked(at(2, 10))
        delete(studio)
        assert studio.link(appointment_id).outside == "removed"
        assert len(studio.questions()) == 1

    def test_a_tombstone_that_the_second_look_does_not_confirm_is_not_believed(self, studio, monkeypatch):
        studio.set_rule(when_deleted="cancel")
        appointment_id = studio.booked(at(2, 10))
        studio.pull()
        changes, own = studio.store.changes, studio.own_event().remote_id

        def lies(*args, **more):
            batch = changes(*args, **more)
            return type(batch)(removals=(own,), next_token=batch.next_token)

        monkeypatch.setattr(studio.store, "changes", lies)
        studio.pull()
        assert studio.booking(appointment_id).status == "confirmed"
        assert studio.story().count("removed") == 0

    def test_an_absence_that_cannot_be_verified_is_no_removal(self, studio):
        studio.set_rule(when_deleted="cancel")
        appointment_id = studio.booked(at(2, 10))
        studio.pull()
        studio.store.remove_event("calendar", studio.own_event().remote_id)
        studio.store.fail_next("get", Temporary("The server went away."))
        with pytest.raises(Temporary):
            pull.pull(studio.calendar_id)
        assert studio.booking(appointment_id).status == "confirmed"
        studio.pull()
        assert studio.booking(appointment_id).status == "cancelled", "the next look finds it all the same"

    def test_what_a_reading_of_a_window_lacks_may_have_been_moved_far_away(self, studio):
        studio.set_rule(when_moved="ask", when_deleted="cancel")
        studio.store.sees_window_only()
        appointment_id = studio.booked(at(2, 10))
        studio.pull()
        studio.store.move_event("calendar", studio.own_event().remote_id, at(400, 10))
        studio.store.expire_tokens()
        studio.pull()
        assert studio.booking(appointment_id).status == "confirmed"
        (question,) = studio.questions()
        assert (question.kind, question.start_at) == ("moved", at(400, 10))

    def test_called_off_counts_as_deleted_and_putting_back_restores_it_in_place(self, studio):
        studio.set_rule(when_deleted="put back")
        studio.booked(at(2, 10))
        before = studio.own_event()
        studio.store.cancel_event("calendar", before.remote_id)
        studio.pull()
        after = studio.own_event()
        assert (after.is_cancelled, after.remote_id) == (False, before.remote_id)

    def test_undone_by_hand_the_question_ends(self, studio):
        appointment_id = studio.booked(at(2, 10))
        own = studio.own_event()
        delete(studio)
        studio.store.add_event(
            "calendar", own.summary, own.start_at, own.end_at, uid=own.uid, remote_id=own.remote_id, mark=own.mark
        )
        studio.pull()
        assert studio.questions() == []
        assert studio.link(appointment_id).state == "done"

    def test_old_events_may_be_tidied_away(self, studio):
        appointment_id = studio.booked(at(2, 10))
        own = studio.own_event().remote_id
        shift_into_past(appointment_id)
        studio.store.remove_event("calendar", own)
        studio.pull()
        assert studio.questions() == []
        assert studio.booking(appointment_id).status == "confirmed"

    def test_a_cancelled_booking_whose_event_was_deleted_meanwhile_is_just_over(self, studio):
        appointment_id = studio.booked(at(2, 10))
        delete(studio)
        cancel_booking(studio.booking(appointment_id).id, by="customer", now=now_utc())
        studio.publish_all()
        assert studio.questions() == []
        assert studio.link(appointment_id).state == "none"

    def test_a_copy_that_somebody_made_blocks_and_moves_nothing(self, studio):
        appointment_id = studio.booked(at(2, 10))
        own = studio.own_event()
        studio.store.add_event("calendar", own.summary, at(9, 10), at(9, 11), mark=own.mark)
        studio.pull()
        assert studio.appointment(appointment_id).start_at == at(2, 10)
        assert studio.busy() == [(at(9, 10), at(9, 11))]


class TestAnswers:
    def question(self, studio, start_at=None):
        studio.set_rule(when_moved="ask", when_deleted="ask")
        appointment_id = studio.booked(at(2, 10))
        if start_at is None:
            delete(studio)
        else:
            drag(studio, start_at)
        return appointment_id, studio.questions()[0].id

    def answer(self, studio, question_id, answer):
        from portal.accounts.models import User
        from portal.extensions import db

        user = User(email=f"{question_id}@example.org", role="owner")
        db.session.add(user)
        db.session.commit()
        questions.answer(question_id, answer, user_id=user.id, now=now_utc())
        studio.publish_all()

    def test_cancel(self, studio):
        appointment_id, question_id = self.question(studio)
        self.answer(studio, question_id, "cancel")
        assert studio.booking(appointment_id).status == "cancelled"
        assert studio.booking(appointment_id).cancelled_by == "staff"
        assert studio.questions() == []

    def test_put_back_what_was_deleted(self, studio):
        appointment_id, question_id = self.question(studio)
        self.answer(studio, question_id, "put back")
        assert studio.own_event().start_at == at(2, 10)
        assert studio.link(appointment_id).state == "done"
        assert studio.questions() == []

    def test_follow(self, studio):
        appointment_id, question_id = self.question(studio, at(3, 15))
        self.answer(studio, question_id, "follow")
        assert studio.appointment(appointment_id).start_at == at(3, 15)
        assert studio.busy() == []

    def test_put_back_what_was_moved(self, studio):
        appointment_id, question_id = self.question(studio, at(3, 15))
        self.answer(studio, question_id, "put back")
        assert studio.own_event().start_at == at(2, 10)
        assert (studio.busy(), studio.link(appointment_id).state) == ([], "done")

    def test_a_taken_time_leaves_the_question_open(self, studio):
        first, question_id = self.question(studio, at(3, 15))
        make_room_taken(studio, at(3, 15))
        with pytest.raises(SlotTaken):
            self.answer(studio, question_id, "follow")
        assert [question.id for question in studio.questions()] == [question_id]
        assert studio.appointment(first).start_at == at(2, 10)

    def test_an_answer_is_given_once(self, studio):
        _, question_id = self.question(studio)
        self.answer(studio, question_id, "put back")
        with pytest.raises(NotAllowedNow):
            questions.answer(question_id, "cancel", user_id=1, now=now_utc())

    def test_an_answer_to_another_question_is_refused(self, studio):
        _, question_id = self.question(studio)
        with pytest.raises(Invalid):
            questions.answer(question_id, "follow", user_id=1, now=now_utc())

    def test_a_booking_that_was_moved_meanwhile_needs_no_answer(self, studio):
        appointment_id, _ = self.question(studio, at(3, 15))
        move_booking(studio.booking(appointment_id).id, at(5, 9), by="customer", now=now_utc())
        studio.publish_all()
        assert studio.questions() == []
        assert studio.own_event().start_at == at(5, 9)
        assert studio.busy() == []


def test_settling_twice_does_what_settling_once_does(studio):
    appointment_id = studio.booked(at(2, 10))
    drag(studio, at(3, 15))
    version = studio.appointment(appointment_id).version
    outside_changes.settle_link(studio.link(appointment_id).id, now=now_utc())
    assert studio.appointment(appointment_id).version == version


def class_studio():
    ana = make_resource(weekly=ALL_DAY, zone="UTC")
    service = make_service([ana], duration=60, step=30, capacity=12)
    calendar = make_calendar(ana, remote_id="calendar", url=f"class-{ana.id}")
    return Studio(ana.id, calendar.id, service.slug, MemoryCalendars.open(f"class-{ana.id}"))


def make_room_taken(studio, start_at):
    """Somebody books that time before the question is answered: past the busy time of the moved event, so by hand."""
    from portal.booking.models import Claim
    from portal.booking.rules import quanta
    from portal.database.engine import transaction

    other = studio.book(at(20, 10))

    def work(session):
        for number in quanta(start_at, start_at + HOUR):
            session.add(Claim(resource_id=studio.resource_id, quantum_no=number, appointment_id=other))

    transaction(work)


def shift_into_past(appointment_id):
    """Let time pass: the appointment was yesterday."""
    from portal.booking.models import Appointment, AppointmentResource, EventLink
    from portal.database.engine import transaction

    def work(session):
        appointment = session.get_one(Appointment, appointment_id)
        back = timedelta(days=3)
        appointment.claim_start_at -= back
        appointment.claim_end_at -= back
        appointment.start_at -= back
        appointment.end_at -= back
        for row in session.query(AppointmentResource).filter_by(appointment_id=appointment_id):
            row.claim_start_at -= back
            row.claim_end_at -= back
        for link in session.query(EventLink).filter_by(appointment_id=appointment_id):
            link.start_at -= back
            link.end_at -= back

    transaction(work)
