"""Publish: the calendar shows each booking once, as it is now, whatever happens on the way."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.admin.bookings.queries import rows_of
from portal.booking.models import Booking
from portal.booking.operations import cancel_booking, move_booking
from portal.booking.time.queries import sync_state
from portal.clock import now_utc
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.sync.publish import publish
from portal.worker import drain, jobs
from providers.calendars.base import EventMark
from providers.errors import AccessRevoked, Conflict, Misconfigured, PermissionMissing, Temporary
from tests.factories import make_calendar, make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, HOUR, at, rows


def writes(studio):
    return [call for call in studio.store.calls if call in ("put", "delete")]


def test_a_confirmed_booking_becomes_one_event_with_the_customer_in_it(studio):
    studio.set_rule(privacy="full")
    appointment_id = studio.booked(at(2, 10))
    event = studio.own_event()
    assert (event.start_at, event.end_at) == (at(2, 10), at(2, 11))
    assert event.summary == "Consultation · Eva Ruiz"
    link = studio.link(appointment_id)
    assert (link.state, link.etag, link.remote_id) == ("done", event.etag, event.remote_id)
    assert link.applied_version == link.wanted_version == studio.appointment(appointment_id).version
    assert studio.calendar().last_written_at is not None


def test_a_second_publish_of_an_unchanged_booking_sends_nothing(studio):
    appointment_id = studio.booked(at(2, 10))
    publish.publish(appointment_id)
    assert writes(studio) == ["put"]


def test_a_moved_booking_moves_its_event_in_place(studio):
    appointment_id = studio.booked(at(2, 10))
    before = studio.own_event()
    move_booking(studio.booking(appointment_id).id, at(3, 12), by="staff", now=now_utc())
    studio.publish_all()
    after = studio.own_event()
    assert (after.remote_id, after.uid) == (before.remote_id, before.uid)
    assert after.start_at == at(3, 12)
    assert after.sequence == before.sequence + 1


def test_a_cancelled_booking_takes_its_event_away(studio):
    appointment_id = studio.booked(at(2, 10))
    cancel_booking(studio.booking(appointment_id).id, by="customer", now=now_utc())
    studio.publish_all()
    assert studio.events() == []
    assert studio.link(appointment_id).state == "none"
    assert studio.objects() == []


READ_ONLY = PermissionMissing("This calendar may be read but not changed.")


def drained(studio, *_):
    """What the drain loop does with all that is due, failures and all."""
    for work in drain.claim(10, topics=("calendar.publish",)):
        drain.do(work, publish.publish_entry)


def told(appointment_id):
    """What the API and the staff's page say of an appointment: whether the calendar shows it."""
    db.session.rollback()
    (row,) = rows_of(db.session(), rows(Booking, Booking.appointment_id == appointment_id))
    return sync_state(db.session(), appointment_id), row.in_calendar.state


def test_nobody_is_told_that_a_calendar_shows_what_it_does_not_show_yet(studio):
    appointment_id = studio.book(at(2, 10))
    assert told(appointment_id) == ("waiting", "waiting")
    studio.publish_all()
    assert told(appointment_id) == ("done", "done")
    move_booking(studio.booking(appointment_id).id, at(3, 12), by="staff", now=now_utc())
    assert told(appointment_id) == ("waiting", "waiting")
    studio.publish_all()
    assert told(appointment_id) == ("done", "done")
    cancel_booking(studio.booking(appointment_id).id, by="staff", now=now_utc())
    assert told(appointment_id) == ("waiting", "waiting")
    studio.publish_all()
    assert told(appointment_id) == ("none", "none")


def test_cancelling_is_well_when_the_event_has_gone_already(studio):
    appointment_id = studio.booked(at(2, 10))
    studio.store.remove_event("calendar", studio.own_event().remote_id)
    cancel_booking(studio.booking(appointment_id).id, by="staff", now=now_utc())
    studio.publish_all()
    assert studio.link(appointment_id).state == "none"


def test_a_booking_cancelled_before_it_was_published_never_reaches_the_calendar(studio):
    appointment_id = studio.book(at(2, 10))
    cancel_booking(studio.booking(appointment_id).id, by="customer", now=now_utc())
    studio.publish_all()
    assert writes(studio) == []
    assert told(appointment_id) == ("none", "none"), "nothing is waited for"


def test_a_lost_answer_leads_to_one_event_after_the_repeat(studio):
    appointment_id = studio.book(at(2, 10))
    studio.store.lose_answer_next()
    with pytest.raises(Temporary):
        publish.publish(appointment_id)
    publish_again(appointment_id)
    assert len(studio.events()) == 1
    assert studio.link(appointment_id).state == "done"


def test_a_lost_answer_to_a_move_is_recognised_as_our_own_work(studio):
    appointment_id = studio.booked(at(2, 10))
    move_booking(studio.booking(appointment_id).id, at(3, 12), by="staff", now=now_utc())
    studio.store.lose_answer_next()
    with pytest.raises(Temporary):
        publish.publish(appointment_id)
    publish_again(appointment_id)
    assert studio.own_event().start_at == at(3, 12)
    assert studio.link(appointment_id).outside == ""
    assert studio.questions() == []


def test_each_resource_of_the_appointment_has_its_own_event(app):
    ana, room = make_resource(weekly=ALL_DAY, zone="UTC"), make_resource(kind="room", weekly=ALL_DAY, zone="UTC")
    service = make_service([ana], [room], duration=60, step=30)
    from tests.operations.sync.conftest import MemoryCalendars, Studio

    for resource in (ana, room):
        make_calendar(resource, remote_id="calendar", url=f"of-{resource.id}")
    studio = Studio(ana.id, 0, service.slug, MemoryCalendars.open(f"of-{ana.id}"))
    studio.booked(at(2, 10))
    in_room = MemoryCalendars.open(f"of-{room.id}").events()
    assert len(studio.events()) == len(in_room) == 1


def test_a_calendar_that_fails_does_not_keep_the_other_from_being_served(app):
    ana, room = make_resource(weekly=ALL_DAY, zone="UTC"), make_resource(kind="room", weekly=ALL_DAY, zone="UTC")
    service = make_service([ana], [room], duration=60, step=30)
    from tests.operations.sync.conftest import MemoryCalendars, Studio

    for resource in (ana, room):
        make_calendar(resource, remote_id="calendar", url=f"of-{resource.id}")
    studio = Studio(ana.id, 0, service.slug, MemoryCalendars.open(f"of-{ana.id}"))
    appointment_id = studio.book(at(2, 10))
    studio.store.fail_always(Temporary("The server is down."))
    with pytest.raises(Temporary):
        publish.publish(appointment_id)
    assert len(MemoryCalendars.open(f"of-{room.id}").events()) == 1


def test_a_resource_without_a_destination_calendar_gets_no_event(studio):
    studio.set_rule(is_destination=False)
    studio.booked(at(2, 10))
    assert studio.events() == []


def test_a_move_made_by_hand_is_not_written_over_blindly(studio):
    """Both sides changed: the event was dragged, and the customer moved the booking, before either knew of the other."""
    appointment_id = studio.booked(at(2, 10))
    studio.store.move_event("calendar", studio.own_event().remote_id, at(4, 15))
    move_booking(studio.booking(appointment_id).id, at(3, 12), by="customer", now=now_utc())
    studio.publish_all()
    assert studio.own_event().start_at == at(4, 15)
    assert studio.appointment(appointment_id).start_at == at(4, 15), "the rule is to follow"
    assert "followed" in studio.story()


def test_another_title_given_by_hand_does_not_stop_an_update(studio):
    appointment_id = studio.booked(at(2, 10))
    studio.store.retitle_event("calendar", studio.own_event().remote_id, "Eva!!")
    move_booking(studio.booking(appointment_id).id, at(3, 12), by="staff", now=now_utc())
    studio.publish_all()
    assert studio.own_event().start_at == at(3, 12)
    assert studio.link(appointment_id).state == "done"


def test_a_server_that_refuses_its_own_etags_is_written_to_without_them(studio):
    appointment_id = studio.booked(at(2, 10))
    move_booking(studio.booking(appointment_id).id, at(3, 12), by="staff", now=now_utc())
    for _ in range(3):
        studio.store.fail_next("put", Conflict("The entry was changed since it was last read."))
    studio.publish_all()
    assert studio.own_event().start_at == at(3, 12)
    assert "forced" in studio.story()


def test_an_event_deleted_by_hand_is_asked_about_when_the_booking_did_not_move(studio):
    appointment_id = studio.booked(at(2, 10))
    studio.store.remove_event("calendar", studio.own_event().remote_id)
    bump_version(appointment_id)
    studio.publish_all()
    assert studio.events() == []
    assert [question.kind for question in studio.questions()] == ["deleted"]
    assert studio.booking(appointment_id).status == "confirmed"


def test_an_event_deleted_by_hand_is_written_anew_when_the_booking_moved_since(studio):
    appointment_id = studio.booked(at(2, 10))
    before = studio.own_event()
    studio.store.remove_event("calendar", before.remote_id)
    move_booking(studio.booking(appointment_id).id, at(3, 12), by="customer", now=now_utc())
    studio.publish_all()
    after = studio.own_event()
    assert after.start_at == at(3, 12)
    assert after.uid != before.uid, "a deleted identity is not used again"
    assert studio.link(appointment_id).generation == 2
    assert studio.questions() == []


def test_a_foreign_event_in_our_place_is_never_touched(studio):
    appointment_id = studio.book(at(2, 10))
    from portal.sync.event.desired import derived_uid

    uid = derived_uid(instance_id(), appointment_id, 1)
    studio.store.add_event("calendar", "Not yours", at(2, 8), at(2, 9), uid=uid)
    with pytest.raises(Conflict):
        publish.publish(appointment_id)
    assert [event.summary for event in studio.events()] == ["Not yours"]
    assert studio.link(appointment_id).state == "stuck"


def test_a_refused_write_is_shown_at_the_link_with_its_reason(studio):
    appointment_id = studio.book(at(2, 10))
    studio.store.fail_next("put", PermissionMissing("This calendar may be read but not changed."))
    with pytest.raises(PermissionMissing):
        publish.publish(appointment_id)
    link = studio.link(appointment_id)
    assert (link.state, link.last_error) == ("stuck", "This calendar may be read but not changed.")


def test_a_calendar_that_takes_no_events_any_more_is_told_once_and_tried_again(studio):
    studio.pull()
    studio.store.fail_always(READ_ONLY)
    for hour in (10, 12):
        drained(studio, studio.book(at(2, hour)))
    refused = [entry.payload["state"] for entry in studio.news("notify.staff") if entry.payload["news"] == "connection"]
    assert refused == ["unwritable"]
    jobs.try_refused_writes()
    drained(studio)
    assert len(studio.news("notify.staff")) == 3, "the bookings, and one mail of the refusal"
    assert studio.story().count("stuck") == 2, "the same refusal again is no story"
    studio.store.fail_always(None)
    jobs.try_refused_writes()
    drained(studio)
    assert len(studio.events()) == 2
    assert not rows(OutboxEntry, OutboxEntry.state == "stuck")


def test_a_calendar_that_cannot_be_read_either_is_told_of_once_as_that(studio):
    studio.pull()
    studio.store.fail_next("changes", Misconfigured("This calendar does not exist any more."))
    with pytest.raises(Misconfigured):
        studio.pull()
    studio.store.fail_next("put", PermissionMissing("There is no such calendar."))
    drained(studio, studio.book(at(2, 10)))
    told = [entry.payload["state"] for entry in studio.news("notify.staff") if entry.payload["news"] == "connection"]
    assert told == ["misconfigured"]


def test_a_refused_sign_in_is_a_state_of_the_connection_at_once_and_the_link_waits(studio):
    appointment_id = studio.book(at(2, 10))
    studio.store.fail_next("put", AccessRevoked("The password is no longer accepted."))
    with pytest.raises(AccessRevoked):
        publish.publish(appointment_id)
    assert studio.link(appointment_id).state == "waiting"
    assert studio.connection().state == "needs reauth"
    assert studio.news("notify.staff")[-1].payload["state"] == "needs reauth"


def test_a_booking_over_an_outside_event_is_shown_as_a_conflict_once_and_until_it_moves(studio):
    appointment_id = studio.book(at(2, 10))
    studio.store.add_event("calendar", "Dentist", at(2, 10, 30), at(2, 11, 30))
    studio.pull()
    assert [(c.start_at, c.end_at) for c in studio.conflicts()] == [(at(2, 10, 30), at(2, 11, 30))]
    assert sum(entry.subject.startswith("conflict:") for entry in studio.news("notify.staff")) == 1
    move_booking(studio.booking(appointment_id).id, at(2, 14), by="staff", now=now_utc())
    studio.publish_all()
    assert studio.conflicts() == []


def test_an_event_of_ours_carries_our_mark_and_no_attendee(studio):
    appointment_id = studio.booked(at(2, 10))
    assert studio.own_event().mark == EventMark(instance_id=instance_id(), appointment_id=appointment_id, generation=1)


def test_a_handler_that_lost_its_lease_writes_no_receipt(studio):
    from portal.outbox import Work

    appointment_id = studio.book(at(2, 10))
    stale = Work(
        entry_id=999, topic="calendar.publish", subject=f"appointment:{appointment_id}", payload={}, attempts=1,
        created_at=now_utc() - HOUR, lease_token="gone",
    )  # fmt: skip
    with pytest.raises(publish.LeaseLost):
        publish.publish(appointment_id, work=stale)
    assert studio.link(appointment_id).etag == ""
    publish_again(appointment_id)
    assert len(studio.events()) == 1


def publish_again(appointment_id):
    from portal.sync import throttle

    throttle.forget()  # the pause after a failure is over
    publish.publish(appointment_id)


def instance_id():
    from portal.business.models import Business
    from portal.extensions import db

    return db.session.query(Business.instance_id).scalar()


def bump_version(appointment_id):
    from portal import outbox
    from portal.booking.models import Appointment
    from portal.database.engine import transaction

    def work(session):
        session.get_one(Appointment, appointment_id).version += 1
        outbox.record(session, "calendar.publish", f"appointment:{appointment_id}", not_before=now_utc() - timedelta(1))

    transaction(work)


def test_two_lost_answers_in_a_row_are_still_recognised_as_our_own_work(studio):
    """Moved to B, answer lost; moved to C, lost before it was even sent: what stands at B was not put there by a person."""
    appointment_id = studio.booked(at(2, 10))
    booking_id = studio.booking(appointment_id).id
    move_booking(booking_id, at(3, 12), by="staff", now=now_utc())
    studio.store.lose_answer_next()
    with pytest.raises(Temporary):
        publish.publish(appointment_id)
    move_booking(booking_id, at(4, 9), by="staff", now=now_utc())
    studio.store.fail_next("put", Temporary("The connection broke before anything was sent."))
    with pytest.raises(Temporary):
        publish_again(appointment_id)
    publish_again(appointment_id)
    assert studio.own_event().start_at == studio.appointment(appointment_id).start_at == at(4, 9)
    assert "moved" not in studio.story()


def test_a_booking_cancelled_between_decision_and_intent_is_not_written(studio, monkeypatch):
    appointment_id = studio.book(at(2, 10))
    booking_id = studio.booking(appointment_id).id
    remote_id_for = studio.store.remote_id_for

    def cancelled_meanwhile(*args):
        cancel_booking(booking_id, by="customer", now=now_utc())
        return remote_id_for(*args)

    monkeypatch.setattr(studio.store, "remote_id_for", cancelled_meanwhile)
    publish.publish(appointment_id)
    assert writes(studio) == []


def test_a_booking_moved_beside_an_outside_event_is_no_conflict(studio):
    studio.store.add_event("calendar", "Dentist", at(2, 11), at(2, 12))
    studio.pull()
    appointment_id = studio.booked(at(2, 9))
    for start_at in (at(2, 10), at(2, 12)):
        move_booking(studio.booking(appointment_id).id, start_at, by="staff", now=now_utc())
        studio.publish_all()
        assert studio.conflicts() == []
