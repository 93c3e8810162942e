"""A small world for the API's tests, and a wall: every answer of the API must be one that its description promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient

from portal.accounts.operations import add_api_token
from portal.api.openapi import document
from portal.clock import now_utc
from tests.factories import make_resource, make_service
from tests.support.schemas import mismatches

EVERY_DAY = {day: [(0, 1440)] for day in range(7)}


@pytest.fixture(autouse=True)
def answers_as_described(app: Flask) -> Iterator[None]:
    """Fails a test when an answer's status or shape is not in the description."""
    wrong: list[str] = []

    def compare(response: Response) -> Response:
        if request.blueprint == "api" and request.url_rule:
            wrong.extend(_compare(request.url_rule.rule, request.method.lower(), response))
        return response

    app.after_request_funcs.setdefault(None, []).append(compare)
    yield
    app.after_request_funcs[None].remove(compare)
    assert not wrong


def _compare(rule: str, method: str, response: Response) -> list[str]:
    described = document("x")
    path = rule.removeprefix("/api/v1").replace("<", "{").replace(">", "}")
    operation = described["paths"][path].get(method)
    if operation is None:
        return []  # HEAD and OPTIONS
    answer = operation["responses"].get(str(response.status_code))
    if answer is None:
        return [f"{method} {path} answered {response.status_code}, which is not described"]
    ((media_type, content),) = answer["content"].items()
    if response.mimetype != media_type:
        return [f"{method} {path} answered {response.mimetype} instead of {media_type}"]
    return mismatches(response.get_json(), content["schema"], described["components"]["schemas"], where=path)


@pytest.fixture
def token(app: Flask) -> str:
    return add_api_token("tests")


@pytest.fixture
def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def service(app: Flask) -> Any:
    """Half an hour with Ana or Ben, who work around the clock."""
    ana = make_resource(slug="ana", name="Ana", weekly=EVERY_DAY)
    ben = make_resource(slug="ben", name="Ben", weekly=EVERY_DAY)
    return make_service([ana, ben], slug="consultation")


@pytest.fixture
def start_at() -> str:
    """A start that is offered: noon in two days."""
    return (now_utc() + timedelta(days=2)).strftime("%Y-%m-%dT12:00:00Z")


@pytest.fixture
def post(client: FlaskClient, bearer: dict[str, str]) -> Callable[..., Any]:
    """POST a booking: `post(start_at)`, `post(start_at, key="...", resource="ana")`."""

    def send(start_at: str, *, key: str = "key-number-1", **more: Any) -> Any:
        body = {
            "service": "consultation",
            "start_at": start_at,
            "customer": {"name": "Clara", "email": "clara@example.org"},
        }
        return client.post("/api/v1/bookings", json={**body, **more}, headers={**bearer, "Idempotency-Key": key})

    return send
