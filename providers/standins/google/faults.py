"""Faults on demand: refusals, slowness, answers cut off or lost after the write, a web page in place of JSON."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from providers.standins.google.api.wire import Answer
from providers.standins.google.problems import REASONS, envelope

OAUTH = ("token", "revoke")
"""Addresses that refuse in the words of RFC 6749, not in those of the API."""
_USUAL = {400: "badRequest", 401: "authError", 404: "notFound", 409: "duplicate", 410: "deleted", 412: "conditionNotMet",
          429: "rateLimitExceeded", 500: "internalError"}  # fmt: skip
_USUAL_OAUTH = {400: "invalid_grant", 401: "invalid_client", 403: "access_denied", 429: "rate_limit_exceeded"}
_PAGE = b"<!DOCTYPE html><html><title>Error</title><p>We're sorry, but your network may be sending automated queries.</html>"
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


def refusal(fault: Fault, name: str) -> Answer:
    """What is answered in place of what was asked; `name` is that of the method."""
    if fault.kind == "html":
        return Answer(fault.status or 200, _PAGE, {"Content-Type": "text/html; charset=UTF-8"})
    status = fault.status or 403
    headers = {} if fault.retry_after is None else {"Retry_After": f"{fault.retry_after:g}"}
    if name in OAUTH:
        error = fault.reason or _USUAL_OAUTH.get(status, "internal_failure")
        return Answer.of(status, {"error": error, "error_description": fault.message or "Injected."}, **headers)
    reason = fault.reason or _USUAL.get(status, "backendError" if status > 500 else "forbidden")
    known = REASONS.get(reason)
    domain, message = (known.domain, known.message) if known else ("global", reason)
    return Answer.of(status, envelope(status, reason, domain=domain, message=fault.message or message), **headers)
