"""An upgrade of the database as `lockstep serve` and `lockstep db upgrade` do it: a backup first, then all steps in one transaction.

The backup lies in `backups/` of the data folder, named by date and revision, and is read by `lockstep restore`, of this version or of the
former one. The newest of each revision is kept, of the five newest revisions.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select

from portal.backups.archive import tables_of
from portal.backups.backup import write_backup
from portal.clock import now_utc
from portal.config import Settings
from portal.database import schema
from portal.errors import Refused
from portal.extensions import db

KEPT = 5
_NAME = re.compile(r"\d{8}T\d{6}Z-revision-(\w+)\.zip(\.part)?")


def bring_up_to_date(settings: Settings) -> list[str]:
    """Upgrade the database when it needs that; gives what was done, in sentences, nothing when it was up to date. Needs an app context.

    Raises Invalid when a newer program has been at it, Refused when no backup can be written; the database is then as it was.
    """
    with _one_after_the_other(settings.data):
        before = schema.current()
        if before == schema.newest():
            return []
        schema.refuse_newer(before)
        done = []
        if before and _holds_something():
            done.append(f"A backup was written before the upgrade: {_back_up(settings, before)}.")
        schema.upgrade()
        return [*done, f"The database was brought up to date (revision {schema.newest()})."]


@contextmanager
def _one_after_the_other(data: Path) -> Iterator[None]:
    """Processes that start at once write one backup; the others find everything done."""
    descriptor = os.open(data / "upgrade.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _holds_something() -> bool:
    with db.engine.connect() as connection:
        tables = tables_of(connection).sorted_tables
        return any(connection.execute(select(1).select_from(table).limit(1)).first() for table in tables)


def _back_up(settings: Settings, revision: str) -> Path:
    folder = settings.data / "backups"
    path = folder / f"{now_utc():%Y%m%dT%H%M%SZ}-revision-{revision}.zip"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_backup(path, settings)
    except OSError as error:
        raise Refused(
            f"No backup could be written to {folder} before the upgrade ({error.strerror}), so the database was not upgraded. "
            "Make room, or let Lockstep write there, and start again."
        ) from error
    _forget_older(folder)
    return path


def _forget_older(folder: Path) -> None:
    """An upgrade that fails again and again must not push out the backups of former ones."""
    found = sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)
    kept: set[str] = set()
    for path in found:
        revision, draft = _NAME.fullmatch(path.name).groups()  # type: ignore[union-attr]
        if draft or revision in kept or len(kept) == KEPT:
            path.unlink()
        else:
            kept.add(revision)
