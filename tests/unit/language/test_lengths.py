"""Lengths of time as staff type and read them."""

import pytest

from portal.language.lengths import length_text, lengths_text, read_length, read_lengths


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("1 day", 1440), ("2 hours", 120), ("90", 90), ("90 min", 90), ("1h30m", 90), ("1 day 2 hours", 1560), ("1 day and 2 hours", 1560),
        ("2 Weeks", 20160), ("", 0), ("  0 ", 0), ("1d 1h 1m", 1501),
    ],
)  # fmt: skip
def test_a_length_is_read(text, minutes):
    assert read_length(text) == minutes


@pytest.mark.parametrize("text", ["soon", "1 year", "-5", "1.5 hours", "2 hours later", "day", "1 day,", "9999999"])
def test_what_is_no_length_is_none(text):
    assert read_length(text) is None


@pytest.mark.parametrize("minutes", [0, 5, 60, 61, 90, 1440, 1445, 1500, 2880, 43200])
def test_a_length_that_is_shown_reads_as_itself(minutes):
    assert read_length(length_text(minutes)) == minutes


def test_several_are_read_longest_first_each_once():
    assert read_lengths("1 hour, 1 day; 60\n 2 days") == [2880, 1440, 60]
    assert read_lengths("") == []
    assert read_lengths("1 hour, soon") is None
    assert lengths_text([60, 1440]) == "1 day, 1 hour"
