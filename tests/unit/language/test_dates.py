"""Dates, times and zones as people say them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from portal.language import dates

BRITISH = dates.locale_of("en")
DAY = date(2026, 12, 3)


@pytest.mark.parametrize(
    ("language", "long", "short", "clock"),
    [
        ("en", "Thursday 3 December 2026", "Thu 3 Dec", "14:05"),
        ("en-US", "Thursday, December 3, 2026", "Thu, Dec 3", "2:05\u202fPM"),
        ("es", "jueves, 3 de diciembre de 2026", "jue, 3 dic", "14:05"),
        ("es-MX", "jueves, 3 de diciembre de 2026", "jue, 3 dic", "2:05\u202fp.m."),
        ("hu", "2026. december 3., csütörtök", "dec. 3., cs", "14:05"),
        ("de", "Donnerstag, 3. Dezember 2026", "Do., 3. Dez.", "14:05"),
    ],
)
def test_dates_follow_the_language(language: str, long: str, short: str, clock: str) -> None:
    locale = dates.locale_of(language)
    assert dates.long_date(DAY, locale) == long
    assert dates.short_date(DAY, locale) == short
    assert dates.clock(datetime(2026, 12, 3, 14, 5, tzinfo=UTC), locale).replace(" ", "\u202f") == clock


@pytest.mark.parametrize(
    ("language", "zone", "day", "clock"),
    [
        ("en", "Europe/Madrid", "Thursday 3 December", "14:05"),
        ("en-US", "Europe/Madrid", "Thursday, December 3", "2:05 PM"),
        ("en-GB", "America/New_York", "Thursday 3 December", "14:05"),
        ("en", "America/New_York", "Thursday, December 3", "2:05 PM"),
        ("en", "US/Eastern", "Thursday, December 3", "2:05 PM"),
        ("en", "Asia/Tokyo", "Thursday 3 December", "14:05"),
        ("en", "America/Bogota", "Thursday 3 December", "2:05 pm"),
        ("en", "Australia/Sydney", "Thursday 3 December", "2:05 pm"),
        ("es", "America/New_York", "jueves, 3 de diciembre", "2:05 p.m."),
        ("es-ES", "America/New_York", "jueves, 3 de diciembre", "14:05"),
        ("hu", "Europe/Madrid", "december 3., csütörtök", "14:05"),
        ("hu", "America/New_York", "december 3., csütörtök", "du. 2:05"),
        ("xx", "America/New_York", "Thursday, December 3", "2:05 PM"),
        ("en", "UTC", "Thursday 3 December", "14:05"),
        ("en", "Mars/Olympus", "Thursday 3 December", "14:05"),
    ],
)
def test_the_clock_is_that_of_the_readers_country_else_of_the_businesss(
    language: str, zone: str, day: str, clock: str
) -> None:
    locale = dates.locale_of(language, dates.country_of(zone))
    assert dates.day_and_month(DAY, locale) == day
    assert dates.clock(datetime(2026, 12, 3, 14, 5, tzinfo=UTC), locale).replace("\u202f", " ") == clock


@pytest.mark.parametrize("language", ["", "xx", "klingon", "en_GB_oed", "../etc"])
def test_an_unknown_language_is_english(language: str) -> None:
    assert dates.locale_of(language).language == "en"


def test_the_week_begins_where_the_country_says() -> None:
    assert dates.weekday_names(BRITISH)[0] == ("Mon", "Monday")
    assert dates.weekday_names(dates.locale_of("en-US"))[0] == ("Sun", "Sunday")


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("Europe/Madrid", "Madrid time (UTC+1)"),
        ("America/Argentina/Buenos_Aires", "Buenos Aires time (UTC−3)"),
        ("Asia/Kolkata", "Kolkata time (UTC+5:30)"),
        ("UTC", "UTC"),
    ],
)
def test_a_zone_is_named_with_its_offset(zone: str, words: str) -> None:
    assert dates.zone_in_words(zone, datetime(2026, 12, 3, tzinfo=UTC)) == words


def test_durations_in_words() -> None:
    assert [dates.duration(n) for n in (5, 60, 90, 121)] == [
        "5 minutes",
        "1 hour",
        "1 hour 30 minutes",
        "2 hours 1 minute",
    ]


def test_the_hour_between_two_and_three_happens_twice_in_autumn() -> None:
    madrid = ZoneInfo("Europe/Madrid")
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC).astimezone(madrid) for hour in (0, 1))
    assert dates.clock(first, BRITISH) == dates.clock(second, BRITISH) == "02:30"
    assert dates.happens_twice(first)
    assert dates.happens_twice(second)
    assert (dates.offset(first), dates.offset(second)) == ("UTC+2", "UTC+1")
    assert not dates.happens_twice(first - timedelta(hours=1))


def test_a_change_of_the_clocks_is_near_for_three_days() -> None:
    change = (date(2026, 10, 25), timedelta(hours=-1))
    found = [dates.clock_change(date(2026, 10, day), "Europe/Madrid") for day in (21, 22, 25, 28, 29)]
    assert found == [None, change, change, change, None]
    assert dates.clock_change(date(2026, 10, 25), "Asia/Tokyo") is None


def test_every_zone_on_offer_is_a_zone() -> None:
    names = [name for places in dates.zones_by_region().values() for name, _city in places]
    assert len(names) > 300
    assert all(dates.is_zone(name) for name in names)
