"""The `lockstep` command: what it prints, its exit status, and one sentence instead of a traceback."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from portal.calendars.models import Calendar
from portal.commands import instance, main
from portal.database.engine import transaction
from portal.extensions import db
from portal.outbox import OutboxEntry
from tests.providers.servers import RadicaleServer

SEED = """
[business]
name = "Studio Ana"
zone = "Europe/Madrid"
[[resource]]
slug = "ana"
name = "Ana"
hours = { mon = ["09:00-17:00"] }
[[service]]
slug = "consultation"
name = "Consultation"
duration = 30
resources = ["ana"]
"""


@pytest.fixture
def lockstep(tmp_path, monkeypatch, capsys):
    """Runs a command on an instance of its own; gives (exit status, what it printed, what it complained)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LOCKSTEP_URL", "https://booking.example")
    for name in ("DATABASE_URL", "REDIS_URL", "OUTBOUND_ALLOW"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        status = main.run(arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    assert run("db", "upgrade")[0] == 0
    return run


@pytest.fixture
def business(lockstep, tmp_path):
    Path(tmp_path / "studio.toml").write_text(SEED, encoding="utf-8")
    assert lockstep("seed", "studio.toml")[0] == 0
    return lockstep


def test_help_names_every_command_and_is_quick():
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "portal", "--help"], capture_output=True, text=True, check=True)
    assert all(f"  {name} " in done.stdout for name in main.COMMANDS)
    imported = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "portal", "--help"], capture_output=True, text=True, check=True
    ).stderr
    assert "sqlalchemy" not in imported
    assert "flask" not in imported
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("name", list(main.COMMANDS))
def test_every_command_explains_itself(name, capsys):
    assert main.run([name, "--help"]) == 0
    assert "Usage: lockstep" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line", ["nonsense", "user add", "serve --port x", "user add a@b.example --role king", "seed no-file.toml"]
)
def test_wrong_usage_ends_with_2(line, capsys):
    assert main.run(line.split()) == 2
    assert "Usage:" in capsys.readouterr().err


def test_the_first_command_makes_the_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "new"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert main.run(["calendars"]) == 0
    assert "No calendar is connected" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["calendars"], ["db", "upgrade"], ["doctor"]])
def test_a_database_of_a_newer_version_is_left_alone(lockstep, command):
    in_database(lambda session: session.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    status, printed, complaint = lockstep(*command)
    assert status == 1
    assert "used by a newer Lockstep (revision 9999)" in printed + complaint


def test_a_database_that_cannot_be_reached_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://ana:hidden@127.0.0.1:1/x")
    assert main.run(["db", "upgrade"]) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("lockstep: The database cannot be used")
    assert "hidden" not in complaint
    assert "Traceback" not in complaint


def test_the_stand_in_for_google_is_for_the_demo_alone(lockstep):
    status, printed, complaint = lockstep("serve", "--google")
    assert (status, printed) == (2, "")
    assert "--google goes with --demo" in complaint


def test_a_user_is_invited_with_a_link(lockstep):
    status, printed, _ = lockstep("user", "add", "ana@studio.example", "--role", "admin", "--json")
    told = json.loads(printed)
    assert (status, told["role"]) == (0, "admin")
    assert told["link"].startswith("https://booking.example/setup/")


def test_a_token_is_printed_once_and_kept_as_a_hash(lockstep, tmp_path):
    status, printed, _ = lockstep("token", "add", "till")
    token = printed.split()[-1]
    assert status == 0
    assert len(token) > 40
    assert token.encode() not in (tmp_path / "data" / "lockstep.sqlite3").read_bytes()


def test_a_seed_file_tells_what_it_changed(business, tmp_path):
    assert business("seed", "studio.toml")[1] == "Nothing differs.\n"
    (tmp_path / "studio.toml").write_text(SEED.replace("duration = 30", "duration = 45"), encoding="utf-8")
    status, printed, _ = business("seed", "studio.toml", "--json")
    assert json.loads(printed) == {
        "changes": ["service consultation: duration 30 -> 45", "service consultation: step 30 -> 45"],
        "warnings": [],
    }
    (tmp_path / "studio.toml").write_text(SEED.replace("duration = 30", "duration = 31"), encoding="utf-8")
    status, printed, complaint = business("seed", "studio.toml")
    assert (status, printed) == (1, "")
    assert complaint == "lockstep: studio.toml, line 12: duration must be a multiple of 5 minutes, not 31.\n"
    (tmp_path / "studio.toml").write_bytes(b"\xff\xfe")
    assert business("seed", "studio.toml")[2] == "lockstep: studio.toml is not a text in UTF-8 (byte 0).\n"


def test_a_service_that_promises_links_nobody_makes_is_loaded_and_noted(business, tmp_path):
    text = SEED.replace("duration = 30", 'duration = 30\nmeeting = "google"')
    (tmp_path / "studio.toml").write_text(text, encoding="utf-8")
    status, printed, complaint = business("seed", "studio.toml")
    assert (status, printed) == (0, "service consultation: meeting nothing -> google\n")
    assert complaint.startswith(
        "Note: “Consultation” promises a Google Meet link, but the bookings of Ana go into no Google calendar"
    )
    assert 'meeting = "google"' in business("export", "-")[1]
    assert business("seed", "studio.toml")[1] == "Nothing differs.\n"


def test_what_is_exported_is_what_is_imported(business, tmp_path):
    assert business("export", "out.toml")[0] == 0
    assert business("import", "out.toml")[1] == "Nothing differs.\n"
    assert business("export", "-")[1] == (tmp_path / "out.toml").read_text(encoding="utf-8")


def test_a_calendar_is_connected_read_and_reconciled(business, tmp_path, monkeypatch):
    with RadicaleServer(tmp_path / "radicale", users={"ana": "secret"}) as server:
        monkeypatch.setenv("OUTBOUND_ALLOW", f"127.0.0.1:{server.port}")
        server.make_calendar("ana", "work")
        server.make_calendar("ana", "home")
        connect = (
            "connect",
            "caldav",
            "--resource",
            "ana",
            "--url",
            server.url,
            "--username",
            "ana",
            "--password-stdin",
        )
        status, _, complaint = business(*connect, stdin="wrong\n")
        assert (status, complaint.count("\n")) == (1, 1)
        assert "password" in complaint
        status, _, complaint = business(*connect, stdin="secret\n")
        assert (status, "choose one with --calendar" in complaint) == (1, True)
        status, _, complaint = business(*connect[:3], "bob", *connect[4:], "--calendar", "work", stdin="secret\n")
        assert (status, complaint) == (1, "lockstep: There is no resource bob. Known: ana.\n")
        status, _, complaint = business(*connect, "--calendar", "work", "--privacy", "names", stdin="secret\n")
        assert (status, "busy only" in complaint) == (2, True)
        status, printed, _ = business(*connect, "--calendar", "work", "--privacy", "busy only", stdin="secret\n")
        assert (status, printed) == (0, "Connected “work” for ana: 0 busy times in the next two months.\n")
        assert business(*connect, "--calendar", "work", stdin="secret\n")[0] == 1
        assert business("pull")[1] == "calendar 1: 0 new or changed, 0 gone, 0 as before.\n"
        assert business("reconcile", "--calendar", "1")[0] == 0
        status, printed, _ = business("calendars", "--json")
        assert (status, json.loads(printed)[0]["state"]) == (0, "connected")
        doubt = {"would_remove": 20, "known": 24, "remote_ids": [f"/{n}" for n in range(20)], "decision": None}
        in_database(lambda session: setattr(session.get(Calendar, 1), "quarantine", doubt))
        status, printed, _ = business("calendars")
        assert (status, "connected, quarantine" in printed, "20 known events" in printed) == (1, True, True)
        status, printed, _ = business("pull")
        assert (status, "quarantine" in printed) == (1, True)
        in_database(lambda session: setattr(session.get(Calendar, 1), "quarantine", None))
        assert 'privacy = "busy only"' in business("export", "-")[1]
    status, printed, _ = business("pull", "--json")
    assert (status, json.loads(printed)[0]["ok"]) == (1, False)


def test_the_outbox_shows_what_waits_and_fails_when_something_is_stuck(lockstep):
    assert lockstep("outbox")[:2] == (0, "Nothing is waiting.\n")
    record(state="todo")
    status, printed, _ = lockstep("outbox")
    assert (status, "calendar.publish" in printed) == (0, True)
    record(state="stuck", last_error="Not allowed.")
    status, printed, _ = lockstep("outbox", "--json")
    assert (status, [row["state"] for row in json.loads(printed)]) == (1, ["todo", "stuck"])


def test_the_doctor_fails_while_the_worker_is_missing(lockstep):
    status, printed, _ = lockstep("doctor", "--strict", "--json")
    findings = json.loads(printed)
    assert status == 1
    assert [finding["subject"] for finding in findings if finding["state"] == "bad"] == ["worker and outbox"]


def test_a_backup_goes_into_a_new_instance(business, tmp_path, monkeypatch):
    assert business("backup", "all.zip")[0] == 0
    assert business("restore", "all.zip")[0] == 1
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "second"))
    assert business("restore", "all.zip")[0] == 0
    assert business("seed", "studio.toml")[1] == "Nothing differs.\n"


def test_keys_are_not_rotated_under_a_running_portal(lockstep):
    from portal.clock import now_utc
    from portal.sync.models import Lease
    from portal.upkeep.vitals import HEARTBEAT

    assert lockstep("keys", "rotate")[0] == 0
    in_database(lambda session: session.add(Lease(name=HEARTBEAT, last_done_at=now_utc())))
    status, _, complaint = lockstep("keys", "rotate")
    assert (status, "Lockstep is running" in complaint) == (1, True)


def record(**values):
    in_database(lambda session: session.add(OutboxEntry(topic="calendar.publish", subject="appointment:1", **values)))


def in_database(work):
    from portal.app import create_app

    with create_app().app_context():
        transaction(work)
        db.engine.dispose()


def test_the_console_lists_changes_and_removes_those_who_sign_in(business):
    link = json.loads(business("user", "add", "ana@studio.example", "--role", "owner", "--json")[1])["link"]
    assert link.startswith("https://booking.example/setup/")
    assert json.loads(business("user", "list", "--json")[1]) == [
        {"email": "ana@studio.example", "role": "owner", "state": "invited"}
    ]
    assert business("user", "remove", "ana@studio.example")[1] == "The invitation of ana@studio.example is withdrawn.\n"
    for email, role in (("ana@studio.example", "owner"), ("ben@studio.example", "admin")):
        _accept(business, email, role)
    assert business("user", "role", "ben@studio.example", "staff")[0] == 1  # staff are somebody
    assert business("user", "role", "ben@studio.example", "staff", "--resource", "ana")[0] == 0
    status, _, complaint = business("user", "role", "ana@studio.example", "admin")
    assert (status, "only owner" in complaint) == (1, True)
    assert business("user", "remove", "ana@studio.example")[0] == 1
    assert business("user", "remove", "ben@studio.example")[0] == 0
    assert [row["email"] for row in json.loads(business("user", "list", "--json")[1])] == ["ana@studio.example"]


def test_the_console_prints_a_way_back_for_a_forgotten_password(business):
    _accept(business, "ana@studio.example", "owner")
    link = json.loads(business("user", "reset", "ANA@studio.example", "--json")[1])["link"]
    assert link.startswith("https://booking.example/admin/new-password/")
    assert link.rpartition("/")[2] not in business("user", "reset", "ana@studio.example")[1]
    status, _, complaint = business("user", "reset", "nobody@studio.example")
    assert (status, "no user" in complaint) == (1, True)


def _accept(business, email, role):
    """Invite somebody, and use the link."""
    from portal.accounts.forms import Setup
    from portal.accounts.operations import accept_setup
    from portal.clock import now_utc
    from portal.commands import instance

    link = json.loads(business("user", "add", email, "--role", role, "--json")[1])["link"]
    with instance():
        accept_setup(link.rpartition("/")[2], Setup("Ana", email, "violet anvil jumping"), now=now_utc())


def test_the_console_makes_lists_and_revokes_tokens(business):
    wide = json.loads(business("token", "add", "site", "--json")[1])
    assert (wide["name"], wide["scopes"]) == ("site", ["read-availability", "book", "read-bookings", "administer"])
    status, printed, said = business("token", "add", "site", "--scope", "book", "--expires", "never")
    assert (status, printed.startswith("lockstep_"), printed.count("\n")) == (0, True, 1)
    assert "has no end" in said
    listed = json.loads(business("token", "list", "--json")[1])
    assert [(row["id"], row["scopes"], row["expires_at"] is None) for row in listed] == [
        (2, ["book"], True),
        (1, wide["scopes"], False),
    ]
    assert printed.strip() not in business("token", "list")[1]
    status, _, complaint = business("token", "revoke", "site")
    assert (status, "say the number" in complaint) == (1, True)
    assert business("token", "revoke", "2")[0] == 0
    assert business("token", "revoke", "site")[0] == 0
    assert {row["state"] for row in json.loads(business("token", "list", "--json")[1])} == {"revoked"}
    assert business("token", "revoke", "nothing")[0] == 1
    assert business("token", "add", "x", "--scope", "everything")[0] == 1
    assert business("token", "add", "x", "--expires", "yesterday")[0] == 1


def test_what_is_stuck_is_tried_again_singly_or_all_together(business):
    ids = []
    with instance():
        for topic in ("notify.customer", "calendar.publish", "waitlist.look"):
            entry = OutboxEntry(topic=topic, subject="booking:1", state="stuck", last_error="refused", attempts=7)
            db.session.add(entry)
            db.session.commit()
            ids.append(entry.id)
    assert business("outbox")[0] == 1
    assert business("outbox", "retry")[0] == 2
    assert business("outbox", "retry", "--all", "1")[0] == 2
    assert business("outbox", "retry", "nonsense")[0] == 2
    status, _, complaint = business("outbox", "retry", str(ids[0]), "987654")
    assert status == 1
    assert "987654" in complaint
    assert business("outbox")[0] == 1, "all of those named, or none"
    status, said, _ = business("outbox", "retry", str(ids[0]))
    assert (status, said) == (0, "1 entry is tried again.\n")
    status, said, _ = business("outbox", "retry", "--all", "--json")
    assert (status, sorted(json.loads(said))) == (0, sorted(ids))
    status, said, _ = business("outbox", "--json")
    assert status == 0
    assert {(row["state"], row["attempts"]) for row in json.loads(said) if row["id"] in ids} == {("todo", 0)}


def test_a_copied_folder_is_adopted_by_command_and_nothing_is_read_before(business, tmp_path, monkeypatch):
    assert business("adopt", "--yes")[0] == 1  # it is adopted already
    db_file = tmp_path / "data" / "lockstep.sqlite3"
    shutil.copytree(db_file.parent, tmp_path / "copy")
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "copy"))
    status, printed, _ = business("doctor")
    assert status == 1
    assert "not adopted yet" in printed
    status, printed, _ = business("adopt", "--yes")
    assert (status, printed.splitlines()[-1]) == (0, "Adopted.")
    assert "not adopted yet" not in business("doctor")[1]
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "data"))
    assert "not adopted yet" not in business("doctor")[1]
