"""Days and hours at which dates go wrong, and a way to run anything as if it were then: `python -m tests.support.moments NAME -- COMMAND …`.

Every process that the command starts believes it, databases and browsers included. `by-turns` takes one after the other, by the number of commits,
so that continuous integration meets them all. `python -m tests.support.moments` lists the names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

SHIM = Path(__file__).with_name("moved_clock")
ROOT = SHIM.parents[2]
MADRID, NEW_YORK = ZoneInfo("Europe/Madrid"), ZoneInfo("America/New_York")
SATURDAY, SUNDAY = 5, 6


def is_summer_time_change(day: date, zone: ZoneInfo) -> bool:
    """Whether the clocks of this zone are changed on that day."""
    midnight = datetime.combine(day, time(), zone)
    return midnight.utcoffset() != datetime.combine(day + timedelta(days=1), time(), zone).utcoffset()


_Rule = tuple[Callable[[date], bool], time, ZoneInfo]
MOMENTS: Mapping[str, _Rule] = {
    "new-years-eve": (lambda day: (day.month, day.day) == (12, 31), time(23, 30), MADRID),
    "end-of-february": (lambda day: (day.month, day.day) == (2, 28), time(23, 30), MADRID),
    "leap-day": (lambda day: (day.month, day.day) == (2, 29), time(20, 0), MADRID),
    "first-of-a-month": (lambda day: day.day == 1, time(0, 5), MADRID),
    "sunday-evening": (lambda day: day.weekday() == SUNDAY, time(21, 0), MADRID),
    "spring-in-madrid": (lambda day: day.month < 6 and is_summer_time_change(day, MADRID), time(1, 30), MADRID),
    "autumn-in-madrid": (lambda day: day.month > 6 and is_summer_time_change(day, MADRID), time(1, 30), MADRID),
    "spring-in-new-york": (lambda day: day.month < 6 and is_summer_time_change(day, NEW_YORK), time(1, 30), NEW_YORK),
    "autumn-in-new-york": (lambda day: day.month > 6 and is_summer_time_change(day, NEW_YORK), time(1, 30), NEW_YORK),
    "summer-night": (lambda day: day.month == 7 and day.weekday() == SATURDAY, time(23, 40), MADRID),
    "end-of-a-month": (lambda day: (day + timedelta(days=1)).day == 1, time(22, 30), MADRID),
}


def next_moment(name: str, *, now: datetime) -> datetime:
    """The first such instant after `now`. Raises KeyError for a name that is not in MOMENTS."""
    matches, at, zone = MOMENTS[name]
    day = now.astimezone(zone).date()
    while not (matches(day) and datetime.combine(day, at, zone) > now):
        day += timedelta(days=1)
    return datetime.combine(day, at, zone).astimezone(UTC)


def environment(moment: datetime, *, now: datetime) -> dict[str, str]:
    """This process's environment, and what moves the clocks of all that is started with it."""
    path = os.pathsep.join(part for part in (str(SHIM), str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    moved_already = float(os.environ.get("TEST_CLOCK_SHIFT", "0"))
    shift = (moment - now).total_seconds() + moved_already
    return {**os.environ, "PYTHONPATH": path, "TEST_CLOCK_SHIFT": f"{shift:.0f}"}


def moved_clock() -> dict[str, str]:
    """What moves the clock of a process whose environment a test makes from nothing; empty where no clock is moved."""
    return {name: os.environ[name] for name in ("PYTHONPATH", "TEST_CLOCK_SHIFT") if name in os.environ}


def by_turns() -> str:
    """One name after the other, by the number of commits."""
    count = subprocess.run(
        ["git", "rev-list", "--count", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return list(MOMENTS)[int(count.stdout or 0) % len(MOMENTS)]


def main(arguments: list[str]) -> int:
    if not arguments:
        print("\n".join(MOMENTS))
        return 0
    name, command = arguments[0], [part for part in arguments[1:] if part != "--"]
    name = by_turns() if name == "by-turns" else name
    if name not in MOMENTS or not command:
        print(f"No such moment, or no command. There are: {', '.join(MOMENTS)}, by-turns.", file=sys.stderr)
        return 2
    now = datetime.now(UTC)
    moment = next_moment(name, now=now)
    print(f"As if it were {moment.astimezone(MOMENTS[name][2]):%A %d %B %Y, %H:%M %Z} ({name}).", flush=True)
    return subprocess.run(command, env=environment(moment, now=now), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
