"""`lockstep serve` and the demo as a person runs them: everything starts, whatever dies is started again, nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import requests

from portal.process.serve import address_warning
from tests.providers.servers import free_port
from tests.support.demo import are_gone, children
from tests.support.instance import Instance, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def instance(tmp_path):
    """A fresh instance that is being served."""
    with Instance(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One that several tests look at, to save starts."""
    with Instance(tmp_path_factory.mktemp("instance")) as running:
        yield running


def is_ready(instance):
    try:
        return requests.get(f"{instance.url}/readyz", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def run_serve(folder, *arguments, **environ):
    """`lockstep serve` in the expectation that it ends by itself; called by nobody's `make`, whoever runs this suite."""
    own = {name: value for name, value in os.environ.items() if name != "MAKELEVEL"}
    return subprocess.run(
        [sys.executable, "-m", "portal", "serve", *arguments],
        env={**own, "LOCKSTEP_DATA": str(folder), **environ}, cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_one_command_runs_it_all_and_ctrl_c_ends_it_all(instance):
    until(lambda: is_ready(instance), what="the worker to be seen")
    link = re.search(r"http://\S+/setup/\S+", instance.log)
    assert link, instance.log
    page = requests.get(link[0], timeout=5)
    assert page.status_code == 200
    assert 'name="password"' in page.text
    below = children(instance.pid)
    assert any("valkey-server" in " ".join(process.cmdline()) for process in below)
    assert (instance.data / "queue" / "valkey.sock").stat().st_mode & 0o077 == 0
    assert instance.stop() == 0
    assert are_gone(below)
    assert not (instance.data / "queue" / "valkey.sock").exists()
    assert "Traceback" not in instance.log


def test_whatever_dies_is_started_again(shared):
    until(lambda: is_ready(shared), what="the worker to be seen")
    parent = psutil.Process(shared.pid)

    def is_replaced(child):
        return child.pid not in [process.pid for process in parent.children()] and len(parent.children()) == 3

    for child in parent.children():
        child.kill()
        until(partial(is_replaced, child), what="it to come back")
        until(lambda: is_ready(shared), what="pages to be served again")
    assert shared.log.count("ended unexpectedly (signal 9)") == 3


def test_nothing_outlives_the_parent_even_when_it_is_killed(instance):
    below = children(instance.pid)
    os.kill(instance.pid, signal.SIGKILL)
    until(lambda: are_gone(below), seconds=8, what="the children to end")


def test_a_taken_port_is_told_and_nothing_is_left_running(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_serve(tmp_path, "--port", str(port))
    assert done.returncode == 1
    assert f"127.0.0.1:{port} cannot be used" in done.stderr
    other = re.search(r"use another port: --port (\d+)", done.stderr)
    assert other
    assert int(other[1]) > port
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "queue").exists()


def test_who_called_make_is_told_what_to_make_of_a_taken_port(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_serve(tmp_path, "--demo", "--google", "--port", str(port), MAKELEVEL="1")
    assert done.returncode == 1
    assert re.search(r"use another port: make demo GOOGLE=1 PORT=\d+", done.stderr), done.stderr
    assert done.stdout.startswith("Starting a made-up studio"), "said before anything is loaded"


MAKE = ["make", "-C", str(ROOT), "-o", ".venv/.made", f"BIN={Path(sys.executable).parent}"]


@pytest.mark.parametrize("seconds", [0.05, 0.4, 1.5, 3])
def test_an_early_ctrl_c_leaves_neither_a_traceback_nor_a_process(tmp_path, seconds):
    """At any moment of the start. The terminal sends it to all of them, `make` included."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*MAKE, "demo", f"PORT={free_port()}"],
            env={**os.environ, "LOCKSTEP_DATA": str(tmp_path)}, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        time.sleep(seconds)
        below = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(40)
    until(lambda: are_gone(below), what="all of it to end")
    assert "Traceback" not in log.read_text()
    assert "Error" not in log.read_text()


def test_two_on_one_data_folder_are_refused(shared):
    done = run_serve(shared.data, "--port", str(free_port()))
    assert done.returncode == 1
    assert "already runs" in done.stderr
    until(lambda: is_ready(shared), what="the first one to be undisturbed")


def test_wrong_settings_are_one_sentence(tmp_path):
    done = run_serve(tmp_path, "--port", str(free_port()), ENCRYPTION_KEYS="short")
    assert done.returncode == 1
    assert done.stderr.strip() == "lockstep: ENCRYPTION_KEYS must hold keys of 32 bytes in base64, separated by commas."


def test_a_folder_with_a_long_name_has_its_socket_elsewhere(tmp_path):
    folder = tmp_path / ("long-" * 20)
    folder.mkdir()
    with Instance(folder) as instance:
        until(lambda: is_ready(instance), what="the worker to be seen")
        commands = [" ".join(process.cmdline()) for process in children(instance.pid)]
        path = Path(
            next(re.search(r"unixsocket:(\S+)", command)[1] for command in commands if "valkey-server" in command)
        )
        assert folder not in path.parents
        assert path.parent.stat().st_mode & 0o077 == 0


def test_an_open_address_without_https_is_warned_of(make_settings):
    plain, safe = make_settings(url="http://booking.example"), make_settings(url="https://booking.example")
    assert "without https" in address_warning(plain, "0.0.0.0")
    assert address_warning(safe, "0.0.0.0") == ""
    assert address_warning(plain, "127.0.0.1") == ""
