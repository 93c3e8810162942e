"""The contract against Cyrus, where it is installed: the strictest of the servers, and the one that cuts answers off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.providers import cyrus
from tests.providers.caldav_contract import CalDavContract


@pytest.fixture(scope="module")
def server() -> Iterator[cyrus.CyrusServer]:
    if not cyrus.is_possible():
        pytest.skip(cyrus.MISSING)
    with cyrus.CyrusServer() as running:
        yield running


class TestCyrus(CalDavContract):
    """The contract."""
