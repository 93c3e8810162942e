"""Real CalDAV servers for tests: processes of our own on free loopback ports, with their data in a folder of the test.

Used by the provider tests, the journeys, the faults and the benchmark. `start` waits until the server answers; `stop` ends
only the process that was started here. Every server has `url`, `make_calendar(user, name) -> url` and works as a context.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

START_SECONDS = 30.0
A_HUNDRED_YEARS = 100 * 365 * 24 * 60 * 60
ROOT = Path(__file__).resolve().parents[2]


class ServerProcess:
    """A server on a loopback port, with its files in `folder`. Subclasses say how it is started, and when it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> Self:
        """Start the server; on the port it had before, if it is started again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [*end_with_us(), *self._command()],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._environment(),
                cwd=ROOT,
            )
        self._wait()
        return self

    def stop(self) -> None:
        """End the process that `start` started, and wait for it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONUNBUFFERED": "1"}

    def _answers(self) -> bool:
        """Raises RequestException while it does not listen yet."""
        raise NotImplementedError

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process is not None and self._process.poll() is None:
            try:
                if self._answers():
                    return
            except requests.RequestException:
                time.sleep(0.05)
        raise RuntimeError(f"{type(self).__name__} did not start:\n{(self.folder / 'log.txt').read_text()[-2000:]}")


class CalDavServer(ServerProcess):
    """What all calendar servers have in common."""

    username = "ana"
    password = "secret"

    def make_calendar(self, user: str, name: str) -> str:
        """A new, empty calendar; gives its address."""
        url = self.calendar_url(user, name)
        body = (
            '<?xml version="1.0"?><C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop>'
            f"<D:displayname>{name}</D:displayname></D:prop></D:set></C:mkcalendar>"
        )
        answer = self.ask("MKCALENDAR", url, body=body, user=user, headers={"Content-Type": "application/xml"})
        assert answer.status_code == 201, answer.text
        return url

    def calendar_url(self, user: str, name: str) -> str:
        """Where a user's calendar of that name stands."""
        raise NotImplementedError

    def ask(
        self,
        method: str,
        url: str,
        *,
        body: str = "",
        user: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """One plain request as that user, as another calendar program would make it."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method, url, data=body.encode(), headers=headers, auth=self.credentials(user), timeout=60
            )

    def credentials(self, user: str | None = None) -> tuple[str, str]:
        return user or self.username, self.password

    def _answers(self) -> bool:
        self.ask("OPTIONS", self.url)
        return True


class RadicaleServer(CalDavServer):
    """Radicale with a password file. `max_sync_token_age` (seconds) makes old sync tokens die as they do for real.

    Else they live on: it asks the disk for their age, whose clock no test moves (`tests/support/moments.py`), and a month has gone by at once.
    """

    def __init__(
        self, folder: Path, users: Mapping[str, str] | None = None, *, max_sync_token_age: int = A_HUNDRED_YEARS
    ) -> None:
        super().__init__(folder)
        self.users = dict(users or {self.username: self.password})
        self.max_sync_token_age = max_sync_token_age

    @property
    def collections(self) -> Path:
        """Where Radicale keeps calendars: one folder each, one file per event."""
        return self.folder / "collections" / "collection-root"

    def calendar_url(self, user: str, name: str) -> str:
        return f"{self.url}{user}/{name}/"

    def credentials(self, user: str | None = None) -> tuple[str, str]:
        name = user or next(iter(self.users))
        return name, self.users[name]

    def _command(self) -> list[str]:
        (self.folder / "users").write_text("".join(f"{name}:{word}\n" for name, word in self.users.items()))
        age = f"max_sync_token_age = {self.max_sync_token_age}\n"
        (self.folder / "config").write_text(
            f"[server]\nhosts = 127.0.0.1:{self.port}\n"
            f"[auth]\ntype = htpasswd\nhtpasswd_filename = {self.folder / 'users'}\nhtpasswd_encryption = plain\ndelay = 0\n"
            f"[storage]\nfilesystem_folder = {self.folder / 'collections'}\n{age}"
            "[logging]\nlevel = warning\n"
        )
        return [sys.executable, "-m", "radicale", "--config", str(self.folder / "config")]


class XandikosServer(CalDavServer):
    """Xandikos, which keeps each calendar in a git repository. It asks for no password on plain HTTP."""

    def calendar_url(self, user: str, name: str) -> str:
        return f"{self.url}{user}/calendars/{name}/"

    @property
    def collections(self) -> Path:
        return self.folder / "data"

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "xandikos", "serve", "-d", str(self.collections), "--defaults"),
            *("--current-user-principal", f"/{self.username}/", "-l", "127.0.0.1", "-p", str(self.port)),
        ]


def end_with_us() -> list[str]:
    """On Linux the kernel ends the server when the tests are killed and cannot do it themselves."""
    return ["setpriv", "--pdeathsig", "TERM"] if sys.platform == "linux" and shutil.which("setpriv") else []


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
