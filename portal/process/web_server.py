"""The web server: processes with threads around the application. Used by `lockstep serve` (on a socket that is already open) and `lockstep web`."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from portal.errors import PortalError

WORKERS, THREADS = 4, 2
"""Few threads to a process: those of one process wait for each other at every statement (measured on 2 cores: a fifth more bookings a
second than two processes with four threads)."""


WARM_UP_AFTER = 2.0
"""Seconds after its start that a process imports what its first last look needs; one process after the other, so that pages stay quick."""


class CannotStart(PortalError):
    """Something on this machine is in the way; the sentence says what to do."""


def listen(host: str, port: int, *, retry: str = "--port {port}") -> socket.socket:
    """An open socket on this address. Raises CannotStart when it is taken; `retry` is what to write for another port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"The address {host}:{port} cannot be used ({(error.strerror or 'unknown host').lower()}). Is another program, or another "
            f"Lockstep, running there? Stop it, or use another port: {retry.format(port=_next_free(host, port))}"
        ) from None
    listener.listen(256)
    listener.set_inheritable(True)
    return listener


def _next_free(host: str, port: int) -> int:
    """The next port that nobody listens on, as a proposal."""
    for other in range(port + 1, min(port + 100, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, other))
            return other
    return port % 65535 + 1


def run_web(app: Flask, listener: socket.socket) -> None:
    """Serve until SIGTERM. The application is shared with the server's processes, which open their own database connections."""
    _Server(app, listener).run()


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, app: Flask, listener: socket.socket) -> None:
        self._app = app
        self._listener = listener
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options().items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._app

    def _options(self) -> dict[str, Any]:
        return {
            "bind": f"fd://{self._listener.fileno()}",
            "worker_class": "portal.process.web_process.WebProcess",
            "workers": WORKERS,
            "threads": THREADS,
            "timeout": 30,
            "graceful_timeout": 2,
            # No access log: the paths of manage links are rights, and who looked at what is nobody's business.
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "post_worker_init": self._warm_up_later,
            "control_socket_disable": True,
            "proc_name": "lockstep-web",
        }

    def _warm_up_later(self, worker: Any) -> None:
        timer = threading.Timer(WARM_UP_AFTER * (1 + worker.age % WORKERS), _warm_up, [self._app])
        timer.daemon = True
        timer.start()


def _warm_up(app: Flask) -> None:
    from portal.calendars.last_look import warm_up

    with app.app_context():
        warm_up()
