"""How the two databases are set up, and the one way to write.

`transaction()` is for writes that take nobody's time; `write_transaction(resource_ids)` for those that do. Both run a whole function
and start it again when the database asks for that, so the function must have no effect outside the database.

SQLite must be set up by hand: the driver's default opens no transaction for a SELECT, and check-then-insert then overlaps
(measured: 25 double bookings in 1,291 commits). So: driver autocommit, and every transaction begins explicitly, writers with
BEGIN IMMEDIATE, since a reader that becomes a writer gets SQLITE_BUSY at once, whatever the time limit. What is deleted is overwritten
with zeros, so that an erased customer is not found in the file either.
"""

from __future__ import annotations

import os
import random
import re
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, DateTime, Dialect, Engine, ExceptionContext, String, TypeDecorator, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from portal import clock
from portal.database.writer_queue import WriterQueue
from portal.errors import TryAgain
from portal.extensions import db
from portal.language.say import say

T = TypeVar("T")
ATTEMPTS = 5
_VALUES = re.compile(r"\n(DETAIL|CONTEXT):.*", re.DOTALL)
_LETTERS = "lockstep_letters"
_queues: dict[str, WriterQueue] = {}
"""One for each SQLite file that this process has opened."""
_gate: ContextVar[Callable[[Session], None] | None] = ContextVar("gate", default=None)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime. SQLite stores none with a zone, so it is put back on reading; a naive value is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A naive datetime may not be stored.")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def transaction(work: Callable[[Session], T]) -> T:
    """Run `work(session)` in one write transaction and commit; again, at most five times, when the database asks for it.

    Raises TryAgain when it never got through, and whatever `work` raises (after a rollback).
    """
    return write_transaction((), work)


def write_transaction(resource_ids: Iterable[int], work: Callable[[Session], T]) -> T:
    """Like `transaction`, holding the lock of these resources from the start.

    Whoever takes or blocks a resource's time (holds, confirmations, moves, busy intervals from calendars) holds its
    lock, so each sees what the other committed. Locks are taken once, in ascending order: two resources locked in opposite
    order would deadlock. SQLite has one writer at a time anyway.
    """
    wanted = sorted(set(resource_ids))
    for attempt in range(1, ATTEMPTS + 1):
        session: Session = db.session()
        session.rollback()  # end a read transaction: its snapshot may be older than the lock
        try:
            return _once(session, wanted, work)
        except DBAPIError as error:
            if not _asks_for_a_retry(error):
                raise
            if attempt == ATTEMPTS:
                raise TryAgain(say("The portal is very busy at this moment. Please try again.")) from error
            time.sleep(random.uniform(0.01, 0.05) * attempt)
    raise AssertionError("unreachable")


def in_turn(session: Session, subject: str) -> None:
    """From here to the end of the transaction, those who name the same subject come one after the other, and each sees what the one before did.

    Only what is read after this counts. On SQLite there is one writer at a time anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:subject))"), {"subject": subject})


@contextmanager
def gate(check: Callable[[Session], None]) -> Iterator[None]:
    """Inside of it, the first transaction that writes calls `check(session)` before its work; what that raises ends it. See
    `portal.web.shown.versions`."""
    token = _gate.set(check)
    try:
        yield
    finally:
        _gate.reset(token)


def read_transaction(work: Callable[[Session], T]) -> T:
    """Run `work(session)` on one fresh snapshot and end it: what is returned must be plain values.

    For callers that go on to wait for somebody else's server, since no transaction may be open then.
    """
    session: Session = db.session()
    session.rollback()
    try:
        return work(session)
    finally:
        session.rollback()


def empty_journal() -> None:
    """Write SQLite's journal into the file and empty it, so that what was deleted does not lie on there. Best effort: readers may hold it."""
    if db.engine.dialect.name != "sqlite":
        return
    db.session.rollback()
    connection = db.engine.raw_connection()  # outside of any transaction, in which it could do nothing
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def begin_write(session: Session) -> None:
    """Make the session's coming transaction a writing one (SQLite: BEGIN IMMEDIATE)."""
    session.connection(execution_options={"lockstep_write": True})


def set_up_engine(engine: Engine) -> None:
    """Attach what SQLite needs, and let no connection be shared over a fork."""
    is_sqlite = engine.dialect.name == "sqlite"
    file = engine.url.database if is_sqlite and engine.url.database != ":memory:" else None
    if file or not is_sqlite:  # a database in memory would be lost with its connection
        os.register_at_fork(after_in_child=partial(_forget_connections, weakref.ref(engine)))
    event.listen(engine, "handle_error", hide_values)
    if is_sqlite:
        if file:
            _queues.setdefault(str(engine.url), WriterQueue(Path(file)))
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "first_connect", partial(_learn_letters, engine.dialect))


def hide_values(context: ExceptionContext) -> None:
    """PostgreSQL tells the row that it refused: what customers typed must not get into tracebacks and logs. The code and the key's name stay."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None and error.args and isinstance(error.args[0], str):
            error.args = (_VALUES.sub("", error.args[0]), *error.args[1:])


def database_now(session: Session) -> datetime:
    """The database's clock: holds end by it, whatever the clocks of the processes say."""
    if session.get_bind().dialect.name == "sqlite":
        stamp = session.execute(text("SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')")).scalar_one()
        return datetime.fromisoformat(stamp) + clock.DATABASE_SHIFT
    now: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now.astimezone(UTC) + clock.DATABASE_SHIFT


class small_letters(FunctionElement[str]):
    """An address without the difference between large and small letters, alike on both databases, and as `str.lower` has it.

    SQLite's own `lower` knows the English alphabet alone; so does PostgreSQL's in a database of the locale C.
    """

    type = String()
    inherit_cache = True


@compiles(small_letters)
def _small_letters(element: small_letters, compiler: Any, **options: Any) -> str:
    collation = getattr(compiler.dialect, _LETTERS, "")
    return f"lower({compiler.process(element.clauses, **options)}{collation})"


@compiles(small_letters, "sqlite")
def _small_letters_sqlite(element: small_letters, compiler: Any, **options: Any) -> str:
    return f"small_letters({compiler.process(element.clauses, **options)})"


class database_clock(FunctionElement[datetime]):
    """The database's clock inside a statement, to compare instants with."""

    type = Instant()
    inherit_cache = True


@compiles(database_clock)
def _clock(_element: database_clock, _compiler: Any, **_options: Any) -> str:
    shift = f" + interval '{clock.DATABASE_SHIFT.total_seconds()} seconds'" if clock.DATABASE_SHIFT else ""
    return f"(clock_timestamp(){shift})"


@compiles(database_clock, "sqlite")
def _clock_sqlite(_element: database_clock, _compiler: Any, **_options: Any) -> str:
    shift = f", '{clock.DATABASE_SHIFT.total_seconds():+} seconds'" if clock.DATABASE_SHIFT else ""
    return (
        f"strftime('%Y-%m-%d %H:%M:%f', 'now'{shift})"  # the form in which SQLAlchemy stores instants, so texts compare
    )


def _learn_letters(dialect: Dialect, connection: Any, _record: Any) -> None:
    """The collation that knows the letters of all languages, where the database has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'")
        has_it = cursor.fetchone() is not None
    connection.rollback()
    setattr(dialect, _LETTERS, ' COLLATE "und-x-icu"' if has_it else "")


def _forget_connections(engine: weakref.ref[Engine]) -> None:
    """In a forked process: two that speak over one connection read each other's answers. The parent's stay open, for the parent."""
    if (alive := engine()) is not None:
        alive.dispose(close=False)


def _once(session: Session, resource_ids: list[int], work: Callable[[Session], T]) -> T:
    """One attempt at a write transaction, rolled back before its turn ends if anything goes wrong."""
    with _turn(session.get_bind()):
        try:
            begin_write(session)
            _lock(session, resource_ids)
            if (check := _gate.get()) is not None:
                check(session)
            result = work(session)
            session.commit()
            _gate.set(None)  # what follows is written by who was let through
            return result
        except BaseException:
            session.rollback()
            raise


def _turn(engine: Engine | Connection) -> AbstractContextManager[None]:
    queue = _queues.get(str(engine.engine.url)) if engine.dialect.name == "sqlite" else None
    return queue.turn() if queue else nullcontext()


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver opens no transactions; _begin_sqlite does
    connection.create_function("small_letters", 1, _lower, deterministic=True)
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=5000", "synchronous=FULL", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("lockstep_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _lock(session: Session, resource_ids: list[int]) -> None:
    if resource_ids and session.get_bind().dialect.name == "postgresql":
        session.execute(
            text("SELECT id FROM resource WHERE id = ANY(:ids) ORDER BY id FOR UPDATE"), {"ids": resource_ids}
        )


def _asks_for_a_retry(error: DBAPIError) -> bool:
    original = error.orig
    if isinstance(original, sqlite3.OperationalError):
        return "database is locked" in str(original) or "database table is locked" in str(original)
    return getattr(original, "sqlstate", None) in {"40001", "40P01"}
