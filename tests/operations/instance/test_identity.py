"""What tells an installation from a copy of it, and what does not."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sqlite3

import pytest
from sqlalchemy import create_engine

from portal.app import create_app
from portal.extensions import db
from portal.instance import identity
from portal.instance.identity import address_of, differences, read_identity
from portal.instance.models import Instance
from portal.upkeep.adoption import settle
from tests.support.copies import copied, inside


def test_the_first_start_adopts_by_itself_and_later_ones_change_nothing(app):
    assert settle().is_ours
    adopted_at = db.session.get_one(Instance, 1).adopted_at
    assert settle().is_ours
    db.session.rollback()
    assert db.session.get_one(Instance, 1).adopted_at == adopted_at


def test_a_copied_database_is_noticed_and_the_original_goes_on(app, tmp_path):
    settle()
    with copied(app.extensions["settings"], tmp_path / "copy"):
        assert settle().differences == ("database",)
        assert not settle().is_ours  # and stays so
    assert settle().is_ours


def test_a_copy_of_a_copy_is_noticed(app, tmp_path):
    settle()
    with copied(app.extensions["settings"], tmp_path / "copy") as copy:
        settle()
        with copied(copy.extensions["settings"], tmp_path / "again", name="lockstep_test_again"):
            assert settle().differences == ("database",)


def test_a_file_put_back_at_the_same_path_is_noticed(sqlite_app, tmp_path):
    settle()
    with copied(sqlite_app.extensions["settings"], tmp_path / "copy") as copy:
        db.session.remove()
        (tmp_path / "there").mkdir()
        shutil.copy2(tmp_path / "copy" / "lockstep.sqlite3", tmp_path / "there" / "lockstep.sqlite3")
        before = read_identity(copy.extensions["settings"], db.engine)
        os.replace(tmp_path / "there" / "lockstep.sqlite3", tmp_path / "copy" / "lockstep.sqlite3")
        assert differences(before, read_identity(copy.extensions["settings"], db.engine)) == ("database",)


def test_a_renamed_folder_is_no_copy(tmp_path):
    (tmp_path / "old").mkdir()
    sqlite3.connect(tmp_path / "old" / "lockstep.sqlite3").execute("CREATE TABLE t (n)").connection.close()
    before = _of(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "new" / "lockstep.sqlite3").chmod(0o600)
    assert differences(before, _of(tmp_path / "new")) == ()


def test_several_machines_on_one_postgresql_are_one_installation(request, tmp_path):
    app = request.getfixturevalue("_postgres_app")
    with app.app_context():
        settle()
        settings = dataclasses.replace(app.extensions["settings"], data=tmp_path / "worker")
        with inside(create_app(settings)):
            assert settle().is_ours


def test_where_a_file_system_knows_no_births_the_number_of_the_file_and_its_path_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "_birth", lambda _path: "")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lockstep.sqlite3").touch()
    assert _of(tmp_path / "one") == _of(tmp_path / "one")
    assert differences(_of(tmp_path / "one"), _of(tmp_path / "two")) == ("database",)


def test_another_machine_is_noticed_and_a_container_that_is_started_anew_is_not(tmp_path, monkeypatch):
    (tmp_path / "lockstep.sqlite3").touch()
    monkeypatch.setattr(identity, "_machine", lambda: "machine-1")
    here = _of(tmp_path)
    monkeypatch.setattr(identity, "_machine", lambda: "machine-2")
    assert differences(here, _of(tmp_path)) == ("machine",)
    monkeypatch.setattr(identity, "_machine", lambda: "")
    assert differences(here, _of(tmp_path)) == ()


def test_another_public_address_is_noticed(sqlite_app, tmp_path):
    settings = dataclasses.replace(sqlite_app.extensions["settings"], url="https://booking.example")
    with inside(create_app(settings)):
        assert settle().is_ours
    with inside(create_app(dataclasses.replace(settings, url="http://booking.example"))):
        assert settle().is_ours
    with inside(create_app(dataclasses.replace(settings, url="https://staging.example"))):
        assert settle().differences == ("address",)
    assert settle().is_ours  # a command without LOCKSTEP_URL


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", ""),
        ("http://localhost:8000", ""),
        ("http://[::1]:8000", ""),
        ("http://0.0.0.0:8000", ""),
        ("https://Booking.example/", "booking.example"),
        ("http://192.168.1.5:8000", "192.168.1.5:8000"),
    ],
)
def test_an_address_of_this_machine_alone_says_nothing(url, address):
    assert address_of(url) == address


def _of(folder):
    engine = create_engine(f"sqlite:///{folder / 'lockstep.sqlite3'}")
    from portal.config import Settings

    return read_identity(Settings(data=folder), engine)
