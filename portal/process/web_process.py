"""One process of the web server: waitress reads requests without holding a thread. gunicorn, which forks and watches the processes, is its parent.

A thread is taken only once a request has arrived whole. So connections that say nothing, or a byte now and then, cost a descriptor each
and no thread (with gunicorn's own threads, a dozen bodies that never ended silenced every page). What they may cost is bounded here as well.
"""

from __future__ import annotations

import os
import resource
import time
from typing import Any

from gunicorn.workers.base import Worker
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher
from waitress.wasyncore import file_dispatcher, loop

CONNECTIONS = 1000
"""Most connections of one process. Beyond them it takes no new ones, and those that wait grow impatient much sooner."""
IDLE_SECONDS, REQUEST_SECONDS = 65.0, 30.0
"""How long a connection may say nothing between two requests (longer than proxies keep theirs), and how long one request may take to arrive."""
CROWDED_SECONDS = 3.0
"""Both limits, once more than half of the connections are in use."""
LARGEST_BODY = 1024 * 1024
"""Bytes; Flask's own limit, which answers with a page, is smaller."""


class WebProcess(Worker):  # type: ignore[misc]
    """The worker class that gunicorn is told."""

    def run(self) -> None:
        """Serve until told to stop; then finish what is in hand."""
        _allow_descriptors(CONNECTIONS + 256)
        listener = self.sockets[0]
        listener.setblocking(False)
        server = _Server(self.wsgi, listener.sock, threads=self.cfg.threads)
        _Signals(self.PIPE[0], map=server.map)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            loop(timeout=1.0, use_poll=True, map=server.map, count=1)
        server.finish(self.cfg.graceful_timeout)


class _Signals(file_dispatcher):  # type: ignore[misc]
    """The pipe that a signal writes to: it ends the wait for connections."""

    def writable(self) -> bool:
        return False

    def handle_read(self) -> None:
        self.recv(64)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows since when a request has been arriving on it."""

    began_at = 0.0

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.began_at = time.monotonic()
        return bool(super().received(data))

    def is_overdue(self, seconds: float) -> bool:
        """Whether a request has been arriving for longer than that."""
        return self.request is not None and not self.requests and time.monotonic() - self.began_at > seconds


class _Server(TcpWSGIServer):  # type: ignore[misc]
    channel_class = _Channel

    def __init__(self, application: Any, listener: Any, *, threads: int) -> None:
        self.map: dict[int, Any] = {}
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.queue_logger.disabled = True  # it warns of every request that waits a moment
        dispatcher.set_thread_count(threads)
        adjustments = Adjustments(
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=1,
            max_request_body_size=LARGEST_BODY,
            clear_untrusted_proxy_headers=False,  # the application believes as many proxies as TRUSTED_PROXIES says
            ident=None,
            backlog=256,
        )
        super().__init__(
            application,
            map=self.map,
            _sock=listener,
            dispatcher=dispatcher,
            adj=adjustments,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )

    def readable(self) -> bool:
        """Whether to take a connection: not while every thread is busy, since another process may have a free one."""
        return bool(super().readable()) and self._has_free_thread()

    def maintenance(self, now: float) -> None:
        """Once a second: let go of connections that say nothing, or never finish what they say."""
        is_crowded = len(self.active_channels) > CONNECTIONS // 2
        idle = CROWDED_SECONDS if is_crowded else self.adj.channel_timeout
        patience = CROWDED_SECONDS if is_crowded else REQUEST_SECONDS
        for channel in self.active_channels.values():
            is_idle = not channel.requests and channel.last_activity < now - idle
            if is_idle or channel.is_overdue(patience):
                channel.will_close = True

    def finish(self, seconds: float) -> None:
        """Take on nothing new, and let the requests in hand end and their answers leave, within so many seconds."""
        self.accepting = False
        until = time.monotonic() + seconds
        while self._is_busy() and time.monotonic() < until:
            loop(timeout=0.05, use_poll=True, map=self.map, count=1)
        self.task_dispatcher.shutdown(timeout=0.1)

    def _has_free_thread(self) -> bool:
        dispatcher = self.task_dispatcher
        return not dispatcher.queue and dispatcher.active_count < len(dispatcher.threads)

    def _is_busy(self) -> bool:
        return any(channel.requests or channel.total_outbufs_len for channel in self.active_channels.values())


def _allow_descriptors(count: int) -> None:
    """Raise this process's limit of open files, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (count if hard == resource.RLIM_INFINITY else min(count, hard), hard)
        )
