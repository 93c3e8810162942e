"""Many rows, a part at a time."""

from __future__ import annotations

import pytest

from portal.database.chunks import MOST, in_chunks


@pytest.mark.parametrize("count", [0, 1, MOST - 1, MOST, MOST + 1, 3 * MOST])
def test_each_row_comes_once_in_its_order_and_no_part_is_too_large_or_empty(count):
    parts = list(in_chunks(range(count)))
    assert [row for part in parts for row in part] == list(range(count))
    assert all(0 < len(part) <= MOST for part in parts)
