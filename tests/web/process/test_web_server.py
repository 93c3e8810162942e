"""The web server under connections that say nothing, or say it slowly: they hold no thread, and end."""

from __future__ import annotations

import http.client
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
from flask import Flask, request

from portal.process import web_process, web_server
from tests.support.instance import until

HEAD = b"POST /echo HTTP/1.1\r\nHost: portal.example\r\nContent-Length: 5000\r\n\r\n"
PROCESSES, THREADS = 2, 2


def small_app() -> Flask:
    app = Flask("small")

    @app.get("/healthz")
    def healthz() -> str:
        return "alive"

    @app.get("/slow")
    def slow() -> str:
        time.sleep(0.6)
        return "done"

    @app.post("/echo")
    def echo() -> dict[str, Any]:
        return {"length": len(request.get_data()), "forwarded": request.headers.get("X-Forwarded-For", "")}

    return app


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """(port, process id of the parent) of a web server with two processes of two threads."""
    monkeypatch.setattr(web_server, "WORKERS", PROCESSES)
    monkeypatch.setattr(web_server, "THREADS", THREADS)
    monkeypatch.setattr(web_server, "WARM_UP_AFTER", 600.0)
    listener = web_server.listen("127.0.0.1", 0)
    child = multiprocessing.get_context("fork").Process(target=lambda: web_server.run_web(small_app(), listener))
    child.start()
    port = listener.getsockname()[1]
    try:
        until(lambda: is_answered(port), what="the web server")
        yield port, int(child.pid or 0)
    finally:
        child.terminate()
        child.join(10)
        listener.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as monkeypatch, served(monkeypatch) as (port, _):
        yield port


def ask(port: int, method: str = "GET", path: str = "/healthz", **more: Any) -> tuple[int, bytes]:
    """(status, body) of a request on a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, **more)
        response = connection.getresponse()
        return response.status, response.read()


def is_answered(port: int) -> bool:
    try:
        return ask(port)[0] == 200
    except OSError:
        return False


def connect(port: int, stack: ExitStack, said: bytes = b"") -> socket.socket:
    line = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
    if said:
        line.sendall(said)
    return line


def is_closed(line: socket.socket) -> bool:
    line.settimeout(0.05)
    try:
        return line.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_bodies_that_never_end_silence_nobody(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(4 * PROCESSES * THREADS):
            connect(port, stack, HEAD + b"half of it")
        began = time.monotonic()
        assert [ask(port)[0] for _ in range(20)] == [200] * 20
        assert time.monotonic() - began < 5


def test_five_hundred_idle_and_a_hundred_dripping_connections_fail_nobody(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(500):
            connect(port, stack)
        dripping = [connect(port, stack, HEAD) for _ in range(100)]
        enough = threading.Event()
        thread = threading.Thread(target=drip, args=(dripping, enough))
        thread.start()
        try:
            assert [ask(port)[0] for _ in range(50)] == [200] * 50
        finally:
            enough.set()
            thread.join()


def drip(lines: list[socket.socket], enough: threading.Event) -> None:
    while not enough.wait(0.05):
        for line in lines:
            line.sendall(b"a")


@pytest.mark.parametrize(
    "said", [b"", b"GET /healthz HT", HEAD + b"half"], ids=["nothing", "half a head", "half a body"]
)
def test_who_says_nothing_or_never_ends_is_let_go(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(web_process, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(web_process, "REQUEST_SECONDS", 0.2)
    with served(monkeypatch) as (port, _), ExitStack() as stack:
        line = connect(port, stack, said)
        until(lambda: is_closed(line), what="the connection to be closed")


def test_who_drips_for_ever_is_let_go_although_never_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_process, "REQUEST_SECONDS", 0.3)
    with served(monkeypatch) as (port, _), ExitStack() as stack:
        line = connect(port, stack, HEAD)

        def is_let_go() -> bool:
            try:
                line.sendall(b"a")
            except OSError:
                return True
            return is_closed(line)

        until(is_let_go, what="the connection to be closed")


def test_a_connection_is_kept_for_the_next_request(port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for _ in range(2):
            connection.request("GET", "/healthz")
            line = connection.sock
            assert connection.getresponse().read() == b"alive"
        assert connection.sock is line


def test_what_the_proxy_says_reaches_the_application_and_a_whole_body_too(port: int) -> None:
    _, body = ask(port, "POST", "/echo", body=b"x" * 200_000, headers={"X-Forwarded-For": "198.51.100.7"})
    assert b'"length":200000' in body.replace(b" ", b"")
    assert b"198.51.100.7" in body


def test_a_body_beyond_all_bounds_is_refused_before_anybody_reads_it(port: int) -> None:
    assert ask(port, "POST", "/echo", headers={"Content-Length": "100000000"})[0] == 413


def test_who_is_being_answered_when_the_server_stops_gets_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[bytes] = []
    with served(monkeypatch) as (port, pid):
        thread = threading.Thread(target=in_thread, args=(answers, lambda: ask(port, path="/slow")[1]))
        thread.start()
        time.sleep(0.2)
        os.kill(pid, signal.SIGTERM)
        thread.join(5)
    assert answers == [b"done"]


def in_thread(answers: list[bytes], act: Callable[[], bytes]) -> None:
    answers.append(act())
