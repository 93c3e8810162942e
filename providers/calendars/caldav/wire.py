"""One signed-in CalDAV server: requests out, parsed answers in. Called by the other `caldav_*` modules, by nobody else.

python-caldav speaks the protocol (authentication, encoding, XML) but the connection is ours: its session is replaced
by a gate that sends everything through the guarded HTTP session, to the server that the owner named and to no other,
follows no redirect unseen, and refuses answers that must not reach an XML parser.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

import requests
from caldav.davclient import DAVClient
from caldav.lib import error as caldav_error
from caldav.lib.auth import extract_auth_types
from lxml import etree

from providers.calendars.caldav.answers import AnswerReading
from providers.calendars.caldav.errors import AnswerTooLarge, error_of_failure
from providers.calendars.caldav.sign_in import SignIn
from providers.calendars.caldav.xml import Multistatus
from providers.errors import BadAnswer, Misconfigured, ProviderError, Temporary

CONNECT_SECONDS = 5.0
USUAL_SECONDS = 20.0
REDIRECT_SECONDS = 10.0
"""Whoever sends us on has so long for all of that: silence at each step is not to add up."""
LISTING_SECONDS = 300.0
"""The first listing of a large calendar, as long as it keeps coming. A cold server has been seen to think for two minutes about 10,000
objects: that is a failure like any silence, and told; later tries leave it more time (`CalendarRef.silence_allowed`)."""

USUAL_BYTES = 10_000_000
LISTING_BYTES = 16_000_000
"""Some 50,000 objects. Listings are read as they come, so their text is never kept."""
_MAX_REDIRECTS = 3

# Apple names the account's own machine in its answers (p12-caldav.icloud.com). It is one house: credentials may follow.
_ONE_HOUSE = ("icloud.com",)

_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@-]*")


@dataclass(frozen=True, slots=True)
class DavAnswer:
    """What came back. `root` is what a multistatus says, or None; `preconditions` are the tags of a DAV:error body."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    root: Multistatus | None = None
    preconditions: frozenset[str] = field(default_factory=frozenset)


class DavWire:
    """The way to one server under one sign-in. Not shared between threads."""

    def __init__(self, *, url: str, username: str, password: str, http_session: Any) -> None:
        self.url = checked_url(url)
        self._sign_in = SignIn(username, password)
        self._gate = _Gate(self.url, http_session)
        # Basic at once, for a last look has no time to be refused first; `send` turns to Digest where that is wanted.
        self._client = DAVClient(
            url=self.url,
            username=username,
            password=password,
            auth_type="basic",
            enable_rfc6764=False,
            rate_limit_handle=False,
            headers={"User-Agent": "Lockstep"},
        )
        self._client.session.close()
        self._client.session = self._gate
        self._client.auth = self._sign_in.basic()

    def send(
        self,
        method: str,
        url: str,
        *,
        body: str = "",
        headers: Mapping[str, str] | None = None,
        seconds: float = USUAL_SECONDS,
        limit: int = USUAL_BYTES,
        silence_allowed: float = 0.0,
    ) -> DavAnswer:
        """The answer to one request, whatever its status. Redirects within the house are followed, three at most.

        Raises Temporary, Misconfigured and BadAnswer for what is no answer at all.
        """
        url = urljoin(self.url, url)
        self._gate.silence_allowed = silence_allowed
        patience_ends = time.monotonic() + REDIRECT_SECONDS
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._send_once(method, url, body, headers=headers or {}, seconds=seconds, limit=limit)
            location = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not location:
                return answer
            url = urljoin(url, location)
            if time.monotonic() > patience_ends:
                raise Temporary(f"{urlsplit(url).hostname} sends us on and on, and does not answer in time.")
        raise Misconfigured("The server sends us in circles. Please check the address.")

    def is_at_home(self, url: str) -> bool:
        """True when the credentials may be sent to this address."""
        return _is_at_home(self.url, urljoin(self.url, url))

    def close(self) -> None:
        """End all connections."""
        self._client.close()

    def _send_once(
        self, method: str, url: str, body: str, *, headers: Mapping[str, str], seconds: float, limit: int
    ) -> DavAnswer:
        # python-caldav hands this on as it is; requests takes connecting and the rest apart.
        self._client.timeout = (CONNECT_SECONDS, seconds)  # type: ignore[assignment]
        self._gate.limit = limit
        answer = self._ask(method, url, body, headers)
        if answer.status == 401 and (self._turn_to_digest(answer.headers) or self._turn_to_latin()):
            answer = self._ask(method, url, body, headers)
        return answer

    def _ask(self, method: str, url: str, body: str, headers: Mapping[str, str]) -> DavAnswer:
        try:
            self._client.request(url, method, body, headers)
        except (caldav_error.AuthorizationError, caldav_error.RateLimitError):
            pass  # The library raises where we want to see the answer; the gate has kept it.
        except etree.XMLSyntaxError as error:
            raise BadAnswer("The server's answer broke off or is no XML.") from error
        except UnicodeError as error:  # Digest names the user in a header, which holds fewer letters
            raise Misconfigured(
                "This server's way of signing in knows no such letters as the user name has."
            ) from error
        except (requests.exceptions.RequestException, OSError) as error:
            raise self._gate.with_partial(error_of_failure(error, url)) from error
        got, reading = self._gate.take_answer()
        preconditions = (
            frozenset(caldav_error.parse_preconditions(got.content)) if got.status_code >= 400 else frozenset()
        )
        return DavAnswer(url, got.status_code, got.headers, reading.body(), reading.multistatus(), preconditions)

    def _turn_to_digest(self, headers: Mapping[str, str]) -> bool:
        offered = extract_auth_types(headers.get("WWW-Authenticate", ""))
        if "digest" not in offered or "basic" in offered:
            return False
        self._client.auth_type = None
        self._client.build_auth_object(["digest"])
        return True

    def _turn_to_latin(self) -> bool:
        """Once, and only where that makes a difference: a password that is refused over and over locks accounts."""
        auth = self._sign_in.latin()
        if auth is not None:
            self._client.auth = auth
        return auth is not None


class _Gate:
    """Stands where python-caldav expects a `requests.Session`."""

    def __init__(self, home: str, http_session: Any) -> None:
        self._home = home
        self._session = http_session
        self._answer: tuple[requests.Response, AnswerReading] | None = None
        self._reading = AnswerReading()
        self.limit = USUAL_BYTES
        self.silence_allowed = 0.0

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        if not _is_at_home(self._home, url):
            raise Misconfigured(
                f"The server sends us to another place, {_origin(url)}. If you trust it, enter that address instead."
            )
        self._session.answer_limit, self._session.silence_allowed = self.limit, self.silence_allowed
        self._reading = reading = AnswerReading()
        # verify, cert and proxies are the guarded session's own business.
        wanted = {name: options.get(name) for name in ("data", "headers", "auth", "timeout")}
        answer: requests.Response = self._session.request(
            method, url, allow_redirects=False, into=reading.begin, **wanted
        )
        # The library would look for XML in whatever it gets; it gets refusals alone, to find out what they ask for.
        answer._content = reading.refusal()
        self._answer = answer, reading
        return answer

    def take_answer(self) -> tuple[requests.Response, AnswerReading]:
        """The answer to the last request, given out once."""
        answer, self._answer = self._answer, None
        if answer is None:
            raise BadAnswer("The server gave no answer.")
        return answer

    def with_partial(self, error: ProviderError) -> ProviderError:
        """The error, with what came before the answer became too large."""
        if isinstance(error, AnswerTooLarge):
            error.partial = self._reading.partial()
        return error

    def close(self) -> None:
        self._session.close()


def checked_url(url: str) -> str:
    """An address as people type it, made whole. Raises Misconfigured with a sentence about what is missing."""
    url = url.strip()
    if "://" not in url:
        url = f"https://{url}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Misconfigured("This is no address of a calendar server.") from error
    if parts.scheme not in ("http", "https") or not host or parts.username or re.search(r"[\s\\]", url):
        raise Misconfigured("This is no address of a calendar server. It should begin with https://.")
    return urlunsplit((parts.scheme, parts.netloc, canonical_path(parts.path or "/"), "", ""))


def canonical_path(path: str) -> str:
    """A path written in one way, for servers name the same object now with, now without percent signs."""
    if _PLAIN_PATH.fullmatch(path):
        return path
    return "/".join(quote(unquote(segment), safe="!$&'()*+,;=:@~") for segment in path.split("/"))


def path_of(href: str) -> str:
    """The canonical path of a href, which may be a whole address."""
    href = href.strip()
    return canonical_path(urlsplit(href).path if "://" in href[:10] else href)


def _is_at_home(home: str, url: str) -> bool:
    ours, theirs = urlsplit(home), urlsplit(url)
    if (ours.scheme, ours.hostname, _port(ours)) == (theirs.scheme, theirs.hostname, _port(theirs)):
        return True
    if theirs.scheme != "https":
        return False
    if ours.hostname == theirs.hostname and ours.scheme == "http":
        return True
    return any(
        str(ours.hostname).endswith(f".{house}") and str(theirs.hostname).endswith(f".{house}") for house in _ONE_HOUSE
    )


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"[:200]
