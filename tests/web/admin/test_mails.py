"""The mails of a booking on its page, and what the home page says of mails that failed."""

from __future__ import annotations

import pytest

from portal.clock import now_utc
from portal.extensions import db
from portal.notifications.models import Mail
from portal.outbox import OutboxEntry


@pytest.fixture
def failed(studio):
    """A booking of Ana's whose mail was refused."""
    booking = studio.book("Clara")
    db.session.add(
        Mail(
            message_id="k", kind="booked", booking_id=booking.id, recipient=booking.customer_email, subject="Booked",
            state="failed", last_error="The mail server refuses the recipient. <b>550</b>", created_at=now_utc(),
        )
    )  # fmt: skip
    db.session.commit()
    return booking


def entries() -> list[str]:
    db.session.rollback()
    return [row.subject for row in db.session.query(OutboxEntry).filter_by(topic="notify.again")]


def test_a_failed_mail_stands_at_the_booking_with_its_reason_and_is_sent_again(failed, admin, page):
    address = f"/admin/bookings/{failed.id}"
    text = page(admin, address)
    assert "Not sent" in text
    assert "refuses the recipient. &lt;b&gt;550" in text
    mail = db.session.query(Mail).one()
    said = page(admin, f"{address}/mails/{mail.id}/again", post={})
    assert "on its way again" in said
    assert "It is being sent again." in said
    assert entries() == [f"mail:{mail.id}"]


def test_the_home_page_names_the_customer_who_may_not_know(failed, admin, page):
    text = page(admin, "/admin")
    assert "Clara could not be told" in text
    assert f"/admin/bookings/{failed.id}" in text


def test_nobody_sends_mails_of_bookings_that_are_not_theirs(failed, staff, admin, studio):
    mail = db.session.query(Mail).one()
    assert staff.post(f"/admin/bookings/{failed.id}/mails/{mail.id}/again").status_code == 404
    other = studio.book("Max", who="ben")
    assert admin.post(f"/admin/bookings/{other.id}/mails/{mail.id}/again").status_code == 404
    assert entries() == []


def test_every_mail_that_did_not_arrive_stands_on_a_page_and_is_tried_again_from_there(failed, admin, staff, page):
    waiting = OutboxEntry(topic="notify.staff", subject="connection:1", last_error="The mail server is away.")
    db.session.add(waiting)
    db.session.flush()
    db.session.add(
        Mail(
            message_id="w", kind="connection", recipient="olga@studio.example", subject="Trouble", state="sending",
            last_error="The mail server is away.", outbox_id=waiting.id, created_at=now_utc(),
        )
    )  # fmt: skip
    db.session.commit()
    text = page(admin, "/admin/mails")
    for words in (
        "Not sent",
        "On its way",
        "olga@studio.example",
        "refuses the recipient",
        "The mail server is away.",
        "Send all again",
    ):
        assert words in text
    mails = {mail.message_id: mail.id for mail in db.session.query(Mail)}
    assert staff.get("/admin/mails").status_code == 403
    assert staff.post("/admin/mails/again").status_code == 403
    assert "is tried again" in page(admin, f"/admin/mails/{mails['w']}/again", post={})
    assert "2 mails are tried again" in page(admin, "/admin/mails/again", post={})
    assert entries() == [f"mail:{mails['k']}"]
    assert "It is being sent again." in page(admin, "/admin/mails")
    assert admin.post("/admin/mails/987654/again").status_code == 404


def test_the_home_page_says_which_mails_were_given_up_and_where_they_are(failed, admin, staff, page, studio):
    mail = db.session.query(Mail).one()
    mail.given_up, mail.given_up_at = "too late", now_utc()
    db.session.commit()
    text = page(admin, "/admin")
    assert "One mail could not leave in time" in text
    assert "/admin/mails" in text
    assert "could not leave in time" not in page(staff, "/admin"), "it is no booking of theirs"
    mail.booking_id = studio.book("Max", who="ben").id
    db.session.commit()
    theirs = page(staff, "/admin")
    assert "One mail could not leave in time" in theirs
    assert 'href="/admin/mails"' not in theirs, "that page is not theirs to open"
    assert "Given up" in page(admin, f"/admin/bookings/{mail.booking_id}")


def test_a_mail_that_is_only_a_file_is_not_called_sent(failed, admin, page):
    mail = db.session.query(Mail).one()
    mail.state, mail.file_name, mail.last_error, mail.sent_at = "sent", "x.eml", None, now_utc()
    db.session.commit()
    text = page(admin, f"/admin/bookings/{failed.id}")
    assert "Kept as a file" in text
    assert "reached nobody" in text
    assert ">Sent<" not in text
