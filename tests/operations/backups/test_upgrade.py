"""A filled database of every former revision is upgraded without losing a row; there is a backup of it; what is killed in between has not begun.

The rows are made from what the database of that time says of itself, so a new revision is covered as soon as it stands in the folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import signal
import stat
import zipfile

import pytest
from sqlalchemy import CheckConstraint, UniqueConstraint, inspect, select, text

from portal.accounts.models import SCOPES, ApiToken, SetupLink
from portal.app import create_app
from portal.backups import upgrade
from portal.backups.backup import restore_backup
from portal.backups.upgrade import bring_up_to_date
from portal.calendars.models import UnknownBooking
from portal.database import schema
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.process.serve import prepare
from tests.support import databases, filling

FORMER = sorted(set(schema.revisions()) - {schema.newest()})
EMPTIED = {"connection_draft": "0003"}
"""Table -> the revision whose upgrade empties it on purpose: half-done steps of the last quarter of an hour."""


@pytest.fixture(scope="module")
def rows_of(base_settings, tmp_path_factory):
    """Rows for a revision: what `filling` makes in a scratch database of it."""

    @functools.cache
    def rows_of(revision):
        data = tmp_path_factory.mktemp(f"of-{revision}")
        settings = dataclasses.replace(base_settings, data=data, database_url=databases.sqlite_url(data))
        with create_app(settings).app_context():
            schema.upgrade(revision)
            with db.engine.connect() as connection:
                rows = filling.make_rows(connection)
            db.engine.dispose()
        return rows

    return rows_of


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request, rows_of, make_settings, tmp_path):
    """Makes a filled database of a revision, in a data folder of its own; gives its settings, with its app's context pushed."""
    with contextlib.ExitStack() as opened:

        def make(revision):
            if request.param == "postgresql":
                url = databases.create_postgres_database(
                    request.getfixturevalue("postgres_url"), "lockstep_test_upgrade"
                )
            else:
                url = databases.sqlite_url(tmp_path)
            settings = make_settings(data=tmp_path / "data", database_url=url)
            opened.enter_context(create_app(settings).app_context())
            opened.callback(db.engine.dispose)
            schema.upgrade(revision)
            filling.fill(db.engine, rows_of(revision))
            return settings

        yield make
        db.session.remove()


@pytest.mark.parametrize("revision", FORMER)
def test_a_filled_database_of_each_former_revision_keeps_every_row_and_is_backed_up_before(house, revision):
    settings = house(revision)
    before = filling.read(db.engine)
    done = bring_up_to_date(settings)
    assert schema.current() == schema.newest()
    compare(before, since=revision)
    (path,) = (settings.data / "backups").iterdir()
    assert path.name.endswith(f"-revision-{revision}.zip")
    assert str(path) in done[0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with zipfile.ZipFile(path) as archive:
        assert {name: len(archive.read(f"tables/{name}.jsonl").splitlines()) for name in before} == {
            name: len(rows) for name, rows in before.items()
        }


def test_all_tables_and_all_of_their_columns_are_filled(rows_of):
    rows = rows_of("0001")
    assert {"calendar", "event_link", "busy_interval", "remote_object", "booking", "claim", "seat", "question"} <= set(
        rows
    )
    assert all(len(found) == filling.EACH for found in rows.values())
    assert not [name for name, found in rows.items() for row in found if None in row.values()]


@pytest.mark.parametrize("revision", sorted({FORMER[0], FORMER[-1]}))
def test_a_backup_of_a_former_version_comes_back_as_if_it_had_been_upgraded(house, revision, make_settings, tmp_path):
    bring_up_to_date(house(revision))
    upgraded = filling.read(db.engine)
    (path,) = (tmp_path / "data" / "backups").iterdir()
    second = make_settings(data=tmp_path / "second", database_url=databases.sqlite_url(tmp_path / "second"))
    with create_app(second).app_context():
        schema.upgrade()
        restore_backup(path, second)
        restored = filling.read(db.engine)
        db.engine.dispose()
    for name in ("booking", "event_link", "service", "resource", "user", "busy_interval", "ledger_line"):
        assert restored[name] == upgraded[name], name
    counts = {name: len(rows) for name, rows in upgraded.items()}
    ended = {"lease": 0, "mailed_code": 0, "password_reset": 0}
    noted = {"instance": max(counts["instance"], 1)}  # that nobody has adopted it yet
    assert {name: len(rows) for name, rows in restored.items()} == counts | ended | noted
    assert not list(second.data.glob("restore-*"))


def test_tokens_of_before_there_were_scopes_keep_their_rights_and_links_for_want_of_an_owner_are_known(house):
    settings = house("0004")
    later = "2999-01-01 00:00:00+00:00"
    with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
        for table in ("user_session", "setup_link", "api_token", "question", "erasure", "connection_draft", "user"):
            connection.execute(db.metadata.tables[table].delete())
        token = {"name": "old", "digest": "a" * 64, "at": later}
        connection.execute(
            text("INSERT INTO api_token (name, token_hash, created_at) VALUES (:name, :digest, :at)"), token
        )
        link = text("INSERT INTO setup_link (token_hash, email, role, expires_at) VALUES (:digest, :email, :role, :at)")
        for number, (email, role) in enumerate(
            (("", "owner"), ("ana@studio.example", "owner"), ("b@studio.example", "staff"))
        ):
            connection.execute(link, {"digest": str(number), "email": email, "role": role, "at": later})
    bring_up_to_date(settings)
    (old,) = db.session.scalars(select(ApiToken)).all()
    assert (tuple(old.scopes), old.expires_at, old.made_by_id) == (SCOPES, None, None)
    links = db.session.scalars(select(SetupLink).order_by(SetupLink.token_hash)).all()
    assert [row.is_first for row in links] == [True, True, False]


def test_titles_of_bookings_that_were_not_known_are_sealed_by_the_upgrade(house):
    settings = house("0012")
    with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
        connection.execute(text("UPDATE unknown_booking SET summary = 'Consultation · Eva Ruiz'"))
    bring_up_to_date(settings)
    assert {row.summary for row in db.session.scalars(select(UnknownBooking))} == {"Consultation · Eva Ruiz"}
    rows = db.session.execute(select(UnknownBooking.__table__)).mappings().all()
    assert rows
    assert "Eva" not in str(rows)


def test_a_new_database_and_an_empty_one_need_no_backup(sqlite_app, make_settings, tmp_path):
    settings = make_settings(data=tmp_path / "data")
    with create_app(settings).app_context():
        schema.upgrade("0001")
        assert bring_up_to_date(settings) == [f"The database was brought up to date (revision {schema.newest()})."]
        assert bring_up_to_date(settings) == []
        db.engine.dispose()
    assert not (settings.data / "backups").exists()


def test_without_room_for_the_backup_nothing_is_upgraded(house):
    settings = house("0001")
    (settings.data / "backups").write_text("in the way")
    with pytest.raises(Refused, match="No backup could be written"):
        bring_up_to_date(settings)
    assert schema.current() == "0001"


def test_upgrades_that_fail_again_and_again_leave_one_backup_of_each_revision(tmp_path):
    names = [f"2027010{day}T000000Z-revision-{revision}.zip" for day, revision in enumerate("aabbcdefg", start=1)]
    for name in [*names, "20270101T000000Z-revision-a.zip.part", "mine.zip"]:
        (tmp_path / name).touch()
    upgrade._forget_older(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [*names[4:], "mine.zip"]


def test_an_upgrade_killed_between_two_steps_has_not_begun(house):
    settings = house("0001")
    before = filling.read(db.engine)
    process = multiprocessing.get_context("fork").Process(target=_upgrade_and_die, args=(settings,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert schema.current() == "0001"
    assert filling.read(db.engine) == before
    bring_up_to_date(settings)
    compare(before, since="0001")


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_rows_that_would_hang_in_the_air_undo_the_upgrade(house):
    settings = house("0001")
    raw = db.engine.raw_connection()
    for statement in ("PRAGMA foreign_keys=OFF", "DELETE FROM calendar WHERE id = 1", "PRAGMA foreign_keys=ON"):
        raw.driver_connection.execute(statement)
    raw.close()
    with pytest.raises(Refused, match="event_link → calendar"):
        bring_up_to_date(settings)
    assert schema.current() == "0001"
    with db.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_database_of_a_newer_version_is_left_alone(house):
    settings = house("0001")
    with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Invalid, match="newer Lockstep"):
        bring_up_to_date(settings)
    assert not (settings.data / "backups").exists()


def test_upgraded_tables_have_every_check_key_and_index_of_the_models(app):
    """SQLite's tables are made anew by some migrations: what was not carried over would be missed silently."""
    inspector = inspect(db.engine)
    for table in db.metadata.sorted_tables:
        checks, uniques = (
            {rule.name for rule in table.constraints if isinstance(rule, kind)}
            for kind in (CheckConstraint, UniqueConstraint)
        )
        assert {row["name"] for row in inspector.get_check_constraints(table.name)} == checks, table.name
        assert {row["name"] for row in inspector.get_unique_constraints(table.name)} == uniques, table.name
        where = f"{db.engine.dialect.name}_where"
        found = {
            (row["name"], bool(row["unique"]), where in row.get("dialect_options", {}))
            for row in inspector.get_indexes(table.name)
        }
        wanted = {
            (index.name, bool(index.unique), index.dialect_kwargs.get(where) is not None) for index in table.indexes
        }
        assert {row for row in found if row[0] not in uniques and not row[0].startswith("ex_")} == wanted, table.name
        assert foreign_keys(inspector, table) == {
            (key.column_keys[0], key.referred_table.name, key.ondelete) for key in table.foreign_key_constraints
        }, table.name
        columns = {(column["name"], bool(column["nullable"])) for column in inspector.get_columns(table.name)}
        assert columns == {(column.name, bool(column.nullable)) for column in table.columns}, table.name


def foreign_keys(inspector, table):
    """(column, table that it points to, what happens when that row goes). SQLAlchemy overlooks the last where SQLite has it beside the column."""
    if db.engine.dialect.name == "postgresql":
        rows = inspector.get_foreign_keys(table.name)
        return {(row["constrained_columns"][0], row["referred_table"], row["options"].get("ondelete")) for row in rows}
    with db.engine.connect() as connection:
        rows = connection.exec_driver_sql(f'PRAGMA foreign_key_list("{table.name}")').mappings().all()
    return {(row["from"], row["table"], row["on_delete"].replace("NO ACTION", "") or None) for row in rows}


def compare(before, *, since):
    """Every table that existed, row by row, in the columns that are still there."""
    after = filling.read(db.engine)
    for name, rows in before.items():
        if since < EMPTIED.get(name, ""):
            assert after[name] == []
            continue
        assert len(after[name]) == len(rows), name
        kept = rows[0].keys() & after[name][0].keys()
        assert [{c: row[c] for c in kept} for row in after[name]] == [{c: row[c] for c in kept} for row in rows], name


def _upgrade_and_die(settings):
    os.environ["LOCKSTEP_FAILPOINT"] = "migration.after_step"
    with create_app(settings).app_context():
        bring_up_to_date(settings)


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_serve_upgrades_in_the_same_way(house, capsys):
    settings = house("0001")
    before = filling.read(db.engine)
    prepare(settings)
    compare(before, since="0001")
    (path,) = (settings.data / "backups").iterdir()
    assert f"A backup was written before the upgrade: {path}." in capsys.readouterr().out
