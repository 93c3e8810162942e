"""The background process: builds the app once, runs the loops of `portal.worker.loops`, and answers RQ's doorbell in the main thread.

Without Redis it works all the same, a second or so later. SIGTERM and SIGINT end it: what is in hand is finished within five seconds,
and what is not is done by the next worker, when its lease ends. Started by `lockstep serve`, `lockstep worker`, or `python worker.py`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

import structlog

from portal.app import create_app
from portal.upkeep.adoption import settle
from portal.upkeep.fitness import require_fit
from portal.worker.loops import Background, release_connections

FINISH_SECONDS = 4.0
LOOK_FOR_REDIS_EVERY = 2.0


def main(*, is_proven: bool = False) -> None:
    """Run until a signal comes. The process's exit status is 0 then. Raises what `portal.upkeep.fitness` raises when the database is not fit, unless
    the parent has proved it (`is_proven`)."""
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        if not stopping.is_set():
            stopping.set()
            raise SystemExit(0)  # out of whatever the main thread waits for

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    background = None
    try:
        app = create_app()
        with app.app_context():
            if not is_proven:
                require_fit()
            found = settle()
        if not found.is_ours:
            structlog.get_logger().warning("not adopted", reason=found.sentence)
        background = Background(app)
        background.start()
        while not stopping.is_set():
            answer_doorbell(app.extensions["settings"].redis_url, stopping)
            stopping.wait(LOOK_FOR_REDIS_EVERY)
    except SystemExit:
        pass  # a signal got us out of whatever we waited for; what has begun is ended below
    if background is not None and not background.stop(FINISH_SECONDS):
        sys.stderr.flush()
        os._exit(0)  # a server still keeps us waiting; the lease of that work ends by itself
    if background is not None:
        release_connections(app)


def answer_doorbell(url: str, stopping: threading.Event) -> None:
    """Run RQ's jobs for as long as Redis answers. Returns when it does not."""
    if not url:
        stopping.wait()
        return
    from redis.exceptions import RedisError

    from portal.worker.answer_doorbell import answer

    try:
        answer(url, stopping)
    except (RedisError, OSError):
        return
