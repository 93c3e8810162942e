"""A whole portal in processes of its own, started as a user starts it: `lockstep serve` on a folder of the test."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import requests

from tests.providers.servers import free_port

T = TypeVar("T")
START_SECONDS = 40.0


class Instance:
    """`url` leads to its pages, `data` is its folder. `serve` starts everything, `stop` ends everything."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LOCKSTEP_")},
            "LOCKSTEP_DATA": str(data),
            "LOCKSTEP_URL": self.url,
            "LOCKSTEP_POLL_SECONDS": "2",
            "OUTBOUND_ALLOW": "127.0.0.1",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str, stdin: str = "") -> str:
        """One `lockstep` command; what it printed. Fails the test when the command fails."""
        done = subprocess.run(
            [sys.executable, "-m", "portal", *arguments],
            env=self.environment, input=stdin, capture_output=True, text=True, timeout=120, cwd=self.data,
        )  # fmt: skip
        assert done.returncode == 0, f"lockstep {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def serve(self) -> Self:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "portal", "serve", "--port", str(self.port)],
                env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=self.data,
            )  # fmt: skip
        until(self._answers, seconds=START_SECONDS, what=f"the portal to start\n{self.log}")
        return self

    def stop(self) -> int:
        """Ctrl-C; the exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"The portal did not stop within 15 s:\n{self.log}") from None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log_file(self) -> Path:
        return self.data / "serve.log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")[-4000:]

    @property
    def mails(self) -> list[Path]:
        """The mails written so far, oldest first."""
        return sorted((self.data / "mail").glob("*.eml"))

    def token(self) -> str:
        """A new API token."""
        return str(json.loads(self.run("token", "add", "tests", "--json"))["token"])

    def api(
        self, method: str, path: str, *, token: str = "", body: Mapping[str, Any] | None = None, key: str = ""
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if key:
            headers["Idempotency-Key"] = key
        return requests.request(method, f"{self.url}/api/v1/{path}", json=body, headers=headers, timeout=20)

    def __enter__(self) -> Self:
        try:
            return self.serve()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"The portal ended at once:\n{self.log}"
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).ok
        except requests.RequestException:  # the port is open before anybody answers there
            return False


def until(condition: Callable[[], T], *, seconds: float = 15.0, what: str = "") -> T:
    """Wait until `condition()` is true, and return what it gave. Fails the test when that takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"Waited {seconds:g} s in vain for {what or condition.__name__}.")


def links(mail: Path) -> list[str]:
    """All addresses in the text part of a mail."""
    from email import message_from_bytes, policy

    message = message_from_bytes(mail.read_bytes(), policy=policy.default)
    part = message.get_body(preferencelist=("plain",))
    return re.findall(r"https?://\S+", part.get_content() if part else "")
