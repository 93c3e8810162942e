"""One line per connection: how many threads of this process may talk to one server at once, and whether it answered a moment ago.

So a slow or dead server occupies some of the worker's threads and never all of them. Kept in memory only: each process finds out for itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from providers.errors import Temporary

WIDTH = 2
REST = 3.0
"""Seconds for which a connection that just failed is left alone."""


class LineBusy(Exception):
    """All lines to this connection are taken: try again in a moment. No fault of the connection's."""


@contextmanager
def line_to(connection_id: int, *, is_probe: bool = False) -> Iterator[None]:
    """Hold one of the lines. Raises LineBusy when all are taken, and Temporary when the server failed a moment ago.

    A reading is a probe: it has pauses of its own, and is what finds out that the server is back.
    """
    line = _line(connection_id)
    if not is_probe and time.monotonic() < line.rests_until:
        raise Temporary("The calendar server did not answer a moment ago.", retry_after=REST)
    if not line.free.acquire(blocking=False):
        raise LineBusy
    try:
        yield
        line.rests_until = 0.0
    except Temporary as error:
        line.rests_until = time.monotonic() + min(error.retry_after or REST, REST)
        raise
    finally:
        line.free.release()


def forget() -> None:
    """Forget everything; for tests."""
    with _lock:
        _lines.clear()


class _Line:
    def __init__(self) -> None:
        self.free = threading.BoundedSemaphore(WIDTH)
        self.rests_until = 0.0


_lock = threading.Lock()
_lines: dict[int, _Line] = {}


def _line(connection_id: int) -> _Line:
    with _lock:
        return _lines.setdefault(connection_id, _Line())
