"""Freshly migrated databases, quickly: migrated once, then emptied (or copied) for each test."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from portal import schema
from portal.app import create_app
from portal.config import Settings
from portal.extensions import db


def migrate(settings: Settings) -> None:
    app = create_app(settings)
    with app.app_context():
        schema.upgrade()
        db.engine.dispose()


def empty(app: object) -> None:
    """Remove all rows; the tables stay."""
    tables = list(reversed(db.metadata.sorted_tables))
    db.session.remove()
    with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
        if db.engine.dialect.name == "postgresql":
            connection.execute(
                text("SET LOCAL lock_timeout = '10s'")
            )  # a session left open fails the test, and not the clock
            names = ", ".join(f'"{table.name}"' for table in tables)
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
        else:
            for table in tables:
                connection.execute(table.delete())


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
