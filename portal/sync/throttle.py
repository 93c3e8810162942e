"""One line per connection: how many threads of this process may talk to one server at once, and for how long it is to be left alone.

So a slow or dead server occupies some of the worker's threads and never all of them, and an account that asked too much is asked nothing
at all until its provider has had the rest it wants: fifty waiting writes then cost one refused request, not fifty. Kept in memory only:
each process finds out for itself.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from providers.errors import QuotaUsedUp, Temporary, Throttled

WIDTH = 2
SLOW_AFTER = 2.0
"""Nobody joins who has been waiting for an answer so many seconds: a server that hangs holds as few threads as possible."""
REST = 3.0
"""Seconds for which a connection that just failed is left alone."""
HANG_REST = 30.0
"""So long is a server left alone that did not answer in time: only readings, which have pauses of their own, ask whether it is back."""
FIRST_REST, LONGEST_REST = 2.0, 300.0
"""Seconds of rest for an account that asked too much: twice as long each time, unless the provider asks for more."""
LONGEST_ASKED = 3600.0
"""So much rest is given to a provider that asks for it, and always when a quota is used up."""
CALM = 60.0
"""After so many seconds without refusal the next one is a first one again."""


class LineBusy(Exception):
    """Not now: try again in `seconds`. No fault of the connection's."""

    def __init__(self, seconds: float = 0.3) -> None:
        super().__init__("All lines to this server are taken.")
        self.seconds = seconds


@contextmanager
def line_to(connection_id: int, *, is_probe: bool = False, is_asked: bool = False) -> Iterator[None]:
    """Hold one of the lines. Raises LineBusy when all are taken, and Temporary when the server failed a moment ago.

    A reading is a probe: it has pauses of its own, and is what finds out that the server is back. While the account rests because it asked
    too much, it is told LineBusy, everybody else Throttled (or QuotaUsedUp), without a request; but a reading that a person
    asked for is tried.
    """
    line = _line(connection_id)
    if not is_asked:
        line.check(is_probe=is_probe)
    begun = line.enter(is_probe=is_probe)
    try:
        yield
        line.note_success(begun)
    except Throttled as error:
        error.retry_after = line.note_throttled(error, begun)
        raise
    except Temporary as error:
        line.note_failure(error, begun)
        raise
    finally:
        line.leave(begun, is_probe=is_probe)


def forget() -> None:
    """Forget everything; for tests."""
    with _lock:
        _lines.clear()


class _Line:
    def __init__(self) -> None:
        self._inside: list[tuple[float, bool]] = []
        self._lock = threading.Lock()
        self._failed_until = 0.0
        self._refusal: tuple[type[Throttled], str] | None = None
        self._throttled_at = self._throttled_until = 0.0
        self._strikes = 0

    def check(self, *, is_probe: bool) -> None:
        now = time.monotonic()
        with self._lock:
            rest = self._throttled_until - now
            if self._refusal is not None and rest > 0:
                # Spread, so that not all who wait come back in the same moment.
                rest += random.uniform(0.0, min(rest, 5.0))
                kind, sentence = self._refusal
                raise LineBusy(rest) if is_probe else kind(sentence, retry_after=rest)
            if not is_probe and now < self._failed_until:
                raise Temporary(
                    "The calendar server did not answer a moment ago.", retry_after=self._failed_until - now
                )

    def enter(self, *, is_probe: bool) -> float:
        """Take a place; returns when. Raises LineBusy when none is free, or a write waits for long already (a reading may rightly be long)."""
        now = time.monotonic()
        with self._lock:
            is_slow = any(now - begun > SLOW_AFTER for begun, reads in self._inside if not reads)
            if len(self._inside) >= WIDTH or (is_slow and not is_probe):
                raise LineBusy
            self._inside.append((now, is_probe))
        return now

    def leave(self, begun: float, *, is_probe: bool) -> None:
        with self._lock:
            self._inside.remove((begun, is_probe))

    def note_success(self, begun: float) -> None:
        """The server answers; and has had enough rest, if the answer is to a question asked after it wanted it."""
        with self._lock:
            self._failed_until = 0.0
            if begun >= self._throttled_at:
                self._throttled_until, self._refusal = 0.0, None

    def note_failure(self, error: Temporary, begun: float) -> None:
        now = time.monotonic()
        rest = HANG_REST if now - begun > SLOW_AFTER else min(error.retry_after or REST, REST)
        with self._lock:
            self._failed_until = now + rest

    def note_throttled(self, error: Throttled, begun: float) -> float:
        """Let the line rest; returns for how many seconds. Requests that were under way together count as one refusal."""
        now = time.monotonic()
        with self._lock:
            if begun >= self._throttled_at:
                is_again = self._strikes > 0 and now < self._throttled_until + CALM
                self._strikes = self._strikes + 1 if is_again else 1
                self._throttled_at = now
            rest = _rest(error, self._strikes)
            if now + rest > self._throttled_until:
                self._throttled_until, self._refusal = now + rest, (type(error), str(error))
            return self._throttled_until - now


def _rest(error: Throttled, strikes: int) -> float:
    asked = error.retry_after or 0.0
    if isinstance(error, QuotaUsedUp):
        return LONGEST_ASKED
    doubled = min(FIRST_REST * (1 << min(strikes - 1, 10)), LONGEST_REST) * random.uniform(1.0, 1.25)
    return max(min(asked, LONGEST_ASKED), doubled)


_lock = threading.Lock()
_lines: dict[int, _Line] = {}


def _line(connection_id: int) -> _Line:
    with _lock:
        return _lines.setdefault(connection_id, _Line())
