"""Rate limits over all web processes of a real portal: shared while the queue server is there, still there while it hangs or is gone."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.instance import Instance

SIGN_IN, CODE = ("/admin/sign-in", "/admin/sign-in"), ("/mine", "/mine/code")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    folder: Path = tmp_path_factory.mktemp("limits")
    with Instance(folder) as running:
        yield running


def queue_server(instance: Instance) -> psutil.Process:
    below = psutil.Process(instance.pid).children(recursive=True)
    return next(process for process in below if "valkey-server" in " ".join(process.cmdline()))


def post_many(instance: Instance, pages: tuple[str, str], number: int, **form: str) -> Counter[int]:
    """The statuses of so many forms, each sent over a connection of its own, so that they reach all processes."""
    page, target = pages
    session = requests.Session()
    text = session.get(f"{instance.url}{page}", timeout=10).text
    found = re.search(r'name="csrf_token" value="([^"]+)"', text)
    assert found is not None
    data, cookies = {**form, "csrf_token": found[1]}, session.cookies.get_dict()

    def send(_: int) -> int:
        headers = {"Connection": "close"}
        response = requests.post(
            f"{instance.url}{target}", data=data, cookies=cookies, headers=headers, timeout=20, allow_redirects=False
        )
        return response.status_code

    with ThreadPoolExecutor(4) as pool:
        return Counter(pool.map(send, range(number)))


def test_all_processes_count_together(instance):
    """33 wrong sign-ins in a minute were let through by four processes, each of which counted to ten."""
    assert post_many(instance, SIGN_IN, 33, email="ana@studio.example", password="wrong") == {422: 10, 429: 23}
    assert post_many(instance, CODE, 33, email="nonsense") == {422: 20, 429: 13}


def test_a_queue_server_that_hangs_slows_no_page_and_lifts_no_limit(instance):
    server = queue_server(instance)
    server.send_signal(signal.SIGSTOP)
    try:
        post_many(instance, CODE, 8, email="nonsense")  # each process meets it once
        begun = time.monotonic()
        told = post_many(instance, CODE, 100, email="nonsense")
        assert (time.monotonic() - begun) / 100 < 0.25
        assert told[429] >= 20  # in memory: at most twenty of each process
        assert (
            post_many(instance, SIGN_IN, 33, email="ana@studio.example", password="wrong")[422] <= 10
        )  # the database counts
    finally:
        server.send_signal(signal.SIGCONT)


def test_without_a_queue_server_limits_hold(instance):
    queue_server(instance).kill()
    told = post_many(instance, CODE, 100, email="nonsense")
    assert told[429] >= 20
    assert set(told) <= {422, 429}
