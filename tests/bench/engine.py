"""How fast the availability engine answers: `python -m tests.bench.engine`, and part of `make bench`.

Every run gets a fresh demand with busy intervals in random order, spread evenly over the days asked about (nights and
weekends included, lengths of 5 to 30 minutes), so nothing can be remembered from the run before but zone arithmetic.
Making the demand is not timed; it is the work of the database's side.
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from portal.availability.model import Demand, SlotRules, TimeRange, Timetable
from portal.availability.slots import is_offered, offer_slots
from portal.intervals import Interval

MONDAY = datetime(2027, 3, 1, tzinfo=UTC)
OFFICE_HOURS = {weekday: (TimeRange(9 * 60, 17 * 60),) for weekday in range(5)}
ZONE = "Europe/Madrid"
MINUTE = timedelta(minutes=1)
RUNS = 25


def run() -> dict[str, dict[str, float]]:
    """Medians after a warm-up: name -> median_ms, limit_ms, runs."""
    return {
        "engine: 1 resource, 30 days, 0 busy": measure(lambda: demand(days=30, busy=0), 1),
        "engine: 1 resource, 30 days, 1,000 busy": measure(lambda: demand(days=30, busy=1_000), 2),
        "engine: 1 resource, 30 days, 10,000 busy": measure(lambda: demand(days=30, busy=10_000), 8),
        "engine: 1 resource, 365 days, 0 busy": measure(lambda: demand(days=365, busy=0), 8),
        "engine: 1 resource, 365 days, 10,000 busy": measure(lambda: demand(days=365, busy=10_000), 25),
        "engine: 50 resources, 30 days, 100 busy each": measure(lambda: demand(50, days=30, busy=100), 40),
        "engine: one instant, 10,000 busy": measure(lambda: demand(days=30, busy=10_000), 1, ask_one_instant),
    }


def demand(resources: int = 1, *, days: int, busy: int) -> Demand:
    """Half-hour slots, Monday to Friday 9 to 17, of one or any of several resources."""
    window = Interval(MONDAY, MONDAY + timedelta(days=days))
    half_hour, nothing = 30 * MINUTE, timedelta(0)
    rules = SlotRules(half_hour, half_hour, nothing, nothing, nothing, timedelta(days=days + 1), ZONE)
    timetables = tuple(Timetable(id_, ZONE, OFFICE_HOURS, {}, busy_intervals(busy, days)) for id_ in range(resources))
    return Demand(window, rules, "any", timetables)


def busy_intervals(count: int, days: int) -> list[Interval]:
    """Random quarters of an hour or so, on the quantum of 5 minutes."""
    found = []
    for _ in range(count):
        start = MONDAY + 5 * MINUTE * random.randrange(days * 288)
        found.append(Interval(start, start + 5 * MINUTE * random.randint(1, 6)))
    return found


def ask_all(question: Demand) -> object:
    return offer_slots(question, now=MONDAY)


def ask_one_instant(question: Demand) -> object:
    start = MONDAY + timedelta(days=15, hours=10)
    return is_offered(question, Interval(start, start + 30 * MINUTE), now=MONDAY)


def measure(make: Callable[[], Demand], limit_ms: float, ask: Callable[[Demand], object] = ask_all) -> dict[str, float]:
    """Times `ask` on a new demand in each run."""
    random.seed(20270301)
    times = []
    for _ in range(RUNS + 3):
        question = make()
        gc.collect()
        started = time.perf_counter()
        ask(question)
        times.append((time.perf_counter() - started) * 1_000)
    return {"median_ms": round(statistics.median(times[3:]), 3), "limit_ms": limit_ms, "runs": RUNS}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
