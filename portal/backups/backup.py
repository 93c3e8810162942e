"""Everything of an instance in one file, and back: the rows of every table, and the keys that open what is sealed in them.

The file (`portal.backups.archive`) is the same for both databases, so it is also the way from SQLite to PostgreSQL. It holds secrets: it is
written for its owner's eyes only. One that a former version made is brought to this version's tables first, in a scratch database: what is restored
went through the same migrations as a database that was upgraded.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, BinaryIO, cast

from flask import current_app
from sqlalchemy import Connection, MetaData, delete, func, select, text, update
from sqlalchemy.orm import Session

from portal.accounts.models import PasswordReset
from portal.app import create_app
from portal.backups.archive import Progress, read_table, tables_of, write_tables
from portal.backups.sealed_file import SealedWriter, is_sealed, open_sealed
from portal.calendars.models import Connection as CalendarConnection
from portal.clock import now_utc
from portal.config import Settings
from portal.customers.models import MailedCode
from portal.database import schema
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.notifications.models import Reminder
from portal.outbox import OutboxEntry
from portal.security import load_sealer
from portal.sync.models import Lease
from portal.upkeep.adoption import stand_back
from portal.upkeep.private_files import create_private

FORMAT = 1
KEY_FILES = ("encryption", "secret")


def write_backup(
    path: Path,
    settings: Settings,
    *,
    passphrase: str | None = None,
    with_keys: bool = True,
    progress: Progress = lambda _: None,
) -> int:
    """Write the file, whole or not at all; gives the number of rows. All tables are read in one snapshot, while the portal may run.

    They are the tables that the database has: it may be one that is still to be upgraded. With a passphrase nobody reads the file without it; without
    the keys nobody opens the stored passwords and links who has the file alone. Raises Invalid for a passphrase that is too short.
    """
    draft = path.with_name(f"{path.name}.part")
    try:
        with os.fdopen(create_private(draft), "wb") as file:
            with _sealed(file, passphrase) as target, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
                _write_about(archive)
                for name in KEY_FILES if with_keys else ():
                    if (settings.data / "keys" / name).exists():
                        archive.write(settings.data / "keys" / name, f"keys/{name}")
                count = _write_rows(archive, progress)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


def restore_backup(
    path: Path, settings: Settings, *, passphrase: str | None = None, progress: Progress = lambda _: None
) -> int:
    """Put the file into an empty, upgraded database; gives the number of rows. One transaction.

    What was to be mailed at the time of the backup is dropped, and every connection is paused: nothing is sent and no calendar is written
    before a person has looked. Raises Invalid for another kind of file, WrongPassphrase for a sealed one,
    Refused when there is something in the database.
    """
    with _open(path, passphrase, settings) as former:
        about = _about(former)
        _require_empty()
        with (
            _at_newest(former, about["revision"], settings) as archive,
            db.engine.connect().execution_options(lockstep_write=True) as connection,
            connection.begin(),
        ):
            count = _read_rows(connection, archive, db.metadata, progress)
            _calm(connection, about["made_at"])
        _restore_keys(former, settings.data)
    current_app.extensions["sealer"] = load_sealer(settings)
    return count


def _sealed(file: BinaryIO, passphrase: str | None) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(file) if passphrase is None else cast(IO[bytes], SealedWriter(file, passphrase))


def _write_about(archive: zipfile.ZipFile) -> None:
    about = {"format": FORMAT, "revision": schema.current(), "made_at": now_utc().isoformat()}
    archive.writestr("about.json", json.dumps(about))


def _write_rows(archive: zipfile.ZipFile, progress: Progress) -> int:
    with db.engine.connect() as connection:
        if db.engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            return write_tables(connection, archive, tables_of(connection), progress=progress)


def _read_rows(connection: Connection, archive: zipfile.ZipFile, tables: MetaData, progress: Progress) -> int:
    count = 0
    for table in tables.sorted_tables:
        progress(table.name)
        connection.execute(delete(table))  # set-up links of the fresh instance
        count += read_table(connection, archive, table)
    return count


@contextmanager
def _at_newest(archive: zipfile.ZipFile, revision: str, settings: Settings) -> Iterator[zipfile.ZipFile]:
    """The backup as this version would have written it."""
    if revision == schema.newest():
        yield archive
        return
    with TemporaryDirectory(prefix="restore-", dir=settings.data) as folder:
        data = Path(folder)
        _restore_keys(archive, data)
        scratch = create_app(replace(settings, data=data, database_url=f"sqlite:///{data / 'scratch.sqlite3'}"))
        with scratch.app_context():
            _migrate(archive, revision, data / "newest.zip")
        with zipfile.ZipFile(data / "newest.zip") as migrated:
            yield migrated


def _migrate(archive: zipfile.ZipFile, revision: str, path: Path) -> None:
    """Through a database as it was then, in the current app; `path` gets the outcome."""
    schema.upgrade(revision)
    with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
        connection.execute(text("PRAGMA defer_foreign_keys=ON"))
        _read_rows(connection, archive, tables_of(connection), lambda _: None)
    schema.upgrade()
    with zipfile.ZipFile(path, "w") as migrated:
        _write_rows(migrated, lambda _: None)
    db.session.remove()
    db.engine.dispose()


@contextmanager
def _open(path: Path, passphrase: str | None, settings: Settings) -> Iterator[zipfile.ZipFile]:
    with ExitStack() as opened:
        for left in settings.data.glob("restore-*"):  # by a restore that was killed
            shutil.rmtree(left)
        if is_sealed(path):
            folder = opened.enter_context(TemporaryDirectory(prefix="restore-", dir=settings.data))
            path = _unsealed(path, passphrase, Path(folder))
        try:
            archive = opened.enter_context(zipfile.ZipFile(path))
        except zipfile.BadZipFile:
            raise Invalid(f"{path} is no backup of Lockstep, or it is damaged.") from None
        yield archive


def _unsealed(path: Path, passphrase: str | None, folder: Path) -> Path:
    """All of it has proved whole before any of it is read."""
    plain = folder / "backup.zip"
    with os.fdopen(create_private(plain), "wb") as file:
        for piece in open_sealed(path, passphrase):
            file.write(piece)
    return plain


def _about(archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(archive.read("about.json"))
    except (KeyError, ValueError):
        raise Invalid("This file is no backup of Lockstep.") from None
    if about.get("format") != FORMAT or about.get("revision") not in schema.revisions():
        raise Invalid(
            f"This backup was made with a newer version (revision {about.get('revision')}); this one reads up to {schema.newest()}. "
            "Install the version that made it. Nothing was changed."
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


def _calm(connection: Connection, made_at: str) -> None:
    """Nothing goes out by itself after a restore: the world went on since the backup."""
    reason = f"Restored from a backup of {made_at[:16].replace('T', ' ')} UTC. Look at the bookings, then resume."
    connection.execute(update(CalendarConnection).values(state="paused", state_since=now_utc(), state_reason=reason))
    with Session(bind=connection, join_transaction_mode="create_savepoint") as session:
        stand_back(session, now=now_utc(), restored_from=f"{made_at[:16].replace('T', ' ')} UTC")
        session.commit()
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


def _restore_keys(archive: zipfile.ZipFile, data: Path) -> None:
    folder = data / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in KEY_FILES:
        if f"keys/{name}" in archive.namelist():
            path = folder / name
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(archive.read(f"keys/{name}"))
