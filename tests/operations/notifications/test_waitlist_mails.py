"""What people on a waitlist are told, and the code for one's own bookings: from the outbox to the mail."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import time_machine

from portal import outbox
from portal.booking.models import Offer, WaitlistEntry
from portal.clock import now_utc
from portal.customers import codes
from portal.customers.models import MailedCode
from portal.database.engine import transaction
from portal.extensions import db
from portal.notifications.models import Mail
from portal.security import token_hash
from portal.waitlist.steps import tell_entry, token_place
from tests.operations.notifications.conftest import HALF_HOUR, NINE, ZOE
from tests.support.mails import deliver_all, html, text

TOKEN = "entrys-secret"


@pytest.fixture
def entry(app, studio) -> WaitlistEntry:
    row = WaitlistEntry(
        public_id="e", service_id=studio.service.id, wish="day", wish_on=date(2027, 3, 1), party_size=2, status="waiting",
        customer_name=ZOE.name, customer_email=ZOE.email, customer_zone="Europe/London", token_hash=token_hash(TOKEN),
        resource_id=studio.ana.id,
    )  # fmt: skip
    row.sealed_token = app.extensions["sealer"].seal(TOKEN, place=token_place(row))
    db.session.add(row)
    db.session.commit()
    return row


def tell(entry, news, **more) -> None:
    transaction(lambda session: tell_entry(session, session.get_one(WaitlistEntry, entry.id), news, **more))


def offer(entry, *, minutes: int = 30, state: str = "open") -> Offer:
    row = Offer(
        entry_id=entry.id, start_at=NINE, end_at=NINE + HALF_HOUR, party_size=2, state=state, resource_id=entry.resource_id,
        ends_at=now_utc() + timedelta(minutes=minutes),
    )  # fmt: skip
    db.session.add(row)
    db.session.get_one(WaitlistEntry, entry.id).status = "offered"
    db.session.commit()
    return row


def end(entry, status: str) -> None:
    transaction(lambda session: setattr(session.get_one(WaitlistEntry, entry.id), "status", status))


def test_who_joins_reads_what_they_wait_for_and_how_to_leave(sent, entry):
    tell(entry, "joined")
    assert deliver_all() == []
    [mail] = sent.sent
    assert mail["Subject"] == "On the waitlist: Consultation"
    assert mail["List-Unsubscribe"].startswith("<http://localhost/u/")
    for body in (text(mail), html(mail)):
        for words in (
            "Any time on Monday 1 March 2027",
            "2 people",
            "Ana",
            f"http://localhost/w/{TOKEN}",
            "Nothing is booked yet",
        ):
            assert words in body
    assert db.session.query(Mail).one().entry_id == entry.id


def test_an_offer_says_what_when_and_until_when_with_the_zone(sent, entry):
    tell(entry, "offered", offer_id=offer(entry).id)
    assert deliver_all() == []
    [mail] = sent.sent
    assert mail["Subject"] == "Free for you until Mon 1 Mar, 06:30: Consultation, Mon 1 Mar, 08:00"
    for body in (text(mail), html(mail)):
        assert "Monday 1 March, 06:30, London time (UTC)" in body
        assert "08:00–08:30, London time (UTC)" in body
        assert f"http://localhost/w/{TOKEN}" in body
        assert "We keep the 2 places for you" in body


@pytest.mark.parametrize("over", ["declined", "lapsed", "withdrawn", "accepted"])
def test_an_offer_that_is_over_is_not_mailed(sent, entry, over):
    tell(entry, "offered", offer_id=offer(entry, state=over).id)
    deliver_all()
    assert sent.sent == []


def test_an_offer_whose_time_ran_out_while_mails_waited_is_not_mailed(sent, entry):
    tell(entry, "offered", offer_id=offer(entry).id)
    with time_machine.travel(now_utc() + timedelta(minutes=31)):
        deliver_all()
    assert sent.sent == []


def test_the_newest_news_takes_the_place_of_older_ones(sent, entry):
    tell(entry, "joined")
    tell(entry, "offered", offer_id=offer(entry).id)
    deliver_all()
    assert [mail["Subject"].split(" ")[0] for mail in sent.sent] == ["Free"]


@pytest.mark.parametrize("over", ["declined", "withdrawn"])
def test_who_waits_on_gets_the_link_although_an_offer_came_and_went_before_the_first_mail(sent, entry, over):
    tell(entry, "joined")
    tell(entry, "offered", offer_id=offer(entry, state=over).id)
    end(entry, "waiting")
    assert deliver_all() == []
    [mail] = sent.sent
    assert mail["Subject"] == "On the waitlist: Consultation"
    assert f"http://localhost/w/{TOKEN}" in text(mail)
    tell(entry, "offered", offer_id=offer(entry, state=over).id)
    end(entry, "waiting")
    deliver_all()
    assert len(sent.sent) == 1, "who has the link is not told of what is over"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("declined", "You have declined our offer"),
        ("lapsed", "the time to accept it is over"),
        ("left", "as you asked"),
        ("removed", "We have taken you off"),
        ("over", "did not become free in time"),
    ],
)
def test_the_end_says_why(sent, entry, reason, words):
    end(entry, "left")
    tell(entry, "ended", reason=reason)
    deliver_all()
    [mail] = sent.sent
    assert words in text(mail)
    assert mail["List-Unsubscribe"] is None, "there is nothing left to leave"


def test_nobody_is_welcomed_to_a_list_that_they_have_left(sent, entry):
    tell(entry, "joined")
    end(entry, "left")
    deliver_all()
    assert sent.sent == []


def test_a_code_is_mailed_once_and_forgotten_with_the_mail(sent, studio):
    studio.book()
    transaction(lambda session: session.query(outbox.OutboxEntry).delete())
    codes.ask_for_code(ZOE.email, client="1.2.3.4", language="es", now=now_utc())
    assert deliver_all() == []
    [mail] = sent.sent
    digits = mail["Subject"].split(" ")[0]
    assert len(digits) == 6
    assert digits in text(mail)
    assert "10 minutos" in text(mail)
    db.session.rollback()
    assert db.session.query(MailedCode).one().sealed_code is None
    assert digits not in db.session.query(Mail).one().subject, "staff cannot read it"


def test_no_code_is_mailed_to_who_has_nothing_here(sent, studio):
    codes.ask_for_code("nobody@else.example", client="1.2.3.4", language="", now=now_utc())
    assert deliver_all() == []
    assert sent.sent == []


def test_a_code_that_is_too_old_is_not_mailed(sent, studio):
    studio.book()
    transaction(lambda session: session.query(outbox.OutboxEntry).delete())
    codes.ask_for_code(ZOE.email, client="1.2.3.4", language="", now=now_utc())
    with time_machine.travel(now_utc() + timedelta(minutes=11)):
        deliver_all()
    assert sent.sent == []
