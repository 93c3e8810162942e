"""The contract against Xandikos, a real server on a loopback port."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.providers.caldav_contract import CalDavContract
from tests.providers.servers import XandikosServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XandikosServer]:
    with XandikosServer(tmp_path_factory.mktemp("xandikos")) as running:
        yield running


class TestXandikos(CalDavContract):
    """The contract."""
