"""How fast a calendar is read: `python -m tests.bench.pull [SCALE]`, and part of `make bench`.

A calendar of 10,000 events, one in twenty a series, all of it within the horizon, so that nothing can be left out: the
worst case. It is laid straight into the server's folder, and the server is warmed by one untimed reading of everything.
Then, taking turns, `vdirsyncer` makes its first copy of the calendar and our provider reads it for the first time, each
as a process of its own from start to end; ours also expands the series over the horizon. A reading without changes is
compared with the server's bare answer to the same request.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from portal.outbound.session import guarded_session
from providers.calendars.base import CalendarRef, Span
from providers.calendars.caldav.calendars import CalDavCalendars
from providers.calendars.caldav.xml import sync_collection
from tests.providers.servers import CalDavServer, RadicaleServer, XandikosServer

EVENTS = 10_000
SERIES_EACH = 20
HORIZON_DAYS = 90
MONDAY = datetime(2027, 3, 1, tzinfo=UTC)
WINDOW: Span = (MONDAY, MONDAY + timedelta(days=HORIZON_DAYS))
THOUGHT = 150.0
"""Seconds of silence that a cold server may need for its first answer about so many objects; the portal gives them from its third try on."""
MAX_MB = 200
MAX_EXTRA_MS = 100
ROUNDS = 3
QUIET_ROUNDS = 7


def run(scale: float = 1.0) -> dict[str, dict[str, float]]:
    """name -> figures. `scale` makes the calendar smaller or larger; `limit_*` is what a figure is held against."""
    figures: dict[str, dict[str, float]] = {}
    for name, make, fill in (
        ("Radicale", RadicaleServer, _fill_radicale),
        ("Xandikos", XandikosServer, _fill_xandikos),
    ):
        with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
            server: CalDavServer = make(Path(folder) / "server")
            url = _prepare(server, fill, round(EVENTS * scale))
            try:
                figures |= {
                    f"pull from {name}: {part}": found for part, found in _measure(server, url, Path(folder)).items()
                }
            finally:
                server.stop()
    return figures


def events(count: int) -> dict[str, str]:
    """File name -> object: `count` events spread over the horizon, as calendar programs write them."""
    return {f"bench-{number}.ics": _event(number, count) for number in range(count)}


def _event(number: int, count: int) -> str:
    minutes = int(number / count * HORIZON_DAYS * 1440) // 15 * 15
    start = MONDAY + timedelta(minutes=minutes)
    is_series = number % SERIES_EACH == 0
    if is_series:
        start -= timedelta(weeks=30)
    rule = ("RRULE:FREQ=WEEKLY;BYDAY=MO,WE", "RRULE:FREQ=DAILY", "RRULE:FREQ=MONTHLY;BYDAY=2TU")[
        number // SERIES_EACH % 3
    ]
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Bench//EN", *_ZONE, "BEGIN:VEVENT", f"UID:bench-{number}",
        "DTSTAMP:20260101T000000Z", f"DTSTART;TZID=Europe/Madrid:{start:%Y%m%dT%H%M%S}",
        f"DTEND;TZID=Europe/Madrid:{start + timedelta(minutes=45):%Y%m%dT%H%M%S}", *([rule] if is_series else []),
        f"SUMMARY:Appointment {number} with somebody", "DESCRIPTION:Please bring the papers.\\nThank you.",
        "LOCATION:Calle Mayor 5", "STATUS:CONFIRMED", "TRANSP:OPAQUE", "SEQUENCE:0", "END:VEVENT", "END:VCALENDAR", "",
    ]  # fmt: skip
    return "\r\n".join(lines)


_ZONE = """\
BEGIN:VTIMEZONE
TZID:Europe/Madrid
BEGIN:DAYLIGHT
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
TZNAME:CEST
DTSTART:19700329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
BEGIN:STANDARD
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
TZNAME:CET
DTSTART:19701025T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
END:VTIMEZONE""".splitlines()


def _prepare(server: CalDavServer, fill: Callable[[Path, dict[str, str]], None], count: int) -> str:
    """A started server that holds the calendar and has been read once; gives the calendar's address."""
    server.start()
    url = server.make_calendar(server.username, "big")
    server.stop()
    (folder,) = [path for path in (server.folder).rglob("big") if path.is_dir()]
    fill(folder, events(count))
    server.start()
    return url


def _fill_radicale(folder: Path, objects: dict[str, str]) -> None:
    for name, text in objects.items():
        (folder / name).write_bytes(text.encode())


def _fill_xandikos(folder: Path, objects: dict[str, str]) -> None:
    """Xandikos keeps a git repository with its working tree: everything goes in as one commit."""
    from dulwich import porcelain  # not above: the process that is measured imports this module, too

    for name, text in objects.items():
        (folder / name).write_bytes(text.encode())
    porcelain.add(str(folder), paths=[str(folder / name) for name in objects])
    porcelain.commit(str(folder), message=b"fill", author=b"bench <bench>", committer=b"bench <bench>")


def _measure(server: CalDavServer, url: str, folder: Path) -> dict[str, dict[str, float]]:
    warm_up = _our_first_reading(server, url)
    theirs, ours = [], []
    for number in range(ROUNDS):
        theirs.append(_vdirsyncer(server, url, folder / f"vdirsyncer-{number}"))
        ours.append(_our_first_reading(server, url))
    first = {
        "seconds": statistics.median(our["wall_seconds"] for our in ours),
        "limit_seconds": statistics.median(theirs),
        "warm_up_seconds": warm_up["wall_seconds"],
        "events": ours[0]["events"],
        "busy_intervals": ours[0]["busy"],
    }
    memory = {"mb": max(our["mb"] for our in ours), "limit_mb": MAX_MB}
    return {"first reading, vdirsyncer's as limit": first, "memory": memory, "without changes": _quiet(server, url)}


def _our_first_reading(server: CalDavServer, url: str) -> dict[str, float]:
    """One first reading in a process of its own."""
    started = time.perf_counter()
    user, password = server.credentials()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.pull", "--read", url, user, password],
        capture_output=True, check=True, timeout=600,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return {**found, "wall_seconds": round(time.perf_counter() - started, 2)}


def _read(url: str, user: str, password: str) -> None:
    """What the process of `_our_first_reading` does."""
    calendar = CalendarRef(remote_id=url, zone="Europe/Madrid", silence_allowed=THOUGHT)
    provider = CalDavCalendars(
        url=url, username=user, password=password, http_session=guarded_session(allow=["127.0.0.1"])
    )
    batch = provider.changes(calendar, None, window=WINDOW, known={})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
    busy = sum(len(event.busy) for event in batch.upserts)
    print(json.dumps({"events": len(batch.upserts), "busy": busy, "mb": round(peak, 1)}))


def _vdirsyncer(server: CalDavServer, url: str, folder: Path) -> float:
    """Seconds of vdirsyncer's first copy; finding the calendar is not timed."""
    folder.mkdir()
    user, password = server.credentials()
    config = folder / "config"
    config.write_text(
        f'[general]\nstatus_path = "{folder}/status/"\n'
        '[pair bench]\na = "there"\nb = "here"\ncollections = null\n'
        f'[storage there]\ntype = "caldav"\nurl = "{url}"\nusername = "{user}"\npassword = "{password}"\n'
        f'[storage here]\ntype = "filesystem"\npath = "{folder}/copy/"\nfileext = ".ics"\n'
    )
    command = [sys.executable, "-m", "vdirsyncer", "-c", str(config)]
    subprocess.run([*command, "discover"], input=b"y\ny\ny\n", capture_output=True, check=True, timeout=120)
    started = time.perf_counter()
    subprocess.run([*command, "sync"], capture_output=True, check=True, timeout=600)
    return round(time.perf_counter() - started, 2)


def _quiet(server: CalDavServer, url: str) -> dict[str, float]:
    """A reading that finds nothing new, against the server's bare answer to the same request, taking turns."""
    user, password = server.credentials()
    calendar = CalendarRef(remote_id=url, zone="Europe/Madrid")
    provider = CalDavCalendars(
        url=url, username=user, password=password, http_session=guarded_session(allow=["127.0.0.1"])
    )
    first = provider.changes(calendar, None, window=WINDOW, known={})
    known = {event.remote_id: event.etag for event in first.upserts}
    bare, ours = [], []
    for _ in range(QUIET_ROUNDS + 1):
        bare.append(_timed(lambda: _ask_bare(url, (user, password), first.next_token or "")))
        ours.append(_timed(lambda: provider.changes(calendar, first.next_token, window=WINDOW, known=known)))
    provider.close()
    server_ms, our_ms = statistics.median(bare[1:]), statistics.median(ours[1:])
    return {
        "median_ms": round(our_ms, 1),
        "server_ms": round(server_ms, 1),
        "limit_ms": round(server_ms + MAX_EXTRA_MS, 1),
    }


def _ask_bare(url: str, credentials: tuple[str, str], token: str) -> None:
    headers = {"Depth": "0", "Content-Type": "text/xml"}
    answer = requests.request(
        "REPORT", url, data=sync_collection(token).encode(), headers=headers, auth=credentials, timeout=600
    )
    assert answer.status_code == 207, answer.status_code


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        _read(*sys.argv[2:5])
    else:
        print(json.dumps(run(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0), indent=2))
