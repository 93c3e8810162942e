"""Who is offered what: the plan of a waitlist, and what must hold of it whatever the queue and the vacancies."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.intervals import Interval
from portal.waitlist.plan import (
    Decision,
    Rules,
    Vacancy,
    Waiting,
    Wanted,
    decide,
    mismatch,
    offer_length,
    window_of,
)

NOW = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)
TEN = datetime(2027, 3, 8, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANA, BEN = 1, 2
USUAL = Rules(minutes=240)


def seats(number, *, start_at=TEN, appointment_id=7, people=(ANA,)):
    return Vacancy(
        start_at=start_at, end_at=start_at + HOUR, seats=number, people=people, appointment_id=appointment_id
    )


def free_time(start_at=TEN, *, people=(ANA,), also=(), capacity=1, together=False):
    return Vacancy(
        start_at=start_at, end_at=start_at + HOUR, seats=capacity, people=people, also=also,
        claimed=Interval(start_at, start_at + HOUR), together=together,
    )  # fmt: skip


def waiting(entry_id, party_size=1, wanted=None, **more):
    values = {"joined_at": NOW + timedelta(seconds=entry_id), "customer": f"guest{entry_id}@example.org", **more}
    return Waiting(entry_id=entry_id, party_size=party_size, wanted=wanted or Wanted(), **values)


def offered(decision: Decision):
    return [(offer.entry_id, offer.vacancy.start_at) for offer in decision.offers]


def said(decision: Decision):
    return [[(line.entry_id, line.why) for line in receipt.considered] for receipt in decision.receipts]


def test_first_come_first_served():
    decision = decide([seats(2)], [waiting(3), waiting(1), waiting(2)], USUAL, now=NOW)
    assert offered(decision) == [(1, TEN), (2, TEN)]
    assert said(decision) == [[(1, "offered"), (2, "offered"), (3, "seats_gone")]]


def test_of_two_who_joined_at_once_the_lower_number_is_first():
    same = {"joined_at": NOW}
    assert offered(decide([seats(1)], [waiting(5, **same), waiting(4, **same)], USUAL, now=NOW)) == [(4, TEN)]


def test_a_party_too_large_is_passed_by_and_the_receipt_says_so():
    decision = decide([seats(2)], [waiting(1, 3), waiting(2, 2)], USUAL, now=NOW)
    assert offered(decision) == [(2, TEN)]
    assert said(decision) == [[(1, "party_too_large"), (2, "offered")]]


def test_a_party_too_large_is_told_why_also_when_nobody_is_served():
    assert said(decide([seats(1)], [waiting(1, 2)], USUAL, now=NOW)) == [[(1, "party_too_large")]]


def test_who_wanted_another_time_or_person_is_named_only_when_somebody_behind_was_served():
    later, other = waiting(1, wanted=Wanted(start_at=TEN + HOUR)), waiting(2, wanted=Wanted(resource_id=BEN))
    decision = decide([seats(1)], [later, other, waiting(3)], USUAL, now=NOW)
    assert said(decision) == [[(1, "other_time"), (2, "other_person"), (3, "offered")]]
    assert decide([seats(1)], [later, other], USUAL, now=NOW).receipts == ()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"refused": frozenset({TEN})}, "already_offered"),
        ({"booked": frozenset({TEN})}, "has_booking"),
        ({"is_limited": True}, "limit"),
    ],
)
def test_what_keeps_an_entry_from_an_offer_is_written_down(more, why):
    decision = decide([seats(2)], [waiting(1, **more), waiting(2)], USUAL, now=NOW)
    assert offered(decision) == [(2, TEN)]
    assert said(decision) == [[(1, why), (2, "offered")]]


def test_a_time_refused_before_does_not_stand_in_the_way_of_another():
    entry = waiting(1, refused=frozenset({TEN}))
    vacancies = [seats(1), seats(1, start_at=TEN + HOUR, appointment_id=8)]
    assert offered(decide(vacancies, [entry], USUAL, now=NOW)) == [(1, TEN + HOUR)]


def test_one_customer_who_waits_twice_is_offered_a_time_once():
    twice = [waiting(1, customer="eva@example.org"), waiting(2, customer="eva@example.org")]
    assert said(decide([seats(2)], twice, USUAL, now=NOW)) == [[(1, "offered"), (2, "has_booking")]]


def test_a_paused_waitlist_offers_nothing_and_says_so():
    decision = decide([seats(1)], [waiting(1), waiting(2)], Rules(minutes=240, is_paused=True), now=NOW)
    assert decision.offers == ()
    assert said(decision) == [[(1, "paused"), (2, "paused")]]


def test_shortly_before_the_start_nothing_is_offered_any_more():
    decision = decide([seats(1)], [waiting(1)], USUAL, now=TEN - timedelta(minutes=19))
    assert (decision.offers, said(decision)) == ((), [[(1, "too_late")]])


def test_the_earliest_time_is_offered_and_at_the_same_start_the_group_that_stands():
    vacancies = [free_time(TEN + HOUR), free_time(TEN, people=(BEN,), capacity=3), seats(1)]
    decision = decide(vacancies, [waiting(1), waiting(2)], USUAL, now=NOW)
    assert [(offer.entry_id, offer.vacancy.appointment_id) for offer in decision.offers] == [(1, 7), (2, None)]


def test_a_new_appointment_takes_its_person_from_the_times_around_it():
    half = timedelta(minutes=30)
    vacancies = [free_time(TEN), free_time(TEN + half), free_time(TEN + 2 * half)]
    assert offered(decide(vacancies, [waiting(1), waiting(2)], USUAL, now=NOW)) == [(1, TEN), (2, TEN + HOUR)]


def test_two_people_can_each_give_one_of_two_overlapping_appointments():
    half = timedelta(minutes=30)
    vacancies = [free_time(TEN, people=(ANA, BEN)), free_time(TEN + half, people=(ANA, BEN))]
    decision = decide(vacancies, [waiting(1), waiting(2), waiting(3)], USUAL, now=NOW)
    assert offered(decision) == [(1, TEN), (2, TEN + half)]


def test_a_room_that_is_taken_shuts_what_would_need_it():
    half = timedelta(minutes=30)
    vacancies = [free_time(TEN, also=(9,)), free_time(TEN + half, people=(BEN,), also=(9,))]
    assert offered(decide(vacancies, [waiting(1), waiting(2)], USUAL, now=NOW)) == [(1, TEN)]


def test_the_person_wanted_gives_the_new_appointment():
    vacancies = [free_time(TEN, people=(ANA, BEN)), free_time(TEN + timedelta(minutes=30), people=(ANA, BEN))]
    queue = [waiting(1, wanted=Wanted(resource_id=BEN)), waiting(2, wanted=Wanted(resource_id=BEN))]
    assert offered(decide(vacancies, queue, USUAL, now=NOW)) == [(1, TEN)]


def test_a_person_who_was_taken_by_somebody_ahead_is_not_the_one_who_is_offered():
    half = timedelta(minutes=30)
    vacancies = [free_time(TEN), free_time(TEN + half, people=(ANA, BEN))]
    queue = [waiting(1), waiting(2, wanted=Wanted(start_at=TEN + half, resource_id=ANA)), waiting(3)]
    decision = decide(vacancies, queue, USUAL, now=NOW)
    assert offered(decision) == [(1, TEN), (3, TEN + half)]
    assert said(decision)[1] == [(2, "other_person"), (3, "offered")]


def test_an_unserved_entry_is_explained_at_one_of_many_free_times_only():
    vacancies = [free_time(TEN + n * HOUR) for n in range(8)]
    decision = decide(vacancies, [waiting(1, is_limited=True)], USUAL, now=NOW)
    assert said(decision) == [[(1, "limit")]]


def test_the_length_of_an_offer():
    def length(left, minutes=240, notice=timedelta(0)):
        return offer_length(NOW + left, minutes=minutes, notice=notice, now=NOW)

    assert length(timedelta(days=7)) == timedelta(hours=4)
    assert length(timedelta(hours=8)) == timedelta(hours=2)
    assert length(timedelta(minutes=40)) == timedelta(minutes=15)
    assert length(timedelta(minutes=20)) == timedelta(minutes=15)
    assert length(timedelta(minutes=19)) is None
    assert length(timedelta(minutes=40), minutes=5) == timedelta(minutes=5)
    assert length(timedelta(hours=3), notice=timedelta(hours=4)) is None
    assert length(timedelta(minutes=90, seconds=7)) == timedelta(minutes=22)


def test_days_and_weeks_are_meant_in_the_zone_of_the_business():
    day = window_of("day", date(2027, 3, 28), zone="Europe/Madrid")  # the clocks go forward
    assert day == Interval(datetime(2027, 3, 27, 23, tzinfo=UTC), datetime(2027, 3, 28, 22, tzinfo=UTC))
    week = window_of("week", date(2027, 3, 10), zone="UTC")
    assert week == Interval(datetime(2027, 3, 8, tzinfo=UTC), datetime(2027, 3, 15, tzinfo=UTC))
    assert window_of("any", None, zone="UTC") is None


@st.composite
def boards(draw):
    """Vacancies of fixed appointments and computed times of two people on one morning, some of which exclude each other."""
    vacancies = []
    for number in range(draw(st.integers(0, 4))):
        start_at = TEN + timedelta(minutes=30) * draw(st.integers(0, 5))
        vacancies.append(seats(draw(st.integers(1, 4)), start_at=start_at, appointment_id=number + 1))
    for number in range(draw(st.integers(0, 4))):
        start_at = TEN + timedelta(minutes=30) * number
        people = tuple(draw(st.sets(st.sampled_from([ANA, BEN]), min_size=1)))
        vacancies.append(
            free_time(start_at, people=people, also=draw(st.sampled_from([(), (9,)])), capacity=draw(st.integers(1, 3)))
        )
    return vacancies


@st.composite
def queues(draw):
    times = st.integers(0, 5).map(lambda n: TEN + timedelta(minutes=30) * n)
    wanted = st.one_of(
        st.builds(Wanted, resource_id=st.sampled_from([None, ANA, BEN])),
        st.builds(Wanted, start_at=times, resource_id=st.sampled_from([None, ANA])),
        st.builds(Wanted, appointment_id=st.integers(1, 4)),
        times.map(lambda start: Wanted(window=Interval(start, start + 2 * HOUR))),
    )
    return [
        waiting(
            number, draw(st.integers(1, 4)), draw(wanted), joined_at=NOW + timedelta(seconds=draw(st.integers(0, 3))),
            customer=f"guest{draw(st.integers(0, 5))}@example.org", refused=draw(st.frozensets(times, max_size=1)),
            booked=draw(st.frozensets(times, max_size=1)), is_limited=draw(st.integers(0, 5)) == 0,
        )
        for number in range(draw(st.integers(0, 7)))
    ]  # fmt: skip


@given(boards(), queues(), st.randoms())
def test_the_order_of_the_input_does_not_matter(vacancies, queue, chance):
    decision = decide(vacancies, queue, USUAL, now=NOW)
    chance.shuffle(vacancies)
    chance.shuffle(queue)
    assert decide(vacancies, queue, USUAL, now=NOW) == decision


@given(boards(), queues())
def test_never_more_seats_than_are_free_nor_anybody_twice(vacancies, queue):
    decision = decide(vacancies, queue, USUAL, now=NOW)
    parties = {entry.entry_id: entry for entry in queue}
    for vacancy in vacancies:
        given_away = [offer for offer in decision.offers if offer.vacancy is vacancy]
        assert sum(parties[offer.entry_id].party_size for offer in given_away) <= vacancy.seats
        customers = [parties[offer.entry_id].customer for offer in given_away]
        assert len(customers) == len(set(customers))
    ids = [offer.entry_id for offer in decision.offers]
    assert len(ids) == len(set(ids))
    for offer in decision.offers:
        entry = parties[offer.entry_id]
        assert not mismatch(entry.wanted, offer.vacancy, offer.vacancy.people)
        assert offer.vacancy.start_at not in entry.refused | entry.booked
        assert not entry.is_limited


@given(boards(), queues())
def test_new_appointments_at_the_same_time_never_need_the_same_person_or_room(vacancies, queue):
    decision = decide(vacancies, queue, USUAL, now=NOW)
    new = {id(o.vacancy): o.vacancy for o in decision.offers if o.vacancy.appointment_id is None}.values()
    for instant in {vacancy.start_at for vacancy in new}:
        at_once = [vacancy for vacancy in new if vacancy.claimed.start <= instant < vacancy.claimed.end]
        assert len(at_once) <= len({person for vacancy in at_once for person in vacancy.people})
        rooms = [room for vacancy in at_once for room in vacancy.also]
        assert len(rooms) == len(set(rooms))


@given(boards(), queues())
def test_nobody_who_fits_what_is_left_goes_away_with_nothing(vacancies, queue):
    """Of standing appointments, where seats are all that counts."""
    standing = [vacancy for vacancy in vacancies if vacancy.appointment_id is not None]
    decision = decide(standing, queue, USUAL, now=NOW)
    parties = {entry.entry_id: entry for entry in queue}
    served = {offer.entry_id for offer in decision.offers}
    left = {v.appointment_id: v.seats for v in standing}
    taken = set()
    for offer in decision.offers:
        left[offer.vacancy.appointment_id] -= parties[offer.entry_id].party_size
        taken.add((parties[offer.entry_id].customer, offer.vacancy.start_at))
    for entry in queue:
        if entry.entry_id in served or entry.is_limited:
            continue
        for vacancy in standing:
            is_open = vacancy.start_at not in entry.refused | entry.booked
            is_new = (entry.customer, vacancy.start_at) not in taken
            if is_open and is_new and not mismatch(entry.wanted, vacancy, vacancy.people):
                assert left[vacancy.appointment_id] < entry.party_size


@given(boards(), queues())
def test_nobody_is_served_before_somebody_ahead_who_wanted_and_fitted_the_same(vacancies, queue):
    """Whoever was ahead, wanted such a time and got nothing was passed by for a reason that the receipt of that vacancy states."""
    decision = decide(vacancies, queue, USUAL, now=NOW)
    order = sorted(queue, key=lambda entry: (entry.joined_at, entry.entry_id))
    served = {offer.entry_id for offer in decision.offers}
    for receipt in decision.receipts:
        lines = {line.entry_id: line.why for line in receipt.considered}
        behind = False
        for entry in reversed(order):
            behind = behind or lines.get(entry.entry_id) == "offered"
            if behind and entry.entry_id not in served:
                assert lines[entry.entry_id] not in ("offered", "paused", "seats_gone")
