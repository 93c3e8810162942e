"""What follows from a change batch: the table in the docstring of `portal.sync.pull.plan`, row by row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.sync.actions import (
    Adopt,
    Drop,
    Forget,
    MovedOutside,
    RemovedOutside,
    Situation,
    Store,
    Tie,
    Unread,
)
from portal.sync.pull.plan import OWN_BURST, SERIES, judge, plan
from providers.calendars.base import ChangeBatch, EventMark, RemoteEvent

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
BEFORE = NOW - timedelta(hours=1)
INSTANCE = "studio"
MARK = EventMark(instance_id=INSTANCE, appointment_id=7, generation=1)


def at(hour: float, day: int = 3) -> datetime:
    return datetime(2026, 12, day, tzinfo=UTC) + timedelta(hours=hour)


TIE = Tie(
    link_id=1, appointment_id=7, remote_id="/a.ics", uid="uid-7", etag='"1"', content_hash="written", sent_hash="written",
    outside="", seen_start_at=at(10), seen_end_at=at(11), start_at=at(10), end_at=at(11), is_wanted=True,
    is_pending=False, touched_at=BEFORE,
)  # fmt: skip
OURS = RemoteEvent(
    remote_id="/a.ics", etag='"2"', uid="uid-7", mark=MARK, summary="Consultation · Eva", start_at=at(10), end_at=at(11),
    content_hash="written",
)  # fmt: skip
FOREIGN = RemoteEvent(
    remote_id="/dentist.ics", etag='"1"', uid="x", summary="Dentist", start_at=at(14), end_at=at(15),
    busy=((at(14), at(15)),), content_hash="dentist",
)  # fmt: skip


def situation(*ties: Tie, known: dict[str, str] | None = None, **more: object) -> Situation:
    values: dict[str, object] = {
        "known": {tie.remote_id: tie.etag for tie in ties} if known is None else known,
        "ties": ties,
        "instance_id": INSTANCE,
        "window": (NOW - timedelta(days=1), NOW + timedelta(days=60)),
        "read_at": NOW,
        "now": NOW,
        "booked": {tie.appointment_id: (tie.start_at, tie.end_at) for tie in ties if tie.is_wanted},
    }
    return Situation(**{**values, **more})  # type: ignore[arg-type]


def result_of(event: RemoteEvent, tie: Tie = TIE, **more: object):  # type: ignore[no-untyped-def]
    return plan(ChangeBatch(upserts=(event,)), situation(tie, **more))


def kinds(result) -> list[type]:  # type: ignore[no-untyped-def]
    return [type(action) for action in result.actions]


def stored(result) -> Store:  # type: ignore[no-untyped-def]
    (store,) = [action for action in result.actions if isinstance(action, Store)]
    return store


class TestForeignEvents:
    def test_block_for_their_busy_time(self):
        assert stored(plan(ChangeBatch(upserts=(FOREIGN,)), situation())).busy == ((at(14), at(15)),)

    def test_that_came_in_part_block_for_what_is_known_of_them_or_else_for_the_part(self):
        part = replace(FOREIGN, etag="", is_unread=True)
        assert stored(plan(ChangeBatch(upserts=(part,)), situation())).busy == FOREIGN.busy
        assert kinds(plan(ChangeBatch(upserts=(part,)), situation(known={part.remote_id: "1"}))) == [Unread]
        assert kinds(plan(ChangeBatch(upserts=(replace(part, busy=()),)), situation())) == [Unread]
        assert kinds(result_of(replace(OURS, is_unread=True, taken=((at(10), at(11)),)))) == [Unread]

    def test_free_their_time_when_they_go(self):
        batch = ChangeBatch(removals=("/dentist.ics",))
        assert plan(batch, situation(known={"/dentist.ics": '"1"'})).actions == [Drop("/dentist.ics")]

    def test_that_were_never_known_go_without_trace(self):
        assert plan(ChangeBatch(removals=("/unknown.ics",)), situation()).actions == []

    def test_missing_from_a_complete_listing_are_swept(self):
        batch = ChangeBatch(unchanged=frozenset({"/b.ics"}), is_complete=True)
        known = {"/a.ics": "1", "/b.ics": "1"}
        assert plan(batch, situation(known=known)).actions == [Drop("/a.ics")]

    def test_missing_from_a_mere_delta_stay(self):
        assert plan(ChangeBatch(), situation(known={"/a.ics": "1"})).actions == []

    def test_that_repeat_or_reach_beyond_the_window_are_read_again_one_day(self):
        weekly = replace(FOREIGN, is_recurring=True)
        far = replace(FOREIGN, end_at=NOW + timedelta(days=90))
        for event in (weekly, far):
            assert stored(plan(ChangeBatch(upserts=(event,)), situation())).rolls
        assert not stored(plan(ChangeBatch(upserts=(FOREIGN,)), situation())).rolls

    def test_of_another_portal_block_though_they_carry_a_mark(self):
        other = replace(OURS, remote_id="/b.ics", mark=replace(MARK, instance_id="elsewhere"))
        assert stored(result_of(other)).busy == ((at(10), at(11)),)


class TestCopiesOfOurEvents:
    def test_block_like_foreign_ones(self):
        copy = replace(OURS, remote_id="/copy.ics", uid="other", start_at=at(16), end_at=at(17))
        store = stored(result_of(copy))
        assert store.busy == ((at(16), at(17)),)
        assert kinds(result_of(copy)) == [Store], "a copy moves no booking"

    def test_do_not_stand_against_the_booking_they_were_copied_from(self):
        copy = replace(OURS, remote_id="/copy.ics", uid="other")
        assert stored(result_of(copy)).busy == ()

    def test_block_where_the_booking_they_were_copied_from_takes_somebody_else(self):
        copy = replace(OURS, remote_id="/copy.ics", uid="other")
        assert stored(result_of(copy, booked={})).busy == ((at(10), at(11)),)

    def test_block_as_their_own_text_says_every_occurrence_of_it(self):
        copy = replace(OURS, remote_id="/copy.ics", uid="other", is_recurring=True)
        series = replace(copy, taken=((at(10), at(11)), (at(34), at(35)), (at(58), at(59))))
        store = stored(result_of(series))
        assert store.busy == ((at(34), at(35)), (at(58), at(59))), "where the booking itself stands, its claims do"
        assert store.rolls
        assert stored(result_of(series, booked={})).busy == series.taken
        longer = replace(copy, taken=((at(9), at(12)), (at(33), at(36))))
        assert stored(result_of(longer)).busy == ((at(9), at(10)), (at(11), at(12)), (at(33), at(36)))

    def test_that_take_no_time_by_their_own_text_block_nothing(self):
        copy = replace(OURS, remote_id="/copy.ics", uid="other", start_at=at(16), end_at=at(17), taken=())
        assert stored(result_of(copy)).busy == ()

    def test_that_are_called_off_block_nothing(self):
        copy = replace(OURS, remote_id="/copy.ics", uid="other", start_at=at(16), end_at=at(17), is_cancelled=True)
        assert stored(result_of(copy)).busy == ()


class TestOurEvent:
    def test_as_we_wrote_it_is_an_echo(self):
        result = result_of(OURS)
        assert [a for a in result.actions if isinstance(a, Adopt)] == [Adopt(TIE, OURS)]
        assert stored(result).busy == ()

    def test_with_the_etag_we_hold_needs_nothing(self):
        assert kinds(result_of(replace(OURS, etag='"1"'))) == [Store]

    def test_whose_answer_was_lost_is_an_echo_too(self):
        tie = replace(TIE, content_hash="older", sent_hash="written", start_at=at(12), end_at=at(13))
        assert MovedOutside not in kinds(result_of(OURS, tie))

    def test_with_another_title_is_left_alone(self):
        event = replace(OURS, content_hash="retitled", summary="Eva!")
        assert [type(a) for a in result_of(event).actions] == [Store, Adopt]

    def test_at_another_time_was_moved_outside_and_blocks_there_until_settled(self):
        event = replace(OURS, content_hash="moved", start_at=at(14), end_at=at(15))
        result = result_of(event)
        assert MovedOutside(TIE, event) in result.actions
        assert stored(result).busy == ((at(14), at(15)),)

    def test_moved_by_ten_minutes_was_moved_outside(self):
        event = replace(
            OURS, content_hash="moved", start_at=at(10) + timedelta(minutes=10), end_at=at(11) + timedelta(minutes=10)
        )
        result = result_of(event)
        assert MovedOutside(TIE, event) in result.actions
        assert stored(result).busy == ((at(11), at(11) + timedelta(minutes=10)),), "its own time is guarded by claims"

    def test_made_longer_keeps_the_booking_and_blocks_the_rest(self):
        event = replace(OURS, content_hash="longer", start_at=at(9.5), end_at=at(12))
        result = result_of(event)
        assert kinds(result) == [Store, Adopt]
        assert stored(result).busy == ((at(9.5), at(10)), (at(11), at(12)))

    def test_made_shorter_keeps_the_booking(self):
        event = replace(OURS, content_hash="shorter", end_at=at(10.5))
        result = result_of(event)
        assert kinds(result) == [Store, Adopt]
        assert stored(result).busy == ()

    def test_made_a_series_is_judged_by_its_first_time_and_shown(self):
        event = replace(OURS, content_hash="series", is_recurring=True)
        result = result_of(event)
        assert kinds(result) == [Store, Adopt]
        assert stored(result).problem == SERIES

    def test_made_a_series_blocks_all_its_further_times(self):
        event = replace(OURS, content_hash="series", is_recurring=True, taken=((at(10), at(11)), (at(34), at(35))))
        assert stored(result_of(event)).busy == ((at(34), at(35)),)

    def test_called_off_counts_as_removed_though_it_stands(self):
        event = replace(OURS, content_hash="off", is_cancelled=True)
        result = result_of(event)
        assert RemovedOutside(TIE, event) in result.actions
        tie = replace(TIE, outside="removed", etag='"2"')
        assert RemovedOutside not in kinds(result_of(event, tie)), "it is asked about once"

    def test_that_is_being_written_is_left_to_the_publish(self):
        event = replace(OURS, content_hash="moved", start_at=at(14), end_at=at(15))
        assert kinds(result_of(event, replace(TIE, is_pending=True))) == [Store]

    def test_written_while_we_read_is_judged_next_time(self):
        event = replace(OURS, content_hash="older", start_at=at(14), end_at=at(15))
        result = result_of(event, replace(TIE, touched_at=NOW + timedelta(seconds=1)))
        assert result.actions == []
        assert result.keeps_token

    def test_of_a_finished_booking_blocks_like_any_other(self):
        event = replace(OURS, start_at=at(16), end_at=at(17), content_hash="restored")
        assert stored(result_of(event, replace(TIE, is_wanted=False))).busy == ((at(16), at(17)),)

    def test_at_a_new_address_is_followed_there(self):
        event = replace(OURS, remote_id="/new.ics")
        batch = ChangeBatch(upserts=(event,), removals=("/a.ics",))
        result = plan(batch, situation(TIE))
        assert Adopt(TIE, event) in result.actions
        assert Drop("/a.ics") in result.actions
        assert RemovedOutside not in kinds(result)
        assert result.to_verify == []


class TestOurEventGone:
    def test_is_looked_up_before_anybody_believes_it(self):
        result = plan(ChangeBatch(removals=("/a.ics",)), situation(TIE))
        assert (result.actions, result.to_verify) == ([], ["/a.ics"])

    def test_is_removed_outside_once_verified(self):
        result = plan(ChangeBatch(removals=("/a.ics",)), situation(TIE, verified_gone=frozenset({"/a.ics"})))
        assert result.actions == [Drop("/a.ics"), RemovedOutside(TIE)]

    def test_missing_from_a_complete_listing_is_looked_up_too(self):
        assert plan(ChangeBatch(is_complete=True), situation(TIE)).to_verify == ["/a.ics"]

    def test_that_is_being_written_is_left_to_the_publish(self):
        result = plan(ChangeBatch(removals=("/a.ics",)), situation(replace(TIE, is_pending=True)))
        assert result.actions == [Drop("/a.ics")]

    def test_that_the_feed_never_told_of_is_looked_up(self):
        """Created and deleted between two readings, an event is in no feed of changes."""
        older, tie = BEFORE - timedelta(hours=1), replace(TIE, touched_at=BEFORE)
        assert plan(ChangeBatch(), situation(tie, token_at=older)).to_verify == ["/a.ics"]
        assert plan(ChangeBatch(unchanged=frozenset({"/a.ics"})), situation(tie, token_at=older)).to_verify == []
        assert plan(ChangeBatch(), situation(replace(tie, touched_at=older), token_at=BEFORE)).to_verify == []

    @pytest.mark.parametrize("news", [{"is_pending": True}, {"is_wanted": False}, {"etag": ""}, {"touched_at": NOW}])
    def test_that_the_feed_had_no_reason_to_tell_of_is_let_be(self, news):
        result = plan(ChangeBatch(), situation(replace(TIE, **news), token_at=BEFORE - timedelta(hours=1)))
        assert (result.actions, result.to_verify, result.keeps_token) == ([], [], False)

    @pytest.mark.parametrize(
        "tie",
        [replace(TIE, is_wanted=False), replace(TIE, start_at=at(10, day=1) - timedelta(days=1), end_at=at(7, day=1))],
    )
    def test_of_a_booking_that_is_over_is_forgotten(self, tie):
        result = plan(ChangeBatch(removals=("/a.ics",)), situation(tie))
        assert result.actions == [Drop("/a.ics"), Forget(tie)]

    def test_that_was_written_while_we_read_is_judged_next_time(self):
        tie = replace(TIE, touched_at=NOW + timedelta(seconds=1))
        result = plan(ChangeBatch(is_complete=True), situation(tie, known={}))
        assert result.actions == []
        assert result.keeps_token

    def test_and_back_again_settles_what_was_open(self):
        tie = replace(TIE, outside="removed", etag="")
        assert Adopt(tie, OURS, is_settled=True) in result_of(OURS, tie).actions

    def test_and_back_at_another_time_was_moved(self):
        tie = replace(TIE, outside="removed", etag="")
        event = replace(OURS, start_at=at(14), end_at=at(15), content_hash="moved")
        assert MovedOutside(tie, event) in result_of(event, tie).actions


class TestAnOpenMove:
    MOVED = replace(TIE, outside="moved", seen_start_at=at(14), seen_end_at=at(15), content_hash="moved", etag='"2"')

    def test_seen_again_is_no_second_move(self):
        event = replace(OURS, content_hash="moved", start_at=at(14), end_at=at(15))
        assert kinds(result_of(event, self.MOVED)) == [Store]

    def test_still_blocks_where_it_stands(self):
        event = replace(OURS, content_hash="moved", start_at=at(14), end_at=at(15))
        assert stored(result_of(event, self.MOVED)).busy == ((at(14), at(15)),)

    def test_retitled_there_is_no_second_move(self):
        event = replace(OURS, etag='"3"', content_hash="moved, retitled", start_at=at(14), end_at=at(15))
        assert kinds(result_of(event, self.MOVED)) == [Store, Adopt]

    def test_moved_on_is_a_move(self):
        event = replace(OURS, etag='"3"', content_hash="again", start_at=at(16), end_at=at(17))
        assert MovedOutside in kinds(result_of(event, self.MOVED))

    def test_moved_back_is_settled(self):
        event = replace(OURS, etag='"3"', content_hash="back")
        assert Adopt(self.MOVED, event, is_settled=True) in result_of(event, self.MOVED).actions


class TestSuspicion:
    KNOWN: ClassVar = {f"/{n}.ics": "1" for n in range(40)}

    def test_more_than_half_gone_is_not_believed(self):
        batch = ChangeBatch(unchanged=frozenset(list(self.KNOWN)[:10]), is_complete=True)
        result = plan(batch, situation(known=self.KNOWN))
        assert result.suspicion is not None
        assert len(result.suspicion.remote_ids) == 30
        assert result.actions == []
        assert result.held == frozenset(), "it is read again first"

    def test_after_a_second_reading_it_is_held_for_a_person(self):
        batch = ChangeBatch(unchanged=frozenset(list(self.KNOWN)[:10]), is_complete=True)
        result = plan(batch, situation(known=self.KNOWN, is_second_reading=True))
        assert len(result.held) == 30
        assert result.actions == []

    def test_a_burst_of_tombstones_is_not_believed_either(self):
        batch = ChangeBatch(removals=tuple(self.KNOWN)[:25])
        assert plan(batch, situation(known=self.KNOWN)).suspicion is not None

    def test_half_of_a_small_calendar_may_go(self):
        known = dict(list(self.KNOWN.items())[:12])
        batch = ChangeBatch(removals=tuple(known)[:10])
        result = plan(batch, situation(known=known))
        assert result.suspicion is None
        assert len(result.actions) == 10

    def test_several_of_our_own_at_once_are_not_believed(self):
        ties = [replace(TIE, link_id=n, remote_id=f"/own{n}.ics") for n in range(OWN_BURST)]
        result = plan(ChangeBatch(removals=tuple(tie.remote_id for tie in ties)), situation(*ties))
        assert result.suspicion is not None
        assert result.suspicion.own == OWN_BURST
        assert result.to_verify == []

    def test_our_own_deletions_raise_no_suspicion(self):
        ties = [replace(TIE, link_id=n, remote_id=f"/own{n}.ics", is_wanted=False) for n in range(20)]
        result = plan(ChangeBatch(removals=tuple(tie.remote_id for tie in ties)), situation(*ties))
        assert result.suspicion is None

    def test_where_only_a_window_is_read_what_is_over_may_be_missing(self):
        coming = frozenset(list(self.KNOWN)[:10])
        batch = ChangeBatch(unchanged=coming, is_complete=True, is_windowed=True)
        result = plan(batch, situation(known=self.KNOWN, coming=coming))
        assert result.suspicion is None
        assert {action.remote_id for action in result.actions} == self.KNOWN.keys() - coming

    def test_where_only_a_window_is_read_an_emptied_calendar_is_not_believed_however_much_of_it_is_over(self):
        coming = frozenset(list(self.KNOWN)[:12])
        result = plan(ChangeBatch(is_complete=True, is_windowed=True), situation(known=self.KNOWN, coming=coming))
        assert result.suspicion is not None
        assert result.suspicion.remote_ids == coming
        assert {action.remote_id for action in result.actions} == self.KNOWN.keys() - coming, "what is over may go"

    def test_where_each_occurrence_is_an_object_a_deleted_series_is_one_event(self):
        series = {f"standup_202612{day:02}T080000Z": "1" for day in range(2, 32)}
        known = series | {"dentist": "1", "trip": "1"}
        batch = ChangeBatch(removals=tuple(series), is_windowed=True)
        result = plan(batch, situation(known=known, coming=frozenset(known)))
        assert result.suspicion is None
        assert len(result.actions) == 30

    def test_many_series_at_once_are_not_believed(self):
        known = {f"series{n}_202612{day:02}T080000Z": "1" for n in range(12) for day in range(2, 6)}
        batch = ChangeBatch(removals=tuple(known), is_windowed=True)
        assert plan(batch, situation(known=known, coming=frozenset(known))).suspicion is not None

    def test_what_is_held_and_over_by_now_is_let_go_where_only_a_window_is_read(self):
        held = frozenset(list(self.KNOWN)[10:])
        coming = frozenset(list(self.KNOWN)[:20])
        batch = ChangeBatch(unchanged=frozenset(list(self.KNOWN)[:10]), is_complete=True, is_windowed=True)
        result = plan(batch, situation(known=self.KNOWN, held=held, coming=coming))
        assert result.held == held & coming
        assert {action.remote_id for action in result.actions} == held - coming

    def test_what_is_held_already_raises_no_new_alarm(self):
        held = frozenset(list(self.KNOWN)[10:])
        batch = ChangeBatch(unchanged=frozenset(list(self.KNOWN)[:10]), is_complete=True)
        result = plan(batch, situation(known=self.KNOWN, held=held))
        assert result.suspicion is None
        assert (result.held, result.actions) == (held, [])

    def test_what_reappears_is_released(self):
        held = frozenset(list(self.KNOWN)[10:])
        batch = ChangeBatch(unchanged=frozenset(self.KNOWN), is_complete=True)
        assert plan(batch, situation(known=self.KNOWN, held=held)).held == frozenset()

    def test_a_person_may_agree(self):
        held = frozenset(list(self.KNOWN)[10:])
        batch = ChangeBatch(unchanged=frozenset(list(self.KNOWN)[:10]), is_complete=True)
        result = plan(batch, situation(known=self.KNOWN, held=held, accepts_removals=True))
        assert len(result.actions) == 30
        assert result.held == frozenset()


@given(
    known=st.sets(st.integers(0, 60)),
    listed=st.sets(st.integers(0, 60)),
    is_complete=st.booleans(),
    is_second_reading=st.booleans(),
)
def test_no_reading_takes_away_more_than_half_unasked(known, listed, is_complete, is_second_reading):
    names = {f"/{n}": "1" for n in known}
    batch = (
        ChangeBatch(unchanged=frozenset(f"/{n}" for n in listed), is_complete=True)
        if is_complete
        else ChangeBatch(removals=tuple(f"/{n}" for n in listed))
    )
    result = plan(batch, situation(known=names, is_second_reading=is_second_reading))
    drops = [action for action in result.actions if isinstance(action, Drop)]
    assert len(drops) <= max(10, len(names) // 2)


times = st.integers(0, 47).map(lambda half_hours: at(half_hours / 2))


@given(
    start=times,
    length=st.integers(1, 6),
    etag=st.sampled_from(['"1"', '"2"']),
    hashed=st.sampled_from(["written", "x"]),
)
def test_whatever_is_done_to_our_event_never_takes_time_from_the_booking_itself(start, length, etag, hashed):
    event = replace(OURS, start_at=start, end_at=start + timedelta(minutes=30) * length, etag=etag, content_hash=hashed)
    result = result_of(event)
    for busy_start, busy_end in stored(result).busy:
        assert busy_end <= TIE.start_at or busy_start >= TIE.end_at
        assert event.start_at <= busy_start < busy_end <= event.end_at


@given(start=times, length=st.integers(1, 6), is_cancelled=st.booleans())
def test_seen_twice_is_acted_upon_once(start, length, is_cancelled):
    """Whatever the first look made of an event, the second look at the same one finds nothing new."""
    event = replace(
        OURS, start_at=start, end_at=start + timedelta(minutes=30) * length, content_hash="changed", is_cancelled=is_cancelled
    )  # fmt: skip
    tie = TIE
    for action in judge(event, tie, situation(tie)).actions:
        if isinstance(action, Adopt | MovedOutside | RemovedOutside):
            outside = {"Adopt": "", "MovedOutside": "moved", "RemovedOutside": "removed"}[type(action).__name__]
            tie = replace(
                tie, etag=event.etag, content_hash=event.content_hash, outside=outside,
                seen_start_at=event.start_at, seen_end_at=event.end_at,
            )  # fmt: skip
    assert kinds(judge(event, tie, situation(tie))) == [Store]
