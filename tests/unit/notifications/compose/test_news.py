"""Which news is still worth a mail when its turn comes, and as what it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from portal.notifications.compose.news import News, Silence, is_worth_telling, what_to_tell

NOW = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
START = NOW + timedelta(days=2)
TEN, ELEVEN = START, START + timedelta(hours=1)
BOOKED, PENDING = News(news="booked"), News(news="pending")
CANCELLED = News(news="cancelled", by="staff")


def told(news: News) -> News:
    return News(news=news.news, by=news.by, previous_start_at=news.previous_start_at, was_told=True)


def moved(previous: datetime, by: str = "staff") -> News:
    return News(news="moved", by=by, previous_start_at=previous)


def tell(current: News, *earlier: News, status: str = "confirmed", later: bool = False, start_at: datetime = START):
    return what_to_tell(current, earlier=earlier, has_later=later, status=status, start_at=start_at, now=NOW)


def test_a_new_booking_is_told():
    assert tell(BOOKED) == BOOKED


def test_news_with_newer_news_behind_it_is_not_told():
    assert isinstance(tell(BOOKED, later=True), Silence)


def test_a_booking_cancelled_before_its_mail_left_is_told_as_cancelled_only():
    assert isinstance(tell(BOOKED, status="cancelled", later=True), Silence)
    assert tell(CANCELLED, BOOKED, status="cancelled") == CANCELLED


@pytest.mark.parametrize(
    ("news", "status"),
    [
        ("booked", "cancelled"),
        ("moved", "cancelled"),
        ("pending", "confirmed"),
        ("approved", "pending"),
        ("cancelled", "confirmed"),
    ],
)
def test_news_that_is_no_longer_true_is_not_told(news, status):
    assert isinstance(tell(News(news=news), told(BOOKED), status=status), Silence)


@pytest.mark.parametrize("news", ["booked", "moved", "approved"])
def test_nothing_is_told_of_a_start_that_is_over(news):
    assert isinstance(tell(News(news=news), told(PENDING), start_at=NOW), Silence)


def test_who_would_come_in_vain_is_told_of_a_move_into_the_past():
    over = NOW - timedelta(days=1)
    assert tell(moved(TEN, by="calendar"), told(BOOKED), start_at=over) == moved(TEN, by="calendar")
    assert isinstance(tell(moved(TEN), BOOKED, start_at=over), Silence), "nobody comes who never heard of it"
    assert isinstance(tell(moved(over), told(BOOKED), start_at=over), Silence)


@pytest.mark.parametrize("news", ["cancelled", "refused"])
def test_a_cancellation_is_told_even_after_the_start(news):
    current = News(news=news, by="staff")
    assert tell(current, told(BOOKED), status="cancelled", start_at=NOW - timedelta(hours=1)) == current


def test_who_never_heard_of_a_booking_hears_of_it_as_new_after_a_move():
    assert tell(moved(TEN), BOOKED).news == "booked"
    assert tell(moved(TEN), PENDING, status="pending").news == "pending"


def test_an_approval_of_a_request_that_was_never_told_is_told_as_a_booking():
    assert tell(News(news="approved", by="staff"), PENDING).news == "booked"


def test_moves_that_were_skipped_are_told_from_the_time_last_told():
    news = tell(moved(ELEVEN, by="customer"), told(BOOKED), moved(TEN))
    assert (news.news, news.by, news.previous_start_at) == ("moved", "customer", TEN)


def test_a_move_after_a_told_move_starts_from_that_one():
    news = tell(moved(ELEVEN), told(BOOKED), told(moved(TEN)))
    assert news.previous_start_at == ELEVEN


def test_a_skipped_move_is_not_lost_behind_an_approval():
    news = tell(News(news="approved", by="staff"), told(PENDING), moved(TEN))
    assert (news.news, news.previous_start_at) == ("moved", TEN)


def test_a_booking_whose_first_news_is_no_longer_on_record_is_not_new():
    assert tell(moved(TEN)).news == "moved"
    assert tell(moved(ELEVEN), moved(TEN)).previous_start_at == TEN
    assert tell(News(news="approved", by="staff")).news == "approved"


def test_connected_again_is_told_when_the_trouble_is_no_longer_on_record():
    assert is_worth_telling("connected", earlier=[], has_later=False)


def test_trouble_with_a_connection_is_told():
    assert is_worth_telling("needs reauth", earlier=[], has_later=False)


def test_connected_again_is_told_to_those_who_heard_of_the_trouble():
    assert is_worth_telling("connected", earlier=[("degraded", True)], has_later=False)
    assert not is_worth_telling("connected", earlier=[("degraded", False)], has_later=False)


def test_connected_again_is_told_when_an_earlier_trouble_was_told_and_a_later_one_was_not():
    assert is_worth_telling("connected", earlier=[("degraded", True), ("needs reauth", False)], has_later=False)
    assert not is_worth_telling(
        "connected", earlier=[("degraded", True), ("connected", True), ("degraded", False)], has_later=False
    )


def test_a_state_that_has_changed_since_is_not_told():
    assert not is_worth_telling("degraded", earlier=[], has_later=True)


def test_pausing_is_not_told():
    assert not is_worth_telling("paused", earlier=[], has_later=False)
