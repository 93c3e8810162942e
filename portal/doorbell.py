"""The doorbell: `ring` tells the worker through Redis that there is something to do. Best effort, and never awaited by anybody.

A thread of its own rings, so that no visitor waits for Redis; bells that come while it rings become one. After a failure it leaves
Redis alone for some seconds. A bell that is lost costs a second or so: the worker looks into the database by itself.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import structlog

from portal.extensions import current_settings

QUEUE = "lockstep"
OUTBOX, CALENDARS = "portal.worker.jobs.look_into_outbox", "portal.worker.jobs.look_at_calendars"
"""The jobs that RQ runs in the worker, by name: whoever rings need not know the worker."""
REST = 5.0
SOCKET_SECONDS = 0.2
BELL_LIVES = 30
"""Seconds after which a bell that nobody heard is worth nothing: the worker has looked by itself long since."""

log = structlog.get_logger()


def connect(url: str, *, seconds: float | None = SOCKET_SECONDS) -> Any:
    """A Redis client for `redis://`, `rediss://` or `unix://`; nothing is sent yet. `seconds` limits each answer."""
    from redis import Redis

    return Redis.from_url(url, socket_connect_timeout=SOCKET_SECONDS, socket_timeout=seconds)


def ring(*, drain: bool = True) -> None:
    """Wake the worker, if Redis carries the bell: for the outbox, or with `drain` False for the calendars. Returns at once, never raises."""
    url = current_settings().redis_url
    if url:
        bell_for(url).ring(OUTBOX if drain else CALENDARS)


class Bell:
    """The bell of one process for one Redis."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wanted: set[str] = set()
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._thread: threading.Thread | None = None
        self._rests_until = 0.0
        self._queue: Any = None

    def ring(self, function: str) -> None:
        """Have the worker run `function` (a dotted name without arguments) soon. Returns at once, never raises."""
        if time.monotonic() < self._rests_until:
            return
        with self._lock:
            self._wanted.add(function)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
                self._thread.start()
        self._event.set()

    def _run(self) -> None:
        while True:
            self._event.wait()
            self._event.clear()
            with self._lock:
                wanted, self._wanted = self._wanted, set()
            self._ring_all(wanted)

    def _ring_all(self, wanted: set[str]) -> None:
        from redis.exceptions import RedisError

        try:
            for function in wanted:
                self._enqueue(function)
        except (RedisError, OSError) as error:
            self._rests_until = time.monotonic() + REST
            log.info("the doorbell is out of order", reason=type(error).__name__)

    def _enqueue(self, function: str) -> None:
        if self._queue is None:
            from rq import Queue
            from rq.serializers import JSONSerializer

            # JSON, not pickle: who can write to Redis must not be able to run code of theirs here (see also `portal.worker.answer_doorbell`).
            self._queue = Queue(QUEUE, connection=connect(self._url), serializer=JSONSerializer)
        self._queue.enqueue(function, ttl=BELL_LIVES, result_ttl=0, failure_ttl=BELL_LIVES, description=function)


def bell_for(url: str) -> Bell:
    """This process's bell for that Redis; a forked child gets its own, since threads do not survive a fork."""
    key = (os.getpid(), url)
    with _bells_lock:
        if key not in _bells:
            _bells.clear()
            _bells[key] = Bell(url)
        return _bells[key]


_bells: dict[tuple[int, str], Bell] = {}
_bells_lock = threading.Lock()
