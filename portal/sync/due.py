"""When is a calendar read next? Pure predicates and delays; the worker asks them every second."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST_RETRY = timedelta(seconds=10)
LONGEST_RETRY = timedelta(minutes=2)
OWNER_RETRY = timedelta(minutes=10)
"""A sign-in that was refused is tried rarely: servers lock accounts that are knocked at too often."""
PUSHED_POLL = timedelta(seconds=50)
NOTICE_GAP = timedelta(seconds=1.4)
"""Between two readings that pushes cause: a storm of a hundred messages a second costs less than one reading a second."""
SECOND_LOOK = timedelta(seconds=4)
"""After a reading that was caused by a push and found nothing: a message may be quicker than the change that it tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What decides about the next look at a calendar."""

    connection_state: str
    last_read_at: datetime | None
    next_read_at: datetime
    lease_until: datetime | None
    failures: int


def is_due(reading: Reading, *, now: datetime) -> bool:
    """Never read, its time has come, or somebody asked for it; but not while paused or being read by another."""
    if reading.connection_state == "paused" or _is_being_read(reading, now=now):
        return False
    is_new = reading.last_read_at is None and reading.failures == 0
    return is_new or reading.next_read_at <= now


def after_success(*, poll: timedelta, has_push: bool = False) -> timedelta:
    """The pause until the next look. With push it may be longer, but a permission that ended is still to be noticed within a minute."""
    return max(poll, PUSHED_POLL) if has_push else poll


def after_notice(begun_at: datetime | None, *, now: datetime) -> datetime:
    """When a calendar is read about which the provider said that something changed: at once, but not right after the last reading began."""
    return now if begun_at is None else max(now, begun_at + NOTICE_GAP)


def was_told_just_before(notified_at: datetime | None, begun_at: datetime | None) -> bool:
    """True when the provider told of a change in the moments before the reading began, and none since: so the second look has no third."""
    if notified_at is None or begun_at is None:
        return False
    return timedelta(0) < begun_at - notified_at < SECOND_LOOK / 2


def after_failure(failures: int, *, is_signed_out: bool, retry_after: float | None) -> timedelta:
    """The pause after so many failures in a row: three tries within the first minute, then ever rarer, as the server asked at least."""
    if is_signed_out:
        return OWNER_RETRY
    doubled = FIRST_RETRY * (1 << min(max(failures - 1, 0), 8))
    return max(min(doubled, LONGEST_RETRY), timedelta(seconds=min(retry_after or 0.0, 3600.0)))


def _is_being_read(reading: Reading, *, now: datetime) -> bool:
    return reading.lease_until is not None and reading.lease_until > now
