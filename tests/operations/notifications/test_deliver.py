"""From a change in the portal to mails at the right people, once each, whatever happens on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest
import time_machine
from icalendar import Calendar
from sqlalchemy import delete, select

from portal.accounts.models import User
from portal.booking import operations
from portal.booking.models import Booking
from portal.business.models import Business
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.notifications import deliver as delivering
from portal.notifications.models import Mail
from portal.outbox import OutboxEntry
from providers.calendars.memory import MemoryCalendars
from providers.errors import Temporary
from providers.messaging.base import DeliveryRefused, TemporaryDeliveryError
from tests.factories import make_calendar
from tests.operations.notifications.conftest import HALF_HOUR, MAX, NINE, ZOE
from tests.support.mails import claim, deliver, deliver_all, html, invitation, text, to


def subjects(sent, address):
    return [message["Subject"] for message in to(sent.sent, address)]


def test_a_booking_is_told_to_its_customer_and_its_member_of_staff(sent, studio):
    studio.book()
    assert deliver_all() == []
    assert subjects(sent, ZOE.email) == ["Booked: Consultation, Mon 1 Mar, 08:00"]
    assert subjects(sent, "ana@studio.example") == ["New booking: Zoë Novák, Mon 1 Mar, 09:00"]
    assert len(sent.sent) == 2


def test_mails_come_in_the_business_s_name_and_answers_reach_it(sent, studio):
    db.session.add(User(email="owner@studio.example", role="owner", is_enabled=True))
    db.session.commit()
    studio.book()
    deliver_all()
    assert {str(mail["From"]) for mail in sent.sent} == {"Studio Ana <lockstep@localhost>"}
    assert {str(mail["Reply-To"]) for mail in sent.sent} == {"Studio Ana <owner@studio.example>"}
    db.session.get_one(Business, 1).email = "hello@studio.example"
    db.session.commit()
    studio.book(NINE + HALF_HOUR, MAX)
    deliver_all()
    assert str(sent.sent[-1]["Reply-To"]) == "Studio Ana <hello@studio.example>"


def test_the_manage_link_in_the_mail_opens_the_booking(sent, studio):
    outcome = studio.book()
    deliver_all()
    [mail] = to(sent.sent, ZOE.email)
    link = f"http://localhost/b/{outcome.manage_token}"
    assert link in text(mail)
    assert link in html(mail)
    assert outcome.manage_token not in str(to(sent.sent, "ana@studio.example")[0])


def test_the_customers_calendar_follows_every_change(sent, studio):
    outcome = studio.book()
    deliver_all()
    studio.move(outcome, NINE + HALF_HOUR)
    deliver_all()
    studio.cancel(outcome)
    deliver_all()
    calendars = [Calendar.from_ical(invitation(mail)) for mail in to(sent.sent, ZOE.email)]
    events = [calendar.walk("VEVENT")[0] for calendar in calendars]
    assert [str(calendar["method"]) for calendar in calendars] == ["REQUEST", "REQUEST", "CANCEL"]
    assert len({event["uid"] for event in events}) == 1
    assert [event["sequence"] for event in events] == [0, 1, 2]
    assert [event.start for event in events] == [NINE, NINE + HALF_HOUR, NINE + HALF_HOUR]


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("customer", "You moved"),
        ("staff", "We had to move"),
        ("calendar", "We had to move your appointment in our calendar"),
    ],
)
def test_a_move_is_told_with_both_times_and_who_did_it(sent, studio, by, words):
    outcome = studio.book()
    deliver_all()
    studio.move(outcome, NINE + HALF_HOUR, by=by)
    deliver_all()
    mail = text(to(sent.sent, ZOE.email)[-1])
    assert words in mail
    assert "08:30–09:00, London time (UTC)" in mail
    assert "Before: Monday 1 March, 08:00, London time (UTC)" in mail


def test_a_request_and_its_approval_or_refusal_are_told(sent, studio):
    calendar = make_calendar(studio.ana, when_unreadable="pending", last_read_at=None)
    MemoryCalendars.open(calendar.connection.account["url"]).fail_always(Temporary("down"))
    outcome, other = studio.book(), studio.book(NINE + HALF_HOUR, MAX)
    assert outcome.status == "pending"
    deliver_all()
    operations.approve_booking(outcome.booking_id, now=now_utc())
    operations.refuse_booking(other.booking_id, now=now_utc())
    deliver_all()
    assert [s.split(":")[0] for s in subjects(sent, ZOE.email)] == ["Request received", "Confirmed"]
    assert [s.split(":")[0] for s in subjects(sent, MAX.email)] == ["Request received", "Not possible"]
    statuses = [str(Calendar.from_ical(invitation(m)).walk("VEVENT")[0]["status"]) for m in to(sent.sent, ZOE.email)]
    assert statuses == ["TENTATIVE", "CONFIRMED"]


def test_a_booking_cancelled_before_its_mail_left_is_told_once(sent, studio):
    outcome = studio.book()
    studio.cancel(outcome)
    deliver_all()
    assert subjects(sent, ZOE.email) == ["Cancelled: Consultation, Mon 1 Mar, 08:00"]
    assert subjects(sent, "ana@studio.example") == ["Cancelled: Zoë Novák, Mon 1 Mar, 09:00"]


def test_a_booking_moved_before_its_mail_left_is_told_as_booked_at_its_present_time(sent, studio):
    outcome = studio.book()
    studio.move(outcome, NINE + HALF_HOUR)
    deliver_all()
    assert subjects(sent, ZOE.email) == ["Booked: Consultation, Mon 1 Mar, 08:30"]
    assert [str(Calendar.from_ical(invitation(m)).walk("VEVENT")[0]["sequence"]) for m in to(sent.sent, ZOE.email)] == [
        "1"
    ]


def test_every_move_is_told(sent, studio):
    outcome = studio.book()
    deliver_all()
    for n in (1, 2):
        studio.move(outcome, NINE + n * HALF_HOUR)
        deliver_all()
    first, second = to(sent.sent, ZOE.email)[1:]
    assert "Before: Monday 1 March, 08:00" in text(first)
    assert "Before: Monday 1 March, 08:30" in text(second)


def test_a_move_long_after_the_booking_is_told_as_a_move(sent, studio):
    outcome = studio.book()
    deliver_all()
    transaction(lambda session: session.execute(delete(OutboxEntry)))  # done entries are forgotten after a month
    studio.move(outcome, NINE + HALF_HOUR)
    deliver_all()
    assert [s.split(":")[0] for s in subjects(sent, ZOE.email)] == ["Booked", "New time"]


def test_two_moves_while_the_mail_server_was_down_are_told_as_one(sent, studio):
    outcome = studio.book()
    deliver_all()
    studio.move(outcome, NINE + HALF_HOUR)
    sent.fail_next(TemporaryDeliveryError("down"))
    assert [str(error) for error in deliver_all("notify.customer")] == ["down"]
    studio.move(outcome, NINE + 2 * HALF_HOUR)
    deliver_all()
    mails = to(sent.sent, ZOE.email)
    # the first move's mail may have left before it failed, so the second starts from there
    assert [mail["Subject"].split(":")[0] for mail in mails] == ["Booked", "New time"]
    assert "09:00–09:30" in text(mails[-1])


def test_nothing_but_cancellations_is_told_after_the_start(sent, studio):
    outcome, other = studio.book(), studio.book(NINE + HALF_HOUR, MAX)
    with time_machine.travel(NINE + 3 * HALF_HOUR):
        deliver_all("notify.customer")
        assert sent.sent == []
        studio.cancel(other, by="staff")
        deliver_all("notify.customer")
        assert [m["To"].addresses[0].addr_spec for m in sent.sent] == [MAX.email]
    assert outcome.status == "confirmed"


def test_two_bookings_of_one_appointment_know_nothing_of_each_other(sent, studio):
    studio.service.capacity = 5
    db.session.commit()
    studio.book()
    studio.book(customer=MAX)
    deliver_all()
    [zoes], [maxs] = to(sent.sent, ZOE.email), to(sent.sent, MAX.email)
    for mail, other in ((zoes, MAX), (maxs, ZOE)):
        everything = decoded(mail)
        assert not [
            value for value in (other.name, other.email, other.note, other.phone) if value and value in everything
        ]


def test_no_mail_to_a_customer_holds_their_note_or_the_staffs_address(sent, studio):
    studio.book()
    deliver_all()
    [mail] = to(sent.sent, ZOE.email)
    assert ZOE.note not in decoded(mail)
    assert "ana@studio.example" not in decoded(mail)


def test_all_members_of_staff_who_take_part_are_told(sent, studio):
    studio.service.assignment = "all"
    db.session.commit()
    operations.book(service_slug="consultation", start_at=NINE, customer=ZOE, idempotency_key="together", now=now_utc())
    deliver_all("notify.staff")
    assert sorted(m["To"].addresses[0].addr_spec for m in sent.sent) == ["ana@studio.example", "ben@studio.example"]


def test_where_staff_have_no_address_the_owners_are_told(sent, studio):
    studio.ana.email = ""
    for email, role, enabled in (
        ("owner@studio.example", "owner", True),
        ("gone@x.example", "admin", False),
        ("s@x.example", "staff", True),
    ):
        db.session.add(User(email=email, role=role, is_enabled=enabled))
    db.session.commit()
    studio.book()
    deliver_all("notify.staff")
    assert [m["To"].addresses[0].addr_spec for m in sent.sent] == ["owner@studio.example"]


def test_a_mail_that_was_sent_is_not_sent_again(sent, studio):
    studio.book()
    [work] = claim("notify.customer")
    assert deliver(work) is None
    assert deliver(work) is None
    assert len(sent.sent) == 1


def test_a_process_that_dies_after_sending_sends_once_more_under_the_same_name(sent, studio, monkeypatch):
    studio.book()
    [work] = claim("notify.customer")

    class Died(BaseException):
        pass

    def die(_place: str) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(delivering, "reach", die)
        with pytest.raises(Died):
            delivering.notify_customer(work)
    assert stored(Mail).state == "sending"
    assert deliver(work) is None
    assert stored(Mail).state == "sent"
    first, second = sent.sent
    assert first["Message-ID"] == second["Message-ID"]
    assert without_boundaries(first) == without_boundaries(second)


def test_a_mail_is_written_down_before_it_is_sent_and_no_transaction_waits_for_the_server(sent, studio, app):
    studio.book()
    [work] = claim("notify.customer")
    seen = []

    class Watching:
        def send(self, draft):
            seen.append((db.session().in_transaction(), draft.message_key))
            seen.append(stored(Mail).state)
            db.session.rollback()
            return sent.send(draft)

    app.extensions["messenger"] = Watching()
    deliver(work)
    assert seen[0][0] is False
    assert seen[1] == "sending"


def test_a_server_that_is_down_costs_nothing_but_time(sent, studio):
    studio.book()
    sent.fail_next(TemporaryDeliveryError("The mail server is down."))
    [error] = deliver_all("notify.customer")
    assert isinstance(error, TemporaryDeliveryError)
    assert (stored(Mail).state, stored(Mail).last_error) == ("sending", "The mail server is down.")
    assert deliver_all("notify.customer") == []
    assert len(sent.sent) == 1
    assert (stored(Mail).state, stored(Mail).last_error) == ("sent", None)


def test_a_refused_mail_is_kept_with_the_reason(sent, studio):
    studio.book()
    sent.fail_next(DeliveryRefused("no such mailbox"))
    [error] = deliver_all("notify.customer")
    assert isinstance(error, DeliveryRefused)
    mail = stored(Mail)
    assert (mail.state, mail.last_error, mail.recipient) == ("failed", "no such mailbox", ZOE.email)


def test_one_wrong_address_does_not_keep_the_others_waiting(sent, studio):
    studio.service.assignment = "all"
    studio.ana.email = "not an address"
    db.session.commit()
    operations.book(service_slug="consultation", start_at=NINE, customer=ZOE, idempotency_key="together", now=now_utc())
    [error] = deliver_all("notify.staff")
    assert isinstance(error, DeliveryRefused)
    assert "not an address" in str(error)
    assert [m["To"].addresses[0].addr_spec for m in sent.sent] == ["ben@studio.example"]


def test_a_lost_key_costs_the_link_and_not_the_mail(sent, studio):
    outcome = studio.book()
    db.session.get_one(Booking, outcome.booking_id).sealed_manage_token = "00000000.AAAA"
    db.session.commit()
    assert deliver_all("notify.customer") == []
    assert "get in touch" in text(sent.sent[0])


def test_a_new_sender_address_tells_nobody_old_news_again(sent, studio, app, monkeypatch):
    outcome = studio.book()
    deliver_all("notify.customer")
    changed = replace(app.extensions["settings"], mail_from="New <new@elsewhere.example>")
    monkeypatch.setitem(app.extensions, "settings", changed)
    studio.move(outcome, NINE + HALF_HOUR)
    deliver_all("notify.customer")
    assert [s.split(":")[0] for s in subjects(sent, ZOE.email)] == ["Booked", "New time"]


def test_a_booking_that_is_gone_is_no_reason_to_stop(sent, studio):
    def record(session):
        session.add(
            OutboxEntry(topic="notify.customer", subject="booking:999", payload={"news": "booked", "sequence": 0})
        )

    transaction(record)
    assert deliver_all() == []
    assert sent.sent == []


def stored(model):
    db.session.rollback()
    return db.session.scalars(select(model)).one()


def decoded(mail) -> str:
    """Everything that stands in a mail, as it reads: headers, bodies, invitation."""
    parts = [part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()]
    headers = [f"{name}: {value}" for name, value in mail.items()]
    return "\n".join([*headers, *(part.decode("utf-8") for part in parts)])


def without_boundaries(mail) -> str:
    return "\n".join(line for line in decoded(mail).splitlines() if "boundary" not in line)
