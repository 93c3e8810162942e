"""How much a visitor may take who has not shown yet that they are there, and when their e-mail address is asked to confirm it.

Everything is counted in the database, by rows that hold keyed digests of a network or an address: so the limits hold over all processes and
survive the loss of the queue, and nobody can read who it was. Programs with a token, staff and the waitlist's offers have no budget.

- A *hold* costs nothing to who makes it, so a network (a /24 of IPv4, a /64 of IPv6) has four at once: as many as a family or an office needs,
  since a hold lasts ten minutes at most. All that is not confirmed takes a fifth of what is free on a day at most. When that is reached, the
  network with the most of them gives its oldest to one that has none: whoever floods a day locks themselves out first. Three people from
  three networks may choose at once, however short the day.
- A *booking* counts at once as long as a network makes ten an hour, an address three, and a service sixty. Beyond that it is kept for half
  an hour, and counts when the link in its mail is confirmed; that ends by itself with the hour. Six an hour to one address and forty of one
  network are the end: mails that nobody asked for are a nuisance, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from flask import current_app
from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from portal.availability.model import Slot
from portal.booking.holds import is_live_hold
from portal.booking.models import Appointment, AppointmentResource, Booking, Offer, Spending
from portal.booking.time import claims
from portal.booking.time.queries import free_slots
from portal.booking.time.wish import Wish
from portal.business.models import Business, Service
from portal.database.engine import in_turn, transaction
from portal.errors import BudgetSpent
from portal.intervals import Interval
from portal.language.dates import day_starts_at
from portal.language.say import say, say_later
from portal.security import keyed_hash, token_hash

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEPT = DAY

MOST_OPEN = 4
"""Holds of one network at the same time, over all services."""
HOLDS = 120
"""Holds of one network in an hour: twenty people who look at six times each."""
SHARE = 5
"""What is not confirmed takes at most this part of a day: a fifth."""
AT_ONCE = 3
"""So many networks may hold one time each, on the shortest day."""

NETWORK_ASKED, NETWORK_END = 10, 40
ADDRESS_ASKED, ADDRESS_END = 3, 6
SERVICE_ASKED = 60
"""Bookings in an hour: from the first number on they are confirmed by mail, with the second it is over."""

JOINS_OF_NETWORK, JOINS_OF_ADDRESS = 20, 6
"""Places in waitlists that are asked for in an hour; each is answered by a mail."""

IN_AN_HOUR = say_later("This has been asked for very often in a short time. Please try again in an hour, or call us.")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks through a page. `network` is where they come from, as text."""

    network: str


@dataclass(frozen=True, slots=True)
class Share:
    """The day of a wish: `limit` is how much of it may be taken by what is not confirmed, `most` how much there is."""

    day: Interval
    limit: int
    most: int


def share_of_day(session: Session, service: Service, wish: Wish, *, now: datetime, own: str | None = None) -> Share:
    """Read before the lock is taken: it asks the engine for a whole day, but only where something is kept on it besides the visitor's `own`
    hold, which is about to be given back."""
    zone = session.scalars(select(Business.zone)).one()
    on = wish.interval.start.astimezone(ZoneInfo(zone)).date()
    day = Interval(day_starts_at(on, zone), day_starts_at(on + timedelta(days=1), zone))
    held = [row for row in _open_holds(session, wish, day) if own is None or row.hold_hash != token_hash(own)]
    if not held:
        return Share(day, 1, AT_ONCE)
    free = _places(free_slots(session, service, window=day, now=now), one_each=service.capacity == 1)
    most = free + sum(row.party_size for row in held)
    return Share(day, max(1, most // SHARE), most)


def check_hold(session: Session, wish: Wish, visitor: Visitor, share: Share, *, now: datetime) -> str:
    """Under the lock of the wish's resources: whether this visitor may hold one more time. Gives the digest to be kept with the hold.

    Raises BudgetSpent. May take the oldest hold from the network that has the most of that day.
    """
    network = key_of("network", visitor.network)
    in_turn(session, network)
    mine = select(func.count(Booking.id)).where(Booking.network_hash == network, is_live_hold())
    if (session.scalar(mine) or 0) >= MOST_OPEN:
        raise BudgetSpent(
            say("From your network, several times are being kept already. Finish one of those bookings, or let one go; each ends by itself "
                "within ten minutes.")
        )  # fmt: skip
    _check(session, "hold", network, within=HOUR, most=HOLDS, now=now)
    _make_room(session, wish, network, share)
    _note(session, "hold", network, now=now)
    return network


def weigh_booking(session: Session, service: Service, email: str, visitor: Visitor, *, now: datetime) -> bool:
    """Whether the booking that is about to be made has to be confirmed by mail; it is counted by this. Raises BudgetSpent."""
    network, address, offered = (
        key_of("network", visitor.network),
        key_of("address", email.lower()),
        key_of("service", service.id),
    )
    in_turn(session, address)
    _check(session, "booking", network, within=HOUR, most=NETWORK_END, now=now)
    _check(session, "booking", address, within=HOUR, most=ADDRESS_END, now=now)
    limits = ((network, NETWORK_ASKED), (address, ADDRESS_ASKED), (offered, SERVICE_ASKED))
    is_flood = any(_spent(session, "booking", key, since=now - HOUR) >= most for key, most in limits)
    for key in (network, address, offered):
        _note(session, "booking", key, now=now)
    if is_flood:
        _note(session, "asked", offered, now=now)
    return is_flood or service.confirm_by_mail or bool(session.scalar(select(Business.confirm_by_mail)))


def spend_join(visitor: Visitor, email: str, *, now: datetime) -> None:
    """One more place in a waitlist is asked for. Raises BudgetSpent."""

    def work(session: Session) -> None:
        network, address = key_of("network", visitor.network), key_of("address", email.lower())
        in_turn(session, address)
        _check(session, "join", network, within=HOUR, most=JOINS_OF_NETWORK, now=now)
        _check(session, "join", address, within=HOUR, most=JOINS_OF_ADDRESS, now=now)
        _note(session, "join", network, now=now)
        _note(session, "join", address, now=now)

    transaction(work)


def asked_lately(session: Session, services: Sequence[Service], *, now: datetime) -> list[tuple[Service, int]]:
    """The services whose bookings had to be confirmed by mail in the last hour because so many came, with how many."""
    counted = select(Spending.whose, func.count()).where(Spending.what == "asked", Spending.spent_at > now - HOUR)
    counts = dict(session.execute(counted.group_by(Spending.whose)).tuples().all())
    return [(each, counts[key]) for each in services if (key := key_of("service", each.id)) in counts]


def forget_old(*, now: datetime) -> None:
    """Nothing counts what is older than a day."""
    transaction(lambda session: session.execute(delete(Spending).where(Spending.spent_at < now - KEPT)))


def forget_address(session: Session, email: str) -> None:
    """For who is erased: that this address has asked for something is nobody's business any more."""
    session.execute(delete(Spending).where(Spending.whose == key_of("address", email.lower())))


def key_of(kind: str, value: object) -> str:
    """What is kept of a network or an address."""
    return keyed_hash(str(current_app.config["SECRET_KEY"]), f"budget {kind} {value}")


def _make_room(session: Session, wish: Wish, network: str, share: Share) -> None:
    """One more hold fits into the day's share, or another network's makes room for it. Raises BudgetSpent."""
    held = _open_holds(session, wish, share.day)
    if sum(row.party_size for row in held) + wish.party_size <= share.limit or not held:
        return
    if not any(row.network_hash == network for row in held):
        if (oldest := _of_the_greediest(held)) is not None:
            claims.drop_hold(session, oldest.id, oldest.appointment_id)
            return
        if len(held) < min(AT_ONCE, share.most):
            return
    raise BudgetSpent(
        say("Very many people are just choosing a time on this day. Please choose another day, or try again in a few minutes: what nobody "
            "confirms becomes free by itself.")
    )  # fmt: skip


def _of_the_greediest(held: Sequence[Booking]) -> Booking | None:
    """The oldest hold of the network that has the most, if it has several. What is filled in and waits for a mail to be read is left alone."""
    bare = [row for row in held if row.hold_hash]
    counts = Counter(row.network_hash for row in bare)
    owner, count = counts.most_common(1)[0] if counts else (None, 0)
    return next(row for row in bare if row.network_hash == owner) if count > 1 else None


def _open_holds(session: Session, wish: Wish, day: Interval) -> Sequence[Booking]:
    """What is kept and not confirmed on that day, of any service that takes one of the wish's resources; the oldest first. The waitlist's
    offers are none: who is offered something has shown that they are there."""
    concerned = select(AppointmentResource.appointment_id).where(AppointmentResource.resource_id.in_(wish.resource_ids))
    return session.scalars(
        select(Booking)
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(
            is_live_hold(),
            Appointment.start_at >= day.start,
            Appointment.start_at < day.end,
            Appointment.id.in_(concerned),
            Booking.id.not_in(select(Offer.booking_id).where(Offer.state == "open", Offer.booking_id.is_not(None))),
        )
        .order_by(Booking.id)
    ).all()


def _places(slots: Sequence[Slot], *, one_each: bool) -> int:
    """How many can come on that day: starts overlap where the step is short, so they are taken one after the other."""
    count, ends = 0, None
    for slot in sorted(slots, key=lambda each: each.interval.start):
        if ends is None or slot.interval.start >= ends:
            count += max(1, len(slot.choices)) if one_each else slot.seats_left
            ends = slot.interval.end
    return count


def _check(session: Session, what: str, key: str, *, within: timedelta, most: int, now: datetime) -> None:
    if _spent(session, what, key, since=now - within) >= most:
        raise BudgetSpent(say(IN_AN_HOUR))


def _spent(session: Session, what: str, key: str, *, since: datetime) -> int:
    counted = select(func.count(Spending.id)).where(
        Spending.whose == key, Spending.what == what, Spending.spent_at > since
    )
    return session.scalar(counted) or 0


def _note(session: Session, what: str, key: str, *, now: datetime) -> None:
    session.execute(insert(Spending).values(what=what, whose=key, spent_at=now))
