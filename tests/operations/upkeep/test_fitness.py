"""`web`, `worker` and `worker.py` start on a database that is fit for it alone: tables of this version, and keys that refuse double bookings."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from portal.app import create_app
from portal.commands import main
from portal.database import schema
from portal.errors import Invalid
from portal.extensions import db
from portal.upkeep.fitness import NotFit, require_fit
from tests.providers.servers import free_port
from tests.support import databases

ROOT = Path(__file__).resolve().parents[3]
DAMAGES = {
    "older": ("UPDATE alembic_version SET version_num = '0001'", "lockstep db upgrade"),
    "newer": ("UPDATE alembic_version SET version_num = '9999'", "newer Lockstep"),
    "unguarded": (
        "ALTER TABLE claim RENAME TO claim_kept; CREATE TABLE claim AS SELECT * FROM claim_kept",
        "two claims",
    ),
}


@pytest.fixture(params=DAMAGES)
def damaged(request, make_settings, tmp_path):
    """The sentence that is expected, and the settings of an instance with this damage."""
    statements, sentence = DAMAGES[request.param]
    settings = make_settings(data=tmp_path / "data", database_url=databases.sqlite_url(tmp_path))
    databases.migrate(settings)
    damage(settings, statements)
    return sentence, settings


def damage(settings, statements):
    with create_app(settings).app_context():
        with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
            for statement in statements.split(";"):
                connection.exec_driver_sql(statement)
        db.engine.dispose()


@pytest.mark.parametrize("arguments", [("web", "--port", str(free_port())), ("worker",)], ids=["web", "worker"])
def test_neither_serves_nor_works_on_a_database_that_is_not_fit(damaged, arguments, monkeypatch, capsys):
    sentence, settings = damaged
    monkeypatch.chdir(settings.data)
    monkeypatch.setenv("LOCKSTEP_DATA", str(settings.data))
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main.run(arguments) == 1
    complaint = capsys.readouterr().err
    assert sentence in complaint
    assert complaint.startswith("lockstep: ")


def test_worker_py_says_it_in_one_sentence(make_settings, tmp_path):
    settings = make_settings(data=tmp_path / "data", database_url=databases.sqlite_url(tmp_path))
    databases.migrate(settings)
    damage(settings, DAMAGES["newer"][0])
    environ = {**os.environ, "LOCKSTEP_DATA": str(settings.data), "DATABASE_URL": settings.database_url}
    done = subprocess.run(
        [sys.executable, str(ROOT / "worker.py")], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "newer Lockstep" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_database_of_this_version_is_fit(app):
    require_fit()


def test_a_database_without_the_key_of_claims_is_not_fit(app):
    with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
        connection.execute(text("ALTER TABLE claim RENAME TO claim_kept"))
        connection.execute(text("CREATE TABLE claim (resource_id INTEGER, quantum_no INTEGER, appointment_id INTEGER)"))
    try:
        with pytest.raises(NotFit, match="double bookings would be possible"):
            require_fit()
    finally:
        db.session.remove()
        with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
            connection.execute(text("DROP TABLE claim"))
            connection.execute(text("ALTER TABLE claim_kept RENAME TO claim"))


def test_a_database_of_another_version_is_not_fit(app):
    try:
        for revision, sentence in (("0001", "not up to date"), ("9999", "newer Lockstep")):
            _stamp(revision)
            with pytest.raises(Invalid, match=sentence):
                require_fit()
    finally:
        _stamp(schema.newest())


def _stamp(revision):
    with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
