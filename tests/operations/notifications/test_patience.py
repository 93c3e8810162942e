"""Mails that cannot leave: tried as long as they are of use, then given up and said; tried again by hand; the server's absence costs one try."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
import time_machine
from sqlalchemy import select

from portal import outbox
from portal.booking.models import Booking
from portal.clock import now_utc
from portal.customers import codes
from portal.database.engine import transaction
from portal.errors import NotFound
from portal.extensions import db
from portal.notifications import again, deliver, failures, mail_server
from portal.notifications.mail_server import MailLine, Resting
from portal.notifications.models import Mail
from portal.notifications.retrying import retry, retry_all
from portal.outbox import OutboxEntry
from portal.worker import drain, jobs
from providers.messaging.base import DeliveryRefused, MailServerDown, TemporaryDeliveryError
from tests.factories import make_calendar
from tests.operations.notifications.conftest import HALF_HOUR, MAX, NINE, ZOE
from tests.support.mails import HANDLERS, text, to

DAY = timedelta(days=1)
BUSY = "The mail server does not take mail now."
DOWN = "The mail server mail.example:587 cannot be used: timed out."


@pytest.fixture(autouse=True)
def fresh_line(app):
    app.extensions.pop("mail_line", None)
    yield
    app.extensions.pop("mail_line", None)


def work_through(*topics: str) -> None:
    """Everything that is due, as the worker does it."""
    while works := drain.claim(50, topics=topics or tuple(HANDLERS)):
        for work in works:
            drain.do(work, HANDLERS[work.topic])


def fail(sent, error: Exception | None = None, times: int = 1) -> None:
    for _ in range(times):
        sent.fail_next(error or TemporaryDeliveryError(BUSY))


def entries(topic: str) -> list[tuple[str, str]]:
    db.session.rollback()
    rows = db.session.scalars(select(OutboxEntry).where(OutboxEntry.topic == topic).order_by(OutboxEntry.id))
    return [(row.state, row.last_error or "") for row in rows]


def shown(booking_id: int) -> list[tuple[str, str, str]]:
    db.session.rollback()
    mails = failures.mails_of(db.session(), db.session.get_one(Booking, booking_id), now=now_utc())
    return [(mail.name, mail.recipient, mail.state) for mail in mails if mail.recipient == ZOE.email]


def given_up() -> list[str]:
    db.session.rollback()
    return [mail.recipient for mail in failures.given_up(db.session(), resource_ids=None, now=now_utc())]


def test_a_mail_that_could_not_leave_for_days_leaves_when_the_server_is_back(sent, studio):
    outcome = studio.book(NINE + 4 * DAY)
    fail(sent)
    work_through("notify.customer")
    for hours in (13, 26, 50, 80):
        fail(sent)
        with time_machine.travel(now_utc() + timedelta(hours=hours)):
            work_through("notify.customer")
            assert entries("notify.customer")[0][0] == "todo"
    with time_machine.travel(now_utc() + timedelta(hours=90)):
        work_through("notify.customer")
        assert to(sent.sent, ZOE.email)
        assert shown(outcome.booking_id) == [("Booked", ZOE.email, "sent")]


def test_a_mail_that_could_not_leave_before_the_start_is_given_up_and_said(sent, studio):
    outcome = studio.book(NINE)
    fail(sent)
    work_through("notify.customer")
    assert shown(outcome.booking_id) == [("Booked", ZOE.email, "waiting")]
    with time_machine.travel(NINE + HALF_HOUR):
        work_through("notify.customer")
        assert sent.sent == []
        assert entries("notify.customer") == [("dropped", "the start is over")]
        assert shown(outcome.booking_id) == [("Booked", ZOE.email, "given up")]
        assert given_up() == [ZOE.email]
        [(mail, booking_id)] = failures.undelivered(db.session(), now=now_utc())
        assert booking_id == outcome.booking_id
        assert BUSY in mail.reason
        assert mail.why_not == "The appointment is over, so there is nothing more to say."
    with time_machine.travel(NINE + 5 * DAY):
        assert given_up() == []


def test_a_cancellation_is_tried_after_the_start_but_not_for_ever(sent, studio):
    outcome = studio.book(NINE)
    studio.cancel(outcome, by="staff")
    fail(sent)
    work_through("notify.customer")
    fail(sent)
    with time_machine.travel(NINE + HALF_HOUR):
        work_through("notify.customer")
        assert entries("notify.customer")[-1][0] == "todo"
    fail(sent)
    with time_machine.travel(NINE + 2 * DAY):
        work_through("notify.customer")
        assert entries("notify.customer")[-1] == ("dropped", BUSY)
        assert given_up() == [ZOE.email]


def test_a_mail_that_newer_news_took_the_place_of_does_not_wait_any_more(sent, studio):
    outcome = studio.book(NINE)
    fail(sent)
    work_through("notify.customer")
    studio.cancel(outcome, by="staff")
    with time_machine.travel(now_utc() + timedelta(minutes=10)):
        work_through("notify.customer")
        assert [state for *_, state in shown(outcome.booking_id)] == ["sent", "overtaken"]
        assert given_up() == []
        assert failures.undelivered(db.session(), now=now_utc()) == []


def test_a_code_is_tried_until_it_ends(sent, studio):
    studio.book(NINE)
    work_through()
    codes.ask_for_code(ZOE.email, client="192.0.2.1", language="en", now=now_utc())
    fail(sent)
    work_through("notify.code")
    assert entries("notify.code")[0][0] == "todo"
    with time_machine.travel(now_utc() + codes.LIVES):
        work_through("notify.code")
        assert entries("notify.code") == [("dropped", "no code is to be sent")]
        assert given_up() == [ZOE.email]


def test_alarms_for_staff_are_tried_for_days(sent, studio):
    calendar = make_calendar(studio.ana)
    news = {"news": "connection", "state": "degraded", "since": now_utc().isoformat()}
    transaction(lambda s: outbox.record(s, "notify.staff", f"connection:{calendar.connection_id}", **news))
    for days, state in ((0, "todo"), (1, "todo"), (6.5, "todo"), (7.5, "dropped")):
        fail(sent)
        with time_machine.travel(now_utc() + days * DAY):
            work_through("notify.staff")
            assert entries("notify.staff")[0][0] == state


def test_one_recipient_who_is_refused_is_asked_once_though_another_has_to_wait(sent, studio):
    studio.service.assignment = "all"
    db.session.commit()
    studio.book(NINE)
    sent.fail_next(DeliveryRefused("550 no such mailbox"))
    sent.fail_next(TemporaryDeliveryError(BUSY))
    work_through("notify.staff")
    with time_machine.travel(now_utc() + timedelta(minutes=10)):
        work_through("notify.staff")
    assert [mail["To"] for mail in sent.sent] == ["Ben <ben@studio.example>"]
    assert entries("notify.staff") == [("stuck", "550 no such mailbox")]


def test_a_refused_mail_is_tried_again_by_hand_alone(sent, studio):
    outcome = studio.book(NINE)
    sent.fail_next(DeliveryRefused("550 no such mailbox"))
    work_through("notify.customer")
    with time_machine.travel(now_utc() + timedelta(minutes=30)):
        work_through("notify.customer")
        assert to(sent.sent, ZOE.email) == []
        [entry] = db.session.scalars(select(OutboxEntry.id).where(OutboxEntry.state == "stuck")).all()
        assert retry([entry], now=now_utc()) == [entry]
        work_through("notify.customer")
    assert len(to(sent.sent, ZOE.email)) == 1
    assert shown(outcome.booking_id) == [("Booked", ZOE.email, "sent")]


def test_all_that_failed_is_tried_again_at_once(sent, studio):
    for number, who in enumerate((ZOE, MAX)):
        studio.book(NINE + number * HALF_HOUR, who)
    fail(sent)
    sent.fail_next(DeliveryRefused("550 no such mailbox"))
    work_through("notify.customer")
    assert sent.sent == []
    assert len(retry_all(now=now_utc())) == 2
    work_through("notify.customer")
    assert len(sent.sent) == 2
    assert retry_all(now=now_utc()) == []


def test_what_is_done_cannot_be_tried_again(sent, studio):
    studio.book(NINE)
    work_through()
    is_told = select(OutboxEntry.id).where(OutboxEntry.topic == "notify.customer")
    for ids in ([db.session.scalars(is_told).one()], [987654]):
        with pytest.raises(NotFound, match="not stuck and do not wait"):
            retry(ids, now=now_utc())


def test_an_entry_that_is_tried_again_has_a_day_from_then(sent, studio):
    def work(session):
        session.add(
            OutboxEntry(topic="waitlist.look", subject="service:1", state="stuck", created_at=now_utc() - 3 * DAY)
        )

    transaction(work)
    retry_all(now=now_utc())

    def stumble(_work):
        raise RuntimeError("not yet")

    for later, state in ((timedelta(0), "todo"), (2 * DAY, "stuck")):
        with time_machine.travel(now_utc() + later):
            [claimed] = drain.claim(5, topics=["waitlist.look"])
            drain.do(claimed, stumble)
            assert entries("waitlist.look")[0][0] == state


def test_a_mail_on_the_page_of_mails_is_tried_at_once_as_it_would_read_now_or_as_it_was(sent, studio):
    studio.book(NINE)
    fail(sent)
    work_through("notify.customer")
    sent.fail_next(DeliveryRefused("550 no"))
    work_through("notify.staff")
    waiting, refused = db.session.scalars(select(Mail).order_by(Mail.id)).all()
    again.try_again(waiting.id, now=now_utc())
    again.try_again(refused.id, now=now_utc())
    work_through()
    assert sorted(str(mail["To"]) for mail in sent.sent) == [
        "Ana <ana@studio.example>",
        "Zoë Novák <zoe@customer.example>",
    ]
    assert again.try_all_again(now=now_utc()) == 0


def test_sending_again_ends_the_wait_of_the_entry_that_was_refused(sent, studio):
    studio.book(NINE)
    sent.fail_next(DeliveryRefused("550 no"))
    work_through("notify.customer")
    again.send_again(db.session.scalars(select(Mail.id)).one(), now=now_utc())
    assert [state for state, _ in entries("notify.customer")] == ["dropped"]


class TestWhileTheServerIsAway:
    def test_one_mail_tries_and_the_others_are_put_off(self, sent, studio):
        for number in range(6):
            studio.book(NINE + number * HALF_HOUR)
        fail(sent, MailServerDown(DOWN))
        work_through("notify.customer")  # one more try would leave
        assert sent.sent == []
        assert {error for _, error in entries("notify.customer")} <= {DOWN, ""}
        assert failures.why_mails_wait(db.session(), now=now_utc() + timedelta(seconds=30)) == DOWN

    def test_all_leave_within_seconds_once_it_is_back(self, app, sent, studio, monkeypatch):
        for number in range(6):
            studio.book(NINE + number * HALF_HOUR)
        fail(sent, MailServerDown(DOWN))
        work_through("notify.customer")
        app.extensions["mail_line"]._closed_until = 0.0
        with time_machine.travel(now_utc() + timedelta(seconds=mail_server.LONGEST_REST + 1)):
            work_through("notify.customer")
        assert len(sent.sent) == 6
        assert failures.why_mails_wait(db.session(), now=now_utc() + timedelta(minutes=5)) == ""

    def test_its_rest_grows_to_a_minute_and_no_further(self):
        mails = MailLine()
        rests = []
        for _ in range(8):
            was_try = mails.enter()
            rests.append(round(mails.note_failure(DOWN, was_try=was_try)))
            with pytest.raises(Resting, match="timed out"):
                mails.enter()
            mails._closed_until = 0.0
        assert rests == [5, 10, 20, 40, 60, 60, 60, 60]
        assert mails.enter()
        assert mails.note_answer()
        assert not mails.enter()

    def test_mails_that_fail_together_count_as_one_failure(self):
        mails = MailLine()
        assert not mails.enter()
        assert not mails.enter()
        first, second = mails.note_failure(DOWN, was_try=False), mails.note_failure(DOWN, was_try=False)
        assert second <= first <= mail_server.FIRST_REST

    def test_a_recipient_who_has_to_wait_keeps_nobody_else(self, sent, studio):
        studio.book(NINE)
        studio.book(NINE + HALF_HOUR, MAX)
        fail(sent)
        work_through("notify.customer")
        assert [str(mail["To"]) for mail in sent.sent] == ["Max Maier <max@customer.example>"]
        assert failures.why_mails_wait(db.session(), now=now_utc() + timedelta(minutes=1)) == ""


def test_mails_are_never_further_apart_than_minutes(sent, studio):
    outcome = studio.book(NINE + 4 * DAY)
    for _ in range(12):
        fail(sent)
        work_through("notify.customer")
        entry = db.session.scalars(select(OutboxEntry).where(OutboxEntry.topic == "notify.customer")).one()
        wait = entry.next_at - now_utc()
        assert wait < timedelta(minutes=7)
        transaction(partial(_make_due, entry_id=entry.id))
    work_through("notify.customer")
    assert text(to(sent.sent, ZOE.email)[0])
    assert outcome.status == "confirmed"


def test_a_mail_kept_as_a_file_is_not_called_sent(app, studio, tmp_path):
    from providers.messaging.file import FileMessenger

    app.extensions["messenger"] = FileMessenger(tmp_path)
    outcome = studio.book(NINE)
    work_through("notify.customer")
    del app.extensions["messenger"]
    [mail] = failures.mails_of(db.session(), db.session.get_one(Booking, outcome.booking_id), now=now_utc())
    assert (mail.state, mail.reason) == ("kept", "No mail server is set, so this mail is a file, and reached nobody.")


def test_a_mail_that_nobody_has_begun_to_send_is_shown_as_on_its_way(sent, studio):
    outcome = studio.book(NINE)
    assert shown(outcome.booking_id) == [("Booked", ZOE.email, "waiting")]
    work_through("notify.customer")
    assert shown(outcome.booking_id) == [("Booked", ZOE.email, "sent")]


def test_a_lease_that_was_lost_sends_nothing(sent, studio):
    studio.book(NINE)
    [work] = drain.claim(5, topics=["notify.customer"])
    transaction(lambda s: s.execute(OutboxEntry.__table__.update().values(lease_token="another")))
    drain.do(work, deliver.notify_customer)
    assert sent.sent == []


def _make_due(session, *, entry_id: int) -> None:
    session.get_one(OutboxEntry, entry_id).next_at = now_utc()


def test_an_entry_that_is_forgotten_leaves_its_number_at_no_mail(sent, studio):
    studio.book(NINE)
    work_through("notify.customer")
    transaction(lambda s: s.execute(OutboxEntry.__table__.update().values(finished_at=now_utc() - 31 * DAY)))
    jobs.forget_finished()
    db.session.rollback()
    assert db.session.scalars(select(OutboxEntry.id).where(OutboxEntry.topic == "notify.customer")).all() == []
    assert db.session.scalars(select(Mail.outbox_id)).all() == [None]
