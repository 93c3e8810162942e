"""The issue's figure, on a small scale: `make bench` runs it fifty times."""

from collections import Counter

from tests.support.storm import storms

ROUNDS = 3


def test_in_a_storm_no_seat_is_sold_twice_and_none_stays_unsold_beside_somebody_who_fits(app):
    with storms(app) as here:
        rounds = [here.run(number) for number in range(ROUNDS)]
    for each in rounds:
        assert (max(each.most_over, 0), each.wrong, each.errors) == (0, [], [])
        assert each.longest_wait <= 5
        assert each.offered_after <= 5
        assert each.done["cancel"] > 0
        assert each.offers > 0
    answers = sum((each.done for each in rounds), Counter())
    assert answers["accept"] > 0
    assert answers["decline"] > 0
    assert answers["resize"] > 0
