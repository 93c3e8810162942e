"""What stands in the data folder is for the user that runs Lockstep alone: the database, keys, backups, mails, the queue, lock files.

Made so from the start (SQLite gives its side files the mode of the database), and mended at each start, for older versions left some of it
readable. `static/` holds what everybody may load; files of somebody else's that lie beside ours are left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sqlalchemy.engine import make_url

from portal.config import Settings
from providers.kinds import KINDS

FOLDERS = ("keys", "backups", "mail", "queue", "calendars", *(kind.name for kind in KINDS.values() if kind.stand_in))
FILES = ("serve.lock", "upgrade.lock", "hook-counts", "demo.json")
SIDE_FILES = ("-wal", "-shm", "-journal", "-turn")
_OTHERS = 0o077


def create_private(path: Path) -> int:
    """A descriptor of a new, empty file with mode 600 in place of whatever stood there; a link that somebody planted is not followed."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read."""
    with os.fdopen(create_private(path), "w", encoding="utf-8") as file:
        file.write(text)


def make_private(settings: Settings) -> None:
    """Create SQLite's file with mode 600, and take from others what they could read. What cannot be changed is told by the doctor."""
    database = sqlite_file(settings)
    if database is not None:
        with suppress(OSError):  # there already; or the folder is missing, which is said when the database is opened
            os.close(os.open(database, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    for path in open_to_others(settings):
        with suppress(OSError):
            path.chmod(path.stat().st_mode & 0o7777 & ~_OTHERS)


def open_to_others(settings: Settings) -> list[Path]:
    """Which of our files other users of this machine may read or change."""
    return [
        path for path in _ours(settings) if not path.is_symlink() and path.exists() and path.stat().st_mode & _OTHERS
    ]


def sqlite_file(settings: Settings) -> Path | None:
    """The file of the SQLite database; None for PostgreSQL, and for a database in memory."""
    name = make_url(settings.database_url).database if settings.is_sqlite else None
    return Path(name) if name and name != ":memory:" and not name.startswith("file:") else None


def _ours(settings: Settings) -> Iterator[Path]:
    database = sqlite_file(settings)
    if database is not None:
        yield from (database.with_name(f"{database.name}{end}") for end in ("", *SIDE_FILES))
    yield from (settings.data / name for name in FILES)
    for name in FOLDERS:
        folder = settings.data / name
        if not folder.is_dir():
            continue
        # A mail folder may hold many thousand files; behind a shut door it does not matter how they are marked.
        if name != "mail" or folder.stat().st_mode & _OTHERS:
            yield from (path for path in folder.rglob("*") if not path.is_socket())
        yield folder
