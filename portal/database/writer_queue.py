"""A queue in front of SQLite's one write lock. Used by `portal.database.engine` alone.

SQLite has no queue of its own: a writer that finds the lock taken sleeps, up to 100 ms at a time, and the lock often stands free
meanwhile (measured with 8 clients: a third of the bookings a second, and seconds at the 99th percentile). So writers line up
here, first the threads of one process, then one thread of each process at a lock file. This is for speed alone: whoever does not get
his turn in time goes on to `BEGIN IMMEDIATE`, which is what keeps writers apart.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 5.0
"""Seconds; as long as SQLite itself would wait."""
PAUSE = 0.0005


class WriterQueue:
    """The queue of one database file, in this process."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-turn")
        self._threads = threading.Lock()
        self._descriptor: int | None = None
        self._owner = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn, at most `PATIENCE` seconds; give it up at the end."""
        has_turn = self._threads.acquire(timeout=PATIENCE)
        try:
            with self._among_processes():
                yield
        finally:
            if has_turn:
                self._threads.release()

    @contextmanager
    def _among_processes(self) -> Iterator[None]:
        descriptor = self._open()
        is_mine = _lock(descriptor)
        try:
            yield
        finally:
            if is_mine:
                fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _open(self) -> int:
        """This process's own descriptor: one inherited over a fork would share the parent's lock."""
        if self._descriptor is None or self._owner != os.getpid():
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._owner = os.getpid()
        return self._descriptor


def _lock(descriptor: int) -> bool:
    """Polled, since a blocking wait would have no end where another process was stopped in the middle of its turn."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE)
        else:
            return True
    return False
