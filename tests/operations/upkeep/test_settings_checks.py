"""Settings that anybody could guess are refused; those that weaken or mislead are told by `doctor`, log and home page."""

from __future__ import annotations

import base64
import dataclasses
import re

import pytest
from structlog.testing import capture_logs

from portal.commands import main
from portal.config import load_settings
from portal.errors import Invalid
from portal.upkeep import settings_checks
from portal.upkeep.doctor import examine
from portal.upkeep.fitness import require_fit
from portal.upkeep.settings_checks import warnings
from tests.support.people import make_user, signed_in

GOOD = "Zk3vQ9yT1rWc8mB5nX7pL2sD4fG6hJ0a"
ALWAYS = {"LOCKSTEP_URL": "http://127.0.0.1:8000"}


def key(content):
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SECRET_KEY", "x", "SECRET_KEY can be guessed"),
        ("SECRET_KEY", "x" * 64, "SECRET_KEY can be guessed"),
        ("SECRET_KEY", GOOD[:31], "SECRET_KEY can be guessed"),
        ("SECRET_KEY", "please-change-me-before-you-go-online", "SECRET_KEY can be guessed"),
        ("ENCRYPTION_KEYS", key(bytes(32)), "ENCRYPTION_KEYS holds a key that can be guessed"),
        (
            "ENCRYPTION_KEYS",
            f"{key(bytes(range(32)))},{key(b'ab' * 16)}",
            "ENCRYPTION_KEYS holds a key that can be guessed",
        ),
        ("METRICS_TOKEN", "tiny-one", "METRICS_TOKEN is too short"),
        ("REDIS_URL", "redis://queue:6379/0", "without a password"),
        ("REDIS_URL", "rediss://192.0.2.7", "without a password"),
        ("REDIS_URL", "redis://user@queue/0", "without a password"),
    ],
)
def test_what_anybody_could_guess_or_reach_is_refused_at_the_start(name, value, says, monkeypatch, tmp_path, capsys):
    with pytest.raises(Invalid, match=re.escape(says)):
        load_settings({**ALWAYS, name: value})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv(name, value)
    for command in (["web"], ["worker"], ["doctor"], ["serve"]):
        assert main.run(command) == 1
        said = capsys.readouterr().err
        assert says in said
        assert value == "x" or value not in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", GOOD),
        ("SECRET_KEY", key(bytes(range(60, 92)))),
        ("ENCRYPTION_KEYS", key(bytes(range(32)))),
        ("METRICS_TOKEN", GOOD),
        ("REDIS_URL", "redis://:secret@queue:6379/0"),
        ("REDIS_URL", "redis://queue/0?password=secret"),
        ("REDIS_URL", "rediss://queue/0?ssl_certfile=/etc/lockstep.pem"),
        ("REDIS_URL", "redis://localhost:6379/0"),
        ("REDIS_URL", "redis://127.0.0.1"),
        ("REDIS_URL", "redis://[::1]:6379"),
        ("REDIS_URL", "unix:///run/valkey.sock"),
    ],
)
def test_good_ones_are_taken(name, value):
    assert getattr(load_settings({**ALWAYS, name: value}), name.lower()) == value


def told(environ, **changes):
    return warnings(dataclasses.replace(load_settings(ALWAYS), **changes), environ)


def test_an_instance_on_this_machine_alone_gives_no_cause_for_doubt():
    assert (
        told({"PATH": "/bin", "LOCKSTEP_DATA": "x", "SECRET_KEY_FILE": "y", "MAIL": "/var/mail/x", "SMTP_URL": ""})
        == []
    )


def test_https_without_a_trusted_proxy_is_told():
    (sentence,) = told({}, url="https://booking.example")
    assert "TRUSTED_PROXIES is 0" in sentence
    assert told({}, url="https://booking.example", trusted_proxies=1) == []


@pytest.mark.parametrize("url", ["http://booking.example", "http://192.168.1.5:8000"])
def test_an_address_without_https_that_others_reach_is_told(url):
    (sentence,) = told({}, url=url, trusted_proxies=1)
    assert "without https" in sentence


def test_a_misspelt_setting_is_told_with_what_was_meant():
    sentences = told(
        {"ENCRYPTION_KEY": "x", "TRUSTED_PROXY": "1", "LOCKSTEP_POLL": "1", "REDIS_URI": "x", "EDITOR": "vi"}
    )
    assert sentences == [
        "There is no setting ENCRYPTION_KEY: it is ignored. Did you mean ENCRYPTION_KEYS?",
        "There is no setting LOCKSTEP_POLL: it is ignored.",
        "There is no setting REDIS_URI: it is ignored. Did you mean REDIS_URL?",
        "There is no setting TRUSTED_PROXY: it is ignored. Did you mean TRUSTED_PROXIES?",
    ]


def test_sqlite_on_a_network_disk_is_told(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n/dev/sdb1 {tmp_path}/local ext4 rw 0 0\n"
    )
    monkeypatch.setattr(settings_checks, "MOUNTS", mounts)
    (sentence,) = told({}, database_url=f"sqlite:///{tmp_path}/lockstep.sqlite3")
    assert "network disk (nfs4)" in sentence
    assert told({}, database_url=f"sqlite:///{tmp_path}/local/lockstep.sqlite3") == []
    assert told({}, database_url="postgresql+psycopg://host/name") == []


def test_doctor_log_and_home_page_tell_it(sqlite_app, monkeypatch):
    kept = sqlite_app.extensions["settings"]
    monkeypatch.setitem(sqlite_app.extensions, "settings", dataclasses.replace(kept, url="https://booking.example"))
    assert any(f.subject == "settings" and "TRUSTED_PROXIES is 0" in f.sentence for f in examine())
    with capture_logs() as lines:
        require_fit()
    assert any("TRUSTED_PROXIES is 0" in line.get("reason", "") for line in lines)
    assert "TRUSTED_PROXIES is 0" in signed_in(sqlite_app, make_user("owner")).get("/admin").text
    assert "TRUSTED_PROXIES" not in signed_in(sqlite_app, make_user("staff")).get("/admin").text
