"""Copies of a whole installation, made as people make them: the SQLite file copied, the PostgreSQL database cloned."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from portal.app import create_app
from portal.config import Settings
from portal.database.engine import empty_journal, transaction
from portal.extensions import db
from portal.instance.models import Instance
from tests.support import databases


@contextmanager
def copied(settings: Settings, folder: Path, *, name: str = "lockstep_test_copy") -> Iterator[Flask]:
    """An application on a copy of this one's database and keys, in another folder, with its context pushed."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(settings.data / "keys", folder / "keys", dirs_exist_ok=True)
    if db.engine.dialect.name == "sqlite":
        empty_journal()
        shutil.copy2(db.engine.url.database or "", folder / "lockstep.sqlite3")
        url = databases.sqlite_url(folder)
    else:
        url = _cloned(settings.database_url, name)
    app = create_app(dataclasses.replace(settings, data=folder, database_url=url))
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    with inside(app):
        yield app


@contextmanager
def inside(app: Flask) -> Iterator[Flask]:
    """This application's context, and its connections given back at the end."""
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def make_foreign() -> None:
    """As if the data had come from elsewhere, for tests in which it does not matter how that was noticed."""

    def work(session: object) -> None:
        session.merge(Instance(id=1, identity={"database": "another one"}))  # type: ignore[attr-defined]

    from portal.upkeep.adoption import settle

    transaction(work)
    assert not settle().is_ours


def _cloned(url: str, name: str) -> str:
    db.session.remove()
    db.engine.dispose()  # nobody may be connected to a template
    engine = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{make_url(url).database}"'))
    engine.dispose()
    return make_url(url).set(database=name).render_as_string(hide_password=False)
