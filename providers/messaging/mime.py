"""A mail draft as a MIME message. Pure; used by every messenger.

Built with the standard library alone, which refuses line breaks in headers. The invitation stands in the mail twice, as all big
senders do it: as an alternative of `text/calendar` with its METHOD (RFC 6047 2.4), which Gmail and Outlook read, and as an attached
file for people and for Apple Mail. Bodies go in seven bits, so no relay has to re-code them.
"""

from __future__ import annotations

import re
from datetime import UTC
from email import policy
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import Policy
from email.utils import format_datetime, parseaddr

from providers.messaging.base import DeliveryRefused, MailDraft


class _AsItIs(UnstructuredHeader):
    """A header on one line, whatever its length: the standard library would encode a long address as if it were words (RFC 2047), and no
    mail program reads it then; others break a signature over a folded one."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"  # type: ignore[attr-defined]


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("list-unsubscribe", _AsItIs)  # type: ignore[arg-type]
_POLICY = policy.SMTP.clone(cte_type="7bit", header_factory=_HEADERS)
_UTF8_POLICY = policy.SMTPUTF8.clone(cte_type="7bit", header_factory=_HEADERS)
_NOT_IN_HEADERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_LONE_SURROGATES = re.compile(r"[\ud800-\udfff\x00]")


def build_mime(draft: MailDraft) -> EmailMessage:
    """The whole message. Raises DeliveryRefused when an address is none."""
    message = EmailMessage(policy=_POLICY)
    sender_name, sender = parseaddr(draft.sender)
    name = draft.sender_name or sender_name
    message["From"] = _address(sender, name=name)
    if _is_plain(draft.reply_to) and draft.reply_to.lower() != sender.lower():
        message["Reply-To"] = _address(draft.reply_to, name=name)
    message["To"] = _address(draft.recipient, name=draft.recipient_name)
    message["Subject"] = header_text(draft.subject)
    message["Date"] = format_datetime(draft.written_at.astimezone(UTC))
    message["Message-ID"] = message_id(draft)
    message["Auto-Submitted"] = "auto-generated"  # keeps holiday notices from answering (RFC 3834)
    if draft.stop_url:
        message["List-Unsubscribe"] = f"<{draft.stop_url}>"  # RFC 2369 3.2
    if draft.stop_url.startswith("https://"):
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058 3.1: HTTPS alone
    message.set_content(_body(draft.text))
    message.add_alternative(_body(draft.html), subtype="html")
    if draft.calendar is not None:
        _add_calendar(message, draft.calendar, draft.calendar_method)
    return message


def to_bytes(message: EmailMessage) -> bytes:
    """The message on the wire; raw UTF-8 headers only where an address cannot do without (RFC 6532)."""
    return message.as_bytes(policy=_UTF8_POLICY if is_international(message) else _POLICY)


def is_international(message: EmailMessage) -> bool:
    """True when an address holds letters beyond ASCII, which only servers with SMTPUTF8 understand."""
    return not all(address.addr_spec.isascii() for name in ("From", "To") for address in message[name].addresses)


def message_id(draft: MailDraft) -> str:
    """`<key@host of the sender>`."""
    _, _, host = parseaddr(draft.sender)[1].rpartition("@")
    return f"<{draft.message_key}@{_ascii_host(host) or 'localhost'}>"


def header_text(text: str) -> str:
    """One line without control characters: forms refuse them, and what got past must not stop the mail."""
    return " ".join(_NOT_IN_HEADERS.sub(" ", text).split())


def envelope_address(address: str) -> str:
    """The bare address as SMTP wants it, the host in ASCII. Raises DeliveryRefused when it is no address."""
    local, at, host = address.strip().rpartition("@")
    if not at or not local or not host or _NOT_IN_HEADERS.search(address) or re.search(r"[\s<>\",;]", address.strip()):
        raise DeliveryRefused(f"“{header_text(address)}” is not an e-mail address.")
    return f"{local}@{_ascii_host(host)}"


def _address(address: str, *, name: str) -> Address:
    local, _, host = envelope_address(address).rpartition("@")
    try:
        return Address(display_name=header_text(name), username=local, domain=host)
    except (ValueError, IndexError) as error:  # the standard library's address parser raises both
        raise DeliveryRefused(f"“{header_text(address)}” is not an e-mail address.") from error


def _is_plain(address: str) -> bool:
    """An address that every server can carry in a header; another would make the mail one that few servers take (RFC 6531)."""
    try:
        return envelope_address(address).isascii()
    except DeliveryRefused:
        return False


def _ascii_host(host: str) -> str:
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def _add_calendar(message: EmailMessage, calendar: bytes, method: str) -> None:
    text = calendar.decode("utf-8")
    message.add_alternative(text, subtype="calendar", params={"method": method}, cte="base64")
    message.add_attachment(calendar, maintype="application", subtype="ics", filename="invitation.ics")


def _body(text: str) -> str:
    return _LONE_SURROGATES.sub("\ufffd", text)
