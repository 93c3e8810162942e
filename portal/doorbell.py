"""The worker's end of the doorbell: an RQ worker without forks, signals, or noise, which runs jobs that only wake the loops."""

from __future__ import annotations

import threading

from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from portal.bell import QUEUE, connect

QUIET = "CRITICAL"


class _Doorkeeper(SimpleWorker):
    """RQ's worker, but signals are the process's own affair, and a lost Redis is looked for again soon."""

    max_connection_wait_time = 5.0
    stopping: threading.Event

    def _install_signal_handlers(self) -> None:
        """worker.py has installed its own."""

    def check_for_suspension(self, burst: bool) -> None:
        """Asked before each job: the place to see that the process is to end."""
        if self.stopping.is_set():
            self._stop_requested = True


def answer(url: str, stopping: threading.Event) -> None:
    """Run jobs until the process is to end. Raises RedisError when Redis is not there to begin with."""
    connection = connect(url, seconds=None)  # it waits for the bell, for as long as that takes
    connection.ping()
    queue = Queue(QUEUE, connection=connection, serializer=JSONSerializer)
    keeper = _Doorkeeper(
        [queue], connection=connection, serializer=JSONSerializer, worker_ttl=60, maintenance_interval=30,
        log_job_description=False,
    )  # fmt: skip
    keeper.stopping = stopping
    keeper.work(logging_level=QUIET)
