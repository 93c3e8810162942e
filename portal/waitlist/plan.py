"""Who of a waitlist is offered which free seats, and why others are passed by. Pure: values in, a decision out.

Asked by `allot.py` under the lock of the service's resources, and by the dry run without one. The same input gives the same decision,
whatever the order of the input. First come, first served: an entry is passed by for a stated reason alone, and the receipt says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from portal.intervals import Interval

SHORTEST = timedelta(minutes=15)
"""An offer lasts at least so long, near the start too, unless the service wants shorter ones ..."""
LATEST = timedelta(minutes=20)
"""... and none is made later than this before the start."""

OFFERED, PASSED = "offered", "passed"
PARTY_TOO_LARGE = "party_too_large"
OTHER_TIME = "other_time"
OTHER_PERSON = "other_person"
ALREADY_OFFERED = "already_offered"
HAS_BOOKING = "has_booking"
LIMIT = "limit"
PAUSED = "paused"
TOO_LATE = "too_late"
SEATS_GONE = "seats_gone"
BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacancy:
    """Free seats: those left in a standing appointment, or (`appointment_id` None) all of one that could be opened.

    `people` are the main resources that can give it, one of them or (`together`) all. `claimed` and `also` say what a new one would take
    besides; of a standing one nothing more is taken.
    """

    start_at: datetime
    end_at: datetime
    seats: int
    people: tuple[int, ...]
    appointment_id: int | None = None
    also: tuple[int, ...] = ()
    claimed: Interval | None = None
    together: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an entry waits for. The first that is given counts: that appointment, that start, a start in that window; else any time.
    `resource_id` is the person wanted; None: anyone."""

    appointment_id: int | None = None
    start_at: datetime | None = None
    window: Interval | None = None
    resource_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One entry in the queue. `customer` tells its e-mail address from others (lower case).

    `refused` are the starts that it was offered before in vain, `booked` those at which its customer has a booking or an offer of the
    service; `is_limited` says that the service allows this customer no further booking.
    """

    entry_id: int
    joined_at: datetime
    customer: str
    party_size: int
    wanted: Wanted
    refused: frozenset[datetime] = frozenset()
    booked: frozenset[datetime] = frozenset()
    is_limited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a service offers. `minutes` is the longest that an offer holds its seats."""

    minutes: int
    notice: timedelta = timedelta(0)
    is_paused: bool = False


class Considered(NamedTuple):
    """One line of a receipt."""

    entry_id: int
    party_size: int
    outcome: str
    why: str


class Offering(NamedTuple):
    """Offer these seats to this entry for so long."""

    entry_id: int
    vacancy: Vacancy
    length: timedelta


class Receipt(NamedTuple):
    """Who was considered for a vacancy, in the order of the queue."""

    vacancy: Vacancy
    considered: tuple[Considered, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """`offers` in the order in which they are to be made."""

    offers: tuple[Offering, ...] = ()
    receipts: tuple[Receipt, ...] = ()


def decide(vacancies: Iterable[Vacancy], waiting: Iterable[Waiting], rules: Rules, *, now: datetime) -> Decision:
    """Go through the queue, and offer each entry the earliest vacancy that fits it.

    Of new appointments that would take the same resource at the same time only the first is counted on; after acting, ask again.
    """
    board = [_Place(vacancy, vacancy.seats, vacancy.people) for vacancy in sorted(vacancies, key=_order)]
    queue = sorted(waiting, key=lambda each: (each.joined_at, each.entry_id))
    taken: set[tuple[str, datetime]] = set()
    offers = []
    for entry in queue:
        place = _first_fitting(board, entry, rules, now=now, taken=taken)
        if place is None:
            continue
        taken.add((entry.customer, place.vacancy.start_at))
        length = offer_length(place.vacancy.start_at, minutes=rules.minutes, notice=rules.notice, now=now)
        assert length is not None
        offers.append(Offering(entry.entry_id, place.vacancy, length))
        _take(board, place, entry)
    return Decision(tuple(offers), tuple(_receipts(board, queue, served={offer.entry_id for offer in offers})))


def offer_length(start_at: datetime, *, minutes: int, notice: timedelta, now: datetime) -> timedelta | None:
    """How long an offer made now holds its seats: a quarter of the time left at most, 15 minutes at least, `minutes` in any case.
    None when it is too late for one: nearer than 20 minutes, or nearer than customers may book."""
    left = start_at - now
    if left < max(LATEST, notice):
        return None
    quarter = left / 4
    length = min(timedelta(minutes=minutes), max(quarter, SHORTEST))
    return length - length % timedelta(minutes=1)


def window_of(wish: str, wish_on: date | None, *, zone: str) -> Interval | None:
    """The instants at which a wish for a day or a week (Monday to Sunday) may start, in the business's zone; None for other wishes."""
    if wish not in ("day", "week") or wish_on is None:
        return None
    first = wish_on - timedelta(days=wish_on.weekday() if wish == "week" else 0)
    after = first + timedelta(days=7 if wish == "week" else 1)
    return Interval(_midnight(first, zone), _midnight(after, zone))


def mismatch(wanted: Wanted, vacancy: Vacancy, people: Sequence[int]) -> str:
    """Why the vacancy is not what is wanted: other_time, other_person, or nothing when it is."""
    if not _is_wanted_time(wanted, vacancy):
        return OTHER_TIME
    if wanted.resource_id is not None and wanted.resource_id not in people:
        return OTHER_PERSON
    return ""


@dataclass(slots=True)
class _Place:
    """A vacancy while the queue is gone through. `verdicts` are those of entries that want such a time."""

    vacancy: Vacancy
    left: int
    people: tuple[int, ...]
    verdicts: dict[int, str] = field(default_factory=dict)
    is_closed: bool = False


def _order(vacancy: Vacancy) -> tuple[datetime, bool, int, tuple[int, ...], tuple[int, ...], int, datetime]:
    """The earliest first; at the same start the standing one, which fills up first. The rest makes the order of the input irrelevant."""
    standing = vacancy.appointment_id
    return (
        vacancy.start_at, standing is None, standing or 0, vacancy.people, vacancy.also, vacancy.seats, vacancy.end_at,
    )  # fmt: skip


def _first_fitting(
    board: Sequence[_Place], entry: Waiting, rules: Rules, *, now: datetime, taken: set[tuple[str, datetime]]
) -> _Place | None:
    for place in board:
        if mismatch(entry.wanted, place.vacancy, place.vacancy.people if place.is_closed else place.people):
            continue
        why = SEATS_GONE if place.is_closed else _objection(place, entry, rules, now=now, taken=taken)
        place.verdicts[entry.entry_id] = why or (PAUSED if rules.is_paused else OFFERED)
        if not why:
            return None if rules.is_paused else place
    return None


def _objection(
    place: _Place, entry: Waiting, rules: Rules, *, now: datetime, taken: set[tuple[str, datetime]]
) -> str | None:
    """Why an entry that wants such a time is not offered this one."""
    start_at = place.vacancy.start_at
    if offer_length(start_at, minutes=rules.minutes, notice=rules.notice, now=now) is None:
        return TOO_LATE
    if start_at in entry.refused:
        return ALREADY_OFFERED
    if start_at in entry.booked or (entry.customer, start_at) in taken:
        return HAS_BOOKING
    if entry.is_limited:
        return LIMIT
    if place.left == 0 and entry.party_size <= place.vacancy.seats:
        return SEATS_GONE
    return PARTY_TOO_LARGE if place.left < entry.party_size else None


def _take(board: Sequence[_Place], place: _Place, entry: Waiting) -> None:
    """Take the entry's seats off the board, and what a new appointment would take of others."""
    place.left -= entry.party_size
    vacancy = place.vacancy
    if vacancy.appointment_id is not None or vacancy.claimed is None:
        return
    if not vacancy.together:
        wanted = entry.wanted.resource_id
        place.people = (wanted if wanted is not None else place.people[0],)
    used = {*place.people, *vacancy.also}
    for other in board:
        if other is not place and other.vacancy.claimed is not None and other.vacancy.claimed.overlaps(vacancy.claimed):
            _withdraw(other, used)


def _withdraw(place: _Place, used: set[int]) -> None:
    """These resources are not free any more for a new appointment."""
    if place.vacancy.together or used & set(place.vacancy.also):
        place.is_closed = place.is_closed or bool(used & {*place.people, *place.vacancy.also})
        return
    place.people = tuple(id_ for id_ in place.people if id_ not in used)
    place.is_closed = place.is_closed or not place.people


def _receipts(board: Sequence[_Place], queue: Sequence[Waiting], *, served: set[int]) -> Iterable[Receipt]:
    """Of standing appointments, each for which somebody was considered. Of the many times that a day may have, those that were offered,
    and the first one for each entry that got nothing."""
    unexplained = {entry.entry_id for entry in queue} - served
    for place in board:
        is_offered = OFFERED in place.verdicts.values()
        explains = unexplained & place.verdicts.keys()
        if is_offered or explains or (place.verdicts and place.vacancy.appointment_id is not None):
            unexplained -= explains
            yield Receipt(place.vacancy, tuple(_lines(place, queue)))


def _lines(place: _Place, queue: Sequence[Waiting]) -> Iterable[Considered]:
    """In the order of the queue; whoever wanted something else is named when somebody behind them was served."""
    served = [number for number, entry in enumerate(queue) if place.verdicts.get(entry.entry_id) == OFFERED]
    last = served[-1] if served else -1
    for number, entry in enumerate(queue):
        why = place.verdicts.get(entry.entry_id, "")
        if not why and number < last:
            why = mismatch(entry.wanted, place.vacancy, place.people)
        if why:
            outcome = OFFERED if why == OFFERED else PASSED
            yield Considered(entry.entry_id, entry.party_size, outcome, why)


def _is_wanted_time(wanted: Wanted, vacancy: Vacancy) -> bool:
    if wanted.appointment_id is not None:
        return vacancy.appointment_id == wanted.appointment_id
    if wanted.start_at is not None:
        return vacancy.start_at == wanted.start_at
    return wanted.window is None or wanted.window.start <= vacancy.start_at < wanted.window.end


def _midnight(on: date, zone: str) -> datetime:
    return datetime.combine(on, time(), ZoneInfo(zone)).astimezone(UTC)
