"""Google both ways, against the stand-in with 100 ms answers: `python -m tests.bench.google [SCALE]`, and part of `make bench`.

`lockstep serve` runs as a user runs it. Booking to event: from sending the API request until the event stands at the stand-in. Push to slot: from the
moment a person enters an event until the public API no longer offers its time. Then a storm of pushes, as a person's import of many
events would cause, and the first reading of a large calendar, as a process of its own provider.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from portal.outbound.session import guarded_session
from providers.calendars.base import CalendarRef, Span
from tests.bench.business import book, midnight, set_up, zulu
from tests.bench.publish import resident
from tests.support.google import OneToken, connect_google
from tests.support.google_server import GoogleServer
from tests.support.instance import Instance, until

LATENCY = 0.1
EVENTS = 10_000
PUSHES, STORM_SECONDS = 1_000, 10.0


def run(*, scale: float = 1.0) -> dict[str, dict[str, Any]]:
    """Name -> {"value", "unit", "limit", ...}."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        with GoogleServer(Path(name) / "google") as google:
            figures = _both_ways(Path(name), google, scale)
        with GoogleServer(Path(name) / "large") as google:
            return figures | _large_calendar(google, round(EVENTS * scale))


def _both_ways(folder: Path, google: GoogleServer, scale: float) -> dict[str, dict[str, Any]]:
    ana = google.account("ana@gmail.example")
    instance = set_up(folder, **google.environment())
    connect_google(instance, ana, "ana")
    google.latency(LATENCY)
    with instance:
        until(lambda: _is_push_live(google), seconds=60, what="the push subscription")
        written = _bookings(instance, ana, count=max(int(30 * scale), 5))
        closed = _outside_events(instance, ana, count=max(int(30 * scale), 5))
        pulls = _storm(google, ana, pushes=max(int(PUSHES * scale), 50))
        _have_a_last_look(instance, google)
        sizes = resident(instance.pid)
    return {
        "Google: booking to event": _p95(written, limit=2.0),
        "Google: push to slot gone": _p95(closed, limit=2.0),
        "Google: pulls caused by 1,000 pushes in 10 s": {"value": pulls, "unit": "", "limit": 10},
        "Google: resident, a web process": {"value": round(sizes["web"]), "unit": "MB", "limit": 120},
        "Google: resident, the worker": {"value": round(sizes["worker"]), "unit": "MB", "limit": 160},
    }


def _is_push_live(google: GoogleServer) -> bool:
    return bool(google.channels())


def _bookings(instance: Instance, ana: Any, *, count: int) -> list[float]:
    token, first = instance.token(), midnight(2)
    seconds = []
    for number in range(count + 3):
        known = {event["id"] for event in ana.events(ana.email)}
        start_at = first + timedelta(minutes=30 * number)
        began = time.perf_counter()
        book(instance, token, start_at)
        until(lambda known=known: {e["id"] for e in ana.events(ana.email)} - known, seconds=30, what="the event")  # type: ignore[misc]
        if number >= 3:  # the first ones warm the worker up
            seconds.append(time.perf_counter() - began)
    return seconds


def _outside_events(instance: Instance, ana: Any, *, count: int) -> list[float]:
    """Seconds from a person's entry until its time is not offered any more; some seconds apart, as people work."""
    first, seconds = midnight(10), []
    for number in range(count):
        start_at = first + timedelta(minutes=60 * number)
        assert _is_offered(instance, start_at)
        began = time.perf_counter()
        ana.add_event(ana.email, f"Errand {number}", start_at, start_at + timedelta(minutes=30))
        until(lambda at=start_at: not _is_offered(instance, at), seconds=30, what="the slot to close")  # type: ignore[misc]
        seconds.append(time.perf_counter() - began)
        time.sleep(0.5)
    return seconds


def _is_offered(instance: Instance, start_at: datetime) -> bool:
    window = f"from={zulu(start_at)}&to={zulu(start_at + timedelta(minutes=30))}"
    answer = instance.api("GET", f"availability?service=consultation&{window}")
    answer.raise_for_status()
    return any(slot["start_at"] == zulu(start_at) for slot in answer.json()["slots"])


def _storm(google: GoogleServer, ana: Any, *, pushes: int) -> int:
    """Readings between the first message and two seconds after the last."""
    time.sleep(3)
    before = len(google.log())
    began = time.monotonic()
    for number in range(pushes):
        time.sleep(max(0.0, began + number * STORM_SECONDS / pushes - time.monotonic()))
        google.push(ana.email)
    took = time.monotonic() - began
    if took > STORM_SECONDS * 1.2:
        raise RuntimeError(f"The pushes took {took:.1f} s to send.")
    return len(_readings(google.log(since=before)))


def _have_a_last_look(instance: Instance, google: GoogleServer) -> None:
    """A booking over a calendar that was last read over half a minute ago: then a web process asks Google itself."""
    time.sleep(35)  # with live push the worker looks every 50 s
    before = len(google.log())
    book(instance, instance.token(), midnight(20))
    if not any("timeMin" in row["query"] for row in _readings(google.log(since=before))):
        raise RuntimeError("There was no last look.")


def _readings(log: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in log if row["method"] == "GET" and row["path"].endswith("/events")]


def _large_calendar(google: GoogleServer, count: int) -> dict[str, dict[str, Any]]:
    from providers.calendars.google.calendars import GoogleCalendars

    ana = google.account("ana@gmail.example")
    tokens = OneToken(ana.grant()["access_token"])
    start, window = midnight(1), (midnight(0), midnight(92))
    ana.add_many(ana.email, [
        (f"Event {n}", start + timedelta(minutes=13 * n), start + timedelta(minutes=13 * n + 10)) for n in range(count)
    ])  # fmt: skip
    google.latency(LATENCY)
    provider = GoogleCalendars(
        tokens=tokens, account_name=ana.email, api_url=google.url, http_session=guarded_session(allow=["127.0.0.1"])
    )
    calendar = CalendarRef(remote_id=ana.email, zone="UTC")
    first, seconds, pages = _timed(google, provider, calendar, None, window, known={})
    if len(first.upserts) < count:
        raise RuntimeError(f"{len(first.upserts)} of {count} events were read.")
    known = {event.remote_id: event.etag for event in first.upserts}
    _, idle, requests = _timed(google, provider, calendar, first.next_token, window, known=known)
    return {
        f"Google: first pull of {count} events": {"value": round(seconds, 2), "unit": "s", "limit": 30, "pages": pages},
        "Google: pull without changes": {"value": requests, "unit": "requests", "limit": 1, "ms": round(idle * 1000)},
    }


def _timed(
    google: GoogleServer,
    provider: Any,
    calendar: CalendarRef,
    token: str | None,
    window: Span,
    *,
    known: Mapping[str, str],
) -> tuple[Any, float, int]:
    """(batch, seconds, requests)."""
    before = len(google.log())
    began = time.perf_counter()
    batch = provider.changes(calendar, token, window=window, known=known)
    return batch, time.perf_counter() - began, len(google.log(since=before))


def _p95(seconds: list[float], *, limit: float) -> dict[str, Any]:
    return {
        "value": round(statistics.quantiles(seconds, n=20)[18], 2), "unit": "s p95", "limit": limit,
        "median": round(statistics.median(seconds), 2), "count": len(seconds),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run(scale=float(sys.argv[1]) if len(sys.argv) > 1 else 1.0), indent=2))
