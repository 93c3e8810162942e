"""Disconnecting: from the moment a person says so an account plays no role, and our events in it are tidied up, however often interrupted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from portal import outbox
from portal.booking.models import Appointment, EventLink
from portal.booking.operations import cancel_booking, move_booking
from portal.booking.time.demand import stale_calendars
from portal.business.models import Resource
from portal.calendars.account import seal_secret
from portal.calendars.models import BusyInterval, Calendar, Connection, RemoteObject
from portal.calendars.oauth import grants
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.errors import NotAllowedNow, NotFound
from portal.outbox import OutboxEntry
from portal.sync import throttle
from portal.sync.account import disconnect, disconnecting, operations
from portal.sync.publish import publish as publish_module
from portal.sync.publish.publish import publish, publish_entry
from portal.sync.pull import pull as pull_module
from portal.sync.pull.pull import pull
from portal.sync.reconcile import reconcile
from portal.sync.state import overview
from portal.upkeep.vitals import read_vitals
from portal.worker import drain
from providers.calendars.base import EventMark
from providers.calendars.memory import DEFAULT_CALENDAR
from providers.errors import AccessRevoked, Conflict, PermissionMissing, Temporary
from tests.factories import make_calendar, make_resource
from tests.operations.sync.conftest import at, fresh, rows


def leave(studio, *, take_away=True):
    return operations.disconnect(studio.connection().id, take_away=take_away, by="Ana", now=now_utc())


def say_farewell():
    """One turn of the drain loop for the farewell, as the worker takes it. True when there was something to do."""
    works = drain.claim(5, topics=[disconnecting.TOPIC])
    for work in works:
        drain.do(work, disconnect.farewell)
    return bool(works)


def entry():
    return rows(OutboxEntry, OutboxEntry.topic == disconnecting.TOPIC)[-1]


def hasten():
    transaction(lambda s: s.execute(update(OutboxEntry).values(next_at=now_utc() - timedelta(seconds=1))))


def parting(studio):
    return read_transaction(
        lambda s: disconnecting.parting_of(s, s.get_one(Connection, studio.connection().id), now=now_utc())
    )


def put_into_the_past(appointment_id):
    """The appointment and its event are over by now."""
    past = {"start_at": at(-1, 10), "end_at": at(-1, 11), "claim_start_at": at(-1, 10), "claim_end_at": at(-1, 11)}
    transaction(lambda s: s.execute(update(Appointment).where(Appointment.id == appointment_id).values(**past)))


def test_events_to_come_are_taken_away_and_those_that_are_over_stay(studio):
    for days in (2, 3):
        studio.booked(at(days, 10))
    over = studio.booked(at(4, 10))
    kept_uid = studio.link(over).uid
    put_into_the_past(over)
    studio.store.add_event(DEFAULT_CALENDAR, "Dentist", at(2, 14), at(2, 15))
    studio.pull()
    assert not leave(studio)
    assert parting(studio).remaining == 2
    say_farewell()
    assert [event.uid for event in studio.events() if event.mark] == [kept_uid]
    assert [event.summary for event in studio.events() if not event.mark] == ["Dentist"]
    assert rows(Connection) == rows(Calendar) == rows(EventLink) == []
    assert entry().state == "done"
    assert studio.story()[-1] == "disconnected"


def test_leaving_the_events_needs_no_worker(studio):
    studio.booked(at(2, 10))
    assert leave(studio, take_away=False)
    assert len(studio.events()) == 1
    assert rows(Connection) == rows(RemoteObject) == rows(BusyInterval) == []
    assert entry().state == "dropped"


def test_with_nothing_to_take_away_it_is_done_at_once(studio):
    assert leave(studio)
    assert rows(Connection) == []


def test_from_that_moment_the_calendar_closes_no_time_and_is_neither_read_nor_written(studio):
    studio.booked(at(2, 10))
    studio.store.add_event(DEFAULT_CALENDAR, "Dentist", at(2, 14), at(2, 15))
    studio.pull()
    leave(studio)
    calls = len(studio.store.calls)
    assert studio.busy() == []
    assert read_transaction(lambda s: stale_calendars(s, [studio.resource_id], now=now_utc())) == []
    assert read_transaction(overview.list_calendars) == []
    assert read_transaction(lambda s: read_vitals(s, now=now_utc())).connections == {}
    for read in (pull, reconcile):
        with pytest.raises(NotFound):
            read(studio.calendar_id)
    appointment_id = studio.book(at(2, 14))
    studio.publish_all()
    publish(appointment_id)
    assert rows(EventLink, EventLink.appointment_id == appointment_id) == []
    assert len(studio.store.calls) == calls


def test_no_person_can_use_it_any_more(studio):
    studio.booked(at(2, 10))
    leave(studio)
    connection_id = studio.connection().id
    for act in (operations.pause_connection, operations.resume_connection):
        with pytest.raises(NotFound):
            act(connection_id)
    with pytest.raises(NotFound):
        operations.read_now(connection_id, now=now_utc())
    assert not leave(studio, take_away=False), "saying so twice changes nothing"
    assert len(rows(OutboxEntry, OutboxEntry.topic == disconnecting.TOPIC)) == 1


def test_what_we_take_away_ourselves_cancels_no_booking(studio, monkeypatch):
    """A reading that began before and a rule that cancels: the event is gone, and it was us."""
    studio.set_rule(when_deleted="cancel")
    appointment_id = studio.booked(at(2, 10))
    studio.pull()

    def interrupt():
        """Between the reading of the calendar and its transaction, somebody disconnects, and the worker is quick."""
        studio.store.remove_event(DEFAULT_CALENDAR, studio.own_event().remote_id)
        leave(studio)

    monkeypatch.setattr(pull_module, "reach", lambda name: name == "pull.after_request" and interrupt())
    studio.store.touch_event(DEFAULT_CALENDAR, studio.own_event().remote_id)
    pull(studio.calendar_id)
    monkeypatch.undo()
    say_farewell()
    studio.publish_all()
    assert studio.booking(appointment_id).status == "confirmed"
    assert studio.questions() == []


def test_a_write_that_finds_our_own_tidying_up_cancels_no_booking(studio, monkeypatch):
    """A publish slept through its lease, so the farewell did not wait for it: that its event is gone is nobody's wish."""
    studio.set_rule(when_deleted="cancel")
    appointment_id = studio.booked(at(2, 10))
    transaction(lambda s: s.execute(update(Appointment).values(version=Appointment.version + 1)))

    def tidy_up(name):
        if name == "publish.after_intent":
            leave(studio)
            studio.store.remove_event(DEFAULT_CALENDAR, studio.own_event().remote_id)

    monkeypatch.setattr(publish_module, "reach", tidy_up)
    publish(appointment_id)
    monkeypatch.undo()
    studio.publish_all()
    assert studio.booking(appointment_id).status == "confirmed"
    assert studio.link(appointment_id).outside == ""


def test_questions_and_conflicts_about_it_are_over(studio):
    studio.set_rule(when_deleted="ask")
    studio.booked(at(2, 10))
    studio.booked(at(3, 10))
    studio.store.remove_event(DEFAULT_CALENDAR, studio.events()[0].remote_id)
    studio.store.add_event(DEFAULT_CALENDAR, "Over it", at(3, 10), at(3, 11))
    studio.pull()
    assert len(studio.questions()) == len(studio.conflicts()) == 1
    leave(studio)
    assert studio.questions() == studio.conflicts() == []


def test_a_booking_that_waited_only_for_this_calendar_is_confirmed(studio):
    studio.set_rule(last_read_at=now_utc() - timedelta(hours=3), when_unreadable="pending")
    studio.store.fail_always(Temporary("The server is down."))
    appointment_id = studio.book(at(2, 10))
    assert studio.booking(appointment_id).status == "pending"
    leave(studio, take_away=False)
    assert studio.booking(appointment_id).status == "confirmed"


def test_whoever_is_killed_repeats_only_what_is_left(studio, monkeypatch):
    for days in (2, 3, 4):
        studio.booked(at(days, 10))
    leave(studio)
    deleted = []

    def die(name):
        deleted.append(name)
        if deleted == ["farewell.after_delete"] * 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(disconnect, "reach", die)
    with pytest.raises(KeyboardInterrupt):
        say_farewell()
    assert (len(studio.events()), parting(studio).remaining) == (1, 2)
    monkeypatch.undo()
    transaction(lambda s: s.execute(update(OutboxEntry).values(lease_until=None, lease_token=None)))
    before = studio.store.calls.count("delete")
    say_farewell()
    assert studio.store.calls.count("delete") - before == 1
    assert studio.events() == rows(Connection) == []


def test_a_worker_that_was_away_too_long_writes_nothing(studio):
    studio.booked(at(2, 10))
    leave(studio)
    (old,) = drain.claim(1, topics=[disconnecting.TOPIC])
    transaction(lambda s: s.execute(update(OutboxEntry).values(lease_until=now_utc() - timedelta(seconds=1))))
    (new,) = drain.claim(1, topics=[disconnecting.TOPIC])
    drain.do(old, disconnect.farewell)
    assert len(rows(Connection)) == 1, "the older one had lost its lease"
    drain.do(new, disconnect.farewell)
    assert rows(Connection) == studio.events() == []


def test_a_server_that_is_down_is_shown_and_tried_again(studio):
    studio.booked(at(2, 10))
    studio.booked(at(3, 10))
    leave(studio)
    studio.store.fail_always(Temporary("The server is down."))
    say_farewell()
    state = parting(studio)
    assert (state.remaining, state.trouble, state.may_force) == (2, "The server is down.", False)
    with pytest.raises(NotAllowedNow):
        operations.disconnect_anyway(studio.connection().id, by="Ana", now=now_utc())
    studio.store.fail_always(None)
    throttle.forget()
    operations.finish_disconnecting(studio.connection().id)
    assert say_farewell()
    assert studio.events() == rows(Connection) == []


def test_after_a_day_a_person_may_leave_the_rest_where_it_is(studio):
    studio.booked(at(2, 10))
    leave(studio)
    studio.store.fail_always(Temporary("The server is down."))
    transaction(lambda s: s.execute(update(OutboxEntry).values(created_at=now_utc() - outbox.STUCK_AFTER)))
    say_farewell()
    assert (entry().state, parting(studio).may_force) == ("stuck", True)
    operations.disconnect_anyway(studio.connection().id, by="Ana", now=now_utc())
    assert rows(Connection) == []
    assert len(studio.events()) == 1
    assert entry().state == "dropped"


@pytest.mark.parametrize("error", [AccessRevoked("It is revoked."), PermissionMissing("It may not be changed.")])
def test_where_trying_is_of_no_use_nobody_has_to_wait_a_day(studio, error):
    studio.booked(at(2, 10))
    leave(studio)
    studio.store.fail_always(error)
    say_farewell()
    state = parting(studio)
    assert (state.trouble, state.may_force) == (str(error), True)


def test_one_event_that_cannot_go_keeps_no_other(studio):
    for days in (2, 3, 4):
        studio.booked(at(days, 10))
    leave(studio)
    for _ in range(4):
        studio.store.fail_next("delete", Conflict("It keeps changing."))
    say_farewell()
    assert len(studio.events()) == 1
    assert (parting(studio).remaining, entry().state) == (1, "stuck")
    operations.finish_disconnecting(studio.connection().id)
    say_farewell()
    assert studio.events() == rows(Connection) == []


def test_an_event_that_is_just_being_written_is_waited_for(studio, monkeypatch):
    """A publish that had begun before: its event comes to stand after everything else was taken away."""
    studio.booked(at(2, 10))
    studio.book(at(3, 10))
    monkeypatch.setattr(publish_module, "reach", lambda name: name == "publish.after_request" and _disconnect_now())
    (work,) = drain.claim(1, topics=["calendar.publish"])

    def _disconnect_now():
        leave(studio)
        say_farewell()
        assert [event.start_at for event in studio.events()] == [at(3, 10)]

    drain.do(work, publish_entry)
    monkeypatch.undo()
    assert len(rows(Connection)) == 1
    hasten()
    say_farewell()
    assert studio.events() == rows(Connection) == []


def test_a_foreign_event_under_our_id_stays(studio):
    appointment_id = studio.booked(at(2, 10))
    remote_id = studio.link(appointment_id).remote_id
    studio.store.remove_event(DEFAULT_CALENDAR, remote_id)
    studio.store.add_event(DEFAULT_CALENDAR, "Somebody's own", at(2, 10), at(2, 11), remote_id=remote_id)
    leave(studio)
    say_farewell()
    assert [event.summary for event in studio.events()] == ["Somebody's own"]
    assert rows(Connection) == []


def test_a_restored_backup_takes_nothing_away_before_a_person_has_looked(studio):
    studio.booked(at(2, 10))
    leave(studio)
    transaction(lambda s: s.execute(update(Connection).values(state="paused")))
    say_farewell()
    assert len(studio.events()) == 1
    assert entry().state == "todo"
    transaction(lambda s: s.execute(update(Connection).values(state="connected")))
    hasten()
    say_farewell()
    assert studio.events() == []


def test_the_grant_is_given_back_with_the_last_connection_of_its_account_only(studio, monkeypatch):
    given_back = []
    monkeypatch.setattr(grants, "give_back", lambda provider, secret: given_back.append((provider, dict(secret))))
    first = studio.connection().id
    second = make_calendar(make_resource(), url="another").connection_id
    stranger = make_calendar(make_resource(), url="a third").connection_id
    for connection_id, subject in ((first, "42"), (second, "42"), (stranger, "43")):
        make_google(connection_id, subject=subject)
    for connection_id, expected in ((first, []), (second, [("google", {"refresh_token": f"of {second}"})])):
        assert not operations.disconnect(connection_id, take_away=False, by="Ana", now=now_utc())
        say_farewell()
        assert given_back == expected
    assert [row.id for row in rows(Connection)] == [stranger]


def make_google(connection_id, *, subject):
    """As if it were an account of Google, of which only the sign-in matters here."""
    values = {
        "provider": "google",
        "account": {"username": "ana@gmail.example", "subject": subject},
        "sealed_secret": seal_secret(connection_id, {"refresh_token": f"of {connection_id}"}),
    }
    transaction(lambda s: s.execute(update(Connection).where(Connection.id == connection_id).values(**values)))


def reconnect(studio):
    """The same account once more, as the integrations page makes it."""
    resource = fresh(Resource, studio.resource_id)
    calendar = make_calendar(resource, remote_id=DEFAULT_CALENDAR, url=f"studio-{resource.id}", zone="UTC")
    studio.calendar_id = calendar.id


def test_a_calendar_connected_again_takes_up_our_own_events_instead_of_doubling_them(studio):
    kept, moved, cancelled = (studio.booked(at(days, 10)) for days in (2, 3, 4))
    leave(studio, take_away=False)
    move_booking(studio.booking(moved).id, at(3, 15), by="staff", now=now_utc())
    cancel_booking(studio.booking(cancelled).id, by="staff", now=now_utc())
    added = studio.book(at(5, 10))
    studio.publish_all()
    ids = {event.uid: event.remote_id for event in studio.events()}
    reconnect(studio)
    studio.pull()
    assert studio.conflicts() == []
    assert {(row.appointment_id, row.state) for row in rows(EventLink)} == {(kept, "done"), (moved, "done")}
    reconcile(studio.calendar_id)
    studio.publish_all()
    times = sorted((event.start_at, event.remote_id) for event in studio.events())
    assert [start for start, _ in times] == [at(2, 10), at(3, 15), at(5, 10)]
    assert {ids[studio.link(i).uid] for i in (kept, moved)} == {studio.link(i).remote_id for i in (kept, moved)}
    assert studio.link(added).state == "done"
    assert studio.busy() == []


def test_a_copy_made_by_hand_is_not_taken_up(studio):
    appointment_id = studio.booked(at(2, 10))
    leave(studio, take_away=False)
    mark = studio.own_event().mark
    assert isinstance(mark, EventMark)
    studio.store.add_event(DEFAULT_CALENDAR, "Copy", at(2, 18), at(2, 19), mark=mark, uid="another")
    reconnect(studio)
    studio.pull()
    assert studio.link(appointment_id).remote_id.endswith(studio.link(appointment_id).uid)
    assert studio.busy() == [(at(2, 18), at(2, 19))]


def test_taken_away_and_connected_again_they_are_written_once(studio):
    studio.booked(at(2, 10))
    leave(studio)
    say_farewell()
    assert studio.events() == []
    reconnect(studio)
    studio.pull()
    reconcile(studio.calendar_id)
    studio.publish_all()
    assert [event.start_at for event in studio.events()] == [at(2, 10)]
