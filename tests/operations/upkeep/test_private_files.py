"""What stands in the data folder is for its owner alone, and what a customer typed does not get into logs by way of the database."""

from __future__ import annotations

import os
import stat
import traceback

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from portal.app import create_app
from portal.booking.models import Booking, Claim
from portal.business.models import Resource
from portal.customers.models import MailedCode
from portal.database import schema
from portal.extensions import db
from portal.upkeep.doctor import examine
from portal.upkeep.private_files import create_private, make_private, open_to_others, write_private
from tests.support import databases


def readable_by_others(folder):
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.relative_to(folder).parts[0] != "static" and stat.S_IMODE(path.stat().st_mode) & 0o077
    )


@pytest.fixture
def instance(make_settings, tmp_path):
    """A new instance of a user whose other files may be read by all; gives its settings."""
    before = os.umask(0o022)
    settings = make_settings(data=tmp_path / "data", database_url=databases.sqlite_url(tmp_path / "data"))
    with create_app(settings).app_context():
        schema.upgrade()
        yield settings
        db.session.remove()
        db.engine.dispose()
    os.umask(before)


def test_a_new_instance_lets_nobody_read_its_database_nor_what_lies_beside_it(instance):
    db.session.execute(text("SELECT 1 FROM booking"))
    names = {path.name for path in instance.data.iterdir()}
    assert {"lockstep.sqlite3", "lockstep.sqlite3-wal", "lockstep.sqlite3-shm", "keys"} <= names
    assert readable_by_others(instance.data) == []


def test_what_an_older_version_left_readable_is_mended_at_the_start(instance):
    for name in ("mail", "backups", "queue"):
        (instance.data / name).mkdir()
        (instance.data / name / "file").touch()
    (instance.data / "queue" / "appendonlydir").mkdir()
    for name in ("serve.lock", "hook-counts", "of-somebody-else.txt"):
        (instance.data / name).touch()
    for path in instance.data.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert len(open_to_others(instance)) > 10
    assert any(f.subject == "files" and f.state == "bad" for f in examine())
    create_app(instance)
    assert open_to_others(instance) == []
    assert readable_by_others(instance.data) == ["of-somebody-else.txt"]
    assert [f.state for f in examine() if f.subject == "files"] == ["ok"]


def test_a_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    for number, write in enumerate(
        (lambda path: os.close(create_private(path)), lambda path: write_private(path, "x"))
    ):
        planted = tmp_path / f"planted-{number}"
        planted.symlink_to(victim)
        write(planted)
        assert victim.read_text() == "theirs"
        assert stat.S_IMODE(planted.stat().st_mode) == 0o600


def test_a_missing_folder_is_said_when_the_database_is_opened(make_settings, tmp_path):
    make_private(make_settings(data=tmp_path, database_url=f"sqlite:///{tmp_path}/none/x.sqlite3"))
    assert not (tmp_path / "none").exists()


MARKERS = ("zsofia", "quillmarker", "note of 555", "second line")


def refused_statements():
    guest = {"public_id": "zsofia", "customer_name": "Zsofia", "customer_email": "quillmarker@example.org"}
    yield insert(Booking).values(**guest, note="note of 555\n\nsecond line", status="no such status")
    yield insert(Booking).values(**guest, appointment_id=99999, status="held", note="note of 555")
    yield insert(MailedCode).values(public_id="zsofia", email="quillmarker@example.org")
    yield insert(Claim).values(resource_id=99999, quantum_no=1, appointment_id=2)
    yield insert(Resource).values(slug="zsofia", kind="quillmarker", name="note of 555\n\nsecond line", zone="UTC")


def test_what_was_typed_stands_in_no_error_of_the_database(app):
    refused = 0
    for statement in refused_statements():
        try:
            with db.session.begin_nested():
                db.session.execute(statement)
        except DBAPIError as error:
            refused += 1
            told = "".join(traceback.format_exception(error)).lower()
            assert not [
                marker for marker in MARKERS if marker in told.partition("[sql:")[0] + told.partition("[sql:")[2]
            ]
        db.session.rollback()
    assert refused == 5


def test_no_parameter_of_a_statement_stands_in_the_log(app, client, monkeypatch):
    *_, statement = refused_statements()

    def refuse(*_args, **_values):
        db.session.execute(statement)

    monkeypatch.setattr("portal.booking.time.queries.list_services", refuse)
    with capture_logs() as lines:
        assert client.get("/api/v1/services").status_code == 500
    (line,) = [line for line in lines if line["event"] == "unexpected error"]
    printed = "".join(traceback.format_exception(line["exc_info"])).lower()
    assert "integrityerror" in printed
    assert not [marker for marker in MARKERS if marker in printed]
