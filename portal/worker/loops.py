"""The worker's loops: drain the outbox, read the calendars whose turn it is, keep the periodic table. All find their work in the database.

Each loop is a thread that waits for its bell, at most a second. Handlers and pulls run in small pools of their own, so that one slow
server delays nobody else, and mails do not wait for calendars. Started by `run`; stopped, it finishes what is in hand.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import structlog
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal.calendars.models import Calendar, Connection
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.errors import PortalError
from portal.extensions import db
from portal.instance.standing import is_ours, standing
from portal.outbox import Work
from portal.sync import due, leases, reconcile
from portal.upkeep.vitals import HEARTBEAT, SILENT_AFTER
from portal.worker import drain, jobs
from portal.worker.clock_watch import ClockWatch
from providers.errors import ProviderError

HANDLERS, READERS = 6, 6
SPARE_READERS = 2
"""Left to calendars that were read well the last time: those that failed may hold all others."""
POLL = 1.0
BEAT = timedelta(seconds=5)
AFTER_TROUBLE = 2.0
log = structlog.get_logger()


class Pool:
    """A few lasting threads, which keep their providers open; daemons, so that a server which never answers cannot keep the process alive."""

    def __init__(self, size: int, name: str, *, on_done: Callable[[], None]) -> None:
        self.size = size
        self._on_done = on_done
        self._running = 0
        self._changed = threading.Condition()
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=f"{name} {n}", daemon=True) for n in range(size)]

    def start(self) -> None:
        """Begin, with nothing to do."""
        for thread in self._threads:
            thread.start()

    @property
    def free(self) -> int:
        """How many threads have nothing to do."""
        with self._changed:
            return self.size - self._running

    def submit(self, run: Callable[[], None]) -> None:
        """Run it in one of the threads. `run` raises nothing."""
        with self._changed:
            self._running += 1
        self._work.put(run)

    def wait(self, until: float) -> bool:
        """True when nothing runs any more; waits until that monotonic time at most."""
        with self._changed:
            return self._changed.wait_for(lambda: self._running == 0, timeout=max(until - time.monotonic(), 0.0))

    def _run(self) -> None:
        while True:
            run = self._work.get()
            try:
                run()
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()
                self._on_done()


class _Turn(NamedTuple):
    """A calendar whose turn it is to be read."""

    calendar_id: int
    connection_id: int
    in_full: bool
    has_failed: bool


class Background:
    """All loops of one worker process."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._stopping = threading.Event()
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._handlers = Pool(HANDLERS, "handler", on_done=jobs.outbox_bell.set)
        self._readers = Pool(READERS, "reader", on_done=jobs.reading_bell.set)
        self._reading: dict[int, int] = {}  # calendar -> connection
        self._reading_lock = threading.Lock()
        self._due_at: dict[str, float] = {}
        self._clock = ClockWatch(app, host=socket.gethostname())
        self._table_bell = threading.Event()  # rung at the end alone
        self._threads = [
            threading.Thread(target=self._loop, args=args, name=args[0].__name__, daemon=True)
            for args in (
                (self._drain, jobs.outbox_bell),
                (self._read_due, jobs.reading_bell),
                (self._keep_table, self._table_bell),
            )
        ]

    def start(self) -> None:
        """Begin. Returns when the handlers are loaded, so that not the first booking waits for that."""
        for topic in jobs.TOPICS:
            jobs.handler_of(topic)
        with self._app.app_context(), contextlib.suppress(SQLAlchemyError):  # else the first round of the table does it
            self._clock.keep()
        for pool in (self._handlers, self._readers):
            pool.start()
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> bool:
        """Take on nothing new, and finish what is in hand within so many seconds. False when something still runs then."""
        until = time.monotonic() + seconds
        self._stopping.set()
        jobs.outbox_bell.set()
        jobs.reading_bell.set()
        self._table_bell.set()
        for thread in self._threads:  # first of all: they hand out the work, and beat
            if thread.ident is not None:  # else it was never started
                thread.join(max(until - time.monotonic(), 0.0))
        is_done = all([self._handlers.wait(until), self._readers.wait(until)])
        if is_done and not any(thread.is_alive() for thread in self._threads):
            self._say_goodbye()
        self._clock.end()
        return is_done

    def _say_goodbye(self) -> None:
        """So that whoever stopped us need not wait before a restore or a change of keys. Best effort: else the heartbeat grows old."""
        with self._app.app_context(), contextlib.suppress(SQLAlchemyError):
            transaction(lambda session: leases.end_beat(session, HEARTBEAT, holder=self._holder, now=now_utc()))

    def _loop(self, step: Callable[[], float | None], bell: threading.Event) -> None:
        """Again and again, at the bell, or when the last step said that something will be due."""
        pause: float | None = None
        while not self._stopping.is_set():
            bell.wait(POLL if pause is None else min(pause, POLL))
            bell.clear()
            if self._stopping.is_set():
                return
            pause = None
            with self._app.app_context():
                try:
                    pause = step()
                except SQLAlchemyError as error:  # the database is away for a moment: so is everything else
                    log.warning("the database did not answer", reason=type(error).__name__)
                    self._stopping.wait(AFTER_TROUBLE)
                except Exception as error:
                    log.error("a loop of the worker stumbled", exc_info=error)
                    self._stopping.wait(AFTER_TROUBLE)

    def _drain(self) -> None:
        """Hand due entries to free threads; each thread that ends rings for the next."""
        free = self._handlers.free
        if not free:
            return
        works = drain.claim(free, topics=jobs.TOPICS)
        for work in works:
            self._handlers.submit(lambda work=work: self._handle(work))  # type: ignore[misc]

    def _handle(self, work: Work) -> None:
        with self._app.app_context():
            try:
                drain.do(work, jobs.handler_of(work.topic))
            except Exception as error:  # its lease ends, and somebody does it again
                log.warning("an entry could not be settled", topic=work.topic, reason=type(error).__name__)

    def _read_due(self) -> float | None:
        """Hand due calendars to free readers, one at a time for each calendar. Gives the seconds until the next one's turn, if that is near."""
        free = self._readers.free
        if not free:
            return None
        for turn in self._turns(read_transaction(self._due_calendars), free):
            with self._reading_lock:
                self._reading[turn.calendar_id] = turn.connection_id
            self._readers.submit(lambda turn=turn: self._read(turn.calendar_id, in_full=turn.in_full))  # type: ignore[misc]
        return read_transaction(_next_turn)

    def _read(self, calendar_id: int, *, in_full: bool) -> None:
        try:
            with self._app.app_context():
                jobs.read_calendar(calendar_id, in_full=in_full)
                jobs.outbox_bell.set()
        except (ProviderError, PortalError) as error:  # noted where people see it; here only for the log
            log.info("a calendar could not be read", calendar=calendar_id, reason=str(error))
        except Exception as error:
            log.error("reading a calendar failed in a way nobody foresaw", calendar=calendar_id, exc_info=error)
        finally:
            with self._reading_lock:
                self._reading.pop(calendar_id, None)

    def _turns(self, due_calendars: list[_Turn], free: int) -> list[_Turn]:
        """One calendar of an account at a time, so that a slow server holds only its own line. Those that failed leave some readers to the others."""
        with self._reading_lock:
            busy = set(self._reading.values())
        turns: list[_Turn] = []
        for turn in due_calendars:
            if turn.connection_id in busy or len(turns) >= free - (SPARE_READERS if turn.has_failed else 0):
                continue
            busy.add(turn.connection_id)
            turns.append(turn)
        return turns

    def _due_calendars(self, session: Session) -> list[_Turn]:
        """The longest due first."""
        now = now_utc()
        rows = session.execute(
            select(
                Calendar.id, Calendar.connection_id, Connection.state, Calendar.last_read_at, Calendar.next_read_at,
                Calendar.read_lease_until, Calendar.failures,
            )
            .join(Connection)
            .where(Calendar.next_read_at <= now, Connection.leaving.is_(False))
            .order_by(Calendar.next_read_at)
        ).all()  # fmt: skip
        due_rows = [row for row in rows if self._is_due(row)]
        if due_rows and not standing(session).is_ours:
            return []
        in_full = reconcile.due_calendars(session, now=now) if due_rows else set()
        return [_Turn(row.id, row.connection_id, row.id in in_full, row.failures > 0) for row in due_rows]

    def _is_due(self, row: Any) -> bool:
        with self._reading_lock:
            if row.id in self._reading:
                return False
        reading = due.Reading(
            connection_state=row.state,
            last_read_at=row.last_read_at,
            next_read_at=row.next_read_at,
            lease_until=row.read_lease_until,
            failures=row.failures,
        )
        return due.is_due(reading, now=now_utc())

    def _keep_table(self) -> None:
        """The heartbeat, and what is due of the periodic table and not done by another worker already. The clock is looked at first."""
        self._clock.keep()
        if self._is_time("heartbeat", BEAT):
            transaction(self._beat)
        for periodic in jobs.PERIODIC:
            if self._stopping.is_set():
                return
            if periodic.by_clock and self._clock.keep() is not None:
                continue
            if not self._is_time(periodic.name, periodic.every):
                continue
            if (is_ours() or not periodic.speaks) and transaction(lambda s, p=periodic: self._take(s, p)):  # type: ignore[misc]
                periodic.run()

    def _beat(self, session: Session) -> None:
        now = now_utc()
        leases.beat(session, HEARTBEAT, holder=self._holder, now=now, lives_for=SILENT_AFTER)
        leases.prolong_reads(session, now=now)

    def _take(self, session: Session, periodic: jobs.Periodic) -> bool:
        return leases.take(session, periodic.name, holder=self._holder, every=periodic.every * 0.9, now=now_utc())

    def _is_time(self, name: str, every: timedelta) -> bool:
        """By this process's own clock, so that the database is asked no more often than need be."""
        now = time.monotonic()
        if now < self._due_at.get(name, 0.0):
            return False
        self._due_at[name] = now + every.total_seconds()
        return True


def _next_turn(session: Session) -> float | None:
    """Seconds until the next turn of a calendar within the loop's own pause: a push is not to wait for that pause to end."""
    now = now_utc()
    ahead = (Calendar.next_read_at > now, Calendar.next_read_at <= now + timedelta(seconds=POLL))
    turn = session.scalar(select(func.min(Calendar.next_read_at)).where(*ahead))
    return max((turn - now).total_seconds(), 0.001) if turn is not None else None


def release_connections(app: Flask) -> None:
    """Give the database connections back; the last thing a worker does."""
    with app.app_context():
        db.engine.dispose()
