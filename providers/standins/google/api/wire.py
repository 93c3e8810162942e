"""One request to the Calendar API, from its bytes to the bytes of the answer: who asks, what for, may they, is it well made.

Knows nothing of Flask, so that the parts of a batch go the same way. Called by `providers.standins.google.app` and `batch`.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from providers.standins.google.api import methods, partial, schema
from providers.standins.google.api.call import Call, House, NotModified
from providers.standins.google.people.oauth import AccessToken, Grants
from providers.standins.google.problems import Refused, envelope, violation

Json = dict[str, Any]
ROOT = "/calendar/v3/"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came in. `path` is still quoted; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, body: Json | None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is None:
            return cls(status, b"", named)
        packed = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        return cls(status, packed, {"Content-Type": "application/json; charset=UTF-8", **named})


@dataclass(slots=True)
class Served:
    """What was served: the answer, and what the log says about it."""

    answer: Answer
    name: str = ""
    account: str = ""


class Wire:
    """The way into the API."""

    def __init__(self, house: House, grants: Grants) -> None:
        self._house = house
        self._grants = grants
        self._asked_at: dict[str, deque[float]] = defaultdict(deque)

    def serve(self, asked: Asked) -> Served:
        """Never raises: whatever goes wrong becomes an answer as Google would send it."""
        served = Served(Answer(500))
        try:
            served.answer = self._answer(asked, served)
        except NotModified:
            served.answer = Answer(304)
        except Refused as refused:
            if refused.is_violation:
                self._house.world.violate(f"{asked.method} {unquote(asked.path)}: {refused.message}")
            served.answer = Answer.of(refused.status, refused.body(), **_challenge(refused))
        return served

    def name_of(self, asked: Asked) -> str:
        """The method's name in the discovery document; empty for what is none."""
        found = schema.find_method(asked.method, asked.path.removeprefix(ROOT))
        return found[0].name if found else ""

    def _answer(self, asked: Asked, served: Served) -> Answer:
        found = schema.find_method(asked.method, asked.path.removeprefix(ROOT))
        if found is None:
            raise Refused("notFound", is_violation=True)
        method, holes = found
        served.name = method.name
        token = self._token(asked)
        served.account = token.account
        self._count(token.account)
        if not method.scopes & token.scopes:
            raise Refused("insufficientPermissions")
        parameters = self._parameters(method, asked, holes)
        handler = methods.METHODS.get(method.name)
        if handler is None:
            self._house.world.violate(f"The stand-in does not know {method.name}.")
            return Answer.of(501, envelope(501, "notImplemented", message=f"The stand-in does not know {method.name}."))
        call = Call(
            house=self._house,
            account=self._house.world.accounts[token.account],
            parameters=parameters,
            body=self._body(method, asked),
            headers=asked.headers,
        )
        with self._house.world.lock:
            body = handler(call)
        return self._told(method, body, parameters)

    def _count(self, account: str) -> None:
        """Raises Refused above the quota of the account, over a sliding minute (guides/quota)."""
        quota, now = self._house.world.switches.quota, time.monotonic()
        if not quota:
            return
        with self._house.world.lock:
            asked_at = self._asked_at[account]
            while asked_at and asked_at[0] < now - 60:
                asked_at.popleft()
            if len(asked_at) >= quota:
                raise Refused("userRateLimitExceeded")
            asked_at.append(now)

    def _token(self, asked: Asked) -> AccessToken:
        kind, _, value = asked.headers.get("authorization", "").partition(" ")
        if not value:
            raise Refused("required", "Login Required", status=401, location=("header", "Authorization"))
        token = self._grants.access(value) if kind == "Bearer" else None
        if token is None:
            raise Refused("authError", location=("header", "Authorization"))
        return token

    def _parameters(self, method: schema.Method, asked: Asked, holes: Mapping[str, str]) -> Json:
        parameters, problems = schema.read_parameters(method, parse_qsl(asked.query, keep_blank_values=True))
        if problems:
            raise violation(" ".join(problems))
        return {**parameters, **{name: unquote(value) for name, value in holes.items()}}

    def _body(self, method: schema.Method, asked: Asked) -> Json:
        if method.request is None:
            return {}
        try:
            body = json.loads(asked.body or b"{}")
        except ValueError:
            raise Refused(
                "parseError", "This API does not support parsing form-encoded input.", is_violation=True
            ) from None
        problems = schema.problems_of(method.request, body, nulls=True)
        if problems:
            raise violation("Invalid JSON payload received. " + " ".join(problems))
        assert isinstance(body, dict)
        return body

    def _told(self, method: schema.Method, body: Json | None, parameters: Json) -> Answer:
        """The answer, if it is as Google's would be; else our own fault, which no test shall miss."""
        if body is None:
            return Answer(204)
        assert method.response is not None
        problems = schema.problems_of(method.response, body) + schema.missing_in(method.response, body)
        if problems:
            self._house.world.violate(*(f"Our own answer to {method.name}: {problem}" for problem in problems[:20]))
            return Answer.of(500, envelope(500, "internalError", message=f"Stand-in at fault: {problems[0]}"))
        etag = {"ETag": body["etag"]} if isinstance(body.get("etag"), str) else {}
        if "fields" in parameters:
            body = partial.selected(body, parameters["fields"])
        return Answer.of(200, body, **etag)


def row_of(asked: Asked, served: Served, *, began: float, status: int) -> Json:
    """A line of the request log."""
    return {
        "method": asked.method,
        "path": unquote(asked.path),
        "query": dict(parse_qsl(asked.query, keep_blank_values=True)),
        "status": status,
        "account": served.account,
        "api": served.name,
        "at": time.time(),
        "seconds": round(time.monotonic() - began, 4),
    }


def _challenge(refused: Refused) -> dict[str, str]:
    if refused.status == 401:
        return {"WWW_Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}
    return {}
