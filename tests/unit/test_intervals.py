"""The algebra of intervals, held against sets of minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from portal.intervals import Interval, merge, merged_edges

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

# Empty and reversed ones too.
lists = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda edges: between(*edges)), max_size=12)
quickly = settings(max_examples=300, deadline=None, database=None)


def between(start: int, end: int) -> Interval:
    return Interval(NOON + start * MINUTE, NOON + end * MINUTE)


def minutes(intervals: list[Interval]) -> set[int]:
    return {minute for start, end in intervals for minute in range((start - NOON) // MINUTE, (end - NOON) // MINUTE)}


def is_tidy(intervals: list[Interval]) -> bool:
    """Sorted, disjoint, not touching, none empty."""
    edges = [edge for each in intervals for edge in each]
    return all(a < b for a, b in pairwise(edges))


def test_intervals_that_only_touch_do_not_overlap() -> None:
    assert not between(0, 10).overlaps(between(10, 20))
    assert not between(10, 20).overlaps(between(0, 10))
    assert between(0, 11).overlaps(between(10, 20))
    assert between(0, 30).overlaps(between(10, 20))


def test_widening_adds_spare_time_on_both_sides() -> None:
    widened = between(10, 20).widened(before=5 * MINUTE, after=7 * MINUTE)
    assert widened == between(5, 27)
    assert widened.duration == 22 * MINUTE


def test_merging_joins_what_touches() -> None:
    assert merge([between(10, 20), between(0, 10), between(21, 25)]) == [between(0, 20), between(21, 25)]


@quickly
@given(lists)
def test_merging_keeps_exactly_the_time_that_is_covered(intervals: list[Interval]) -> None:
    merged = merge(iter(intervals))
    assert minutes(merged) == minutes(intervals)
    assert is_tidy(merged)
    assert merge(merged) == merged
    assert merge(reversed(intervals)) == merged
    assert list(map(Interval, *merged_edges(intervals))) == merged
