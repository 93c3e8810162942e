"""What visitors and programs feel over HTTP: the slots partial, bookings a second, and fifty who want one slot at once.

The real web server (four processes, two threads each, as `lockstep serve` runs it) on a database of its own, loaded from other processes on the
same machine. The rate limits are off here, since all load comes from one address; everything else is as in real use.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import re
import socket
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask

from portal.app import create_app
from portal.clock import now_utc
from portal.config import Settings
from portal.process.web_server import listen, run_web
from tests.support import databases, postgres

FORK = multiprocessing.get_context("fork")
HOST = "127.0.0.1"


def run(*, scale: float = 1.0) -> dict[str, dict[str, Any]]:
    """Name -> {"value", "unit", "limit", ...}. `scale` below 1 makes fewer rounds."""
    figures: dict[str, dict[str, Any]] = {}
    with _sqlite() as settings:
        figures |= slots_partial(settings, requests=int(400 * scale))
    with _sqlite() as settings:
        figures |= among_stalled_connections(settings, requests=int(400 * scale))
    with _sqlite() as settings:
        figures |= bookings_a_second(settings, bookings=int(1600 * scale))
    with _sqlite() as settings:
        figures |= one_slot(settings, name="SQLite", rounds=int(100 * scale))
    programs = postgres.find_programs()
    if programs is None:
        figures["50 posts for one slot, PostgreSQL"] = {"failed": postgres.MISSING}
        return figures
    cluster = postgres.Cluster(programs)
    try:
        with _folder() as folder:
            settings = Settings(data=folder, database_url=databases.create_postgres_database(cluster.url, "bench"))
            figures |= one_slot(settings, name="PostgreSQL", rounds=int(100 * scale))
    finally:
        cluster.stop()
    return figures


def slots_partial(settings: Settings, *, requests: int) -> dict[str, dict[str, Any]]:
    """10 staff with 200 bookings each; one connection asks for one day's slots, of one person and of anyone."""
    with _served(settings) as server:
        slugs = _in_app(settings, _make_staff, 10, 200)
        day = _first_monday().date().isoformat()
        paths = {
            "slots partial, one person": (f"/choose/slots?day={day}&resource={slugs[0]}", 5.0),
            "slots partial, anyone": (f"/anyone/slots?day={day}", 12.0),
        }
        figures = {}
        for name, (path, limit) in paths.items():
            milliseconds = _timed_gets(server, path, requests)
            p50, p95 = statistics.median(milliseconds), statistics.quantiles(milliseconds, n=20)[18]
            figures[name] = {"value": round(p50, 2), "unit": "ms p50", "limit": limit, "p95": round(p95, 2)}
        return figures


def among_stalled_connections(settings: Settings, *, requests: int) -> dict[str, dict[str, Any]]:
    """One day's slots while 500 connections say nothing and 100 drip a body of a byte at a time, against the same without them."""
    with _served(settings) as server, ExitStack() as stack:
        slug = _in_app(settings, _make_staff, 10, 50)[0]
        path = f"/choose/slots?day={_first_monday().date().isoformat()}&resource={slug}"
        usual = statistics.quantiles(_timed_gets(server, path, requests), n=20)[18]
        for _ in range(500):
            stack.enter_context(socket.create_connection((HOST, server.port)))
        stack.callback(_drip([stack.enter_context(socket.create_connection((HOST, server.port))) for _ in range(100)]))
        crowded = statistics.quantiles(_timed_gets(server, path, requests), n=20)[18]
    figure = {"value": round(crowded / usual, 2), "unit": "times the usual p95", "limit": 2.0}
    return {"slots among 600 stalled connections": {**figure, "usual": round(usual, 2), "crowded": round(crowded, 2)}}


def _drip(lines: list[socket.socket]) -> Callable[[], None]:
    """Begin bodies that never end, a byte every half second on each line; what is given ends that."""
    enough = threading.Event()

    def go() -> None:
        for line in lines:
            line.sendall(b"POST /choose/holds HTTP/1.1\r\nHost: portal.example\r\nContent-Length: 5000\r\n\r\n")
        while not enough.wait(0.5):
            for line in lines:
                with suppress(OSError):  # let go meanwhile
                    line.sendall(b"a")

    thread = threading.Thread(target=go)
    thread.start()

    def end() -> None:
        enough.set()
        thread.join()

    return end


def bookings_a_second(settings: Settings, *, bookings: int) -> dict[str, dict[str, Any]]:
    """8 clients, each a process with one connection, book free slots of 10 staff through the API."""
    with _served(settings) as server:
        slugs = _in_app(settings, _make_staff, 10, 0)
        token = _in_app(settings, _make_token)
        starts = _starts(bookings // len(slugs) + 1)
        jobs = [(slug, start) for start in starts for slug in slugs][:bookings]
        shares = [jobs[n::8] for n in range(8)]
        seconds, statuses = _race([(_book_many, (server.port, token, share)) for share in shares])
    wrong = {status: count for status, count in statuses.items() if status != 201}
    rate = statuses[201] / seconds
    return {
        "bookings a second, 8 clients, SQLite": {
            "value": round(rate), "unit": "/s", "limit": 200, "at_least": True, "bookings": bookings, "not_booked": wrong,
        }
    }  # fmt: skip


def one_slot(settings: Settings, *, name: str, rounds: int) -> dict[str, dict[str, Any]]:
    """Every round 50 posts at once for one slot, half through the page and half through the API: exactly one must win."""
    with _served(settings) as server:
        _in_app(settings, _make_staff, 1, 0)
        token = _in_app(settings, _make_token)
        visitors = [_Visitor(server.port) for _ in range(25)]
        winners: Counter[int] = Counter()
        odd: Counter[int] = Counter()
        for number, start in enumerate(_starts(rounds)):
            statuses = _round(server.port, token, visitors, start, number)
            winners[sum(status in (201, 303) for status in statuses)] += 1
            odd.update(status for status in statuses if status not in (201, 303, 409))
    value = winners[1]
    figure = {"value": value, "unit": f"of {rounds} rounds with one winner", "limit": rounds, "at_least": True}
    return {f"50 posts for one slot, {name}": {**figure, "winners": dict(winners), "other_statuses": dict(odd)}}


class _Visitor:
    """A browser without scripts: keeps its cookie and the form token of the page."""

    def __init__(self, port: int) -> None:
        self._port = port
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        connection.request("GET", "/anyone/slots")
        response = connection.getresponse()
        body = response.read().decode()
        self._cookie = (response.getheader("Set-Cookie") or "").split(";")[0]
        self._token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', body).group(1)  # type: ignore[union-attr]
        connection.close()

    def hold(self, start: datetime) -> int:
        fields = {"csrf_token": self._token, "start_at": start.isoformat().replace("+00:00", "Z")}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": self._cookie}
        return _post(self._port, "/anyone/holds", urlencode(fields), headers)


def _round(port: int, token: str, visitors: list[_Visitor], start: datetime, number: int) -> list[int]:
    barrier, statuses, lock = threading.Barrier(50), [], threading.Lock()

    def go(act: Callable[[], int]) -> None:
        barrier.wait(30)
        status = act()
        with lock:
            statuses.append(status)

    acts: list[Callable[[], int]] = [lambda visitor=visitor: visitor.hold(start) for visitor in visitors]  # type: ignore[misc]
    acts += [lambda n=n: _book(port, token, "anyone", None, start, f"{number}-{n}") for n in range(25)]  # type: ignore[misc]
    threads = [threading.Thread(target=go, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return statuses


def _book_many(port: int, token: str, share: list[tuple[str, datetime]]) -> Counter[int]:
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    statuses: Counter[int] = Counter()
    for slug, start in share:
        key = f"{slug}-{start.isoformat()}"
        connection.request("POST", "/api/v1/bookings", _body("choose", slug, start), _headers(token, key))
        response = connection.getresponse()
        response.read()
        statuses[response.status] += 1
    return statuses


def _book(port: int, token: str, service: str, slug: str | None, start: datetime, key: str) -> int:
    return _post(port, "/api/v1/bookings", _body(service, slug, start), _headers(token, key))


def _post(port: int, path: str, body: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def _body(service: str, slug: str | None, start: datetime) -> str:
    body = {
        "service": service,
        "start_at": start.isoformat().replace("+00:00", "Z"),
        "customer": {"name": "Eva Sanz", "email": "eva@example.org"},
    }
    return json.dumps(body | ({"resource": slug} if slug else {}))


def _headers(token: str, key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": key}


def _race(jobs: list[tuple[Callable[..., Counter[int]], tuple[Any, ...]]]) -> tuple[float, Counter[int]]:
    """Run the functions in processes of their own, begun together: (seconds until the last ended, their counts added)."""
    queue, barrier = FORK.Queue(), FORK.Barrier(len(jobs) + 1)

    def body(function: Callable[..., Counter[int]], arguments: tuple[Any, ...]) -> None:
        barrier.wait(60)
        queue.put(function(*arguments))

    children = [FORK.Process(target=body, args=job, daemon=True) for job in jobs]
    for child in children:
        child.start()
    barrier.wait(60)
    began = time.perf_counter()
    total: Counter[int] = Counter()
    for _ in children:
        total += queue.get(timeout=300)
    return time.perf_counter() - began, total


def _timed_gets(server: _Server, path: str, requests: int) -> list[float]:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=30)
    times = []
    for number in range(requests + 20):
        began = time.perf_counter()
        connection.request("GET", path, headers={"HX-Request": "true"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200 or b"10:" not in body:
            raise RuntimeError(f"GET {path} answered {response.status} without times")
        if number >= 20:  # the first ones warm both processes up
            times.append((time.perf_counter() - began) * 1000)
    return times


class _Server:
    def __init__(self, port: int) -> None:
        self.port = port


@contextmanager
def _served(settings: Settings) -> Iterator[_Server]:
    listener = listen(HOST, 0)
    databases.migrate(settings)

    def body() -> None:
        app = _app(settings)
        run_web(app, listener)

    child = FORK.Process(target=body)
    child.start()
    try:
        _wait_for(listener.getsockname()[1])
        yield _Server(listener.getsockname()[1])
    finally:
        child.terminate()
        child.join(10)
        listener.close()


def _app(settings: Settings) -> Flask:
    from portal.extensions import limiter

    app = create_app(settings)
    limiter.enabled = False  # all load comes from one address
    app.config["BUDGETS"] = False
    return app


def _wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection(HOST, port, timeout=5)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("The web server did not start.")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def _sqlite() -> Iterator[Settings]:
    with _folder() as folder:
        yield Settings(data=folder, database_url=databases.sqlite_url(folder), url="http://127.0.0.1")


def _in_app(settings: Settings, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the function inside an app of its own; used for preparing data."""
    from portal.extensions import db

    app = create_app(replace(settings))
    with app.app_context():
        result = function(*arguments)
        db.session.remove()
        db.engine.dispose()
    return result


def _make_staff(count: int, bookings: int) -> list[str]:
    """Staff with the services "choose" and "anyone", and so many bookings each, spread over the coming weeks."""
    from portal.booking import operations
    from portal.booking.operations import Customer
    from tests.factories import make_resource, make_service

    staff = [make_resource(slug=f"staff-{n}", weekly={d: [(8 * 60, 20 * 60)] for d in range(7)}) for n in range(count)]
    slugs = [resource.slug for resource in staff]
    make_service(staff, slug="choose", assignment="choose", duration=30, step=30, horizon=365)
    make_service(staff, slug="anyone", assignment="any", duration=30, step=30, horizon=365)
    eva = Customer("Eva Sanz", "eva@example.org")
    for slug in slugs:
        for start in _starts(2 * bookings)[::2]:
            operations.book(
                service_slug="choose",
                start_at=start,
                customer=eva,
                idempotency_key=f"{slug}{start}",
                now=now_utc(),
                resource_slug=slug,
            )
    return slugs


def _make_token() -> str:
    from portal.accounts.operations import add_api_token

    return str(add_api_token("bench"))


def _first_monday() -> datetime:
    """The Monday after next, at midnight UTC: everything the bench books lies in the future."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=14 - today.weekday())


def _starts(count: int) -> list[datetime]:
    """So many half hours between 8 and 18 UTC: inside Madrid's 8 to 20 in summer and in winter."""
    return [_first_monday() + timedelta(days=n // 20, hours=8, minutes=30 * (n % 20)) for n in range(count)]


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
