"""A backup that is kept elsewhere: sealed with a passphrase, or without the keys that open what is in it."""

from __future__ import annotations

import os
import stat
import tracemalloc
import zipfile

import pytest
from sqlalchemy import select

from portal.app import create_app
from portal.backups import sealed_file
from portal.backups.sealed_file import PIECE, SealedWriter, WrongPassphrase, is_sealed, open_sealed
from portal.booking.models import Booking
from portal.commands import main
from portal.errors import Invalid
from portal.extensions import db
from tests.operations.commands.test_main import business, lockstep  # noqa: F401

PHRASE = "five words of a fine day"


COST = sealed_file._COST


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    """scrypt is made to be slow."""
    monkeypatch.setattr(sealed_file, "_COST", (4, 8, 1))


@pytest.fixture
def run(business, tmp_path, monkeypatch):  # noqa: F811
    """Runs a command on an instance with a business, or (`at`) on another one."""

    def run(*arguments, at="data", stdin=""):
        monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / at))
        return business(*arguments, stdin=stdin)

    return run


def test_a_sealed_backup_comes_back_with_its_passphrase(run, tmp_path):
    file = tmp_path / "sealed.backup"
    status, said, _ = run("backup", str(file), "--passphrase-stdin", stdin=f"{PHRASE}\n")
    assert status == 0
    assert "sealed with the passphrase" in said
    content = file.read_bytes()
    assert is_sealed(file)
    assert b"Studio Ana" not in content
    assert b"PK\x03\x04" not in content
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    status, said, complaint = run("restore", str(file), "--passphrase-stdin", at="second", stdin=f"{PHRASE}\n")
    assert (status, complaint.count("do not open")) == (0, 0)
    assert run("export", str(tmp_path / "out.toml"), at="second")[0] == 0
    assert "Studio Ana" in (tmp_path / "out.toml").read_text()
    keys = [(tmp_path / at / "keys" / "encryption").read_text() for at in ("data", "second")]
    assert keys[0] == keys[1]
    assert not list((tmp_path / "second").glob("restore-*"))


@pytest.mark.parametrize("stdin", ["five words of a fine night\n", "\n", None])
def test_without_the_right_passphrase_it_is_said_so_and_nothing_is_changed(run, tmp_path, stdin):
    file = tmp_path / "sealed.backup"
    run("backup", str(file), "--passphrase-stdin", stdin=f"{PHRASE}\n")
    asked = ["--passphrase-stdin"] if stdin else []
    status, _, complaint = run("restore", str(file), *asked, at="second", stdin=stdin or "")
    assert status == 1
    assert ("is not the passphrase" if stdin else "sealed with a passphrase: please give it") in complaint
    assert not (tmp_path / "second").exists()


def test_a_short_passphrase_is_refused_before_anything_is_written(run, tmp_path):
    status, _, complaint = run("backup", str(tmp_path / "x"), "--passphrase-stdin", stdin="short\n")
    assert status == 1
    assert "too short" in complaint
    assert not list(tmp_path.glob("x*"))


def test_a_backup_may_leave_the_keys_out_and_says_what_is_missing_afterwards(run, tmp_path):
    from portal.booking.operations import Customer, book
    from portal.booking.time.queries import soonest_slots
    from portal.business.models import Service
    from portal.clock import now_utc

    with create_app().app_context():
        now = now_utc()
        (slot,) = soonest_slots(db.session(), db.session.scalars(select(Service)).one(), now=now, limit=1)
        made = Customer("Carla", "carla@customer.example")
        book(service_slug="consultation", start_at=slot.interval.start, customer=made, idempotency_key="k", now=now)
        db.session.remove()
        db.engine.dispose()
    file = tmp_path / "open.zip"
    status, _, complaint = run("backup", str(file), "--without-keys")
    assert status == 0
    assert "keys are not in it" in complaint
    with zipfile.ZipFile(file) as archive:
        assert not [name for name in archive.namelist() if name.startswith("keys/")]
    status, _, complaint = run("restore", str(file), at="second")
    assert status == 0
    assert "do not open" in complaint
    (tmp_path / "second" / "keys" / "encryption").write_text((tmp_path / "data" / "keys" / "encryption").read_text())
    with create_app().app_context():
        assert db.session.scalars(select(Booking)).one().customer_name == "Carla"
        from portal.upkeep.keys import unreadable

        assert unreadable(db.session()) == []
        db.session.remove()
        db.engine.dispose()


def sealed(tmp_path, content, passphrase=PHRASE):
    path = tmp_path / "sealed"
    with path.open("wb") as file, SealedWriter(file, passphrase) as target:
        for start in range(0, len(content), 70_001):
            target.write(content[start : start + 70_001])
    return path


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_whatever_its_size_the_content_is_the_same(tmp_path, size):
    content = os.urandom(size)
    assert b"".join(open_sealed(sealed(tmp_path, content), PHRASE)) == content


@pytest.mark.parametrize("damage", ["flipped", "cut", "cut at a piece", "exchanged", "longer", "head", "cost", "empty"])
def test_damage_is_noticed_wherever_it_is(tmp_path, damage):
    path = sealed(tmp_path, os.urandom(3 * PIECE))
    content = bytearray(path.read_bytes())
    begin, piece = len(content) - 3 * (PIECE + 16), PIECE + 16
    if damage == "flipped":
        content[begin + piece + 5] ^= 1
    elif damage == "cut":
        del content[-10:]
    elif damage == "cut at a piece":
        del content[begin + 2 * piece :]
    elif damage == "exchanged":
        content[begin : begin + 2 * piece] = content[begin + piece : begin + 2 * piece] + content[begin : begin + piece]
    elif damage == "longer":
        content += b"x"
    elif damage == "head":
        del content[len(sealed_file.MAGIC) + 4 :]
    elif damage == "cost":
        content[len(sealed_file.MAGIC) + 16] = 40
    else:
        del content[begin:]
    path.write_bytes(content)
    with pytest.raises(Invalid, match=r"damaged|not complete"):
        b"".join(open_sealed(path, PHRASE))


def test_letters_that_keyboards_compose_differently_are_the_same(tmp_path):
    path = sealed(tmp_path, b"x", "una mañana muy clara")
    assert b"".join(open_sealed(path, "una man\u0303ana muy clara")) == b"x"
    with pytest.raises(WrongPassphrase):
        next(open_sealed(path, "una manana muy clara"))


def test_memory_does_not_grow_with_the_content(tmp_path):
    path, piece = tmp_path / "large", os.urandom(PIECE)
    tracemalloc.start()
    with path.open("wb") as file, SealedWriter(file, PHRASE) as target:
        for _ in range(40):
            target.write(piece)
    size = sum(len(part) for part in open_sealed(path, PHRASE))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 40 * PIECE
    assert peak < 12 * PIECE


def test_a_guess_costs_128_megabytes():
    log_n, r, _ = COST
    assert 128 * r * 2**log_n >= 128 * 2**20


def test_the_commands_never_take_a_passphrase_as_an_argument(capsys):
    for command in ("backup", "restore"):
        assert main.run([command, "--help"]) == 0
        said = capsys.readouterr().out
        assert "--passphrase-stdin" in said
        assert "--passphrase TEXT" not in said
