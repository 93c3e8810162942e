"""What pages show, as values: choices, days, months."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.availability.model import Slot
from portal.intervals import Interval
from portal.language import dates
from portal.public.booking import view
from portal.public.booking.view import Choice
from portal.web.instants import instant_text, read_instant

BRITISH = dates.locale_of("en")
HERE = Choice(business_zone="Europe/Madrid", zone="Europe/Madrid")
TODAY = date(2026, 11, 21)


def slot(text: str, *, seats: int = 1) -> Slot:
    start = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return Slot(Interval(start, start + timedelta(minutes=30)), (1,), (), seats)


def read(asked: dict[str, str], capacity: int = 1) -> tuple[Choice, list[str]]:
    return view.read_choice(asked, business_zone="Europe/Madrid", resources={"ana"}, capacity=capacity)


def test_an_address_holds_only_what_does_not_go_without_saying() -> None:
    assert HERE.query() == ""
    there = replace(HERE, zone="America/New_York", day=date(2026, 12, 3), resource="ana", people=2)
    assert there.query() == "?day=2026-12-03&zone=America/New_York&resource=ana&people=2"
    assert there.query(day=None, month=date(2027, 1, 1)) == "?month=2027-01&zone=America/New_York&resource=ana&people=2"


def test_an_address_is_read_as_it_was_written() -> None:
    there = replace(HERE, zone="Asia/Tokyo", day=date(2026, 12, 3), resource="ana", people=3)
    asked = dict(part.split("=") for part in there.query()[1:].split("&"))
    assert read(asked, capacity=8) == (there, [])


@pytest.mark.parametrize(
    ("people", "capacity", "taken"), [("3", 8, 3), ("9", 8, 8), ("0", 8, 1), ("²", 8, 1), ("5", 1, 1)]
)
def test_a_party_fits_the_service(people: str, capacity: int, taken: int) -> None:
    assert read({"people": people}, capacity)[0].people == taken


def test_a_larger_party_than_can_come_is_told_so() -> None:
    assert read({"people": "9"}, 8)[1] == ["At most 8 can come together."]
    assert read({"people": "2"}, 1)[1] == ["One person can come."]
    assert read({"people": "8"}, 8)[1] == []


@given(st.dictionaries(st.sampled_from(["day", "month", "zone", "resource", "people"]), st.text()))
def test_no_address_is_too_strange_to_be_read(asked: dict[str, Any]) -> None:
    choice, problems = read(asked, capacity=4)
    assert dates.is_zone(choice.zone)
    for typed in asked.values():
        assert len(typed) < 4 or not any(typed in problem for problem in problems)


def test_a_day_is_told_in_parts() -> None:
    slots = [slot(f"2026-12-03T{time}") for time in ("08:00", "10:30", "11:00", "16:00")]
    day = view.show_day(date(2026, 12, 3), slots, HERE, BRITISH, today=TODAY)
    assert [(part.name, [time.label for time in part.times]) for part in day.parts] == [
        ("Morning", ["09:00", "11:30"]),
        ("Afternoon", ["12:00"]),
        ("Evening", ["17:00"]),
    ]
    assert day.summary == "4 times free on Thursday 3 December"


def test_three_at_night_is_no_morning() -> None:
    slots = [slot(f"2026-12-03T{time}") for time in ("02:00", "03:59", "04:00")]
    day = view.show_day(date(2026, 12, 3), slots, HERE, BRITISH, today=TODAY)
    assert [(part.name, [time.label for time in part.times]) for part in day.parts] == [
        ("Night", ["03:00", "04:59"]),
        ("Morning", ["05:00"]),
    ]


def test_a_day_of_another_year_says_which() -> None:
    assert view.show_day(date(2027, 1, 4), [], HERE, BRITISH, today=TODAY).title == "Monday 4 January 2027"


def test_the_version_of_a_day_changes_with_its_times() -> None:
    slots = [slot("2026-12-03T09:00"), slot("2026-12-03T10:00")]
    versions = {
        view.show_day(date(2026, 12, 3), part, HERE, BRITISH).version for part in (slots, slots[:1], slots[1:], [])
    }
    assert len(versions) == 4


def test_times_in_lists_over_several_days_name_the_day() -> None:
    slots = [slot(text) for text in ("2026-11-21T10:00", "2026-11-22T10:00", "2026-11-24T10:00")]
    times = view.show_times(slots, HERE, BRITISH, with_date=True, today=TODAY)
    assert [(time.day, time.label) for time in times] == [
        ("Today", "11:00"),
        ("Tomorrow", "11:00"),
        ("Tue 24 Nov", "11:00"),
    ]


def test_a_group_says_how_many_places_are_left() -> None:
    assert view.show_times([slot("2026-12-03T10:00", seats=5)], HERE, BRITISH, capacity=8)[0].note == "5 places left"
    assert view.show_times([slot("2026-12-03T10:00", seats=1)], HERE, BRITISH, capacity=8)[0].note == "last place"


def test_a_month_counts_the_times_of_each_day_and_leaves_out_weeks_that_are_over() -> None:
    free = {date(2026, 11, 24): [slot("2026-11-24T10:00")]}
    month = view.show_month(
        date(2026, 11, 1), free, BRITISH, today=TODAY, chosen=date(2026, 11, 24), last=date(2027, 1, 20)
    )
    days = [cell for week in month.weeks for cell in week if cell]
    assert days[0].on == date(2026, 11, 16)
    assert [cell.name for cell in days if cell.count] == ["Tuesday 24 November 2026, 1 time free"]
    assert days[1].name == "Tuesday 17 November 2026, none free"
    assert [cell.on for cell in days if cell.is_chosen] == [date(2026, 11, 24)]
    assert all(len(week) == 7 for week in month.weeks)
    assert days[-1].on == date(2026, 12, 6), "the last week is whole"
    assert days[-1].is_beside
    assert month.count == 1, "and its days of December do not count for November"


def test_months_lead_to_their_neighbours_as_far_as_can_be_booked() -> None:
    def neighbours(first: date) -> tuple[Any, Any]:
        month = view.show_month(first, {}, BRITISH, today=TODAY, chosen=None, last=date(2027, 1, 20))
        return month.previous, month.next

    december, january = (date(2026, 12, 1), "December 2026"), (date(2027, 1, 1), "January 2027")
    assert neighbours(date(2026, 11, 1)) == (None, december)
    assert neighbours(date(2026, 12, 1)) == ((date(2026, 11, 1), "November 2026"), january)
    assert neighbours(date(2027, 1, 1)) == (december, None)


def test_an_appointment_over_midnight_says_on_which_day_it_ends() -> None:
    start = datetime(2026, 12, 3, 22, 30, tzinfo=UTC)
    assert view.when(start, start + timedelta(hours=1), "Europe/Madrid", BRITISH)["time"] == "23:30 – Fri 4 Dec, 00:30"


@given(st.text())
def test_a_buttons_value_is_an_instant_or_nothing(text: str) -> None:
    found = read_instant(text)
    assert found is None or found.tzinfo is UTC


def test_instants_survive_the_way_through_a_button() -> None:
    instant = datetime(2026, 12, 3, 9, 30, tzinfo=UTC)
    assert read_instant(instant_text(instant)) == instant
