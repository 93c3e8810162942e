"""From a booking to its event in a real calendar, and how much memory the processes take: `lockstep serve` against Radicale.

Bookings come one by one through the API; the clock runs from sending the request until the event can be fetched from the calendar server.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from tests.bench.business import book, midnight, set_up
from tests.providers.servers import RadicaleServer
from tests.support.instance import Instance, until

CALENDAR = """
[[resource.calendar]]
provider = "caldav"
url = "{url}"
username = "ana"
password = "secret"
roles = ["busy", "destination"]
"""


def run(*, scale: float = 1.0) -> dict[str, dict[str, Any]]:
    """Name -> {"value", "unit", "limit", ...}."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with RadicaleServer(folder / "radicale", {"ana": "secret"}) as server:
            url = server.make_calendar("ana", "bookings")
            instance = set_up(folder, calendar=CALENDAR.format(url=url))
            with instance:
                seconds = _publish(instance, server, url, count=max(int(40 * scale), 5))
                sizes = resident(instance.pid)
    return {
        "booking to event on Radicale": {
            "value": round(statistics.quantiles(seconds, n=20)[18], 2), "unit": "s p95", "limit": 2.0,
            "median": round(statistics.median(seconds), 2), "bookings": len(seconds),
        },
        "resident, a web process": {"value": round(sizes["web"]), "unit": "MB", "limit": 120},
        "resident, the worker": {"value": round(sizes["worker"]), "unit": "MB", "limit": 160},
    }  # fmt: skip


def _publish(instance: Instance, server: RadicaleServer, url: str, *, count: int) -> list[float]:
    token = instance.token()
    first = midnight(2)
    seconds = []
    for number in range(count + 3):
        known = _objects(server, url)
        start_at = first + timedelta(minutes=30 * number)
        began = time.perf_counter()
        book(instance, token, start_at)
        until(lambda known=known: _objects(server, url) - known, seconds=30, what="the event")  # type: ignore[misc]
        if number >= 3:  # the first ones warm the worker up
            seconds.append(time.perf_counter() - began)
    return seconds


def _objects(server: RadicaleServer, url: str) -> set[str]:
    """The files of the calendar, straight from Radicale's folder: asking over HTTP would slow the server down for the portal."""
    folder = server.collections / url.removeprefix(server.url).strip("/")
    return {path.name for path in folder.glob("*.ics")}


def resident(parent: int) -> dict[str, float]:
    """Resident MB of the largest web process and of the worker, children of `lockstep serve`, told apart by what they have open.

    The worker is a direct child without children of its own that is no other program; web processes are grandchildren.
    """
    megabytes: dict[str, float] = {"web": 0.0, "worker": 0.0}
    for child in psutil.Process(parent).children():
        grandchildren = child.children()
        if "valkey" in child.name():
            continue
        name = "web" if grandchildren else "worker"
        for process in grandchildren or [child]:
            megabytes[name] = max(megabytes[name], process.memory_info().rss / 1e6)
    return megabytes


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
