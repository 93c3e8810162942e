"""Reading delivery reports: as Postfix and others write them, and whatever else comes in."""

from __future__ import annotations

import pytest

from portal.errors import Invalid
from portal.notifications.returned import read_report

KEY = "0123456789abcdef0123456789abcdef01234567"
POSTFIX = f"""\
From: MAILER-DAEMON@mail.studio.example (Mail Delivery System)
To: hello@studio.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"
Message-Id: <20270301080000.12345@mail.studio.example>

This is a MIME-encapsulated message.

--b1
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients.

--b1
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.studio.example
X-Postfix-Queue-ID: 4F1B2C3D
Arrival-Date: Mon,  1 Mar 2027 08:00:00 +0000 (UTC)

Final-Recipient: rfc822; zoe@customer.example
Original-Recipient: rfc822;zoe@customer.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.customer.example
Diagnostic-Code: smtp; 550 5.1.1 <zoe@customer.example>: Recipient address
    rejected: User unknown

--b1
Content-Description: Undelivered Message
Content-Type: message/rfc822

Return-Path: <hello@studio.example>
From: Studio Ana <hello@studio.example>
To: zoe@customer.example
Subject: Booked
Message-ID: <{KEY}@studio.example>
Content-Type: text/plain

Hello
--b1--
"""


def report(text: str = POSTFIX, **changes: str) -> bytes:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text.encode()


def replaced(old: str, new: str) -> bytes:
    assert old in POSTFIX
    return POSTFIX.replace(old, new).encode()


def test_a_report_of_postfix_names_the_mail_the_person_and_the_reason():
    found = read_report(report())
    assert (found.message_key, found.recipient, found.action) == (KEY, "zoe@customer.example", "failed")
    assert found.reason.endswith("550 5.1.1 <zoe@customer.example>: Recipient address rejected: User unknown")


def test_lines_may_end_as_the_network_ends_them():
    assert read_report(report().replace(b"\n", b"\r\n")).message_key == KEY


def test_the_header_of_the_returned_mail_is_enough():
    content = replaced("Content-Type: message/rfc822\n", "Content-Type: text/rfc822-headers\n")
    assert read_report(content).message_key == KEY


def test_of_several_recipients_the_one_that_failed_counts():
    other = "Final-Recipient: rfc822; max@customer.example\nAction: delivered\nStatus: 2.0.0\n\n"
    content = replaced("Final-Recipient: rfc822; zoe", other + "Final-Recipient: rfc822; zoe")
    assert (read_report(content).recipient, read_report(content).action) == ("zoe@customer.example", "failed")


def test_a_delay_is_not_a_return():
    assert read_report(replaced("Action: failed", "Action: delayed")).action == "delayed"


def test_without_the_servers_words_its_status_is_told():
    content = POSTFIX[: POSTFIX.index("Diagnostic-Code")] + POSTFIX[POSTFIX.index("\n--b1\nContent-Description: Und") :]
    assert read_report(content.encode()).reason.endswith("status 5.1.1")


def test_the_message_id_of_the_report_itself_does_not_count():
    with pytest.raises(Invalid, match="nobody knows which one it was"):
        read_report(replaced(f"Message-ID: <{KEY}@studio.example>\n", ""))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\xfe",
        b"Subject: Re: Booked\n\nThank you!",
        report()[:600],
        b"Content-Type: multipart/report\n\n--",
    ],
)
def test_what_is_no_report_is_refused_in_a_sentence(content):
    with pytest.raises(Invalid, match="delivery report"):
        read_report(content)


def test_a_report_without_recipients_is_refused():
    with pytest.raises(Invalid, match="no recipient"):
        read_report(replaced("Action: failed\n", ""))


def test_a_reason_is_one_short_line_without_control_characters():
    content = replaced("User unknown", "User\x1b[31m unknown " + "x" * 5000)
    reason = read_report(content).reason
    assert len(reason) <= 300
    assert "\x1b" not in reason
