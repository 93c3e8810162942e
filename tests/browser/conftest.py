"""A real Chromium against a real server with a real database."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, ConsoleMessage, Page
from werkzeug.serving import WSGIRequestHandler, make_server

from tests import factories

EVERY_DAY = {day: [(9 * 60, 17 * 60)] for day in range(7)}
# What the browser says of an answer such as 409 or 422, which our pages show to the person.
EXPECTED = "Failed to load resource: the server responded with a status of 4"


@pytest.fixture
def address(sqlite_app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The base address of a running portal with one service, given by Ana and Ben every day from 9 to 17."""
    people = [factories.make_resource(slug=name.lower(), name=name, weekly=EVERY_DAY) for name in ("Ana", "Ben")]
    factories.make_service(
        people,
        slug="consultation",
        name="First consultation",
        location="Calle Mayor 12",
        description="A calm half hour.",
        horizon=100,
    )
    sqlite_app.config["WTF_CSRF_ENABLED"] = True
    server = make_server("127.0.0.1", 0, sqlite_app, threaded=True, request_handler=_Quiet)
    server.daemon_threads, server.block_on_close = True, False  # browsers open connections that they never use
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(5)
    server.server_close()
    sqlite_app.config["WTF_CSRF_ENABLED"] = False


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A fresh visitor in Madrid; the test fails if the page ran into an error or against its own security policy."""
    context = browser.new_context(
        base_url=address, timezone_id="Europe/Madrid", viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(8000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.extend(_complaint(message)))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def _complaint(message: ConsoleMessage) -> list[str]:
    return [message.text] if message.type in ("error", "warning") and not message.text.startswith(EXPECTED) else []


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Nothing: the test says what went wrong."""
