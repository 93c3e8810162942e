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
