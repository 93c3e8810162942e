"""The line to the mail server: while it takes no mail, one mail at a time tries whether it is back, and all others wait without asking.

A server that hangs costs each try ten seconds of one of the worker's threads. With a hundred mails waiting those would have no time left for
calendars. Kept in memory only: each process finds out for itself.
"""

from __future__ import annotations

import threading
import time

from providers.messaging.base import MailServerDown

FIRST_REST, LONGEST_REST = 5.0, 60.0
"""Seconds until the next try: twice as long each time. So long mails wait at most once the server is back."""
TRY_TAKES = 10.0


class Resting(MailServerDown):
    """Not tried, since the server took no mail a moment ago: again in `retry_after` seconds."""

    def __init__(self, reason: str, *, seconds: float) -> None:
        super().__init__(reason, retry_after=seconds)
        self.seconds = seconds


class MailLine:
    """One for each process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._reason = ""
        self._closed_until = 0.0

    def enter(self) -> bool:
        """Before a mail is handed over. True when it is the one that tries whether the server is back. Raises Resting."""
        now = time.monotonic()
        with self._lock:
            if not self._failures:
                return False
            if now < self._closed_until:
                raise Resting(self._reason, seconds=self._closed_until - now)
            self._closed_until = now + TRY_TAKES
            return True

    def note_failure(self, reason: str, *, was_try: bool) -> float:
        """The server took it not; gives the seconds of rest. Mails that were under way together count as one failure."""
        with self._lock:
            if was_try or not self._failures:
                self._failures += 1
                rest = min(FIRST_REST * 2 ** min(self._failures - 1, 10), LONGEST_REST)
                self._reason, self._closed_until = reason, time.monotonic() + rest
            return max(self._closed_until - time.monotonic(), 0.0)

    def note_answer(self) -> bool:
        """The server took a mail, or spoke of that mail alone. True when it had been away."""
        with self._lock:
            was_away = self._failures > 0
            self._failures, self._reason, self._closed_until = 0, "", 0.0
            return was_away
