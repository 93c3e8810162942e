"""What tells an installation from a copy of it: its database first of all, the machine, and the address.

A copy of a database is another database: a copied SQLite file is born anew, whatever its times are set to (no program can set the birth of
a file), and a cloned PostgreSQL database gets another number in its server, which has a number of its own. Neither changes with a restart, a
new container, another mount point, or an upgrade; and all machines of an installation on one PostgreSQL see the same. The address tells what is
left: copies of a whole disk or server, which are served under another name. A fact that cannot be had is left out, and says nothing.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import Engine, text

from portal.config import Settings
from portal.extensions import current_settings, db

FACTS = ("database", "machine", "address")
_AT_FDCWD, _STATX_BTIME = -100, 0x800
_BTIME_AT = 0x50
_KEPT = "lockstep.identity"


def identity_here() -> dict[str, str]:
    """The facts about this installation; asked of the database once for each process."""
    kept: dict[str, str] | None = current_app.extensions.get(_KEPT)
    if kept is None:
        kept = current_app.extensions[_KEPT] = read_identity(current_settings(), db.engine)
    return kept


def read_identity(settings: Settings, engine: Engine) -> dict[str, str]:
    """The facts that can be had. The database must exist."""
    is_sqlite = engine.dialect.name == "sqlite"
    facts = {
        "database": _sqlite(engine.url.database or "") if is_sqlite else _postgresql(engine),
        "machine": _machine() if is_sqlite else "",
        "address": "" if settings.demo else address_of(settings.url),
    }
    return {name: fact for name, fact in facts.items() if fact}


def differences(recorded: Mapping[str, str], here: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the facts that are known of both and differ."""
    return tuple(name for name in FACTS if name in recorded and name in here and recorded[name] != here[name])


def address_of(url: str) -> str:
    """The host (and port) under which others reach the portal; empty for an address of this machine alone, which every machine has."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if not host or host == "localhost" or host.endswith(".localhost") or _is_of_this_machine(host):
        return ""
    return f"{host}:{parts.port}" if parts.port else host


def _is_of_this_machine(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _sqlite(file: str) -> str:
    """The birth of the file; where the file system knows none, its number there and its path."""
    path = Path(file)
    if not file or file == ":memory:" or not path.exists():
        return ""
    born = _birth(path)
    return f"file born {born}" if born else f"file {path.stat().st_ino} {path.resolve()}"


def _birth(path: Path) -> str:
    """Seconds and nanoseconds; empty where neither the system nor the file system tells. Python has no call for it before 3.15."""
    statx = getattr(ctypes.CDLL(None), "statx", None)
    if statx is None:
        return ""
    answer = ctypes.create_string_buffer(256)
    if statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, answer) != 0:
        return ""
    (known,) = struct.unpack_from("=I", answer, 0)
    seconds, nanoseconds = struct.unpack_from("=qI", answer, _BTIME_AT)
    return f"{seconds}.{nanoseconds:09}" if known & _STATX_BTIME and seconds else ""


def _postgresql(engine: Engine) -> str:
    """The number of the server's files, which came with its `initdb`, and that of the database in it."""
    with engine.connect() as connection:
        number = connection.execute(text("SELECT oid FROM pg_database WHERE datname = current_database()")).scalar()
        may_ask = connection.execute(
            text("SELECT has_function_privilege('pg_catalog.pg_control_system()', 'execute')")
        ).scalar()
        server = (
            connection.execute(text("SELECT system_identifier FROM pg_control_system()")).scalar() if may_ask else "?"
        )
    return f"server {server} database {number}"


def _machine() -> str:
    """The number that systemd gave this machine. Containers get another one, or none, at every start: theirs says nothing."""
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() or "container" in os.environ:
        return ""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
