"""One Radicale and one house on each database, for all tests of this folder: processes are dear."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.config import Settings
from portal.extensions import db
from tests.faults.house import House, make_house
from tests.providers.servers import RadicaleServer
from tests.support import databases
from tests.support.google_server import GoogleServer


@pytest.fixture(scope="module")
def radicale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadicaleServer]:
    with RadicaleServer(tmp_path_factory.mktemp("radicale"), {"ana": "secret"}) as server:
        yield server


@pytest.fixture(scope="module")
def sqlite_house(
    base_settings: Settings, tmp_path_factory: pytest.TempPathFactory, radicale: RadicaleServer
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    yield from _inhabited(_settings(base_settings, folder, databases.sqlite_url(folder)), radicale)


@pytest.fixture(scope="module")
def postgres_house(
    base_settings: Settings, tmp_path_factory: pytest.TempPathFactory, radicale: RadicaleServer, postgres_url: str
) -> Iterator[House]:
    url = databases.create_postgres_database(postgres_url, f"lockstep_faults_{os.getpid()}")
    yield from _inhabited(_settings(base_settings, tmp_path_factory.mktemp("pghouse"), url), radicale)


@pytest.fixture(scope="module")
def google_house(base_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("googlehouse")
    with GoogleServer(folder / "google") as server:
        yield from _inhabited(_settings(base_settings, folder, databases.sqlite_url(folder)), server)
        assert server.violations() == [], "all that was sent has Google's shapes"


@pytest.fixture
def house(sqlite_house: House) -> Iterator[House]:
    """Freshly furnished, on SQLite, with its app context pushed."""
    with sqlite_house.app.app_context():
        sqlite_house.furnish()
        yield sqlite_house
        db.session.remove()


def _settings(base: Settings, folder: Path, url: str) -> Settings:
    return dataclasses.replace(base, data=folder, database_url=url)


def _inhabited(settings: Settings, server: RadicaleServer | GoogleServer) -> Iterator[House]:
    house = make_house(settings, server)
    yield house
    with house.app.app_context():
        db.session.remove()
        db.engine.dispose()
