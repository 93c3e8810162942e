"""The worker's end of the doorbell: an RQ worker without forks, signals, or noise, which runs jobs that only wake the loops."""

from __future__ import annotations

import threading

import structlog
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer

from portal.doorbell import CALENDARS, OUTBOX, QUEUE, connect

QUIET = "CRITICAL"
BELLS = frozenset({OUTBOX, CALENDARS})
log = structlog.get_logger()


class _Doorkeeper(SimpleWorker):
    """RQ's worker, but signals are the process's own affair, and a lost Redis is looked for again soon."""

    max_connection_wait_time = 5.0
    stopping: threading.Event

    def _install_signal_handlers(self) -> None:
        """`run` has installed its own."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Whoever can write to Redis names the function: any but ours is thrown away, for it would run as the portal."""
        if _is_bell(job):
            super().execute_job(job, queue)
        else:
            log.warning("a job that is not ours was thrown away")
            job.delete()

    def check_for_suspension(self, burst: bool) -> None:
        """Asked before each job: the place to see that the process is to end."""
        if self.stopping.is_set():
            self._stop_requested = True


def _is_bell(job: Job) -> bool:
    """One of ours, without arguments, and with nothing to be called afterwards."""
    try:
        is_ours = job.func_name in BELLS and not job.args and not job.kwargs
    except DeserializationError:
        return False
    return is_ours and not (job._success_callback_name or job._failure_callback_name or job._stopped_callback_name)


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
