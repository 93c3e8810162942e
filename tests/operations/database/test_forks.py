"""`lockstep serve` forks whatever ends unexpectedly anew: a fork must open database connections of its own."""

from __future__ import annotations

import multiprocessing
from typing import Any

from sqlalchemy import text

from portal.extensions import db


def _tell_connections(channel: Any) -> None:
    inherited = db.engine.pool.checkedin() + db.engine.pool.checkedout()
    with db.engine.connect() as connection:
        channel.send((inherited, connection.execute(text("SELECT 41 + 1")).scalar_one()))


def test_a_forked_process_uses_no_connection_of_its_parent(app):
    with db.engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    assert db.engine.pool.checkedin() >= 1, "the parent keeps one open"
    here, there = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=_tell_connections, args=(there,))
    process.start()
    assert here.poll(20)
    assert here.recv() == (0, 42)
    process.join(20)
    with db.engine.connect() as connection:
        assert connection.execute(text("SELECT 2")).scalar_one() == 2, "the parent's own goes on working"
