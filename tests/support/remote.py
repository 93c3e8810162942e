"""Lets a `Visitor` walk through a portal that runs in processes of its own: looks like an app, speaks HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import requests


class RemoteApp:
    """Takes the place of a Flask app for `Visitor(app)`."""

    def __init__(self, base: str) -> None:
        self._base = base

    def test_client(self) -> RemoteClient:
        return RemoteClient(self._base)


class RemoteClient:
    """The two calls of Werkzeug's test client that a visitor makes, over real HTTP and with cookies."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._session = requests.Session()

    def get(self, url: str, *, query_string: Mapping[str, str] | None = None, headers: Any = None, **_: Any) -> _Answer:
        answer = self._session.get(urljoin(self._base, url), params=query_string, headers=headers, timeout=20)
        return _Answer(answer)

    def post(self, url: str, *, data: Mapping[str, str] | None = None, headers: Any = None, **_: Any) -> _Answer:
        return _Answer(self._session.post(urljoin(self._base, url), data=data, headers=headers, timeout=20))


@dataclass(frozen=True, slots=True)
class _Request:
    url: str


class _Answer:
    def __init__(self, answer: requests.Response) -> None:
        self.status_code = answer.status_code
        self.headers = answer.headers
        self.request = _Request(answer.url)
        self._text = answer.text

    def get_data(self, *, as_text: bool = True) -> str:
        return self._text
