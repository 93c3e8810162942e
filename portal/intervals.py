"""Half-open stretches of UTC time, and the little algebra on them. Pure; used by everybody.

An interval is `[start, end)`: two that only touch do not overlap. All instants are aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

QUANTUM_SECONDS = 300
"""Claims, slots, durations and buffers are multiples of this many seconds (DESIGN section 4)."""


class Interval(NamedTuple):
    """`[start, end)`. A named tuple, because engines handle tens of thousands of them."""

    start: datetime
    end: datetime

    def overlaps(self, other: Interval) -> bool:
        """True when the two share an instant; touching is no overlap."""
        return self.start < other.end and other.start < self.end

    def widened(self, *, before: timedelta, after: timedelta) -> Interval:
        """The same interval with spare time on both sides."""
        return Interval(self.start - before, self.end + after)

    @property
    def duration(self) -> timedelta:
        return self.end - self.start


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Sorted, disjoint and not even touching; empty or reversed intervals vanish."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if end <= start:
            continue
        if merged and start <= merged[-1].end:
            if end > merged[-1].end:
                merged[-1] = Interval(merged[-1].start, end)
        else:
            merged.append(Interval(start, end))
    return merged


def subtract(base: Iterable[Interval], holes: Iterable[Interval]) -> list[Interval]:
    """What is left of `base` after `holes` are cut out; sorted and disjoint."""
    cuts = merge(holes)
    left: list[Interval] = []
    first = 0
    for start, end in merge(base):
        while first < len(cuts) and cuts[first].end <= start:
            first += 1
        position = start
        for cut in cuts[first:]:
            if cut.start >= end:
                break
            if cut.start > position:
                left.append(Interval(position, cut.start))
            position = max(position, cut.end)
        if position < end:
            left.append(Interval(position, end))
    return left


def intersect(left: Iterable[Interval], right: Iterable[Interval]) -> list[Interval]:
    """The time that is in both; sorted and disjoint."""
    ours, theirs = merge(left), merge(right)
    common: list[Interval] = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        start, end = max(ours[i].start, theirs[j].start), min(ours[i].end, theirs[j].end)
        if start < end:
            common.append(Interval(start, end))
        if ours[i].end <= theirs[j].end:
            i += 1
        else:
            j += 1
    return common
