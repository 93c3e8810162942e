"""Moves the clock of every Python process that is started with this folder on PYTHONPATH, and that of the databases, by TEST_CLOCK_SHIFT seconds.

`tests/support/moments.py` sets both. Time goes on from there; the monotonic clock stays as it is, as where a clock was set before all began.
"""

import datetime as dt
import os


def _move() -> None:
    try:
        import time_machine
    except ImportError:  # another Python, which some program of this machine is written for
        return
    shift = dt.timedelta(seconds=float(os.environ["TEST_CLOCK_SHIFT"]))
    time_machine.travel(dt.datetime.now(dt.UTC) + shift, tick=True).start()
    dt.datetime.now(dt.UTC)  # it begins to run when it is asked first
    from portal import clock

    clock.DATABASE_SHIFT = shift


if os.environ.get("TEST_CLOCK_SHIFT"):
    _move()
