"""Group services: standing appointments with seats left, and new ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from portal.availability.model import Demand, OpenAppointment, Slot, Timetable
from portal.availability.slots import is_offered, offer_slots
from portal.intervals import Interval

from .small_world import HOUR, LONG_AGO, demand, local, rules, timetable

MONDAY = date(2027, 3, 1)
ANA, BOB, ROOM = 1, 2, 11
NINE = Interval(local(MONDAY, "09:00"), local(MONDAY, "10:00"))
TEN = Interval(local(MONDAY, "10:00"), local(MONDAY, "11:00"))


def teacher(id_: int, *, taken: tuple[Interval, ...] = ()) -> Timetable:
    return timetable("09:00-11:00", resource_id=id_, busy=list(taken))


def course(*teachers: Timetable, standing: tuple[OpenAppointment, ...] = (), **others: object) -> Demand:
    others = {"capacity": 4, "open_appointments": standing, **others}
    return demand(*teachers, day=MONDAY, by=rules(60, 60), **others)


def test_a_standing_appointment_with_room_is_offered_though_its_teacher_is_busy_with_it() -> None:
    question = course(teacher(ANA, taken=(NINE,)), standing=(OpenAppointment(NINE, (ANA,), 3),))
    assert offer_slots(question, now=LONG_AGO) == [Slot(NINE, (ANA,), (), 3), Slot(TEN, (ANA,), (), 4)]
    assert is_offered(question, NINE, now=LONG_AGO) == Slot(NINE, (ANA,), (), 3)


def test_the_whole_party_must_fit() -> None:
    question = course(teacher(ANA, taken=(NINE,)), standing=(OpenAppointment(NINE, (ANA,), 3),))
    assert [slot.interval for slot in offer_slots(replace(question, party_size=3), now=LONG_AGO)] == [NINE, TEN]
    assert [slot.interval for slot in offer_slots(replace(question, party_size=4), now=LONG_AGO)] == [TEN]
    assert offer_slots(replace(question, party_size=5), now=LONG_AGO) == []


def test_a_single_seat_service_has_no_open_appointments() -> None:
    question = course(teacher(ANA, taken=(NINE,)), standing=(OpenAppointment(NINE, (ANA,), 1),), capacity=1)
    assert [slot.interval for slot in offer_slots(question, now=LONG_AGO)] == [TEN]


def test_a_standing_appointment_fills_before_another_teacher_starts_one() -> None:
    standing = (OpenAppointment(NINE, (BOB,), 2),)
    question = course(teacher(ANA), teacher(BOB, taken=(NINE,)), standing=standing)
    assert offer_slots(question, now=LONG_AGO)[0] == Slot(NINE, (BOB,), (), 2)
    chosen = replace(question, assignment="choose", chosen=ANA)
    assert offer_slots(chosen, now=LONG_AGO)[0] == Slot(NINE, (ANA,), (), 4)


def test_of_two_at_one_start_the_one_of_the_preferred_teacher_speaks() -> None:
    both = (OpenAppointment(NINE, (BOB,), 4), OpenAppointment(NINE, (ANA,), 1))
    teachers = teacher(ANA, taken=(NINE,)), teacher(BOB, taken=(NINE,))
    assert offer_slots(course(*teachers, standing=both), now=LONG_AGO)[0] == Slot(NINE, (ANA,), (), 1)
    assert offer_slots(course(*teachers, standing=both, party_size=2), now=LONG_AGO)[0].choices == (BOB,)


def test_it_keeps_its_own_times_whatever_hours_and_grid_say_now() -> None:
    odd = Interval(local(MONDAY, "18:10"), local(MONDAY, "19:45"))
    question = course(teacher(ANA), standing=(OpenAppointment(odd, (ANA,), 2),))
    assert offer_slots(question, now=LONG_AGO)[-1].interval == odd


def test_notice_horizon_and_window_hold_for_it() -> None:
    question = course(teacher(ANA, taken=(NINE,)), standing=(OpenAppointment(NINE, (ANA,), 2),))
    with_notice = replace(question, rules=replace(question.rules, notice=HOUR))
    assert [slot.interval for slot in offer_slots(with_notice, now=NINE.start)] == [TEN]
    near = replace(question, rules=replace(question.rules, horizon=HOUR))
    assert offer_slots(near, now=NINE.start - HOUR) == []
    assert [slot.interval for slot in offer_slots(replace(question, window=TEN), now=LONG_AGO)] == [TEN]


def test_its_room_is_named_too() -> None:
    question = course(
        teacher(ANA, taken=(NINE,)),
        standing=(OpenAppointment(NINE, (ROOM, ANA), 2),),
        also_needs=((teacher(ROOM, taken=(NINE,)),),),
    )
    assert offer_slots(question, now=LONG_AGO)[0] == Slot(NINE, (ANA,), (ROOM,), 2)


def test_it_stands_even_if_the_service_needs_other_rooms_now() -> None:
    other_room = teacher(12)
    standing = (OpenAppointment(NINE, (ANA, ROOM), 2),)
    question = course(teacher(ANA, taken=(NINE,)), standing=standing, also_needs=((other_room,),))
    assert offer_slots(question, now=LONG_AGO)[0] == Slot(NINE, (ANA,), (ROOM,), 2)


def test_without_a_teacher_of_the_service_it_is_not_offered() -> None:
    question = course(teacher(ANA), standing=(OpenAppointment(NINE, (99,), 2),))
    assert offer_slots(question, now=LONG_AGO)[0] == Slot(NINE, (ANA,), (), 4)
