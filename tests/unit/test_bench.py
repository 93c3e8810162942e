"""The benchmark's table says what was measured, and why something was not."""

from __future__ import annotations

import pytest

from tests.bench.__main__ import Row, _measure, _row


@pytest.mark.parametrize(
    ("figure", "row"),
    [
        ({"value": 3, "unit": "ms", "limit": 5}, Row("x", "3 ms", "≤ 5", "ok")),
        ({"value": 180, "unit": "/s", "limit": 200, "at_least": True}, Row("x", "180 /s", "≥ 200", "BEYOND")),
        ({"median_ms": 9.5, "limit_ms": 8, "runs": 25}, Row("x", "9.5 ms", "≤ 8", "BEYOND")),
        ({"seconds": 4.2, "limit_seconds": 11.6}, Row("x", "4.2 seconds", "≤ 11.6", "ok")),
        ({"value": 7, "unit": "MB"}, Row("x", "7 MB", "-", "")),
        ({"failed": "no PostgreSQL"}, Row("x", "-", "-", "FAILED")),
    ],
)
def test_each_form_of_figure_has_its_row(figure, row):
    assert _row("x", figure) == row


def test_a_section_that_fails_says_why():
    assert _measure("nothing", 1.0) == {
        "nothing": {"failed": "ModuleNotFoundError: No module named 'tests.bench.nothing'"}
    }
