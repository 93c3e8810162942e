"""Reconcile finds what no change feed told, and sets on its way what was left behind."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete

from portal.booking.models import Appointment, EventLink
from portal.booking.operations import cancel_booking
from portal.business.models import Business
from portal.calendars.models import BusyInterval
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.sync.event.desired import derived_uid
from portal.sync.models import Lease
from portal.sync.reconcile import due_calendars, reconcile
from portal.worker import jobs
from providers.calendars.base import EventMark
from tests.operations.sync.conftest import HOUR, at


def run(studio):
    report = reconcile(studio.calendar_id)
    studio.publish_all()
    return report


def instance_id():
    return db.session.query(Business.instance_id).scalar()


def test_all_well_changes_nothing(studio):
    studio.booked(at(2, 10))
    studio.pull()
    report = run(studio)
    assert (report.republished, report.orphans, report.reading.upserts) == (0, 0, 0)
    assert report.reading.is_complete


def test_an_event_that_vanished_unseen_is_found_and_asked_about(studio):
    studio.booked(at(2, 10))
    studio.pull()
    own = studio.own_event().remote_id
    studio.store.remove_event("calendar", own)
    forget_tombstones(studio)
    assert studio.pull().removals == 0, "the feed lies"
    run(studio)
    assert [question.kind for question in studio.questions()] == ["deleted"]


def test_a_link_left_behind_is_published(studio):
    appointment_id = studio.booked(at(2, 10))
    transaction(lambda s: setattr(s.get_one(EventLink, studio.link(appointment_id).id), "applied_version", 0))
    assert run(studio).republished == 1
    assert studio.link(appointment_id).applied_version == studio.appointment(appointment_id).version


def test_a_lost_outbox_entry_is_made_good(studio):
    appointment_id = studio.book(at(2, 10))
    transaction(lambda s: s.execute(delete(OutboxEntry)))
    run(studio)
    assert studio.own_event().start_at == at(2, 10)
    assert studio.link(appointment_id).state == "done"


def test_a_calendar_that_becomes_a_destination_gets_the_bookings_to_come(studio):
    studio.set_rule(is_destination=False)
    studio.booked(at(2, 10))
    assert studio.events() == []
    studio.set_rule(is_destination=True)
    run(studio)
    assert studio.own_event().start_at == at(2, 10)


def test_a_ghost_of_a_cancelled_booking_is_taken_away(studio):
    appointment_id = studio.booked(at(2, 10))
    cancel_booking(studio.booking(appointment_id).id, by="staff", now=now_utc())
    studio.publish_all()
    add_marked(studio, appointment_id, uid=derived_uid(instance_id(), appointment_id, 1))
    studio.pull()
    assert run(studio).orphans == 1
    assert studio.events() == []
    assert studio.busy() == []


def test_an_event_whose_deletion_was_undone_after_it_was_put_back_is_taken_away(studio):
    studio.set_rule(when_deleted="put back")
    appointment_id = studio.booked(at(2, 10))
    own = studio.own_event()
    studio.store.remove_event("calendar", own.remote_id)
    studio.pull()
    studio.publish_all()
    add_marked(studio, appointment_id, uid=own.uid)
    studio.pull()
    assert len(studio.events()) == 2
    assert run(studio).orphans == 1
    assert [event.uid for event in studio.events()] == [derived_uid(instance_id(), appointment_id, 2)]
    assert studio.booking(appointment_id).status == "confirmed"


def test_a_copy_under_another_identity_stays(studio):
    appointment_id = studio.booked(at(2, 10))
    cancel_booking(studio.booking(appointment_id).id, by="staff", now=now_utc())
    studio.publish_all()
    add_marked(studio, appointment_id, uid="made-by-a-person")
    assert run(studio).orphans == 0
    assert len(studio.events()) == 1


def test_an_event_of_a_booking_that_is_not_known_here_stays(studio):
    """After an older backup was restored, newer bookings are unknown: deleting their events would make the loss complete."""
    add_marked(studio, 999, uid=derived_uid(instance_id(), 999, 1))
    assert run(studio).orphans == 0
    assert len(studio.events()) == 1


def test_series_are_expanded_again_as_the_window_moves_on(studio):
    first = at(2, 9)
    weeks = tuple((first + timedelta(weeks=n), first + timedelta(weeks=n) + HOUR) for n in range(1, 52))
    studio.store.add_event("calendar", "Stand-up", first, first + HOUR, repeats=weeks)
    studio.pull()
    known = len(studio.busy())
    assert 5 < known < 20, "no further than the window"
    transaction(lambda s: s.execute(delete(BusyInterval).where(BusyInterval.start_at > at(30, 0))))
    studio.pull()
    assert len(studio.busy()) < known
    run(studio)
    assert len(studio.busy()) == known


def test_an_event_beyond_the_window_is_read_again_when_it_comes_near(studio):
    studio.store.add_event("calendar", "Congress", at(200, 9), at(200, 18))
    studio.pull()
    assert studio.busy() == []
    assert [stored.rolls for stored in studio.objects()] == [True]


def test_busy_time_that_is_over_is_forgotten(studio):
    studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    studio.pull()
    transaction(lambda s: s.query(BusyInterval).update({"start_at": at(-9, 14), "end_at": at(-9, 15)}) and None)
    run(studio)
    assert (at(-9, 14), at(-9, 15)) not in studio.busy()


def test_a_conflict_about_an_appointment_that_is_over_ends(studio):
    appointment_id = studio.booked(at(2, 10))
    studio.store.add_event("calendar", "Dentist", at(2, 10), at(2, 11))
    studio.pull()
    run(studio)
    assert len(studio.conflicts()) == 1
    start, end = at(-1, 10), at(-1, 11)
    over = {"start_at": start, "end_at": end, "claim_start_at": start, "claim_end_at": end}
    transaction(lambda s: s.query(Appointment).filter_by(id=appointment_id).update(over) and None)
    jobs.end_old_questions()
    assert studio.conflicts() == []


def test_it_is_due_once_a_day(studio):
    assert read_transaction(lambda s: due_calendars(s, now=now_utc())) == set(), (
        "never read: the first pull is complete anyway"
    )
    studio.pull()
    assert read_transaction(lambda s: due_calendars(s, now=now_utc())) == {studio.calendar_id}
    run(studio)
    assert read_transaction(lambda s: due_calendars(s, now=now_utc())) == set()
    transaction(lambda s: s.query(Lease).update({"last_done_at": now_utc() - timedelta(hours=25)}) and None)
    assert read_transaction(lambda s: due_calendars(s, now=now_utc())) == {studio.calendar_id}


def forget_tombstones(studio):
    """A server that loses its tombstones and keeps its tokens valid, as some do."""
    store = studio.store._calendars["calendar"]
    store.log = [entry for entry in store.log if entry in store.entries] + ["x"] * 99
    token = f"{store.generation}-{len(store.log)}"
    from portal.calendars.models import Calendar

    transaction(lambda s: setattr(s.get_one(Calendar, studio.calendar_id), "sync_token", token))


def add_marked(studio, appointment_id, *, uid):
    mark = EventMark(instance_id=instance_id(), appointment_id=appointment_id, generation=1)
    studio.store.add_event("calendar", "Ghost", at(4, 10), at(4, 11), uid=uid, mark=mark)
