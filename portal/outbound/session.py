"""The one guarded HTTP client: every request that leaves the house for an address somebody typed goes through here.

A person may type any address, and a foreign server may name any other, so an address is only connected to when every
IP address that its name resolves to is a public one, or the operator allowed it (setting OUTBOUND_ALLOW). The name is
resolved once and the connection made to the very address that was checked, so a name that changes its mind between check
and connection gains nothing. Redirects are never followed, proxies from the environment not used, certificates always
checked, answers limited in time and size. Called by whoever opens a calendar provider or delivers a webhook.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ReadTimeoutError

from portal.outbound.addresses import AddressGuard, OutboundRefused, Resolver, system_resolver
from portal.outbound.connections import Deadline, Patience, guarded_pools
from portal.timekeeping import witnesses

__all__ = ["AnswerTooLarge", "GuardedSession", "OutboundRefused", "Patience", "guarded_session"]

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 20.0
ANSWER_BYTES = 10_000_000
PATIENCE = Patience()
_PIECE = 65_536
Into: TypeAlias = Callable[[requests.Response], Callable[[bytes], None]]
"""Given an answer's head, it gives whoever takes the body."""


class AnswerTooLarge(requests.exceptions.RequestException):
    """The answer, unpacked, is larger than was asked for."""

    is_too_large = True  # by this mark the providers, which know nothing of this module, tell it from other errors


def guarded_session(
    *,
    allow: Collection[str],
    verify: bool | str = True,
    resolver: Resolver = system_resolver,
    patience: Patience | None = None,
) -> GuardedSession:
    """A session for one account, not shared between threads.

    `allow` names what may be reached although it is private or speaks plain HTTP: hosts, host:port, or address ranges
    such as 192.168.1.0/24. `verify` may be the path of a certificate authority of one's own.
    """
    return GuardedSession(AddressGuard(allow, resolver), verify=verify, patience=patience or PATIENCE)


class GuardedSession(requests.Session):
    """A `requests.Session` that refuses what must not be reached and ends what takes too long.

    `timeout=` of a request is (seconds to connect, seconds in all) or the latter alone; silence, or a byte now and then, ends it
    sooner (`Patience`). `answer_limit` is the largest answer in bytes after unpacking; it may be raised before a request that is known
    to be large. `silence_allowed` are seconds of silence on top, for a request that is known to want thought. `into=` is asked, with the
    answer's head, for whoever takes its body piece by piece; the body is not kept then.
    """

    def __init__(self, guard: AddressGuard, *, verify: bool | str, patience: Patience) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = verify
        self.answer_limit = ANSWER_BYTES
        self.silence_allowed = 0.0
        self._guard = guard
        self._patience = patience
        self._deadline = Deadline(patience)
        self._budget_ends: float | None = None
        for scheme in ("http://", "https://"):
            self.mount(scheme, _GuardedAdapter(guard, self._deadline))

    @contextmanager
    def budget(self, seconds: float) -> Iterator[None]:
        """All requests inside end within so many seconds from now, together. Budgets within budgets only shorten."""
        outer = self._budget_ends
        ends = time.monotonic() + seconds
        self._budget_ends = ends if outer is None else min(outer, ends)
        try:
            yield
        finally:
            self._budget_ends = outer

    def request(self, method: Any, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """As in requests, but guarded: redirects, proxies and unchecked certificates cannot be asked for.

        Raises OutboundRefused, AnswerTooLarge, and the errors of requests.
        """
        url = url.decode() if isinstance(url, bytes) else str(url)
        self._guard.check_url(url)
        connect, total = self._limits(options.pop("timeout", None))
        self._deadline.start(connect=connect, total=total, longer=self.silence_allowed)
        into = options.pop("into", None)
        for name in ("proxies", "verify", "cert"):
            options.pop(name, None)
        options.update(
            allow_redirects=False,
            stream=True,
            timeout=(connect, min(total, self._patience.quiet + self.silence_allowed)),
        )
        try:
            answer = super().request(method, url, **options)
            _read_or_close(answer, self.answer_limit, into)
        except (requests.exceptions.ConnectionError, TimeoutError) as error:
            raise _plainly(error, url) from error
        if self._guard.is_surely_outside(url):
            witnesses.note_date(answer.headers.get("Date", ""))
        return answer

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: requests would otherwise read a redirect's body whole, unlimited, just to know where it leads."""

    def _limits(self, timeout: Any) -> tuple[float, float]:
        """(seconds to connect, seconds in all), within the budget. Raises ReadTimeout when that is used up."""
        connect, total = timeout if isinstance(timeout, tuple) else (None, timeout)
        total = TOTAL_SECONDS if total is None else float(total)
        if self._budget_ends is not None:
            total = min(total, self._budget_ends - time.monotonic())
        if total <= 0:
            raise requests.exceptions.ReadTimeout("The time allowed for this is used up.")
        return min(CONNECT_SECONDS if connect is None else float(connect), total), total


class _GuardedAdapter(HTTPAdapter):
    """Hands each connection the guard and the deadline."""

    def __init__(self, guard: AddressGuard, deadline: Deadline) -> None:
        self._pools = guarded_pools(guard, deadline)
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools


def _read_or_close(answer: requests.Response, limit: int, into: Into | None) -> None:
    try:
        _read_within(answer, limit, take=into(answer) if into else None)
    except BaseException:
        answer.close()  # what is left of it is of no use to anybody
        raise


def _read_within(answer: requests.Response, limit: int, *, take: Callable[[bytes], None] | None) -> None:
    """Read the whole body, unpacked piece by piece, and stop at the limit: a small answer may unpack to a huge one."""
    declared = answer.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise AnswerTooLarge("The answer is larger than anything sensible.")
    body, size = bytearray(), 0
    take = take or body.extend
    for piece in answer.iter_content(_PIECE):
        size += len(piece)
        if size > limit:
            raise AnswerTooLarge("The answer is larger than anything sensible.")
        take(piece)
    # What `Response.content` would set; it was read here to keep within the limit.
    answer.__dict__.update(_content=bytes(body), _content_consumed=True)


def _plainly(error: Exception, url: str) -> Exception:
    """What really happened: urllib3 and requests wrap our refusal, and a body that came too slowly, as broken lines."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OutboundRefused):
            return link
        if isinstance(link, TimeoutError | ReadTimeoutError):
            return requests.exceptions.ReadTimeout(f"{urlsplit(url).hostname} did not answer in time.")
        link = _wrapped(link)
    return error


def _wrapped(error: BaseException) -> BaseException | None:
    """The error inside an error. Not its context: that may be older trouble, and may even lead in a circle."""
    return next(
        (inner for inner in (getattr(error, "reason", None), *error.args) if isinstance(inner, BaseException)), None
    )
