"""Does this process's clock go on as time does? While that is in doubt, nothing is done that is due by time: no reminder, no offer, no erasing.

Four witnesses are heard:

- The clock of the kernel that only counts (it cannot be set, and counts while the machine sleeps, where the system has such a one). The difference
  between both clocks stays what it is; when it changes by more than a minute, the clock leapt.
- The database's clock, where the database is a machine of its own.
- What is stored: when the newest of it was written hours ago, or lies ahead, the clock that the process was started with may be wrong.
- The servers that the portal talks to: each answer over HTTP bears a date.

A leap may be right, after a pause of a virtual machine, or when a wrong clock was set at last. So what leapt is believed again when it went
back, when a server outside bears it out, or when it has gone on steadily for some minutes with nobody to contradict it. Corrections by seconds
pass unnoticed.

Pure, but for the lock: the caller reads the clocks.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import current_app, has_app_context

from portal.clock import now_utc

TOLERANCE = timedelta(seconds=60)
SETTLES_AFTER = timedelta(minutes=5)
LONG_SILENCE = timedelta(hours=3)
HEARD_FOR = timedelta(minutes=10)
KEY = "timekeeper"
"""Where an app keeps its watch, in a worker."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the clock is not believed. `is_alarming`: people should know; a long silence before the start alone is an everyday thing."""

    sentence: str
    is_alarming: bool = True


class Timekeeper:
    """Judges the clock of one process. `newest` is the newest instant stored at the start, if any; `steady_now` counts seconds from anywhere."""

    def __init__(self, wall: datetime, steady_now: float, *, newest: datetime | None) -> None:
        self._lock = threading.Lock()
        self._believed = self._leapt_to = _offset(wall, steady_now)
        self._since = steady_now
        self._leap = _at_the_start(wall, newest)
        self._database: timedelta | None = None
        self._outside: tuple[timedelta, float] | None = None
        self.has_recovered = newest is not None and newest > wall + TOLERANCE
        """True after a doubt was over, and at a start that finds instants to come: what wrong times have left is to be mended."""

    def hear_database(self, instant: datetime, steady_now: float) -> None:
        """What the database's clock says, where it is another one."""
        self._database = _offset(instant, steady_now)

    def hear_outside(self, instant: datetime, steady_now: float) -> None:
        """What the clock of a server outside said at that moment."""
        self._outside = (_offset(instant, steady_now), steady_now)

    def look(self, wall: datetime, steady_now: float) -> Doubt | None:
        """The doubt at this moment, if any."""
        offset = _offset(wall, steady_now)
        with self._lock:
            leap = self._judge(offset, steady_now)
        if self._database is not None and abs(self._database - offset) > TOLERANCE:
            length = _words(self._database - offset)
            return Doubt(f"This machine's clock and the database's differ by {length}. Have both set by NTP.")
        return leap

    def _judge(self, offset: timedelta, steady_now: float) -> Doubt | None:
        if self._leap is None:
            if abs(offset - self._believed) <= TOLERANCE:
                self._believed = offset  # corrections by seconds are followed
                return None
            self._doubt(offset, steady_now)
        elif abs(offset - self._leapt_to) > TOLERANCE:
            if abs(offset - self._believed) <= TOLERANCE:  # it went back
                self._believe(offset)
                return None
            self._doubt(offset, steady_now)
        outside = self._heard_outside(steady_now)
        is_settled = steady_now - self._since >= SETTLES_AFTER.total_seconds()
        if (is_settled and outside is None) or (outside is not None and abs(outside - offset) <= TOLERANCE):
            self._believe(offset)
        return self._leap

    def _heard_outside(self, steady_now: float) -> timedelta | None:
        heard = self._outside
        return heard[0] if heard is not None and steady_now - heard[1] < HEARD_FOR.total_seconds() else None

    def _doubt(self, offset: timedelta, steady_now: float) -> None:
        size = offset - self._believed
        way = "forward" if size > timedelta(0) else "back"
        self._leapt_to, self._since = offset, steady_now
        self._leap = Doubt(f"This machine's clock leapt {way} by {_words(size)}. Is it right? Have it set by NTP.")

    def _believe(self, offset: timedelta) -> None:
        self._believed, self._leap = offset, None
        self.has_recovered = True


def doubt() -> str:
    """Why this process's clock is not believed at this moment; empty when it is, and in processes that keep no watch over theirs."""
    keeper: Timekeeper | None = current_app.extensions.get(KEY) if has_app_context() else None
    found = keeper.look(now_utc(), steady()) if keeper is not None else None
    return found.sentence if found is not None else ""


def steady() -> float:
    """Seconds that nobody can set. On Linux they go on while the machine sleeps: waking up is no leap."""
    return time.clock_gettime(_COUNTER) if _COUNTER is not None else time.monotonic()


def _counter() -> int | None:
    """The kernel's counter that goes on in sleep, where there is one that answers."""
    try:
        time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return None
    return time.CLOCK_BOOTTIME


_COUNTER = _counter()


def _offset(wall: datetime, steady_now: float) -> timedelta:
    """The same at every moment, as long as the clock goes on as time does."""
    return (wall - _EPOCH) - timedelta(seconds=steady_now)


def _at_the_start(wall: datetime, newest: datetime | None) -> Doubt | None:
    if newest is None:
        return None
    if newest > wall + TOLERANCE:
        return Doubt(f"This machine's clock is {_words(newest - wall)} behind what is stored already. Is it right?")
    if newest < wall - LONG_SILENCE:
        sentence = f"Nothing was written for {_words(wall - newest)}, so this machine's clock is watched for some minutes first."
        return Doubt(sentence, is_alarming=False)
    return None


def _words(length: timedelta) -> str:
    seconds = abs(int(length.total_seconds()))
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = round(seconds / size)
            return f"{number} {name}{'s' if number != 1 else ''}"
    return f"{seconds} seconds"
