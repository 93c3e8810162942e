"""The guarded client reaches nothing that it must not reach, and waits for nobody longer than it was told."""

from __future__ import annotations

import gzip
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from portal.outbound.session import AnswerTooLarge, OutboundRefused, Patience, guarded_session

PUBLIC = "93.184.216.34"

NASTY_URLS = [
    "http://127.0.0.1/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://0.0.0.0/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::10.0.0.1]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:c0a8:0101::1]/",
    "https://[2001:0:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://192.0.0.8/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://user:word@example.com/",
    "https://example.com\\@127.0.0.1/",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "https:///nohost",
    "https://[::1%25lo]/",
    "https://exa mple.com/",
    "https://example.com:99999/",
    "//example.com/",
    "",
]


class Listener:
    """Counts whoever connects to a loopback port."""

    def __init__(self) -> None:
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                taken, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            taken.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        getattr(self, "answer_" + self.path.strip("/").partition("?")[0])()

    def log_message(self, *args: object) -> None:
        pass

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_plain(self) -> None:
        self._send(f"{self.headers['Host']} {self.headers.get('Authorization')}".encode())

    def answer_redirect(self) -> None:
        self._send(b"", 302, Location="http://169.254.169.254/latest/meta-data/")

    def answer_bomb(self) -> None:
        self._send(gzip.compress(b"0" * 50_000_000), Content_Encoding="gzip")

    def answer_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self._drip(b"x" * 65_536, 0)

    def answer_dripping(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self._drip(b"x", 0.05)

    def answer_slowhead(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self._drip(b"X", 0.05)

    def answer_silent(self) -> None:
        time.sleep(3)

    def answer_silentbody(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b"x" * 20_000)
        self.wfile.flush()
        time.sleep(3)

    def answer_pauses(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(6):
            self.wfile.write(b"x" * 20_000)
            self.wfile.flush()
            time.sleep(0.1)

    def _drip(self, piece: bytes, seconds: float) -> None:
        try:
            for _ in range(2_000):
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(seconds)
        except OSError:
            self.close_connection = True


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for calendar.lan that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "calendar.lan")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3 * 366))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("calendar.lan")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "calendar.lan.pem"
    path.write_bytes(secret + signed.public_bytes(pem))
    return path


def url_of(server: http.server.ThreadingHTTPServer, path: str, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{server.server_address[1]}/{path}"


def never(host: str, port: int) -> list[str]:
    raise OSError("no names here")


@pytest.mark.parametrize("url", NASTY_URLS)
def test_a_nasty_url_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises((OutboundRefused, requests.exceptions.ConnectionError)) as caught:
        guarded_session(allow=[]).get(url, timeout=2)
    if isinstance(caught.value, OutboundRefused):
        assert len(str(caught.value)) > 20


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_forbidden_listener_sees_no_packet(listener: Listener, scheme: str, host: str) -> None:
    with pytest.raises(OutboundRefused):
        guarded_session(allow=["10.0.0.0/8"]).get(f"{scheme}://{host}:{listener.port}/", timeout=2)
    time.sleep(0.05)
    assert listener.connections == 0


def test_a_name_that_changes_its_mind_is_asked_only_once(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]]
    asked, connected = [], []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers.pop(0)

    monkeypatch.setattr(socket, "create_connection", connect)
    session = guarded_session(allow=[], resolver=rebinding)
    with pytest.raises(requests.exceptions.ConnectionError):
        session.get(f"https://innocent.example:{listener.port}/", timeout=0.3)
    assert (asked, connected) == (["innocent.example"], [(PUBLIC, listener.port)])
    with pytest.raises(OutboundRefused):
        session.get(f"https://innocent.example:{listener.port}/", timeout=0.3)
    assert listener.connections == 0


def test_one_private_address_among_public_ones_forbids_all(listener: Listener) -> None:
    session = guarded_session(allow=[], resolver=lambda host, port: [PUBLIC, "127.0.0.1"])
    with pytest.raises(OutboundRefused):
        session.get(f"https://mixed.example:{listener.port}/", timeout=0.3)
    assert listener.connections == 0


@pytest.mark.parametrize("allow", [["127.0.0.1"], ["127.0.0.0/8"], ["127.0.0.1:{port}"]])
def test_what_the_operator_allows_is_reached_by_plain_http(
    server: http.server.ThreadingHTTPServer, allow: list[str]
) -> None:
    named = [entry.format(port=server.server_address[1]) for entry in allow]
    answer = guarded_session(allow=named).get(url_of(server, "plain"))
    assert (answer.status_code, answer.text.split()[0]) == (200, f"127.0.0.1:{server.server_address[1]}")


def test_a_name_on_the_list_is_connected_to_under_its_name(server: http.server.ThreadingHTTPServer) -> None:
    session = guarded_session(allow=["calendar.lan"], resolver=lambda host, port: ["127.0.0.1"])
    answer = session.get(url_of(server, "plain", "calendar.lan"))
    assert answer.text.startswith("calendar.lan:")


def test_a_certificate_counts_for_the_name_not_for_the_address(
    server: http.server.ThreadingHTTPServer, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = url_of(server, "plain", "calendar.lan").replace("http:", "https:")

    def at_home(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    trusting = guarded_session(allow=["calendar.lan", "other.lan"], verify=str(certificate), resolver=at_home)
    assert trusting.get(url).text.startswith("calendar.lan:")
    for session, wrong in (
        (trusting, url.replace("calendar.lan", "other.lan")),
        (guarded_session(allow=["calendar.lan"], resolver=at_home), url),
    ):
        with pytest.raises(requests.exceptions.SSLError):
            session.get(wrong)


@pytest.mark.parametrize("allow", [["127.0.0.1:1"], ["10.0.0.0/8"], ["example.com"]])
def test_an_exception_is_for_what_it_names_only(server: http.server.ThreadingHTTPServer, allow: list[str]) -> None:
    with pytest.raises(OutboundRefused):
        guarded_session(allow=allow).get(url_of(server, "plain"))


def test_plain_http_to_a_public_name_is_refused_though_a_range_is_allowed() -> None:
    session = guarded_session(allow=["10.0.0.0/8"], resolver=lambda host, port: [PUBLIC])
    with pytest.raises(OutboundRefused, match="encrypted"):
        session.get("http://public.example/", timeout=0.3)


def test_redirects_are_handed_back_not_followed(server: http.server.ThreadingHTTPServer) -> None:
    answer = guarded_session(allow=["127.0.0.1"]).get(url_of(server, "redirect"), allow_redirects=True)
    assert (answer.status_code, answer.history) == (302, [])


def test_proxies_and_unchecked_certificates_cannot_be_asked_for(
    server: http.server.ThreadingHTTPServer, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"http://127.0.0.1:{listener.port}"
    monkeypatch.setenv("HTTP_PROXY", proxy)
    session = guarded_session(allow=["127.0.0.1"])
    session.get(url_of(server, "plain"), proxies={"http": proxy}, verify=False)
    assert session.verify is True
    assert listener.connections == 0


def test_an_answer_that_unpacks_too_large_is_stopped(server: http.server.ThreadingHTTPServer) -> None:
    session = guarded_session(allow=["127.0.0.1"])
    with pytest.raises(AnswerTooLarge):
        session.get(url_of(server, "bomb"))
    with pytest.raises(AnswerTooLarge):
        session.get(url_of(server, "endless"))
    session.answer_limit = 60_000_000
    assert len(session.get(url_of(server, "bomb")).content) == 50_000_000


@pytest.mark.parametrize("path", ["dripping", "slowhead"])
def test_a_server_that_drips_is_left_when_the_time_is_over(server: http.server.ThreadingHTTPServer, path: str) -> None:
    started = time.monotonic()
    with pytest.raises(requests.exceptions.Timeout):
        guarded_session(allow=["127.0.0.1"]).get(url_of(server, path), timeout=0.5)
    assert time.monotonic() - started < 2


HASTY = Patience(quiet=0.3, grace=0.5, pace=10_000)
"""As outside, in a twentieth of the time."""


@pytest.mark.parametrize("path", ["silent", "silentbody", "dripping", "slowhead"])
def test_whoever_keeps_silent_or_drips_is_left_long_before_the_time_for_the_whole_is_over(
    server: http.server.ThreadingHTTPServer, path: str
) -> None:
    started = time.monotonic()
    with pytest.raises(requests.exceptions.Timeout):
        guarded_session(allow=["127.0.0.1"], patience=HASTY).get(url_of(server, path), timeout=300)
    assert time.monotonic() - started < 2.5


def test_whoever_never_finishes_the_greeting_is_left_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        started = time.monotonic()
        with pytest.raises(requests.exceptions.RequestException):
            guarded_session(allow=["127.0.0.1"], patience=HASTY).get(
                f"https://127.0.0.1:{mute.getsockname()[1]}/", timeout=(5, 300)
            )
        assert time.monotonic() - started < 2


def test_an_answer_that_keeps_coming_may_take_its_time(server: http.server.ThreadingHTTPServer) -> None:
    session = guarded_session(allow=["127.0.0.1"], patience=HASTY)
    assert len(session.get(url_of(server, "pauses"), timeout=300).content) == 120_000


def test_a_request_that_wants_thought_may_be_left_more_silence(server: http.server.ThreadingHTTPServer) -> None:
    session = guarded_session(allow=["127.0.0.1"], patience=Patience(quiet=0.05, grace=0.1, pace=10_000_000))
    with pytest.raises(requests.exceptions.Timeout):
        session.get(url_of(server, "pauses"), timeout=300)
    session.silence_allowed = 2.0
    assert len(session.get(url_of(server, "pauses"), timeout=300).content) == 120_000


def test_ten_seconds_of_silence_are_the_limit_of_every_session() -> None:
    assert guarded_session(allow=[])._patience == Patience(quiet=10.0, grace=15.0, pace=1000.0)


def test_a_budget_covers_several_requests(server: http.server.ThreadingHTTPServer) -> None:
    session = guarded_session(allow=["127.0.0.1"])
    started = time.monotonic()
    with session.budget(0.6):
        session.get(url_of(server, "plain"))
        with pytest.raises(requests.exceptions.Timeout):
            session.get(url_of(server, "dripping"), timeout=30)
        with pytest.raises(requests.exceptions.Timeout):
            session.get(url_of(server, "plain"))
    assert time.monotonic() - started < 2
    assert session.get(url_of(server, "plain")).status_code == 200


def test_a_resolver_that_hangs_is_not_waited_for() -> None:
    def hanging(host: str, port: int) -> list[str]:
        time.sleep(3)
        return [PUBLIC]

    started = time.monotonic()
    with pytest.raises(requests.exceptions.RequestException):
        guarded_session(allow=[], resolver=hanging).get("https://slow.example/", timeout=0.3)
    assert time.monotonic() - started < 1.5


def test_an_unknown_name_is_no_refusal() -> None:
    with pytest.raises(requests.exceptions.ConnectionError):
        guarded_session(allow=[], resolver=never).get("https://unknown.example/", timeout=0.5)
