"""Freshly migrated databases, quickly: migrated once, then emptied (or copied) for each test."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlalchemy import CompoundSelect, create_engine, literal, select, text, union_all
from sqlalchemy.engine import make_url

from portal.app import create_app
from portal.config import Settings
from portal.database import schema
from portal.extensions import db


def migrate(settings: Settings) -> None:
    app = create_app(settings)
    with app.app_context():
        schema.upgrade()
        db.engine.dispose()


def empty(app: object) -> None:
    """Remove all rows and begin to count anew; the tables stay. Only what holds rows is touched: with forty tables, and before each test, TRUNCATE
    of them all would take longer than most tests do."""
    db.session.remove()
    with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
        is_postgres = db.engine.dialect.name == "postgresql"
        if is_postgres:  # a session left open fails the test, and not the clock
            connection.execute(text("SET LOCAL lock_timeout = '10s'"))
        filled = set(connection.scalars(_filled_tables()))
        for table in reversed(db.metadata.sorted_tables):
            if table.name in filled:
                connection.execute(table.delete())
        if is_postgres:
            connection.execute(text(_RESTART_SEQUENCES))


@cache
def _filled_tables() -> CompoundSelect[tuple[str]]:
    tables = db.metadata.sorted_tables
    return union_all(*(select(literal(table.name)).where(select(1).select_from(table).exists()) for table in tables))


_RESTART_SEQUENCES = """
SELECT setval(format('%I.%I', schemaname, sequencename), start_value, false) FROM pg_sequences WHERE last_value IS NOT NULL
"""


def create_postgres_database(admin_url: str, name: str) -> str:
    """A new, empty database beside the one of `admin_url`; returns its URL."""
    engine = create_engine(admin_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return make_url(admin_url).set(database=name).render_as_string(hide_password=False)


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'lockstep.sqlite3'}"
