"""A copy sends nothing outside until somebody adopts it, and says so wherever somebody looks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import current_app
from sqlalchemy import func, select

from portal.booking.models import Booking
from portal.booking.operations import cancel_booking
from portal.calendars.models import Calendar, Connection
from portal.calendars.oauth import grants, tokens
from portal.calendars.open import open_with
from portal.clock import now_utc
from portal.database.engine import read_transaction
from portal.errors import NotAllowedNow
from portal.extensions import db
from portal.instance.standing import NotAdopted
from portal.notifications.models import Reminder
from portal.outbox import OutboxEntry, work_of
from portal.sync.account import operations
from portal.sync.pull.pull import pull
from portal.sync.reconcile import reconcile
from portal.sync.state.states import Paused, classify
from portal.upkeep.adoption import adopt, settle
from portal.upkeep.doctor import examine
from portal.upkeep.vitals import read_vitals
from portal.worker import drain, jobs
from portal.worker import loops as worker_loops
from providers.kinds import GOOGLE
from tests.operations.sync.conftest import Studio, at, clean_slate, fresh, make_studio, rows
from tests.support.copies import make_foreign

__all__ = ["clean_slate"]


@pytest.fixture
def studio(app) -> Studio:
    settle()
    return make_studio()


@pytest.fixture
def copy(studio) -> None:
    """The studio has become a copy."""
    make_foreign()


@pytest.fixture
def filled(studio) -> None:
    """The same, with a booking that stands in the calendar and one that is still to be written and mailed."""
    studio.pull()
    studio.booked(at(3, 9))
    studio.book(at(3, 11))
    make_foreign()


def test_a_copy_writes_nothing_into_calendars_and_mails_nobody(studio, filled):
    before = studio.events()
    cancel_booking(min(db.session.scalars(select(Booking.id))), by="staff", now=now_utc())
    assert drain.claim(10, topics=jobs.TOPICS) == []
    for topic in ("calendar.publish", "notify.customer"):
        work = work_of(rows(OutboxEntry, OutboxEntry.topic == topic)[-1])
        with pytest.raises((NotAdopted, Paused)) as refused:
            jobs.handler_of(topic)(work)
        assert classify(refused.value).kind == "wait"
    assert studio.events() == before


@pytest.mark.parametrize("ask", [pull, reconcile])
def test_a_copy_does_not_read_even_when_it_is_told_to(studio, copy, ask):
    with pytest.raises(NotAllowedNow, match="not adopted"):
        ask(studio.calendar_id)
    assert fresh(Calendar, studio.calendar_id).failures == 0


@pytest.mark.parametrize(
    "act",
    [
        lambda c: operations.read_now(c, now=now_utc()),
        lambda c: operations.try_again(c, now=now_utc()),
        lambda c: operations.refresh_connection(c, password="new"),
        operations.resume_connection,
        lambda c: operations.disconnect(c, take_away=True, by="Olga", now=now_utc()),
        lambda c: operations.disconnect_anyway(c, by="Olga", now=now_utc()),
        operations.finish_disconnecting,
    ],
)
def test_every_button_that_leads_outside_is_refused_in_a_copy(sqlite_app, act):
    studio = make_studio()
    make_foreign()
    connection_id = db.session.scalars(select(Connection.id)).one()
    with pytest.raises(NotAllowedNow, match="not adopted"):
        act(connection_id)
    assert studio.connection().state == "connected"


def test_a_copy_neither_renews_nor_gives_back_a_permission(sqlite_app):
    make_foreign()
    with pytest.raises(NotAdopted):
        tokens._ask(GOOGLE, "refresh token")
    with pytest.raises(NotAdopted):
        open_with("google", {}, {"access_token": "a"})
    assert grants.give_back("google", {"refresh_token": "r"}) is False


def test_a_copy_reminds_nobody(studio, monkeypatch):
    monkeypatch.setattr(
        jobs, "PERIODIC", [periodic for periodic in jobs.PERIODIC if periodic.run is jobs.queue_reminders]
    )
    studio.booked(at(3, 9))
    booking_id = db.session.scalars(select(Booking.id)).one()
    make_foreign()
    db.session.add(Reminder(booking_id=booking_id, lead=60, due_at=now_utc() - timedelta(minutes=1)))
    db.session.commit()
    _keep_the_table()
    assert [row.state for row in rows(Reminder, Reminder.lead == 60)] == ["waiting"]
    assert db.session.scalar(select(func.count()).where(OutboxEntry.topic == "notify.reminder")) == 0


def test_the_worker_of_a_copy_reads_no_calendar(app, studio, copy):
    loops = worker_loops.Background(app)
    assert read_transaction(loops._due_calendars) == []


@pytest.mark.parametrize(("rule", "status"), [("pending", "pending"), ("keep", "pending"), ("stop", "")])
def test_bookings_are_taken_by_the_rule_for_unreadable_calendars_and_never_blindly(studio, rule, status):
    studio.pull()
    studio.set_rule(when_unreadable=rule)
    make_foreign()
    if not status:
        with pytest.raises(Exception, match="cannot be promised"):
            studio.book(at(3, 9))
        return
    assert studio.booking(studio.book(at(3, 9))).status == status


def test_a_calendar_that_only_receives_bookings_counts_too(studio):
    studio.set_rule(is_busy_source=False)
    assert studio.booking(studio.book(at(3, 9))).status == "confirmed"
    make_foreign()
    assert studio.booking(studio.book(at(3, 11))).status == "pending"


def test_adopting_drops_what_the_original_had_to_mail_and_keeps_what_happened_here(studio, filled):
    before = {row.id for row in rows(OutboxEntry, OutboxEntry.topic.startswith("notify."))}
    studio.book(at(4, 9))
    done = adopt(by="Olga", now=now_utc())
    entries = rows(OutboxEntry, OutboxEntry.topic.startswith("notify."))
    assert {row.id for row in entries if row.state == "dropped"} == before
    kept = [row for row in entries if row.state == "todo"]
    assert kept
    assert (done.mails, done.own_mails) == (len(before), len(kept))
    assert settle().is_ours
    with pytest.raises(NotAllowedNow):
        adopt(by="Olga", now=now_utc())


def test_reminders_that_came_due_before_the_adoption_are_not_sent_after_it(studio):
    studio.booked(at(3, 9))
    booking_id = db.session.scalars(select(Booking.id)).one()
    make_foreign()
    for lead, due_at in ((60, now_utc() - timedelta(minutes=1)), (30, now_utc() + timedelta(days=1))):
        db.session.add(Reminder(booking_id=booking_id, lead=lead, due_at=due_at))
    db.session.commit()
    adopt(by="Olga", now=now_utc())
    found = {row.lead: row.state for row in rows(Reminder)}
    assert (found[60], found[30]) == ("dropped", "waiting")


def test_who_adopted_it_stands_in_the_ledger(studio, copy):
    adopt(by="Olga", now=now_utc())
    assert "adopted" in studio.story()


def test_the_original_rests_when_a_copy_of_its_whole_server_is_adopted_on_its_database(app, studio):
    """Two installations with different addresses on one database: only one may speak."""
    make_foreign()
    adopt(by="Olga", now=now_utc())
    assert settle().is_ours


def test_the_doctor_and_the_health_figures_say_it_and_the_portal_is_ready(studio, copy):
    found = [finding for finding in examine() if finding.subject == "instance"]
    assert [finding.state for finding in found] == ["bad"]
    assert "lockstep adopt" in found[0].sentence
    db.session.rollback()
    vitals = read_vitals(db.session(), now=now_utc() + timedelta(hours=1))
    assert "not adopted" in vitals.not_adopted
    assert [problem for problem in vitals.problems if "outbox" in problem] == []


def _keep_the_table():
    """What the worker's table does in one round, with every piece due."""
    worker_loops.Background(current_app)._keep_table()
