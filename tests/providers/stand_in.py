"""A server that misbehaves on demand: between the provider and a real one, or instead of it.

A script sees every request and may answer it, spoil the real answer, or let it pass. Answers are what real servers and
the machines before them have been seen to give.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Answer:
    """What goes back. `is_lost` ends the connection instead; `cut_at` sends that much of the body and ends."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_lost: bool = False
    cut_at: int | None = None
    seconds: float = 0.0


Script = Callable[[Asked], Answer | None]
Spoiler = Callable[[Asked, Answer], Answer]


class StandIn:
    """Listens on a loopback port. `script` answers instead of the real server (None lets the request pass);
    `spoil` changes what the real one answered. `asked` keeps all requests."""

    def __init__(self, real_port: int | None = None) -> None:
        self.real_port = real_port
        self.script: Script = lambda asked: None
        self.spoil: Spoiler = lambda asked, answer: answer
        self.asked: list[Asked] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def methods(self) -> list[str]:
        return [asked.method for asked in self.asked]

    def once(self, method: str, answer: Answer) -> None:
        """Answer the next request of that method so; everything else passes."""
        left = [answer]
        self.script = lambda asked: left.pop() if left and asked.method == method else None

    def always(self, method: str, answer: Answer) -> None:
        """Answer every request of that method so; everything else passes."""
        self.script = lambda asked: answer if asked.method == method else None

    def lose_answer_once(self, method: str) -> None:
        """The real server does what the next request of that method asks, and nobody hears of it."""
        left = [True]

        def spoil(asked: Asked, answer: Answer) -> Answer:
            answer.is_lost = asked.method == method and bool(left) and left.pop()
            return answer

        self.spoil = spoil

    def forward(self, asked: Asked) -> Answer:
        """The real server's answer."""
        assert self.real_port is not None, "there is no server behind this one"
        connection = http.client.HTTPConnection("127.0.0.1", self.real_port, timeout=60)
        # Not packed, so that scripts can spoil what is inside.
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in _NOT_FORWARDED}
        connection.request(asked.method, asked.path, asked.body or None, {**headers, "Host": f"127.0.0.1:{self.port}"})
        came = connection.getresponse()
        body = came.read()
        connection.close()
        kept = {name: value for name, value in came.getheaders() if name.lower() not in _OWN_HEADERS}
        return Answer(came.status, kept, body)

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def parse_request(self) -> bool:
                parsed = super().parse_request()
                if parsed:
                    # One way for every method: WebDAV has many, and the base class looks for one function each.
                    setattr(self, f"do_{self.command}", self._serve)
                return parsed

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
                stand_in.asked.append(asked)
                answer = stand_in.script(asked) or stand_in.spoil(asked, stand_in.forward(asked))
                time.sleep(answer.seconds)
                self._send(answer)

            def _send(self, answer: Answer) -> None:
                if answer.is_lost:
                    self.close_connection = True
                    with contextlib.suppress(OSError):
                        self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body[: answer.cut_at])
                self.close_connection = self.close_connection or answer.cut_at is not None

        return Handler


_NOT_FORWARDED = frozenset({"connection", "host", "accept-encoding", "content-length"})
_OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "connection", "date", "server"})
