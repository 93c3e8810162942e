"""Mails that came back: reads a delivery report as mail servers send it, and marks the mail that it is about. Called by `lockstep mail-returned`.

A report is a multipart/report (RFC 6522) with a part that programs can read, message/delivery-status (RFC 3464), and with the returned mail,
whole or its header alone. Our mail is known by the Message-ID of the returned one: nobody but its reader has seen it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, message_from_string, policy
from email.message import Message

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.database.engine import transaction
from portal.errors import Invalid, NotFound
from portal.notifications.models import Mail
from providers.messaging.mime import header_text

LARGEST_REPORT = 2 * 1024 * 1024
LONGEST_REASON = 300
_RETURNED = (
    "message/rfc822",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/global",
    "message/global-headers",
)
_STATUS = ("message/delivery-status", "message/global-delivery-status")


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says of the one mail that it is about. `action` is failed, delayed, delivered, relayed or expanded (RFC 3464 2.3.3)."""

    message_key: str
    recipient: str
    action: str
    reason: str


def read_report(content: bytes) -> Report:
    """Read a delivery report. Raises Invalid, with what is missing, for anything else."""
    message = message_from_bytes(content[:LARGEST_REPORT], policy=policy.compat32)
    status = next((part for part in _parts(message) if part.get_content_type() in _STATUS), None)
    if status is None:
        raise Invalid("This is no delivery report: it has no part of type message/delivery-status (RFC 3464).")
    key = _message_key(message)
    if not key:
        raise Invalid(
            "The report does not hold the header of the mail that it returns, so nobody knows which one it was."
        )
    groups = [group for group in _groups(status) if group.get("Action")]
    if not groups:
        raise Invalid("The report names no recipient and no action, so it does not say what became of the mail.")
    worst = next((group for group in groups if _value(group, "Action").lower() == "failed"), groups[0])
    return Report(
        message_key=key,
        recipient=_address(_value(worst, "Original-Recipient") or _value(worst, "Final-Recipient")),
        action=_value(worst, "Action").lower(),
        reason=_reason(worst),
    )


def mark_returned(report: Report, *, now: datetime) -> str:
    """Note that the mail came back, and why; says what was done. Doing it twice is the same as once. Raises NotFound for a mail that is not ours."""

    def work(session: Session) -> str:
        mail = session.scalar(select(Mail).where(Mail.message_id == report.message_key).with_for_update())
        if mail is None:
            raise NotFound(
                "The returned mail is not one of this portal's, or it was forgotten since: no mail here has that Message-ID."
            )
        if report.action != "failed":
            return f"Nothing to note: the mail to {mail.recipient} is {report.action}, and has not come back."
        mail.state, mail.last_error = "failed", report.reason
        mail.bounced_at = mail.bounced_at or now
        return f"The mail to {mail.recipient} is marked as returned: {report.reason}"

    return transaction(work)


def _parts(message: Message) -> Iterator[Message]:
    """The parts of the report itself; a returned mail may be a report too, and is not looked into."""
    if not message.is_multipart():
        yield message
        return
    for part in message.get_payload():
        if isinstance(part, Message):
            if part.get_content_maintype() == "multipart":
                yield from _parts(part)
            else:
                yield part


def _message_key(message: Message) -> str:
    """The left part of the returned mail's Message-ID."""
    for part in _parts(message):
        if part.get_content_type() not in _RETURNED:
            continue
        payload = part.get_payload()
        inner = payload[0] if isinstance(payload, list) and payload else _headers_of(part)
        found = header_text(str(inner.get("Message-ID", "")) if isinstance(inner, Message) else "")
        if found:
            return found.strip("<> ").rpartition("@")[0]
    return ""


def _headers_of(part: Message) -> Message:
    raw = part.get_payload(decode=True)
    return message_from_bytes(raw if isinstance(raw, bytes) else b"", policy=policy.compat32)


def _groups(status: Message) -> list[Message]:
    """The fields per message and per recipient: the parser makes a little message of each group, unless the part was encoded."""
    payload = status.get_payload()
    if isinstance(payload, list):
        groups = [part for part in payload if isinstance(part, Message)]
        if len(groups) > 1 or (groups and groups[0].get("Action")):
            return groups
    raw = status.get_payload(decode=True)
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
    return [message_from_string(group) for group in text.replace("\r\n", "\n").split("\n\n") if group.strip()]


def _reason(group: Message) -> str:
    """The receiving server's own words, kept short: staff can search for them."""
    said = _value(group, "Diagnostic-Code").partition(";")
    words = (said[2] or said[0]).strip() or f"status {_value(group, 'Status') or 'unknown'}"
    return f"It came back. The receiving server said: {words}"[:LONGEST_REASON]


def _address(field: str) -> str:
    """“zoe@example.org” of “rfc822; zoe@example.org”."""
    return (field.partition(";")[2] or field).strip()


def _value(group: Message, name: str) -> str:
    return header_text(str(group.get(name) or ""))
