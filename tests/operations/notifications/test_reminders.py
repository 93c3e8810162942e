"""Reminders: once each, in time, and none for what is no more, whatever dies between."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import insert, select, update

from portal import outbox
from portal.booking.models import Appointment, Booking
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.notifications import deliver as delivering
from portal.notifications import reminders
from portal.notifications.models import Mail, Reminder
from portal.outbox import OutboxEntry
from providers.messaging.base import TemporaryDeliveryError
from tests.operations.notifications.conftest import HALF_HOUR, MAX, NINE, ZOE
from tests.support.mails import claim, deliver, deliver_all, html, text, to

HOUR = timedelta(hours=1)
FRIDAY = NINE + timedelta(days=4, hours=2)


@pytest.fixture
def reminded(studio):
    """The studio, whose customers are reminded a day and an hour before."""
    studio.service.reminders = [1440, 60]
    db.session.commit()
    return studio


@contextmanager
def at(moment):
    with time_machine.travel(moment, tick=True):
        yield


def turn() -> int:
    """What the periodic table does every few seconds."""
    return reminders.queue_due(now_utc())


def mails(sent, address=ZOE.email):
    return [mail for mail in to(sent.sent, address) if mail["Subject"].startswith("Reminder")]


def rows() -> list[tuple[int, str]]:
    db.session.rollback()
    return [(row.lead, row.state) for row in db.session.scalars(select(Reminder).order_by(Reminder.lead))]


def remind(moment) -> None:
    with at(moment):
        turn()
        assert deliver_all() == []


def test_customers_are_reminded_once_by_each_lead(sent, reminded):
    reminded.book(FRIDAY)
    deliver_all()
    assert rows() == [(60, "waiting"), (1440, "waiting")]
    for moment, count in ((FRIDAY - 25 * HOUR, 0), (FRIDAY - 24 * HOUR, 1), (FRIDAY - 2 * HOUR, 1), (FRIDAY - HOUR, 2)):
        for _ in range(2):
            remind(moment)
        assert len(mails(sent)) == count
    remind(FRIDAY + HOUR)
    assert len(mails(sent)) == 2


def test_a_reminder_says_what_when_and_where_and_brings_the_link_but_no_invitation(sent, reminded):
    outcome = reminded.book(FRIDAY)
    deliver_all()
    remind(FRIDAY - 24 * HOUR)
    [mail] = mails(sent)
    assert mail["Subject"] == "Reminder: Consultation, Fri 5 Mar, 10:00"
    for body in (text(mail), html(mail)):
        for words in (
            "Consultation",
            "Friday 5 March 2027",
            "10:00–10:30, London time",
            "Calle Mayor 1",
            outcome.manage_token,
        ):
            assert words in body
    assert "text/calendar" not in {part.get_content_type() for part in mail.walk()}


def test_a_reminder_can_be_ended_by_mail_programs_and_people(sent, reminded):
    reminded.book(FRIDAY)
    deliver_all()
    remind(FRIDAY - 24 * HOUR)
    [mail] = mails(sent)
    link = mail["List-Unsubscribe"].strip("<>")
    assert link.startswith("http://localhost/u/")
    assert mail["List-Unsubscribe-Post"] is None, "one click needs HTTPS"
    assert link in text(mail)
    booked = to(sent.sent, ZOE.email)[0]
    assert booked["List-Unsubscribe"] is None, "who books wants to know"


def test_a_booking_made_within_the_lead_is_not_reminded_of_at_once(sent, reminded):
    reminded.book(NINE + 2 * HOUR)  # four hours ahead
    deliver_all()
    assert rows() == [(60, "waiting")]
    assert turn() == 0


def test_cancelled_a_second_earlier_is_not_reminded_of(sent, reminded):
    outcome, other = reminded.book(FRIDAY), reminded.book(FRIDAY + HALF_HOUR, MAX)
    deliver_all()
    with at(FRIDAY - 24 * HOUR - timedelta(seconds=1)):
        reminded.cancel(outcome)
    remind(FRIDAY - 24 * HOUR)  # before the news of the cancellation has been told
    assert mails(sent) == []
    with at(FRIDAY - 23 * HOUR):
        turn()  # Max's is queued, and not yet delivered
        reminded.cancel(other)
        assert deliver_all() == []
    assert mails(sent, MAX.email) == []


def test_moved_a_second_earlier_is_reminded_of_at_its_new_time_alone(sent, reminded):
    outcome = reminded.book(FRIDAY)
    deliver_all()
    with at(FRIDAY - 24 * HOUR):
        turn()
        reminded.move(outcome, FRIDAY + 2 * HOUR)
        assert deliver_all() == []
    assert mails(sent) == []
    remind(FRIDAY - 22 * HOUR)
    assert [mail["Subject"] for mail in mails(sent)] == ["Reminder: Consultation, Fri 5 Mar, 12:00"]


def test_a_move_whose_news_waits_is_known_to_the_reminders_all_the_same(sent, reminded):
    outcome = reminded.book(FRIDAY)
    deliver_all()
    with at(FRIDAY - 24 * HOUR):
        reminded.move(outcome, FRIDAY + 2 * HOUR)
        assert turn() == 0
    assert rows() == [(60, "waiting"), (1440, "waiting")]
    with at(FRIDAY - 22 * HOUR):
        assert turn() == 1


def test_who_wants_none_gets_none(sent, reminded):
    outcome = reminded.book(FRIDAY)
    deliver_all()
    with at(FRIDAY - 24 * HOUR):
        turn()
        transaction(lambda s: setattr(s.get_one(Booking, outcome.booking_id), "wants_reminders", False))
        assert deliver_all() == []
    remind(FRIDAY - HOUR)
    assert mails(sent) == []


def test_after_an_outage_one_reminder_goes_out_while_the_start_is_ahead(sent, reminded):
    reminded.book(FRIDAY)
    reminded.book(FRIDAY - 2 * HOUR, MAX)
    deliver_all()
    remind(FRIDAY - timedelta(minutes=20))
    assert len(mails(sent)) == 1
    assert mails(sent, MAX.email) == [], "that start is over"
    assert {state for _, state in rows()} == {"queued", "dropped"}


def test_a_mail_server_that_is_down_over_both_leads_leaves_one_reminder(sent, reminded):
    reminded.book(FRIDAY)
    deliver_all()
    with at(FRIDAY - 24 * HOUR):
        turn()
        sent.fail_next(TemporaryDeliveryError("down"))
        assert [str(error) for error in deliver_all()] == ["down"]
    remind(FRIDAY - HOUR)
    assert len(mails(sent)) == 1


def test_a_request_is_reminded_of_once_it_is_confirmed(sent, reminded):
    reminded.service.needs_approval = True
    db.session.commit()
    outcome = reminded.book(FRIDAY)
    deliver_all()
    assert rows() == []
    from portal.booking.operations import approve_booking

    approve_booking(outcome.booking_id, now=now_utc())
    deliver_all()
    assert rows() == [(60, "waiting"), (1440, "waiting")]


def test_new_leads_of_a_service_count_for_bookings_that_stand(sent, reminded):
    reminded.book(FRIDAY)
    deliver_all()
    reminded.service.reminders = [120]
    db.session.commit()
    transaction(lambda session: reminders.replan_service(session, reminded.service.id))
    assert rows() == [(60, "dropped"), (120, "waiting"), (1440, "dropped")]
    remind(FRIDAY - 2 * HOUR)
    assert len(mails(sent)) == 1


def test_bookings_that_came_another_way_get_theirs_by_the_slow_pass(sent, reminded):
    reminded.book(FRIDAY)
    reminders.plan_everything()
    assert rows() == [(60, "waiting"), (1440, "waiting")]
    reminders.plan_everything()
    assert len(rows()) == 2


class Died(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("place", ["record_all", "_set_state", "commit"])
def test_dying_while_reminders_are_queued_loses_and_doubles_none(sent, reminded, monkeypatch, place):
    reminded.book(FRIDAY)
    deliver_all()

    def die(*_args, **_values):
        raise Died

    where = {"record_all": outbox, "_set_state": reminders, "commit": type(db.session())}[place]
    with at(FRIDAY - 24 * HOUR):
        with monkeypatch.context() as patch:
            patch.setattr(where, place, die)
            with pytest.raises(Died):
                turn()
            db.session.rollback()
        assert rows() == [(60, "waiting"), (1440, "waiting")]
        assert turn() == 1
        assert turn() == 0
        assert deliver_all() == []
    assert len(mails(sent)) == 1


def test_dying_after_the_reminder_has_left_repeats_it_under_its_name(sent, reminded, monkeypatch):
    reminded.book(FRIDAY)
    deliver_all()

    def die(_place):
        raise Died

    with at(FRIDAY - 24 * HOUR):
        turn()
        [work] = claim("notify.reminder")
        with monkeypatch.context() as patch:
            patch.setattr(delivering, "reach", die)
            with pytest.raises(Died):
                delivering.notify_reminder(work)
        assert deliver(work) is None
    first, second = mails(sent)
    assert first["Message-ID"] == second["Message-ID"]
    assert len(db.session.scalars(select(Mail).where(Mail.kind == "reminder")).all()) == 1


def test_a_thousand_and_more_are_queued_in_one_turn(app, reminded):
    """The measured ten thousand are a benchmark (tests/bench/reminders.py); the shape is held here."""
    count = reminders.CHUNK + 300
    make_bookings(reminded, count)
    reminders.plan_everything()
    began = time.perf_counter()
    with at(FRIDAY - 24 * HOUR + timedelta(minutes=1)):
        assert turn() == count
        assert turn() == 0
    assert time.perf_counter() - began < 30 * count / 10_000 + 5
    db.session.rollback()
    entries = db.session.scalars(select(OutboxEntry).where(OutboxEntry.topic == "notify.reminder")).all()
    assert len({entry.subject for entry in entries}) == len(entries) == count


def make_bookings(studio, count: int) -> None:
    """One appointment on Friday with so many bookings, straight into the tables."""

    def work(session):
        session.execute(update(Appointment).values(capacity=1))
        appointment = Appointment(
            service_id=studio.service.id, start_at=FRIDAY, end_at=FRIDAY + HALF_HOUR, claim_start_at=FRIDAY,
            claim_end_at=FRIDAY + HALF_HOUR, capacity=count,
        )  # fmt: skip
        session.add(appointment)
        session.flush()
        values = {"appointment_id": appointment.id, "status": "confirmed", "customer_email": "x@customer.example"}
        session.execute(insert(Booking), [values | {"public_id": f"{number:032}"} for number in range(count)])

    transaction(work)
