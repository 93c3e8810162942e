"""Everything of an instance in one file, and back: the rows of every table, and the keys that open what is sealed in them.

The file is a zip: `about.json`, `tables/<name>.jsonl` (one row a line, in plain JSON), `keys/<name>`. It is the same for both databases, so it
is also the way from SQLite to PostgreSQL. It holds secrets: it is written for its owner's eyes only.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import Connection, Date, Table, delete, func, insert, select, text, update

from portal import schema
from portal.accounts.models import PasswordReset
from portal.calendars.models import Calendar
from portal.calendars.models import Connection as CalendarConnection
from portal.clock import now_utc
from portal.config import Settings
from portal.customers.models import MailedCode
from portal.db import Instant
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.notifications.models import Reminder
from portal.outbox import OutboxEntry
from portal.security import load_sealer
from portal.sync.models import Lease

FORMAT = 1
BATCH = 500
Progress = Callable[[str], None]
KEY_FILES = ("encryption", "secret")


def write_backup(path: Path, settings: Settings, *, progress: Progress = lambda _: None) -> int:
    """Write the file, whole or not at all; gives the number of rows. All tables are read in one snapshot, while the portal may run."""
    draft = path.with_name(f"{path.name}.part")
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            about = {"format": FORMAT, "revision": schema.current(), "made_at": now_utc().isoformat()}
            archive.writestr("about.json", json.dumps(about))
            for name in KEY_FILES:
                if (settings.data / "keys" / name).exists():
                    archive.write(settings.data / "keys" / name, f"keys/{name}")
            count = _write_tables(archive, progress)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


def restore_backup(path: Path, settings: Settings, *, progress: Progress = lambda _: None) -> int:
    """Put the file into an empty, upgraded database; gives the number of rows. One transaction.

    What was to be mailed at the time of the backup is dropped, and every connection is paused: nothing is sent and no calendar is written
    before a person has looked. Raises Invalid for another kind of file, Refused when there is something in the database.
    """
    with _open(path) as archive:
        about = _about(archive)
        _require_empty()
        with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
            count = sum(_read_table(connection, archive, table, progress) for table in db.metadata.sorted_tables)
            _calm(connection, about["made_at"])
        _restore_keys(archive, settings)
    current_app.extensions["sealer"] = load_sealer(settings)
    return count


def _write_tables(archive: zipfile.ZipFile, progress: Progress) -> int:
    count = 0
    with db.engine.connect() as connection:
        if db.engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            for table in db.metadata.sorted_tables:
                progress(table.name)
                with archive.open(f"tables/{table.name}.jsonl", "w") as file:
                    for line in _lines(connection, table):
                        file.write(line)
                        count += 1
    return count


def _lines(connection: Connection, table: Table) -> Iterator[bytes]:
    rows = connection.execution_options(yield_per=BATCH).execute(select(table)).mappings()
    for row in rows:
        yield json.dumps(dict(row), ensure_ascii=False, default=_plain).encode() + b"\n"


def _plain(value: Any) -> str:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a backup yet")


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise Invalid(f"{path} is no backup of Lockstep, or it is damaged.") from None


def _about(archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(archive.read("about.json"))
    except (KeyError, ValueError):
        raise Invalid("This file is no backup of Lockstep.") from None
    if about.get("format") != FORMAT or about.get("revision") != schema.newest():
        raise Invalid(
            f"This backup was made with another version (revision {about.get('revision')}); this one reads {schema.newest()}. "
            "Restore it with the version that made it, then upgrade."
        )
    return about


def _require_empty() -> None:
    with db.engine.connect() as connection:
        for name in ("business", "user", "booking", "resource"):
            table = db.metadata.tables[name]
            if connection.execute(select(func.count()).select_from(table)).scalar():
                raise Refused(
                    f"This database is not empty (there are rows in {name}). A backup goes into a new instance: set LOCKSTEP_DATA "
                    "to another folder, or DATABASE_URL to another database. Nothing was changed."
                )


def _read_table(connection: Connection, archive: zipfile.ZipFile, table: Table, progress: Progress) -> int:
    name = f"tables/{table.name}.jsonl"
    if name not in archive.namelist():
        raise Invalid(f"The backup is not complete: {name} is missing.")
    progress(table.name)
    connection.execute(delete(table))  # set-up links of the fresh instance
    count, rows = 0, []
    with archive.open(name) as file:
        for line in file:
            rows.append(_row(table, json.loads(line)))
            count += 1
            if len(rows) == BATCH:
                connection.execute(insert(table), rows)
                rows = []
    if rows:
        connection.execute(insert(table), rows)
    _continue_numbers(connection, table)
    return count


def _row(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no instants and no dates."""
    for name, value in values.items():
        kind = table.c[name].type
        if isinstance(kind, Instant) and value is not None:
            values[name] = datetime.fromisoformat(value)
        elif isinstance(kind, Date) and value is not None:
            values[name] = date.fromisoformat(value)
    return values


def _continue_numbers(connection: Connection, table: Table) -> None:
    """PostgreSQL counts ids apart from the rows: go on after the highest."""
    if connection.dialect.name != "postgresql" or "id" not in table.c:
        return
    sequence = connection.execute(
        text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": f'"{table.name}"'}
    ).scalar()
    highest = connection.execute(select(func.max(table.c.id))).scalar()
    if sequence and highest:
        connection.execute(text("SELECT setval(CAST(:name AS regclass), :value)"), {"name": sequence, "value": highest})


def _calm(connection: Connection, made_at: str) -> None:
    """Nothing goes out by itself after a restore: the world went on since the backup."""
    reason = f"Restored from a backup of {made_at[:16].replace('T', ' ')} UTC. Look at the bookings, then resume."
    connection.execute(update(CalendarConnection).values(state="paused", state_since=now_utc(), state_reason=reason))
    connection.execute(
        update(Calendar).values(sync_token=None, read_lease_until=None, read_lease_token=None, next_read_at=now_utc())
    )
    waiting = update(OutboxEntry).where(OutboxEntry.state == "todo")
    connection.execute(waiting.values(lease_until=None, lease_token=None))
    connection.execute(
        waiting.where(OutboxEntry.topic.startswith("notify.")).values(state="dropped", last_error=reason)
    )
    missed = update(Reminder).where(Reminder.state == "waiting", Reminder.due_at <= now_utc())
    connection.execute(missed.values(state="dropped"))  # the instance that was backed up may have sent them since
    connection.execute(delete(Lease))
    connection.execute(delete(PasswordReset))
    connection.execute(delete(MailedCode))  # nobody is still signed in from then


def _restore_keys(archive: zipfile.ZipFile, settings: Settings) -> None:
    folder = settings.data / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in KEY_FILES:
        if f"keys/{name}" in archive.namelist():
            path = folder / name
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(archive.read(f"keys/{name}"))
