"""Mails that fail or come back: seen by staff, sent again as a new mail, noted by the command."""

from __future__ import annotations

import io
import sys
from datetime import timedelta

import pytest
import time_machine

from portal.booking.models import Booking
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import NotAllowedNow, NotFound
from portal.extensions import db
from portal.notifications import again, failures
from portal.notifications.models import Mail
from portal.notifications.returned import mark_returned, read_report
from portal.outbox import OutboxEntry
from providers.messaging.base import DeliveryRefused, TemporaryDeliveryError
from tests.operations.notifications.conftest import HALF_HOUR, MAX, NINE, ZOE
from tests.support.mails import deliver_all, invitation, text, to
from tests.unit.notifications.test_returned import KEY, POSTFIX


def report_for(mail) -> bytes:
    return POSTFIX.replace(KEY, mail["Message-ID"].strip("<>").partition("@")[0]).encode()


def shown(outcome):
    db.session.rollback()
    return failures.mails_of(db.session(), db.session.get_one(Booking, outcome.booking_id), now=now_utc())


def unreached():
    db.session.rollback()
    return [each.customer for each in failures.unreached(db.session(), resource_ids=None, now=now_utc())]


def refuse(sent, outcome_of) -> object:
    sent.fail_next(DeliveryRefused("The mail server refuses the recipient."))
    outcome = outcome_of()
    deliver_all("notify.customer")
    return outcome


def test_a_refused_mail_is_shown_at_the_booking_and_on_the_home_page(sent, studio):
    outcome = refuse(sent, studio.book)
    [mail] = shown(outcome)
    assert (mail.name, mail.recipient, mail.state, mail.can_repeat) == ("Booked", ZOE.email, "failed", True)
    assert "refuses the recipient" in mail.reason
    assert unreached() == [ZOE.name]


def test_a_mail_sent_again_goes_to_the_present_address_under_a_name_of_its_own(sent, studio):
    outcome = refuse(sent, studio.book)
    old = db.session.query(Mail).one()
    transaction(lambda s: setattr(s.get_one(Booking, outcome.booking_id), "customer_email", "zoe@mended.example"))
    for _ in range(2):  # pressed twice
        again.send_again(old.id, now=now_utc())
    assert deliver_all("notify.again") == []
    [mail] = to(sent.sent, "zoe@mended.example")
    assert mail["Subject"].startswith("Booked")
    assert invitation(mail)
    assert outcome.manage_token in text(mail)
    assert mail["Message-ID"].strip("<>").partition("@")[0] != old.message_id
    assert [row.state for row in shown(outcome)] == ["sent", "failed"], "what happened first stays to be read"
    assert unreached() == []


def test_a_mail_sent_again_after_a_change_says_how_things_stand(sent, studio):
    outcome = refuse(sent, studio.book)
    first = db.session.query(Mail).one().id
    studio.cancel(outcome, by="staff")
    deliver_all("notify.customer")
    again.send_again(first, now=now_utc())
    deliver_all("notify.again")
    assert [mail["Subject"].split(":")[0] for mail in to(sent.sent, ZOE.email)] == ["Cancelled", "Cancelled"]


def test_nothing_is_sent_again_that_is_on_its_way_or_over(sent, studio):
    outcome = studio.book()
    sent.fail_next(TemporaryDeliveryError("down"))
    deliver_all("notify.customer")
    mail_id = db.session.query(Mail).one().id
    with pytest.raises(NotAllowedNow, match="still on its way"):
        again.send_again(mail_id, now=now_utc())
    deliver_all("notify.customer")
    with pytest.raises(NotAllowedNow, match="is over"):
        again.send_again(mail_id, now=NINE + HALF_HOUR)
    with pytest.raises(NotFound):
        again.send_again(987654, now=now_utc())
    assert shown(outcome)[0].state == "sent"


def test_who_was_reached_by_a_later_mail_needs_nobodys_help(sent, studio):
    outcome = refuse(sent, studio.book)
    assert unreached() == [ZOE.name]
    studio.move(outcome, NINE + HALF_HOUR)
    deliver_all("notify.customer")
    assert unreached() == []


def test_a_second_wish_counts_again_once_the_first_was_done(sent, studio):
    refuse(sent, studio.book)
    mail_id = db.session.query(Mail).one().id
    for count in (1, 2):
        again.send_again(mail_id, now=now_utc())
        deliver_all("notify.again")
        assert len(to(sent.sent, ZOE.email)) == count


def test_a_mail_server_that_takes_no_mail_is_told_after_some_minutes(sent, studio):
    studio.book()
    sent.fail_next(TemporaryDeliveryError("The mail server is down."))
    deliver_all("notify.customer")
    assert failures.why_mails_wait(db.session(), now=now_utc()) == ""
    assert failures.why_mails_wait(db.session(), now=now_utc() + timedelta(minutes=6)) == "The mail server is down."
    deliver_all("notify.customer")
    db.session.rollback()
    assert failures.why_mails_wait(db.session(), now=now_utc() + timedelta(minutes=6)) == ""


def test_a_report_marks_the_mail_that_came_back_and_no_other(sent, studio):
    outcome, other = studio.book(), studio.book(NINE + HALF_HOUR, MAX)
    deliver_all()
    [mail] = to(sent.sent, ZOE.email)
    sentence = mark_returned(read_report(report_for(mail)), now=now_utc())
    assert ZOE.email in sentence
    assert "User unknown" in sentence
    assert [row.state for row in shown(outcome) if row.recipient == ZOE.email] == ["returned"]
    assert [row.state for row in shown(other) if row.recipient == MAX.email] == ["sent"]
    assert unreached() == [ZOE.name]


def test_a_report_read_twice_is_the_same_as_once_and_a_delay_changes_nothing(sent, studio):
    studio.book()
    deliver_all("notify.customer")
    [mail] = sent.sent
    delayed = report_for(mail).replace(b"Action: failed", b"Action: delayed")
    assert "has not come back" in mark_returned(read_report(delayed), now=now_utc())
    assert db.session.query(Mail).one().state == "sent"
    first = now_utc()
    for moment in (first, first + timedelta(hours=1)):
        mark_returned(read_report(report_for(mail)), now=moment)
    db.session.rollback()
    row = db.session.query(Mail).one()
    assert (row.state, row.bounced_at) == ("failed", first)


def test_a_returned_mail_is_not_sent_again_by_its_entry(sent, studio):
    studio.book()
    deliver_all("notify.customer")
    mark_returned(read_report(report_for(sent.sent[0])), now=now_utc())
    transaction(lambda s: s.query(OutboxEntry).update({"state": "todo", "finished_at": None}))
    deliver_all("notify.customer")
    assert len(sent.sent) == 1


def test_bookings_that_are_over_concern_nobody_any_more(sent, studio):
    refuse(sent, studio.book)
    with time_machine.travel(NINE + HALF_HOUR):
        assert unreached() == []


def test_staff_hear_of_their_own_bookings_alone(sent, studio):
    refuse(sent, studio.book)
    found = {
        who.slug: failures.unreached(db.session(), resource_ids=[who.id], now=now_utc())
        for who in (studio.ana, studio.ben)
    }
    assert (len(found["ana"]), len(found["ben"])) == (1, 0)


def run_command(app, monkeypatch, content: bytes) -> int:
    """`lockstep mail-returned < report`, on this app's database."""
    from contextlib import contextmanager

    from portal.commands import mails, main

    @contextmanager
    def instance():
        yield app

    monkeypatch.setattr(mails, "instance", instance)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return main.run(["mail-returned"])


def test_the_command_marks_and_says_so(sent, studio, app, monkeypatch, capsys):
    studio.book()
    deliver_all("notify.customer")
    assert run_command(app, monkeypatch, report_for(sent.sent[0])) == 0
    assert f"The mail to {ZOE.email} is marked as returned" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [(POSTFIX.encode(), "not one of this portal's"), (b"Subject: hello\n\n", "no delivery report")],
)
def test_the_command_fails_in_one_sentence_for_what_it_does_not_know(app, monkeypatch, capsys, content, words):
    assert run_command(app, monkeypatch, content) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
