"""The demo as a newcomer runs it: `lockstep serve --demo`, in a folder of the test."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import psutil
import requests

from tests.support.instance import Instance, until


def children(pid: int) -> list[psutil.Process]:
    """Everything that runs below a process, itself left out."""
    return psutil.Process(pid).children(recursive=True)


def are_gone(processes: list[psutil.Process]) -> bool:
    return not [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


class Demo(Instance):
    """`lockstep serve --demo`, with settings of a real portal in the environment that it must not touch.

    Leaving it checks that nothing is left running. Its servers prefer certain ports, so of all demos on this machine one runs at a time.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(
            folder,
            DATABASE_URL=f"sqlite:///{folder / 'real.sqlite3'}",
            SMTP_URL="smtp://127.0.0.1:9",
            LOCKSTEP_URL="https://real.example",
        )
        self.arguments = arguments
        self.below: list[psutil.Process] = []

    def serve(self) -> Self:
        self.log_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "portal", "serve", "--demo", *self.arguments, "--port", str(self.port)]
        with self.log_file.open("ab") as log:
            self._process = process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, cwd=self.data, start_new_session=True
            )
        until(
            lambda: "Ctrl-C stops everything" in self.log or process.poll() is not None,
            seconds=40,
            what="the demo to start",
        )
        assert "Ctrl-C" in self.log, self.log
        self.below = children(self.pid)
        return self

    def __enter__(self) -> Self:
        self._turn = (Path(tempfile.gettempdir()) / "lockstep-demo-turn").open("w")
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            return super().__enter__()
        except BaseException:
            self._turn.close()
            raise

    def __exit__(self, *_: object) -> None:
        with self._turn:
            assert self.stop() == 0
            assert are_gone(self.below)

    @property
    def announcement(self) -> str:
        """The addresses and logins that it prints."""
        return self.log.partition("Studio Ana is open.")[2].partition("Try this")[0]

    @property
    def owner(self) -> dict[str, str]:
        """What to type to sign in."""
        found = re.search(r"/admin\s+(\S+)\s+(\S+)", self.announcement)
        assert found, self.log
        return {"email": found[1], "password": found[2]}

    def is_ready(self) -> bool:
        return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
