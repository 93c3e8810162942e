"""What the demo's own servers have in common: a program on a loopback port, with its files in a folder of its own."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from portal.process.tree import Program
from portal.process.web_server import CannotStart


class LocalServer(Program):
    """`name` is what people read of it. Subclasses make the command, and the files that it needs."""

    def __init__(
        self, name: str, command: Sequence[str], *, folder: Path, port: int, environ: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.port = port
        super().__init__(name, list(command), log=folder / "log.txt", environ=environ)

    def start(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().start()

    def wait_ready(self, seconds: float = 15.0) -> None:
        """Until it answers. Raises CannotStart."""
        until = time.monotonic() + seconds
        while self.is_alive() and time.monotonic() < until:
            if self._answers():
                return
            time.sleep(0.02)
        raise CannotStart(f"The demo's {self.name} does not start. {self.folder / 'log.txt'} may say why.")

    def _answers(self) -> bool:
        """Whether somebody speaks HTTP on its port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("OPTIONS", "/")
            connection.getresponse()
        except OSError:
            return False
        finally:
            connection.close()
        return True
