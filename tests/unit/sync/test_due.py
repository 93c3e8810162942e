"""When a calendar is read next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from portal.sync.due import LONGEST_RETRY, OWNER_RETRY, Reading, after_failure, is_due

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CALM = Reading(
    connection_state="connected",
    last_read_at=NOW - SECOND,
    next_read_at=NOW + 29 * SECOND,
    lease_until=None,
    failures=0,
)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (CALM, False),
        (replace(CALM, next_read_at=NOW), True),
        (replace(CALM, last_read_at=None), True),
        (replace(CALM, last_read_at=None, failures=1), False),
        (replace(CALM, next_read_at=NOW, lease_until=NOW + SECOND), False),
        (replace(CALM, next_read_at=NOW, lease_until=NOW - SECOND), True),
        (replace(CALM, next_read_at=NOW, connection_state="paused"), False),
        (replace(CALM, next_read_at=NOW, connection_state="needs reauth", failures=9), True),
    ],
    ids=[
        "just read",
        "its time has come",
        "never read",
        "never read, failing",
        "being read",
        "reader died",
        "paused",
        "mended?",
    ],
)
def test_a_calendar_is_due_when(reading, expected):
    assert is_due(reading, now=NOW) is expected


def test_a_failing_server_is_tried_three_times_in_the_first_minute():
    pauses = [after_failure(n, is_signed_out=False, retry_after=None) for n in (1, 2)]
    assert sum(pauses, timedelta()) < timedelta(minutes=1)


def test_pauses_grow_and_end_growing():
    pauses = [after_failure(n, is_signed_out=False, retry_after=None) for n in range(1, 40)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_RETRY


def test_the_server_may_ask_for_a_longer_pause_but_not_for_ever():
    assert after_failure(1, is_signed_out=False, retry_after=120) == timedelta(seconds=120)
    assert after_failure(1, is_signed_out=False, retry_after=10**9) == timedelta(hours=1)


def test_a_refused_sign_in_is_tried_rarely():
    assert after_failure(1, is_signed_out=True, retry_after=None) == OWNER_RETRY
