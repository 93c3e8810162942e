"""The pace of one account: as fast as Google allows, no faster, and not at all for a while after it asked for patience."""

from __future__ import annotations

import pytest

from providers.calendars.google.pace import AT_ONCE, LONGEST_PAUSE, PER_SECOND, Pace, pace_of
from providers.errors import QuotaUsedUp, Throttled


class Time:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def pace(time: Time) -> Pace:
    return Pace(clock=time.read, sleep=time.sleep)


def test_a_few_requests_do_not_wait(pace: Pace, time: Time) -> None:
    for _ in range(int(AT_ONCE)):
        pace.take_turn()
    assert time.slept == []


def test_no_minute_sees_more_than_google_allows(pace: Pace, time: Time) -> None:
    started, taken = time.now, 0
    while time.now < started + 60:
        pace.take_turn()
        taken += 1
    assert 500 < taken <= 600
    assert max(time.slept) <= 1 / PER_SECOND + 0.001


def test_many_at_the_same_instant_are_refused_rather_than_kept_waiting(time: Time) -> None:
    pace = Pace(clock=time.read, sleep=lambda seconds: None)
    for _ in range(int(AT_ONCE + PER_SECOND)):
        pace.take_turn()
    with pytest.raises(Throttled) as caught:
        pace.take_turn()
    assert caught.value.retry_after
    assert caught.value.retry_after > 1


def test_after_google_asked_for_patience_nobody_asks(pace: Pace, time: Time) -> None:
    raised = pace.slowed(Throttled("Google asks us to come less often."))
    assert raised.retry_after
    with pytest.raises(Throttled, match="less often"):
        pace.take_turn()
    time.now += raised.retry_after
    pace.take_turn()


def test_what_google_asks_for_is_the_least(pace: Pace, time: Time) -> None:
    assert pace.slowed(Throttled("Slowly.", retry_after=60)).retry_after == 60
    time.now += 59
    with pytest.raises(Throttled) as caught:
        pace.take_turn()
    assert caught.value.retry_after == pytest.approx(1)


def test_each_refusal_in_a_row_makes_the_pause_longer_and_a_success_short_again(pace: Pace) -> None:
    pauses = [pace.slowed(Throttled("Slowly.")).retry_after or 0 for _ in range(12)]
    assert pauses[0] < 3
    assert pauses[0] * 1.1 < pauses[2] < pauses[4]
    assert max(pauses) <= LONGEST_PAUSE * 1.25
    pace.note_success()
    assert (pace.slowed(Throttled("Slowly.")).retry_after or 0) < 3


def test_a_used_up_quota_stays_one_for_whoever_asks_next_and_is_tried_again_within_minutes(
    pace: Pace, time: Time
) -> None:
    pace.slowed(QuotaUsedUp("Used up.", retry_after=3600))
    with pytest.raises(QuotaUsedUp) as caught:
        pace.take_turn()
    assert caught.value.retry_after == 3600
    time.now += LONGEST_PAUSE + 1
    pace.take_turn()


def test_all_providers_of_an_account_share_its_pace() -> None:
    assert pace_of("https://x.example", "ana@x.example") is pace_of("https://x.example", "ana@x.example")
    assert pace_of("https://x.example", "ana@x.example") is not pace_of("https://x.example", "ben@x.example")
    assert pace_of("https://x.example", "") is not pace_of("https://x.example", "")
