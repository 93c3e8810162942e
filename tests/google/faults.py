"""Faults on demand: refusals, slowness, answers cut off or lost after the write, a web page in place of JSON."""

from __future__ import annotations

import threading
from dataclasses import dataclass

KINDS = ("status", "slow", "cut", "lost", "html")


@dataclass(slots=True)
class Fault:
    """`method` is an HTTP method or a name such as "events.insert"; `path` a part of the path. None matches all.

    status: answered in place of what was asked. slow: done, but late. cut: done, half of the answer comes. lost: done, and the connection
    ends without an answer. html: a web page with this status (200 unless given), nothing done.
    """

    kind: str
    method: str | None = None
    path: str | None = None
    status: int | None = None
    reason: str = ""
    times: int = 1
    retry_after: float | None = None
    seconds: float = 1.0
    message: str = ""

    def matches(self, *, method: str, name: str, path: str) -> bool:
        return (self.method is None or self.method in (method, name)) and (self.path is None or self.path in path)


class Faults:
    """Those still to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._left: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        if fault.kind not in KINDS:
            raise ValueError(f"There is no fault “{fault.kind}”; there are {', '.join(KINDS)}.")
        with self._lock:
            self._left.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._left.clear()

    def take(self, *, method: str, name: str, path: str) -> Fault | None:
        """The fault that this request meets, which is then used up by one."""
        with self._lock:
            found = next((f for f in self._left if f.matches(method=method, name=name, path=path)), None)
            if found is not None:
                found.times -= 1
                if found.times <= 0:
                    self._left.remove(found)
            return found
