"""What staff are told about their calendars: questions, conflicts, and connections in trouble."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import outbox
from portal.accounts.models import User
from portal.booking.models import Booking, EventLink
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.sync.models import Conflict, Question
from providers.messaging.base import DeliveryRefused, TemporaryDeliveryError
from tests.factories import make_calendar
from tests.operations.notifications.conftest import HALF_HOUR, MONDAY, NINE
from tests.support.mails import deliver_all, text, to

ANA, OWNER = "ana@studio.example", "owner@studio.example"


@pytest.fixture
def calendar(studio):
    return make_calendar(studio.ana, name="Private", last_read_at=MONDAY)


@pytest.fixture
def owner(studio):
    return save(User(email=OWNER, role="owner", name="Olga"))


@pytest.fixture
def appointment_id(studio, sent):
    outcome = studio.book()
    deliver_all()
    sent.sent.clear()
    return db.session.scalars(select(Booking).where(Booking.id == outcome.booking_id)).one().appointment_id


def test_a_deleted_event_asks_its_member_of_staff(sent, calendar, appointment_id, owner):
    question = save(Question(kind="deleted", appointment_id=appointment_id, calendar_id=calendar.id, sentence="x"))
    record(f"question:{question.id}", news="question")
    assert deliver_all() == []
    [mail] = sent.sent
    assert mail["To"].addresses[0].addr_spec == ANA
    assert "was deleted in the calendar" in mail["Subject"]
    assert "Consultation with Zoë Novák" in text(mail)
    assert "http://localhost/admin/questions" in text(mail)


def test_a_moved_event_asks_with_both_times(sent, calendar, appointment_id):
    later = {"start_at": NINE + 2 * HALF_HOUR, "end_at": NINE + 3 * HALF_HOUR}
    question = save(
        Question(kind="moved", appointment_id=appointment_id, calendar_id=calendar.id, sentence="x", **later)
    )
    record(f"question:{question.id}", news="question")
    deliver_all()
    assert "09:00–09:30" in text(sent.sent[0])
    assert "10:00–10:30" in text(sent.sent[0])


def test_an_answered_question_is_not_asked_again(sent, calendar, appointment_id):
    question = save(
        Question(
            kind="deleted", appointment_id=appointment_id, calendar_id=calendar.id, sentence="x", answered_at=now_utc()
        )
    )
    record(f"question:{question.id}", news="question")
    assert deliver_all() == []
    assert sent.sent == []


def test_a_conflict_is_told_while_it_stands(sent, calendar, appointment_id):
    def conflict(**values):
        row = Conflict(
            appointment_id=appointment_id, calendar_id=calendar.id, remote_id="dentist", start_at=NINE, end_at=NINE + HALF_HOUR, **values
        )  # fmt: skip
        return save(row)

    open_one, over = conflict(), conflict(resolved_at=now_utc())
    record(f"conflict:{over.id}", news="conflict")
    record(f"conflict:{open_one.id}", news="conflict")
    assert deliver_all() == []
    [mail] = sent.sent
    assert mail["Subject"] == "Two things at once: Ana, Mon 1 Mar, 09:00"
    assert "Private" in text(mail)


def test_trouble_with_a_connection_is_told_to_its_owner_and_to_the_admins(sent, calendar, owner):
    state(calendar, "needs reauth", reason="The server does not accept the password any more.")
    assert deliver_all() == []
    assert sorted(m["To"].addresses[0].addr_spec for m in sent.sent) == [ANA, OWNER]
    for mail in sent.sent:
        assert mail["Subject"] == "A calendar needs your password: Ana"
        assert "does not accept the password" in text(mail)
        assert "Since: Monday 1 March, 07:00, Madrid time (UTC+1)" in text(mail)
        assert "http://localhost/admin/integrations" in text(mail)


def test_one_person_in_two_roles_gets_one_mail(sent, calendar, studio):
    save(User(email="ANA@studio.example", role="owner"))
    state(calendar, "degraded", reason="down")
    deliver_all()
    assert len(sent.sent) == 1


def test_connected_again_is_told_after_trouble_that_was_told(sent, calendar):
    state(calendar, "degraded", reason="down")
    deliver_all()
    state(calendar, "connected")
    deliver_all()
    assert [m["Subject"] for m in to(sent.sent, ANA)] == ["Trouble with a calendar: Ana", "Works again: Ana"]


def test_trouble_that_passes_before_its_mail_left_is_not_told_at_all(sent, calendar):
    state(calendar, "degraded", reason="down")
    state(calendar, "connected")
    assert deliver_all() == []
    assert sent.sent == []


def test_the_same_trouble_a_second_time_is_told_again(sent, calendar):
    for name in ("degraded", "connected", "degraded"):
        state(calendar, name)
        deliver_all()
    assert len(to(sent.sent, ANA)) == 3
    assert len({m["Message-ID"] for m in sent.sent}) == 3


def test_a_read_that_waits_for_a_decision_is_told_whatever_the_state_does(sent, calendar, studio):
    calendar.quarantine = {"would_remove": 40, "decision": None}
    db.session.commit()
    state(calendar, "quarantine", reason="40 of 52 known events would be gone.")
    state(calendar, "degraded", reason="down")
    state(calendar, "connected")
    assert deliver_all() == []
    [mail] = sent.sent
    assert mail["Subject"] == "A calendar waits for your decision: Ana"
    assert "40 of 52 known events would be gone." in text(mail)
    assert "Nothing was removed" in text(mail)


def test_refused_writes_are_told_whatever_the_state_does_unless_they_were_written_meanwhile(
    sent, calendar, appointment_id
):
    link = save(EventLink(appointment_id=appointment_id, calendar_id=calendar.id, uid="u", state="stuck"))
    state(calendar, "unwritable", reason="It may only be read.")
    state(calendar, "degraded", reason="down")
    state(calendar, "connected")
    assert deliver_all() == []
    [mail] = sent.sent
    assert mail["Subject"] == "A calendar does not take bookings: Ana"
    assert "It may only be read." in text(mail)
    link.state = "done"
    db.session.commit()
    state(calendar, "unwritable", reason="It may only be read.")
    deliver_all()
    assert len(sent.sent) == 1


@pytest.mark.parametrize("quarantine", [None, {"would_remove": 40, "decision": "keep"}])
def test_a_read_that_was_decided_meanwhile_is_not_told(sent, calendar, quarantine):
    calendar.quarantine = quarantine
    db.session.commit()
    state(calendar, "quarantine", reason="40 of 52 known events would be gone.")
    assert deliver_all() == []
    assert sent.sent == []


def test_a_repeat_of_connection_news_reaches_only_those_whom_it_missed(sent, calendar, owner):
    state(calendar, "degraded", reason="down")
    sent.fail_next(TemporaryDeliveryError("full"))
    [error] = deliver_all()
    assert isinstance(error, TemporaryDeliveryError)
    assert deliver_all() == []
    assert sorted(m["To"].addresses[0].addr_spec for m in sent.sent) == [ANA, OWNER]


def test_news_of_something_that_is_gone_is_dropped(sent, studio):
    for subject in ("question:99", "conflict:99", "connection:99", "booking:99"):
        record(subject, news="booked", state="degraded", sequence=0)
    assert deliver_all() == []
    assert sent.sent == []


def test_a_subject_that_nobody_knows_is_shown_as_stuck(sent, studio):
    record("weather:1", news="rain")
    [error] = deliver_all()
    assert isinstance(error, DeliveryRefused)


def state(calendar, name, *, reason=""):
    since = (MONDAY + timedelta(seconds=1)).isoformat()
    record(f"connection:{calendar.connection_id}", news="connection", state=name, reason=reason, since=since)


def record(subject, **payload):
    transaction(lambda session: outbox.record(session, "notify.staff", subject, **payload))


def save(row):
    db.session.add(row)
    db.session.commit()
    return row
