"""When reminders are due, and which still make sense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from portal.notifications.compose.due import DueRow, Known, due_at_of, plan, sort_out

START = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)
NOW = START - timedelta(days=3)
DAY, HOUR = 1440, 60


def planned(leads=(DAY, HOUR), *, start=START, is_wanted=True, known=(), now=NOW):
    return plan(leads, start, is_wanted=is_wanted, known=known, now=now)


def row(lead=DAY, *, due_at=None, state="waiting", number=1):
    return Known(number, lead, due_at or due_at_of(START, lead), state)


def test_each_lead_has_its_due_time():
    assert planned().new == ((HOUR, START - timedelta(hours=1)), (DAY, START - timedelta(days=1)))


def test_what_has_passed_before_it_was_planned_is_left_out():
    assert planned(now=START - timedelta(hours=2)).new == ((HOUR, START - timedelta(hours=1)),)
    assert planned(now=START).new == ()


def test_nobody_is_reminded_twice_by_one_lead_given_twice_nor_after_the_start():
    assert len(planned((DAY, DAY)).new) == 1
    assert planned((0, -30)).new == ()


def test_a_plan_that_holds_changes_nothing():
    assert not planned((DAY,), known=[row()]).changed
    assert not planned((DAY,), known=[row(state="queued")]).changed
    late = START - timedelta(hours=1)
    assert not planned((DAY,), known=[row()], now=late).changed, "late by an outage is late, not gone"


def test_a_booking_that_is_off_drops_what_waits_and_leaves_what_went():
    known = [row(), row(HOUR, state="queued", number=2)]
    assert planned(is_wanted=False, known=known).changed == {1: (START - timedelta(days=1), "dropped")}


def test_a_moved_start_reminds_again():
    later = START + timedelta(days=2)
    changes = planned((DAY,), start=later, known=[row(state="queued")])
    assert changes.changed == {1: (later - timedelta(days=1), "waiting")}


def test_a_start_moved_near_does_not_remind_of_what_the_mail_about_the_move_says():
    near = NOW + timedelta(hours=3)
    assert planned((DAY,), start=near, known=[row()]).changed == {1: (near - timedelta(days=1), "dropped")}


def test_a_lead_taken_away_and_given_back_waits_again():
    [(number, after)] = planned((), known=[row()]).changed.items()
    assert planned((DAY,), known=[Known(number, DAY, *after)]).changed == {1: (START - timedelta(days=1), "waiting")}


def due_row(lead=DAY, *, booking=1, start=START, is_wanted=True, number=1, due_at=None):
    return DueRow(
        id=number, booking_id=booking, lead=lead, due_at=due_at or due_at_of(start, lead), start_at=start, sequence=0,
        is_wanted=is_wanted,
    )  # fmt: skip


def test_of_two_that_were_missed_only_the_last_goes_out():
    turn = sort_out([due_row(DAY, number=1), due_row(HOUR, number=2)], now=START - timedelta(minutes=5))
    assert ([each.id for each in turn.queue], turn.drop) == ([2], (1,))


def test_nothing_goes_out_after_the_start_or_for_a_booking_that_is_off():
    assert sort_out([due_row()], now=START).drop == (1,)
    assert sort_out([due_row(is_wanted=False)], now=NOW).drop == (1,)


def test_a_reminder_of_an_earlier_start_is_planned_again():
    turn = sort_out([due_row(due_at=NOW)], now=NOW)
    assert (turn.queue, turn.drop, turn.stale) == ((), (), (1,))


minutes = st.integers(-3000, 6000)


@given(
    leads=st.sets(st.sampled_from([HOUR, DAY, 2 * DAY])),
    steps=st.lists(st.tuples(minutes, st.booleans(), st.integers(0, 900)), min_size=1, max_size=8),
)
def test_once_each_for_every_start_and_never_after_it_whatever_happens(leads, steps):
    """A booking is moved, called off and revived at random while the clock runs; planning and queueing run in between."""
    table: dict[int, Known] = {}
    now, sent = NOW, []
    for start_offset, is_wanted, wait in steps:
        start = START + timedelta(minutes=start_offset)
        changes = plan(leads, start, is_wanted=is_wanted, known=list(table.values()), now=now)
        table |= {lead: Known(lead, lead, due_at, "waiting") for lead, due_at in changes.new}
        for number, (due_at, state) in (changes.changed or {}).items():
            table[number] = Known(number, number, due_at, state)
        now += timedelta(minutes=wait)
        waiting = [each for each in table.values() if each.state == "waiting" and each.due_at <= now]
        rows = [
            due_row(each.lead, start=start, is_wanted=is_wanted, number=each.id, due_at=each.due_at) for each in waiting
        ]
        turn = sort_out(rows, now=now)
        assert len(turn.queue) <= 1
        for each in turn.queue:
            assert is_wanted
            assert start > now
            sent.append((each.lead, start))
            table[each.id] = Known(each.id, each.lead, each.due_at, "queued")
        for number in turn.drop:
            table[number] = Known(number, number, table[number].due_at, "dropped")
    assert len(sent) == len(set(sent))
