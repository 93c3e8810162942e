"""Tests of the calendar providers: one contract for all, real servers, and what goes wrong."""

import pytest

# The contracts are no test files themselves; without this their asserts would fail without saying why.
pytest.register_assert_rewrite("tests.providers.contract", "tests.providers.caldav_contract")
