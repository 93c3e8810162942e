"""Who can write to Redis can wake the worker, and nothing else."""

from __future__ import annotations

import threading

import pytest
from rq import Callback, Queue
from rq.serializers import JSONSerializer
from structlog.testing import capture_logs

from portal.doorbell import QUEUE, connect
from portal.process.queue_server import QueueServer
from portal.worker import jobs
from portal.worker.answer_doorbell import answer


@pytest.fixture
def server(tmp_path):
    """An own queue server; gives its address."""
    server = QueueServer(tmp_path)
    server.start()
    assert server.wait_ready()
    yield server.url
    server.ask_to_stop()
    server.wait(5)


def test_the_worker_runs_no_function_but_the_bells(server, tmp_path, monkeypatch):
    stopping = threading.Event()
    monkeypatch.setattr(jobs, "outbox_bell", stopping)  # the last job ends the worker
    connection = connect(server)
    queue = Queue(QUEUE, connection=connection, serializer=JSONSerializer)
    made = [tmp_path / f"made-{number}" for number in range(3)]
    queue.enqueue("os.mkdir", str(made[0]))
    queue.enqueue("portal.worker.jobs.look_at_calendars", on_success=Callback("os.mkdir"))
    queue.enqueue("portal.worker.jobs.look_at_calendars", str(made[1]))
    garbled = queue.enqueue("os.mkdir", str(made[2]))
    connection.hset(garbled.key, "data", b"no json")
    queue.enqueue("portal.worker.jobs.look_into_outbox", result_ttl=0)
    with capture_logs() as lines:
        answer(server, stopping)
    assert [line["event"] for line in lines] == ["a job that is not ours was thrown away"] * 4
    assert not [path for path in made if path.exists()]
    assert connection.keys("rq:job:*") == []
