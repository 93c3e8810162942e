"""Alembic's environment: runs the migrations of the current app's database. Called by Flask-Migrate (`lockstep db upgrade`).

All steps are one transaction: killed in between, the database is as it was. SQLite changes a table by making it anew and dropping the old
one, which under `foreign_keys=ON` deletes every row of other tables that hangs on it. So foreign keys are off for the time, which only counts
outside of a transaction, and what hangs in the air afterwards undoes it all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

from portal import failpoints
from portal.database.engine import Instant
from portal.errors import Refused
from portal.extensions import db

PATIENCE = 60_000
"""Milliseconds that an upgrade waits for whoever writes into SQLite, another upgrade included."""


def render_item(kind: str, item: object, _autogen_context: object) -> str | Literal[False]:
    """Migrations name plain SQL types, so that an old one keeps working when our own types change."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    return False


def run() -> None:
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect().execution_options(lockstep_write=True) as connection, _without_cascades(connection):
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_as_batch=True,
            render_item=render_item,
            transactional_ddl=True,
            on_version_apply=lambda **_: failpoints.reach("migration.after_step"),
        )
        with context.begin_transaction():
            _wait_for_another_upgrade(connection)
            context.run_migrations()
            _refuse_orphans(connection)


@contextmanager
def _without_cascades(connection: Connection) -> Iterator[None]:
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection.driver_connection  # the driver's own: SQLAlchemy's would begin a transaction
    assert driver is not None
    before = {name: driver.execute(f"PRAGMA {name}").fetchone()[0] for name in ("foreign_keys", "busy_timeout")}
    for name, value in (("foreign_keys", 0), ("busy_timeout", PATIENCE)):
        driver.execute(f"PRAGMA {name}={value}")
    try:
        yield
    finally:
        for name, value in before.items():
            driver.execute(f"PRAGMA {name}={value}")


def _wait_for_another_upgrade(connection: Connection) -> None:
    """Two processes that start at once: the second finds everything done. SQLite has one writer at a time anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('lockstep upgrade'))"))


def _refuse_orphans(connection: Connection) -> None:
    """PostgreSQL checks them by itself."""
    if connection.dialect.name != "sqlite":
        return
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if orphans:
        tables = ", ".join(sorted({f"{row[0]} → {row[2]}" for row in orphans}))
        raise Refused(
            f"The upgrade was undone: {len(orphans)} rows would point to others that do not exist ({tables}). The database is as it was; "
            "go on with the version that you had, and please report this."
        )


run()
