"""Mails over SMTP (RFC 5321): submission with STARTTLS, or TLS from the start.

What the server answers is sorted by whom it concerns. Its refusal of this recipient or of this message is final. Everything else (no
connection, no sign-in, a sender that it does not take, no relaying) concerns all mails: they wait until it is mended.

A server that accepts and then says nothing, or a byte now and then, is as good as down: each answer has to be there, whole, within seconds,
and the whole mail within a minute, so that people are told in time.
"""

from __future__ import annotations

import contextlib
import io
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

from providers.messaging.base import Delivery, DeliveryRefused, MailDraft, MailServerDown, TemporaryDeliveryError
from providers.messaging.mime import build_mime, envelope_address, header_text, is_international, to_bytes

STEP_SECONDS = 10.0
"""Within so long each answer must be there, whole; so must a connection, and a TLS handshake."""
LAST_STEP_SECONDS = 30.0
"""For the answer to a whole mail, which the server may look through first: to leave before it would send the mail twice."""
TOTAL_SECONDS = 50.0
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
            raise MailServerDown(
                f"The mail server {name} does not accept the user name and password of SMTP_URL. {_words(error)}"
            ) from error
        except smtplib.SMTPDataError as error:  # it took the recipient, and then not the mail
            raise _about_this_mail(error.smtp_code, _bytes(error), recipient) from error
        except smtplib.SMTPResponseException as error:
            raise MailServerDown(f"The mail server {name} takes no mail now. {_words(error)}") from error
        except ssl.SSLError as error:
            raise MailServerDown(f"No safe connection to the mail server {name}: {error.reason}.") from error
        except (OSError, smtplib.SMTPException) as error:
            reason = getattr(error, "strerror", None) or header_text(str(error)) or type(error).__name__
            raise MailServerDown(f"The mail server {name} cannot be used: {reason}.") from error
        return Delivery()

    def _connect(self) -> _Smtp | _SmtpOverTls:
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
            raise MailServerDown(
                f"The mail server {self._server.name} offers no encryption (STARTTLS), so the password of SMTP_URL was not sent to it."
            )
        if self._server.username:
            smtp.login(self._server.username, self._server.password)

    def _context(self) -> ssl.SSLContext:
        return self._tls or ssl.create_default_context()


class _WithinTime:
    """Gives every step its time, and never more than what is left of the whole; mixed into smtplib's two clients.

    A socket's own limit counts from the last byte, so a server that says one every few seconds would never meet it.
    """

    sock: Any
    file: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._ends_at = time.monotonic() + TOTAL_SECONDS
        self._patience = STEP_SECONDS
        super().__init__(*arguments, **options)

    def send(self, data: Any) -> None:
        self.sock.settimeout(_left(self._until(STEP_SECONDS)))
        super().send(data)  # type: ignore[misc]
        self._patience = LAST_STEP_SECONDS if data[-5:] == b"\r\n.\r\n" else STEP_SECONDS

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            self.file = _Answers(self.sock)
        self.file.raw.until = self._until(self._patience)
        return super().getreply()  # type: ignore[misc, no-any-return]

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        """Of several addresses each gets its time, but all of them together no more than the whole."""
        failure: OSError | None = None
        for *kind, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = socket.socket(*kind)
            try:
                sock.settimeout(_left(self._until(timeout)))
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
            else:
                return self._secured(sock)
        raise failure or OSError(f"{host} has no address")

    def _secured(self, sock: socket.socket) -> socket.socket:
        return sock

    def _until(self, seconds: float) -> float:
        return min(time.monotonic() + seconds, self._ends_at)


class _Arriving(io.RawIOBase):
    """The bytes that a socket receives, until a certain moment."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self.until))
        return int(self._sock.recv_into(buffer))


class _Answers(io.BufferedReader):
    """A socket's bytes as lines; in the place of `sock.makefile`."""

    def __init__(self, sock: Any) -> None:
        super().__init__(_Arriving(sock))


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _Smtp(_WithinTime, smtplib.SMTP):
    pass


class _SmtpOverTls(_WithinTime, smtplib.SMTP_SSL):
    def _secured(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(_left(self._until(STEP_SECONDS)))
        return self.context.wrap_socket(sock, server_hostname=self._host)  # type: ignore[attr-defined]


def _hand_over(smtp: _Smtp | _SmtpOverTls, message: EmailMessage, *, recipient: str) -> None:
    sender = envelope_address(message["From"].addresses[0].addr_spec)
    options = ["SMTPUTF8"] if is_international(message) else []
    if options and not smtp.has_extn("smtputf8"):
        raise DeliveryRefused(f"The mail server cannot write to addresses with letters like those of {recipient}.")
    code, answer = smtp.mail(sender, options)
    if not _is_ok(code):
        raise MailServerDown(
            f"The mail server does not accept MAIL_FROM ({sender}) as the sender. {_reply(code, answer)}"
        )
    code, answer = smtp.rcpt(recipient)
    if not _is_ok(code):
        raise _about_this_recipient(code, answer, recipient)
    code, answer = smtp.data(to_bytes(message))
    if not _is_ok(code):
        raise _about_this_mail(code, answer, recipient)


def _about_this_recipient(code: int, answer: bytes, recipient: str) -> Exception:
    if 500 <= code < 600 and not _concerns_all_mails(code, answer):
        return DeliveryRefused(f"The mail server refuses the recipient {recipient}. {_reply(code, answer)}")
    kind = MailServerDown if code == 421 or 500 <= code < 600 else TemporaryDeliveryError
    return kind(f"The mail server does not take mail for {recipient} now. {_reply(code, answer)}")


def _about_this_mail(code: int, answer: bytes, recipient: str) -> Exception:
    if 500 <= code < 600:
        return DeliveryRefused(f"The mail server refuses the mail to {recipient}. {_reply(code, answer)}")
    kind = MailServerDown if code == 421 else TemporaryDeliveryError
    return kind(f"The mail server could not take the mail. {_reply(code, answer)}")


def _is_ok(code: int) -> bool:
    return 200 <= code < 300


def _concerns_all_mails(code: int, answer: bytes) -> bool:
    """Sign-in missing or relaying denied: a matter of SMTP_URL, not of this recipient (RFC 4954; RFC 3463 X.7.x)."""
    return code in (503, 530, 535, 538) or answer.startswith(b"5.7.") or b"relay" in answer.lower()


def _words(error: smtplib.SMTPResponseException) -> str:
    return _reply(error.smtp_code, _bytes(error))


def _bytes(error: smtplib.SMTPResponseException) -> bytes:
    text = error.smtp_error
    return text if isinstance(text, bytes) else str(text).encode()


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
