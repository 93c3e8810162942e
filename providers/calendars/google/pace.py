"""How fast one Google account may be asked from this process. Called by `wire` before and after each request.

Google allows 600 requests a minute for each user of a project, over a sliding window, and answers beyond that with 403 or 429; whoever
goes on asking then is kept out longer. So requests are spread here, and after such an answer the whole account is left alone
for a while, longer each time: what would be asked in between is refused without asking.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from providers.errors import QuotaUsedUp, Throttled

PER_SECOND = 8.0
AT_ONCE = 60.0
"""So many requests may come at once; with `PER_SECOND` that is 540 in the busiest minute."""

LONGEST_WAIT = 1.0
"""Seconds that a request may have to wait for its turn before it is refused instead."""
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 120.0


class Pace:
    """A bucket of turns, refilled as time goes on. Safe to share between threads."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._turns, self._filled_at = AT_ONCE, clock()
        self._refusals = 0
        self._closed_until = 0.0
        self._closed_by: Throttled | None = None

    def take_turn(self) -> None:
        """Wait for a turn, shortly. Raises Throttled or QuotaUsedUp when the account is to be left alone."""
        with self._lock:
            wait = self._wait(self._clock())
        if wait > 0:
            self._sleep(wait)

    def slowed(self, error: Throttled) -> Throttled:
        """Note that Google asked for patience; gives the error to raise, with the seconds to wait."""
        with self._lock:
            self._refusals += 1
            # Spread, so that the many who were refused together do not come back together.
            pause = min(FIRST_PAUSE * 2 ** (self._refusals - 1), LONGEST_PAUSE) * random.uniform(0.75, 1.25)
            error.retry_after = max(error.retry_after or 0.0, pause)
            self._closed_by = error
            self._closed_until = self._clock() + min(error.retry_after, LONGEST_PAUSE)
        return error

    def note_success(self) -> None:
        """Google answers again."""
        with self._lock:
            self._refusals = 0

    def _wait(self, now: float) -> float:
        if self._closed_by is not None and now < self._closed_until:
            raise _repeated(self._closed_by, self._closed_until - now)
        filled = min(self._turns + (now - self._filled_at) * PER_SECOND, AT_ONCE)
        wait = max((1.0 - filled) / PER_SECOND, 0.0)
        if wait > LONGEST_WAIT:
            raise Throttled("Too much is asked of this Google account at once.", retry_after=wait)
        # A turn may be taken before it is there: whoever comes next waits behind.
        self._turns, self._filled_at = filled - 1.0, now
        return wait


def pace_of(api_url: str, account_name: str) -> Pace:
    """The pace that all providers of one account share in this process. An account without a name has its own."""
    if not account_name:
        return Pace()
    with _paces_lock:
        return _paces.setdefault((api_url, account_name), Pace())


def _repeated(error: Throttled, seconds: float) -> Throttled:
    """The same error for who did not get to ask; a new object, for it will be raised in another place."""
    if isinstance(error, QuotaUsedUp):
        return QuotaUsedUp(str(error), retry_after=error.retry_after)
    return Throttled(str(error), retry_after=seconds)


_paces: dict[tuple[str, str], Pace] = {}
_paces_lock = threading.Lock()
