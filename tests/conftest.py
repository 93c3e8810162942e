"""Fixtures for the whole suite: an app on each database, and a wall that no test can reach outside of this machine through.

`app` runs a test twice, on SQLite and on PostgreSQL, with empty tables and an app context pushed.
`sqlite_app` is for what does not depend on the database.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal import clock
from portal.app import create_app
from portal.config import Settings
from portal.extensions import db, limiter
from portal.timekeeping import timekeeper
from tests.support import databases, postgres

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

pytest.register_assert_rewrite("tests.providers.contract")

MEMORY, ROOM = Path("/dev/shm"), 2 * 1024**3
LONG = ("journeys", "faults", "browser", "providers")
NO_CHROMIUM = "The pages were not tested in a browser: install Chromium (Debian: chromium)."
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]


def pytest_configure() -> None:
    """Files of tests lie in memory where the machine has the room: nobody waits for a disk. Processes are killed here, the power is never cut."""
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        tempfile.tempdir = str(MEMORY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of few and long tests first: of two processes none is then left alone with them at the end (`make test` keeps this order)."""
    items.sort(key=lambda item: item.path.relative_to(item.config.rootpath).parts[1] not in LONG)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL that may be filled: TEST_POSTGRES_URL, or a cluster of our own. Missing is a failure under CI, a skip elsewhere."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    programs = postgres.find_programs()
    if programs is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(postgres.MISSING)
    cluster = postgres.Cluster(programs)
    yield cluster.url
    cluster.stop()


@pytest.fixture(scope="session")
def base_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("lockstep")
    return Settings(
        data=folder,
        database_url=databases.sqlite_url(folder),
        url="http://localhost",
        secret_key="a key of the tests that is long enough",
    )


@pytest.fixture(scope="session")
def _sqlite_app(base_settings: Settings) -> Iterator[Flask]:
    databases.migrate(base_settings)
    yield from _test_app(base_settings)


@pytest.fixture(scope="session")
def _postgres_app(base_settings: Settings, postgres_url: str) -> Iterator[Flask]:
    url = databases.create_postgres_database(postgres_url, f"lockstep_test_{os.getpid()}")
    settings = dataclasses.replace(base_settings, database_url=url)
    databases.migrate(settings)
    yield from _test_app(settings)


@pytest.fixture(params=["sqlite", "postgresql"])
def app(request: pytest.FixtureRequest) -> Iterator[Flask]:
    """The application on an empty database, each test once per database."""
    yield from _fresh(request.getfixturevalue("_sqlite_app" if request.param == "sqlite" else "_postgres_app"))


@pytest.fixture
def sqlite_app(_sqlite_app: Flask) -> Iterator[Flask]:
    yield from _fresh(_sqlite_app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def make_settings(base_settings: Settings, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of an instance of its own, for tests that start processes."""

    def make(**changes: object) -> Settings:
        values = {"data": tmp_path, "database_url": databases.sqlite_url(tmp_path), **changes}
        return dataclasses.replace(base_settings, **values)

    return make


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, which asks for British English unless a test says otherwise; one for all tests of a process. Missing is a failure under CI, a
    skip elsewhere."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NO_CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_ARGUMENTS)
        browser.new_context = partial(_new_context, browser.new_context)  # type: ignore[method-assign]
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to any address but loopback fail the test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]  # type: ignore[index]
            if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
                raise AssertionError(f"A test tried to reach {host}.")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


def _new_context(new_context: Callable[..., BrowserContext], **options: Any) -> BrowserContext:
    context = new_context(**{"locale": "en-GB", **options})
    if clock.DATABASE_SHIFT:  # all processes' clocks were moved (tests/support/moments.py): the pages' scripts follow
        context.add_init_script(_MOVED_DATE % (clock.DATABASE_SHIFT.total_seconds() * 1000))
        context.clock.install = partial(_install_clock, context.clock.install)  # type: ignore[method-assign]
    return context


_MOVED_DATE = """
globalThis.Date = class extends Date {
    constructor(...given) { given.length ? super(...given) : super(new.target.now()); }
    static now() { return super.now() + %d; }
};
"""


def _install_clock(install: Callable[..., None], *, time: datetime | None = None) -> None:
    """A time that a test sets is moved already, and the script above moves it once more."""
    install(time=time and time - clock.DATABASE_SHIFT)


class Client(FlaskClient):
    """Gives each request an app context of its own, as a server does. A request would else share the test's: `flask.g`, and with it the
    signed-in user, would go over from one request to the next. Rows read before a request are stale after it: `db.session.rollback()`."""

    def open(self, *args: Any, **values: Any) -> Any:
        with self.application.app_context():
            return super().open(*args, **values)


def _test_app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False, BUDGETS=False)
    app.test_client_class = Client
    limiter.enabled = False  # it reads its configuration once, in create_app
    yield app
    with app.app_context():
        db.engine.dispose()


def _fresh(app: Flask) -> Iterator[Flask]:
    with app.app_context():
        # Whoever reads SQLite's file in this process (a test that looks for traces in it) ends the locks of its open connections: another process
        # may then take the journal away from under them. So each test opens its own.
        db.session.remove()
        if db.engine.dialect.name == "sqlite":
            db.engine.dispose()
        databases.empty(app)
        app.extensions.pop(timekeeper.KEY, None)  # a worker's watch over a clock that the next test may move
        yield app
        db.session.remove()
