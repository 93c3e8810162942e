"""Connections that reach only checked addresses and end on time. Called by `session` alone.

Built on urllib3's own pools and connections: only how a socket is opened and how bytes are read from it is replaced, so
that the TLS server name and the Host header stay those of the name that was asked for.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

if TYPE_CHECKING:
    from portal.outbound.addresses import AddressGuard


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may keep silent (`quiet` seconds), and how slowly it may speak: after `grace` seconds, `pace` bytes a second on average.

    A large listing may take minutes as long as it comes; who says nothing, or a byte now and then, is left at once.
    """

    quiet: float = 10.0
    grace: float = 15.0
    pace: float = 1000.0


class Deadline:
    """When the request under way has to be over, how long connecting may take, and how long the next byte."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._connect_seconds = 0.0
        self._begun = self._ends = self._longer = 0.0
        self._received = 0

    def start(self, *, connect: float, total: float, longer: float = 0.0) -> None:
        """A request begins. It may keep silent for so many seconds `longer` than others."""
        self._longer = longer
        self._connect_seconds = connect
        self._begun = time.monotonic()
        self._ends = self._begun + total
        self._received = 0

    def note(self, count: int) -> None:
        """So many bytes came."""
        self._received += count

    def left(self) -> float:
        """Seconds left. Raises TimeoutError when there are none."""
        slow_ends = self._begun + self._patience.grace + self._longer + self._received / self._patience.pace
        seconds = min(self._ends, slow_ends) - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("The time allowed for the whole request is over.")
        return seconds

    def left_to_wait(self) -> float:
        """Seconds that the next step may take."""
        return min(self._patience.quiet + self._longer, self.left())

    def left_to_connect(self) -> float:
        return min(self._connect_seconds, self.left_to_wait())


def guarded_pools(guard: AddressGuard, deadline: Deadline) -> dict[str, type[HTTPConnectionPool]]:
    """Pool classes by scheme, as urllib3's pool manager wants them, bound to one guard and one deadline."""

    class Answer(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            self.fp.close()
            self.fp = io.BufferedReader(_TimedReader(sock, deadline))

    class PlainConnection(HTTPConnection):
        response_class = Answer

        def _new_conn(self) -> socket.socket:
            return _connect(self, guard, deadline, is_plain=True)

    class SecureConnection(HTTPSConnection):
        response_class = Answer

        def _new_conn(self) -> socket.socket:
            return _connect(self, guard, deadline, is_plain=False)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": PlainPool, "https": SecurePool}


class _TimedReader(io.RawIOBase):
    """A socket's bytes, each waited for as long as the deadline allows.

    A limit for each read alone would let a server send a byte now and then for ever.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._socket = sock
        self._deadline = deadline
        # http.client closes its socket while the body is still to be read; this keeps it open until we are done.
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._deadline.left_to_wait())
        count = self._file.readinto(buffer)
        self._deadline.note(count or 0)
        return count

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _connect(connection: HTTPConnection, guard: AddressGuard, deadline: Deadline, *, is_plain: bool) -> socket.socket:
    """A socket to one of the checked addresses. Raises OutboundRefused and urllib3's own errors."""
    try:
        addresses = guard.addresses(
            connection._dns_host, connection.port or 0, is_plain=is_plain, seconds=deadline.left_to_connect()
        )
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"{connection.host} was not found in time.") from error
    except OSError as error:
        if isinstance(error, socket.gaierror):
            raise NameResolutionError(connection.host, connection, error) from error
        raise
    failure: OSError | None = None
    for address in addresses:
        try:
            return _open(address, connection, deadline)
        except TimeoutError as error:
            raise ConnectTimeoutError(connection, f"{connection.host} did not take the connection in time.") from error
        except OSError as error:
            failure = error
    raise NewConnectionError(connection, f"{connection.host} could not be reached: {failure}")


def _open(address: str, connection: HTTPConnection, deadline: Deadline) -> socket.socket:
    opened = socket.create_connection((address, connection.port or 0), deadline.left_to_connect())
    for option in connection.socket_options or ():
        opened.setsockopt(*option)
    # TLS is negotiated within the same patience; reading sets its own limits.
    opened.settimeout(deadline.left_to_wait())
    return opened
