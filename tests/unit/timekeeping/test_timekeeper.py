"""When a clock is believed: leaps, pauses, wrong starts, and who bears them out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from portal.timekeeping.timekeeper import LONG_SILENCE, SETTLES_AFTER, TOLERANCE, Timekeeper

NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
SETTLED = SETTLES_AFTER.total_seconds()


class Machine:
    """A machine whose wall clock can be set, and its keeper."""

    def __init__(self, newest: datetime | None = NOON - SECOND) -> None:
        self.steady, self.wrong = 1000.0, timedelta(0)
        self.keeper = Timekeeper(self.wall, self.steady, newest=newest)

    @property
    def true(self) -> datetime:
        return NOON + timedelta(seconds=self.steady - 1000)

    @property
    def wall(self) -> datetime:
        return self.true + self.wrong

    def goes_on(self, seconds: float) -> str:
        """Time passes, and the clock is looked at every second; gives what is in doubt at the end."""
        for _ in range(int(seconds)):
            self.steady += 1
            self.keeper.look(self.wall, self.steady)
        return self.doubt()

    def leaps(self, by: timedelta) -> str:
        self.wrong += by
        return self.doubt()

    def doubt(self) -> str:
        found = self.keeper.look(self.wall, self.steady)
        return found.sentence if found else ""


def test_a_clock_that_goes_on_is_believed():
    assert Machine().goes_on(2 * SETTLED) == ""


@pytest.mark.parametrize("by", [DAY, -DAY, HOUR, 2 * MINUTE, -2 * MINUTE, 400 * DAY, timedelta(days=-20000)])
def test_a_leap_is_in_doubt_at_once_and_over_when_it_goes_back(by):
    machine = Machine()
    assert "leapt" in machine.leaps(by)
    assert machine.goes_on(60)
    assert machine.leaps(-by) == ""
    assert machine.keeper.has_recovered


def test_a_leap_that_nobody_contradicts_is_believed_after_some_minutes_as_after_a_pause_of_the_machine():
    machine = Machine()
    assert "leapt forward by 1 day" in machine.leaps(DAY)
    assert machine.goes_on(SETTLED - 2)
    assert machine.goes_on(3) == ""
    assert machine.goes_on(SETTLED) == ""


@pytest.mark.parametrize("by", [SECOND, -SECOND, 20 * SECOND, -20 * SECOND])
def test_corrections_by_seconds_pass_unnoticed_however_many(by):
    machine = Machine()
    for _ in range(20):
        assert machine.leaps(by) == ""
        machine.goes_on(10)


def test_a_second_leap_begins_the_wait_anew():
    machine = Machine()
    machine.leaps(DAY)
    machine.goes_on(SETTLED - 5)
    machine.leaps(DAY)
    assert machine.goes_on(10)
    assert machine.goes_on(SETTLED) == ""


def test_a_server_outside_bears_a_leap_out_or_contradicts_it():
    machine = Machine()
    machine.leaps(DAY)
    machine.keeper.hear_outside(machine.true, machine.steady)
    assert machine.goes_on(SETTLED + 5), "a server says another day"
    machine.keeper.hear_outside(machine.wall + SECOND, machine.steady)
    assert machine.doubt() == ""


def test_a_database_elsewhere_has_to_agree_as_long_as_it_does_not():
    machine = Machine()
    machine.keeper.hear_database(machine.true + 2 * TOLERANCE, machine.steady)
    assert "the database's differ by 2 minutes" in machine.doubt()
    assert machine.goes_on(2 * SETTLED)
    machine.keeper.hear_database(machine.true + 5 * SECOND, machine.steady)
    assert machine.doubt() == ""


def test_a_process_started_a_day_ahead_is_watched_before_it_is_believed():
    machine = Machine(newest=NOON - DAY)
    assert "Nothing was written for 1 day" in machine.doubt()
    assert not machine.keeper.look(machine.wall, machine.steady).is_alarming
    assert machine.goes_on(SETTLED - 2)
    assert machine.goes_on(3) == ""


def test_a_process_that_finds_times_to_come_is_watched_and_mends_them():
    machine = Machine(newest=NOON + DAY)
    assert "1 day behind what is stored" in machine.doubt()
    assert machine.goes_on(SETTLED + 1) == ""
    assert machine.keeper.has_recovered


@pytest.mark.parametrize("newest", [None, NOON, NOON - LONG_SILENCE, NOON + 30 * SECOND])
def test_an_everyday_start_is_believed_at_once(newest):
    assert Machine(newest=newest).doubt() == ""


def test_a_clock_set_right_while_it_is_watched_is_borne_out_by_a_server():
    machine = Machine(newest=NOON - DAY)
    machine.keeper.hear_outside(machine.true, machine.steady)
    assert machine.doubt() == ""
