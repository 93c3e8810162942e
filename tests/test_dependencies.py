"""The environment is the one that was meant: the real urllib3, no fork of it, hashes everywhere, and no addresses of package hosts."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LISTS = ("requirements.txt", "requirements-dev.txt", ".ci/uv.txt")


def test_urllib3_is_the_real_one():
    """niquests, which caldav asks for, would put a fork in its place, under requests and google-auth too."""
    import urllib3

    assert urllib3.__version__ == importlib.metadata.version("urllib3")
    assert urllib3.__version__.startswith("2.8.")
    for name in ("niquests", "urllib3_future"):
        assert importlib.util.find_spec(name) is None


def test_caldav_runs_on_requests():
    import requests
    from caldav import davclient

    client = davclient.DAVClient(url="http://127.0.0.1:9/", username="x", password="y")
    assert isinstance(client.session, requests.Session)
    client.close()


@pytest.mark.parametrize("name", LISTS)
def test_every_package_has_its_version_and_hashes_and_no_address(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "index" not in text
    packages = re.findall(r"^(\S+)==\S+[^\\]*\\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n?)+", text, re.MULTILINE)
    assert len(packages) == len(re.findall(r"^\S", text, re.MULTILINE)) > 0


def test_the_lists_hold_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {
        "requirements.txt": project["dependencies"],
        "requirements-dev.txt": project["optional-dependencies"]["dev"],
    }
    for name, wanted in asked.items():
        locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
        assert {re.match(r"[A-Za-z0-9-]+", one)[0].lower() for one in wanted} <= locked
    assert "niquests" not in locked


def test_what_is_installed_is_what_is_listed():
    text = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    for name, version, condition in re.findall(r"^([a-z0-9-]+)==(\S+)([^\\]*)", text, re.MULTILINE):
        if not condition.strip():
            assert importlib.metadata.version(name) == version, name


def test_what_reads_forms_and_files_is_loaded_by_who_reads_them():
    """`import portal.app` stands at the beginning of every process, the worker's and each command's too."""
    script = "import sys, portal.app; print(*sorted({'marshmallow', 'apispec', 'email_validator'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
