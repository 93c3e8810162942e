"""One signed-in Google account: method calls out, JSON in. Called by the other `google_*` modules, by nobody else.

google-api-python-client knows the methods, their parameters and paths from the discovery document that comes with it, so nothing
can be called that does not exist. The connection is ours: in place of httplib2 it is given a gate that sends everything through the
guarded HTTP session, adds the token, asks for another one once, and keeps to the account's pace. The library takes 20 MB and a
quarter of a second to import, so that waits for the first request of a process; what it builds is kept for all accounts. The last look
alone, in web processes, does without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote, urlencode

import requests

from providers.calendars.base import AccessTokens
from providers.calendars.google.errors import Unclear, error_of, error_of_failure, refusal_of
from providers.calendars.google.pace import Pace, pace_of
from providers.errors import AccessRevoked, ProviderError, Throttled

Json: TypeAlias = dict[str, Any]

CONNECT_SECONDS = 5.0
USUAL_SECONDS = 20.0
LISTING_SECONDS = 60.0
"""One page of a list, 2,500 events at most."""

USUAL_BYTES = 10_000_000
LISTING_BYTES = 64_000_000
MAX_PAGES = 1_000
_SILENT = ("events.delete", "channels.stop")


class GoogleWire:
    """The way to one account. Not shared between threads."""

    def __init__(
        self,
        *,
        tokens: AccessTokens,
        account_name: str,
        api_url: str,
        http_session: Any,
        pace: Pace | None = None,
    ) -> None:
        self._api_url = api_url
        self._gate = _Gate(tokens, http_session, pace or pace_of(api_url, account_name))
        self._session = http_session

    def send(
        self,
        method: str,
        *,
        if_match: str | None = None,
        seconds: float = USUAL_SECONDS,
        limit: int = USUAL_BYTES,
        **parameters: Any,
    ) -> Json:
        """The answer of one method, named as in the document: "events.list". Empty for methods that answer nothing.

        Raises the errors of `errors`, with nothing added: whether a Gone is the event or the calendar, the caller knows.
        """
        request = getattr(_resources(self._api_url)[method.partition(".")[0]], method.partition(".")[2])(**parameters)
        if if_match is not None:
            request.headers["If-Match"] = if_match
        self._gate.seconds, self._gate.limit = seconds, limit
        try:
            found = request.execute(http=self._gate)
        except (ValueError, RecursionError) as error:
            raise Unclear("Google's answer is not readable.") from error
        if method in _SILENT and not found:
            return {}
        return _object(found)

    def pages(self, method: str, *, is_hurried: bool = False, **parameters: Any) -> Iterator[Json]:
        """All pages of a list; one may be empty and still not be the last. Raises Unclear when they do not end.

        `is_hurried`, for "events.list" alone, does without the library: loading it would cost a person who waits half of the patience.
        """
        token, seen = None, set()
        send = self._send_plainly if is_hurried else self.send
        for _ in range(MAX_PAGES):
            page = send(method, pageToken=token, seconds=LISTING_SECONDS, limit=LISTING_BYTES, **parameters)
            yield page
            token = page.get("nextPageToken")
            if not token:
                return
            if token in seen:
                break
            seen.add(token)
        raise Unclear("Google's list does not come to an end.")

    def _send_plainly(self, method: str, *, seconds: float, limit: int, **parameters: Any) -> Json:
        """What `send` does for "events.list", without the library."""
        path = f"calendar/v3/calendars/{quote(parameters.pop('calendarId'), safe='')}/events"
        texts = {name: str(value).lower() if value is True else value for name, value in parameters.items() if value}
        self._gate.seconds, self._gate.limit = seconds, limit
        address = f"{self._api_url.rstrip('/')}/{path}?{urlencode(texts)}"
        _, body = self._gate.request(address, headers={"Accept": "application/json"})
        try:
            return _object(json.loads(body))
        except (ValueError, RecursionError) as error:
            raise Unclear("Google's answer is not readable.") from error

    def close(self) -> None:
        """End all connections."""
        self._session.close()


class _Status(NamedTuple):
    """The one thing that the library reads of an answer's head."""

    status: int


class _Gate:
    """Stands where google-api-python-client expects httplib2. Raises our errors, so that the library never sees a refusal."""

    def __init__(self, tokens: AccessTokens, http_session: Any, pace: Pace) -> None:
        self._tokens, self._session, self._pace = tokens, http_session, pace
        self.seconds, self.limit = USUAL_SECONDS, USUAL_BYTES

    def request(
        self, uri: str, method: str = "GET", body: str | None = None, headers: Mapping[str, str] | None = None, **_: Any
    ) -> tuple[_Status, bytes]:
        token = self._tokens.current()
        try:
            answer = self._ask(uri, method, body, headers or {}, token=token)
        except AccessRevoked:
            # It may merely have ended a moment ago, or the clocks differ. Once; a second refusal is meant.
            answer = self._ask(uri, method, body, headers or {}, token=self._tokens.renew(token))
        return _Status(answer.status_code), answer.content

    def _ask(
        self, uri: str, method: str, body: str | None, headers: Mapping[str, str], *, token: str
    ) -> requests.Response:
        self._pace.take_turn()
        self._session.answer_limit = self.limit
        kept = {name: value for name, value in headers.items() if name.lower() not in ("user-agent", "content-length")}
        try:
            answer: requests.Response = self._session.request(
                method,
                uri,
                data=body.encode() if body else None,
                # Google packs its answers only for programs that say so here, too.
                headers={**kept, "Authorization": f"Bearer {token}", "User-Agent": "Lockstep (gzip)"},
                timeout=(CONNECT_SECONDS, self.seconds),
                allow_redirects=False,
            )
        except (requests.exceptions.RequestException, OSError) as error:
            raise error_of_failure(error) from error
        if answer.status_code >= 300:
            raise self._refused(answer)
        self._pace.note_success()
        return answer

    def _refused(self, answer: requests.Response) -> ProviderError:
        error = error_of(refusal_of(answer.status_code, answer.headers, answer.content))
        return self._pace.slowed(error) if isinstance(error, Throttled) else error


def _object(found: Any) -> Json:
    if not isinstance(found, dict):
        raise Unclear("Something else than Google answered, or the answer broke off.")
    return found


@lru_cache(maxsize=4)
def _resources(api_url: str) -> dict[str, Any]:
    """The API's methods by resource, with every address of the document moved to `api_url`. Shared by all threads: they only read."""
    from googleapiclient.discovery import build_from_document
    from googleapiclient.discovery_cache import get_static_doc

    document = json.loads(get_static_doc("calendar", "v3"))
    root = api_url.rstrip("/") + "/"
    document.update(rootUrl=root, baseUrl=root + document["servicePath"])
    # Each request is executed with a gate of its own; this one is only there so that no credentials are looked for.
    service = build_from_document(document, http=object())
    return {"calendarList": service.calendarList(), "events": service.events(), "channels": service.channels()}
