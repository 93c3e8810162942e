"""Mails over SMTP (RFC 5321): submission with STARTTLS, or TLS from the start.

What the server answers is sorted by whom it concerns. Its refusal of this recipient or of this message is final. Everything else (no
connection, no sign-in, a sender that it does not take, no relaying) concerns all mails: they wait until it is mended.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
import time
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

from providers.messaging.base import Delivery, DeliveryRefused, MailDraft, TemporaryDeliveryError
from providers.messaging.mime import build_mime, envelope_address, header_text, is_international, to_bytes

STEP_SECONDS = 20.0
TOTAL_SECONDS = 60.0
"""Below the 90 s for which the outbox lends an entry: a slow server must not lead to a second sender."""
GOODBYE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Where and how to hand mails over. With `is_tls` from the first byte; else by STARTTLS where offered, and never a password without."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    is_tls: bool = False

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


def read_smtp_url(url: str) -> SmtpServer:
    """`smtp://user:password@host:587` or `smtps://host`. Raises ValueError with a sentence that holds no password."""
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("SMTP_URL must look like smtp://user:password@host:587 or smtps://user:password@host.")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("SMTP_URL names a port that is no number from 0 to 65535.") from None
    is_tls = parts.scheme == "smtps"
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    return SmtpServer(
        host=parts.hostname, port=port or (465 if is_tls else 587), username=username, password=password, is_tls=is_tls
    )


class SmtpMessenger:
    """One connection per mail: bookings come one by one, and an idle connection is soon a broken one."""

    def __init__(self, server: SmtpServer, *, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._tls = tls

    def send(self, draft: MailDraft) -> Delivery:
        """Hand one mail over; returns once the server has answered 250 to its last line.

        When the connection breaks between that line and its answer, nobody knows: TemporaryDeliveryError, and the repeat carries the
        same Message-ID.
        """
        message, recipient, name = build_mime(draft), envelope_address(draft.recipient), self._server.name
        try:
            smtp = self._connect()
            try:
                self._sign_in(smtp)
                _hand_over(smtp, message, recipient=recipient)
            finally:
                _say_goodbye(smtp)
        except smtplib.SMTPAuthenticationError as error:
            raise TemporaryDeliveryError(
                f"The mail server {name} does not accept the user name and password of SMTP_URL. {_words(error)}"
            ) from error
        except smtplib.SMTPResponseException as error:
            raise TemporaryDeliveryError(f"The mail server {name} takes no mail now. {_words(error)}") from error
        except ssl.SSLError as error:
            raise TemporaryDeliveryError(f"No safe connection to the mail server {name}: {error.reason}.") from error
        except (OSError, smtplib.SMTPException) as error:
            reason = getattr(error, "strerror", None) or header_text(str(error)) or type(error).__name__
            raise TemporaryDeliveryError(f"The mail server {name} cannot be used: {reason}.") from error
        return Delivery()

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        if server.is_tls:
            return _SmtpOverTls(server.host, server.port, timeout=STEP_SECONDS, context=self._context())
        return _Smtp(server.host, server.port, timeout=STEP_SECONDS)

    def _sign_in(self, smtp: smtplib.SMTP) -> None:
        smtp.ehlo_or_helo_if_needed()
        if not self._server.is_tls and smtp.has_extn("starttls"):
            smtp.starttls(context=self._context())
            smtp.ehlo_or_helo_if_needed()
        elif not self._server.is_tls and self._server.username:
            raise TemporaryDeliveryError(
                f"The mail server {self._server.name} offers no encryption (STARTTLS), so the password of SMTP_URL was not sent to it."
            )
        if self._server.username:
            smtp.login(self._server.username, self._server.password)

    def _context(self) -> ssl.SSLContext:
        return self._tls or ssl.create_default_context()


class _WithinTime:
    """Shortens the time limit of every step to what is left of the whole; mixed into smtplib's two clients."""

    sock: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._ends_at = time.monotonic() + TOTAL_SECONDS
        super().__init__(*arguments, **options)

    def send(self, data: Any) -> None:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long")
        self.sock.settimeout(min(STEP_SECONDS, left))
        super().send(data)  # type: ignore[misc]


class _Smtp(_WithinTime, smtplib.SMTP):
    pass


class _SmtpOverTls(_WithinTime, smtplib.SMTP_SSL):
    pass


def _hand_over(smtp: smtplib.SMTP, message: EmailMessage, *, recipient: str) -> None:
    sender = envelope_address(message["From"].addresses[0].addr_spec)
    options = ["SMTPUTF8"] if is_international(message) else []
    if options and not smtp.has_extn("smtputf8"):
        raise DeliveryRefused(f"The mail server cannot write to addresses with letters like those of {recipient}.")
    _expect_ok(smtp.mail(sender, options), f"The mail server does not accept MAIL_FROM ({sender}) as the sender.")
    code, answer = smtp.rcpt(recipient)
    if 500 <= code < 600 and not _concerns_all_mails(code, answer):
        raise DeliveryRefused(f"The mail server refuses the recipient {recipient}. {_reply(code, answer)}")
    _expect_ok((code, answer), f"The mail server does not take mail for {recipient} now.")
    code, answer = smtp.data(to_bytes(message))
    if 500 <= code < 600:
        raise DeliveryRefused(f"The mail server refuses the mail to {recipient}. {_reply(code, answer)}")
    _expect_ok((code, answer), "The mail server could not take the mail.")


def _expect_ok(reply: tuple[int, bytes], sentence: str) -> None:
    code, answer = reply
    if not 200 <= code < 300:
        raise TemporaryDeliveryError(f"{sentence} {_reply(code, answer)}")


def _concerns_all_mails(code: int, answer: bytes) -> bool:
    """Sign-in missing or relaying denied: a matter of SMTP_URL, not of this recipient (RFC 4954; RFC 3463 X.7.x)."""
    return code in (503, 530, 535, 538) or answer.startswith(b"5.7.") or b"relay" in answer.lower()


def _words(error: smtplib.SMTPResponseException) -> str:
    text = error.smtp_error
    return _reply(error.smtp_code, text if isinstance(text, bytes) else str(text).encode())


def _reply(code: int, answer: bytes) -> str:
    """The server's own words, kept short: staff can search for them."""
    return f"It said: {code} {header_text(answer.decode('utf-8', 'replace'))[:200]}"


def _say_goodbye(smtp: smtplib.SMTP) -> None:
    """QUIT is politeness: the mail is out of our hands, or refused, already."""
    with contextlib.suppress(OSError, smtplib.SMTPException):
        if smtp.sock is not None:
            smtp.sock.settimeout(GOODBYE_SECONDS)
            smtp.docmd("QUIT")
    smtp.close()
