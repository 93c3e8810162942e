"""Half-open stretches of UTC time, and the little algebra on them. Pure; used by everybody.

An interval is `[start, end)`: two that only touch do not overlap. All instants are aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import chain, compress, islice
from operator import ge, lt
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
    return list(map(Interval, *merged_edges(intervals)))


def merged_edges(intervals: Iterable[Interval]) -> tuple[list[datetime], list[datetime]]:
    """The starts and the ends of what `merge` gives, as two lists of one length."""
    instants = list(chain.from_iterable(intervals))
    starts, ends = instants[::2], instants[1::2]
    if any(map(ge, starts, ends)):
        forward = list(map(lt, starts, ends))
        starts, ends = list(compress(starts, forward)), list(compress(ends, forward))
    # Starts and ends may be sorted apart, which is far quicker than sorting pairs: when as many have ended as have
    # begun, nothing is going on, so the union has a gap exactly where a start lies beyond the end counted before it.
    starts.sort()
    ends.sort()
    gaps = list(map(lt, ends, islice(starts, 1, None)))
    firsts = [*starts[:1], *compress(islice(starts, 1, None), gaps)]
    lasts = [*compress(ends, gaps), *ends[-1:]]
    return firsts, lasts
