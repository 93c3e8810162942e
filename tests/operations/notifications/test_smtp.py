"""Mails over a real SMTP server on this machine: what is handed over, and what each of the server's answers leads to."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from dataclasses import replace
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from providers.messaging import email as smtp
from providers.messaging.base import DeliveryRefused, MailServerDown, TemporaryDeliveryError
from providers.messaging.email import SmtpMessenger, SmtpServer, read_smtp_url
from tests.unit.providers.messaging.test_mime import DRAFT, text_of


class Mailbox:
    """What a mail server does with mails, and what it says when told to refuse."""

    def __init__(self) -> None:
        self.received: list = []
        self.answers: dict[str, str] = {}
        self.thinks_for = 0.0

    async def handle_MAIL(self, server, session, envelope, address, options):
        if "MAIL" in self.answers:
            return self.answers["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if "RCPT" in self.answers:
            return self.answers["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        await asyncio.sleep(self.thinks_for)
        if "DATA" in self.answers:
            return self.answers["DATA"]
        self.received.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 kept"


@pytest.fixture
def mailbox():
    return Mailbox()


@pytest.fixture
def server(mailbox):
    yield from running(mailbox, enable_SMTPUTF8=False)


def running(mailbox, **options):
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    yield SmtpServer(host="127.0.0.1", port=controller.port)
    controller.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 of our own making: (its file, its key's file)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    long_ago = now - dt.timedelta(days=3 * 366)  # OpenSSL asks the machine's own clock, wherever tests move the others
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(long_ago).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*pem))
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def tls_server(mailbox, certificate):
    """A submission server: STARTTLS, then the name "ana" and the password "secret"."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    def authenticator(server, session, envelope, mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"ana", b"secret"), handled=False)

    yield from running(
        mailbox, tls_context=context, require_starttls=True, auth_required=True, authenticator=authenticator
    )


def test_a_mail_arrives_whole(server, mailbox):
    SmtpMessenger(server).send(DRAFT)
    [(sender, recipients, content)] = mailbox.received
    message = message_from_bytes(content, policy=policy.default)
    assert (sender, recipients) == ("hello@studio.example", ["zoe@customer.example"])
    assert message["Message-ID"] == "<abc123@studio.example>"
    assert text_of(message) == DRAFT.text


def test_a_line_with_a_single_dot_does_not_end_the_mail(server, mailbox):
    SmtpMessenger(server).send(replace(DRAFT, text="before\n.\nafter\n"))
    [(_, _, content)] = mailbox.received
    assert text_of(message_from_bytes(content, policy=policy.default)) == "before\n.\nafter\n"


def test_a_password_goes_over_tls_only(tls_server, mailbox, certificate):
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    SmtpMessenger(replace(tls_server, username="ana", password="secret"), tls=trusted).send(DRAFT)
    assert len(mailbox.received) == 1


def test_tls_from_the_first_byte(mailbox, certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    for server in running(mailbox, ssl_context=context):
        SmtpMessenger(replace(server, is_tls=True), tls=trusted).send(DRAFT)
        with pytest.raises(TemporaryDeliveryError, match="No safe connection"):
            SmtpMessenger(replace(server, is_tls=True)).send(DRAFT)
    assert len(mailbox.received) == 1


def test_a_server_with_a_foreign_certificate_gets_nothing(tls_server, mailbox):
    with pytest.raises(TemporaryDeliveryError, match="No safe connection"):
        SmtpMessenger(replace(tls_server, username="ana", password="secret")).send(DRAFT)
    assert mailbox.received == []


def test_a_password_is_not_sent_where_no_encryption_is_offered(server, mailbox):
    with pytest.raises(TemporaryDeliveryError, match="password of SMTP_URL was not sent"):
        SmtpMessenger(replace(server, username="ana", password="secret")).send(DRAFT)
    assert mailbox.received == []


def test_a_wrong_password_is_mended_by_people_and_then_tried_again(tls_server, certificate):
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    with pytest.raises(TemporaryDeliveryError, match="user name and password of SMTP_URL") as caught:
        SmtpMessenger(replace(tls_server, username="ana", password="wr0ng-pass"), tls=trusted).send(DRAFT)
    assert "wr0ng-pass" not in str(caught.value)


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
def test_a_refused_recipient_or_mail_is_final(server, mailbox, step):
    mailbox.answers[step] = "550 5.1.1 no such mailbox"
    with pytest.raises(DeliveryRefused, match=r"It said: 550 5\.1\.1 no such mailbox"):
        SmtpMessenger(server).send(DRAFT)
    assert mailbox.received == []


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("RCPT", "451 4.7.1 greylisted"),
        ("RCPT", "530 5.7.0 authentication required"),
        ("RCPT", "554 5.7.1 relay access denied"),
        ("RCPT", "503 sign in first"),
        ("DATA", "452 4.3.1 disk full"),
        ("MAIL", "550 5.1.8 sender unknown"),
        ("MAIL", "421 4.3.2 going down"),
    ],
)
def test_what_concerns_all_mails_or_this_moment_waits(server, mailbox, step, answer):
    mailbox.answers[step] = answer
    with pytest.raises(TemporaryDeliveryError, match=answer[:3]):
        SmtpMessenger(server).send(DRAFT)
    del mailbox.answers[step]
    SmtpMessenger(server).send(DRAFT)
    assert len(mailbox.received) == 1


def test_a_server_that_is_down_is_a_reason_to_wait():
    with pytest.raises(TemporaryDeliveryError, match="Connection refused"):
        SmtpMessenger(SmtpServer(host="127.0.0.1", port=free_port())).send(DRAFT)


def test_a_silent_server_does_not_hold_us_for_long(monkeypatch):
    monkeypatch.setattr(smtp, "STEP_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        with pytest.raises(TemporaryDeliveryError, match="timed out"):
            SmtpMessenger(SmtpServer(host="127.0.0.1", port=listener.getsockname()[1])).send(DRAFT)
    assert time.monotonic() - started < 3


@contextlib.contextmanager
def scripted(*steps, every=0.0):
    """A server that says these bytes, one step after each line of ours, a byte at a time with `every` seconds between; then nothing more."""

    def serve():
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            for number, said in enumerate(steps):
                if number and not connection.recv(65536):
                    return
                for byte in said:
                    connection.sendall(bytes([byte]))
                    time.sleep(every)
            while connection.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield SmtpServer(host="127.0.0.1", port=listener.getsockname()[1])


HELLO, YES, GO_ON = b"220 mail.example\r\n", b"250 OK\r\n", b"354 go on\r\n"


@pytest.mark.parametrize("answered", range(6))
def test_a_server_that_falls_silent_at_any_step_is_down(monkeypatch, answered):
    monkeypatch.setattr(smtp, "STEP_SECONDS", 0.2)
    monkeypatch.setattr(smtp, "LAST_STEP_SECONDS", 0.2)
    with scripted(*[HELLO, YES, YES, YES, GO_ON][:answered]) as server:
        started = time.monotonic()
        with pytest.raises(MailServerDown, match="timed out"):
            SmtpMessenger(server).send(DRAFT)
    assert time.monotonic() - started < 2


def test_a_server_that_says_a_byte_now_and_then_is_down(monkeypatch):
    monkeypatch.setattr(smtp, "STEP_SECONDS", 0.3)
    with scripted(b"220 " + b"x" * 10_000, every=0.05) as server:
        started = time.monotonic()
        with pytest.raises(MailServerDown, match="timed out"):
            SmtpMessenger(server).send(DRAFT)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x03\x40\x00" + b"\x02" * 10_000], ids=["silent", "a byte at a time"])
@pytest.mark.parametrize("is_tls", [True, False], ids=["from the start", "STARTTLS"])
def test_a_hanging_tls_handshake_is_a_server_that_is_down(monkeypatch, said, is_tls):
    monkeypatch.setattr(smtp, "STEP_SECONDS", 0.3)
    offers = [] if is_tls else [HELLO, b"250-mail\r\n250 STARTTLS\r\n", b"220 go on\r\n"]
    with scripted(*offers, said, every=0.02 if is_tls else 0.002) as server:
        started = time.monotonic()
        with pytest.raises(MailServerDown):
            SmtpMessenger(replace(server, is_tls=is_tls)).send(DRAFT)
    assert time.monotonic() - started < 2


def test_the_answer_to_a_whole_mail_may_take_longer_than_others(server, mailbox, monkeypatch):
    """To leave before it would send the mail twice."""
    monkeypatch.setattr(smtp, "STEP_SECONDS", 0.3)
    mailbox.thinks_for = 0.6
    SmtpMessenger(server).send(DRAFT)
    assert len(mailbox.received) == 1


def test_what_hangs_is_known_within_a_minute():
    assert smtp.STEP_SECONDS <= 10
    assert smtp.TOTAL_SECONDS < 60


def test_a_slow_server_is_left_when_the_whole_takes_too_long(monkeypatch):
    monkeypatch.setattr(smtp, "TOTAL_SECONDS", 0.6)
    with slow_server(delay=0.25) as port:
        started = time.monotonic()
        with pytest.raises(TemporaryDeliveryError):
            SmtpMessenger(SmtpServer(host="127.0.0.1", port=port)).send(DRAFT)
    assert time.monotonic() - started < 3


def test_an_address_beyond_ascii_needs_a_server_that_knows_it(server, mailbox):
    with pytest.raises(DeliveryRefused, match="letters like those"):
        SmtpMessenger(server).send(replace(DRAFT, recipient="zoë@customer.example"))


def test_an_address_beyond_ascii_is_written_to_where_that_is_possible(mailbox):
    for server in running(mailbox):
        SmtpMessenger(server).send(replace(DRAFT, recipient="zoë@customer.example"))
    [(_, recipients, content)] = mailbox.received
    assert recipients == ["zoë@customer.example"]
    assert "zoë@customer.example" in content.decode()


@pytest.mark.parametrize(
    ("url", "host", "port", "is_tls"),
    [
        ("smtp://mail.example", "mail.example", 587, False),
        ("smtps://mail.example", "mail.example", 465, True),
        ("smtp://ana:p%40ss@mail.example:25", "mail.example", 25, False),
        ("smtp://[::1]:2525", "::1", 2525, False),
    ],
)
def test_smtp_urls(url, host, port, is_tls):
    server = read_smtp_url(url)
    assert (server.host, server.port, server.is_tls) == (host, port, is_tls)
    assert server.password == ("p@ss" if "ana" in url else "")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://ana:secret@mail.example:99999",
        "smtp://a:secret@h:x",
    ],
)
def test_a_wrong_smtp_url_is_told_without_the_password(url):
    with pytest.raises(ValueError, match="SMTP_URL") as caught:
        read_smtp_url(url)
    assert "secret" not in str(caught.value)


def test_a_password_is_not_shown():
    assert "secret" not in repr(read_smtp_url("smtp://ana:secret@mail.example"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class slow_server:
    """Answers each line, but only after a while, and goes on for longer than anybody should wait."""

    def __init__(self, *, delay: float) -> None:
        self._delay = delay

    def __enter__(self) -> int:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self._listener.getsockname()[1]

    def __exit__(self, *_error: object) -> None:
        self._listener.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rwb") as stream:
            try:
                stream.write(b"220 slow\r\n")
                stream.flush()
                for _line in stream:
                    time.sleep(self._delay)
                    stream.write(b"250 well\r\n")
                    stream.flush()
            except OSError:
                return
