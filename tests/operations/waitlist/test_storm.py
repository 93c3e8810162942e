"""The storms of `make bench`, on a small scale: there they come fifty times."""

from collections import Counter

from tests.support.storm import storms

ROUNDS = 3


def test_in_a_storm_no_seat_is_sold_twice_and_none_stays_unsold_beside_somebody_who_fits(app):
    with storms(app) as here:
        rounds = [here.run(number) for number in range(ROUNDS)]
    for each in rounds:
        assert (max(each.most_over, 0), each.wrong, each.errors) == (0, [], [])
        # Five seconds, unless the machine is so busy with other things that the storm itself, of 2.5 s, takes longer than 15.
        limit = max(5.0, each.seconds / 3)
        assert each.longest_wait <= limit
        assert each.offered_after <= limit
        assert each.done["cancel"] > 0
        assert each.offers > 0
    answers = sum((each.done for each in rounds), Counter())
    assert answers["accept"] > 0
    assert answers["decline"] > 0
    assert answers["resize"] > 0
