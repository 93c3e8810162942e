"""What customers answer from their link: they accept an offer, decline it, or leave the queue. Each is one transaction under the locks of the
service's resources, so of an answer and the end of the offer one comes first, and the other finds out and says so.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking import operations, rules
from portal.booking.models import Appointment, Booking, Offer, WaitlistEntry
from portal.booking.operations import Outcome
from portal.booking.rules import Customer
from portal.booking.steps import Request, fill_in, manage_token
from portal.booking.time.demand import stale_calendars
from portal.booking.time.last_look import Seen, look_ahead
from portal.booking.time.limits import check_per_customer
from portal.booking.time.wish import Wish, check_no_outside_event, wish_of
from portal.database.engine import database_now, write_transaction
from portal.errors import NotAllowedNow, OfferOver, SlotTaken
from portal.extensions import db
from portal.language.say import say
from portal.waitlist.allot import look_quietly
from portal.waitlist.steps import (
    end_entry,
    end_offer,
    entry_of_token,
    last_offer,
    locked_entry,
    open_offer,
    resource_locks,
)


def accept(token: str, *, now: datetime) -> Outcome:
    """Turn the open offer into a booking by the entry's data: confirmed, or pending as any booking of the service would be. Doing it twice is
    the same as once.

    Raises NotFound; OfferOver with a sentence saying what became of the offer; LimitReached (the offer stays open).
    """
    session: Session = db.session()
    entry = entry_of_token(session, token)
    entry_id, service_id = entry.id, entry.service_id
    if repeat := _accepted(session, entry):
        return repeat
    wish = _wish_of_offer(session, entry)
    if wish is None:
        look_quietly(service_id, cause="lapsed", now=now)
        raise _over(session, entry_id)
    locks = resource_locks(session, service_id)
    seen = look_ahead(wish.resource_ids, wish.claimed, now=now)

    def work(session: Session) -> Outcome | None:
        entry = locked_entry(session, entry_id)
        if repeat := _accepted(session, entry):
            return repeat
        offer, booking = _held(session, entry, now=now)
        if offer is None or booking is None:
            return None
        return _confirm(session, entry, offer, booking, seen=seen, now=now)

    try:
        outcome = write_transaction(locks, work)
    except SlotTaken as taken:
        _withdraw(entry_id, locks, now=now)
        raise OfferOver(
            say(
                "These places cannot be given after all: something has come up at that time. You keep your place in the queue."
            ),
            why="withdrawn",
        ) from taken
    if outcome is None:
        look_quietly(service_id, cause="lapsed", now=now)
        raise _over(db.session(), entry_id)
    return outcome


def decline(token: str, *, keep_waiting: bool, now: datetime) -> None:
    """Give the offered seats back, and leave the queue or (`keep_waiting`) stay in it without being offered that time again. Twice is the same
    as once. Raises NotFound, OfferOver."""
    session: Session = db.session()
    entry = entry_of_token(session, token)
    entry_id, service_id = entry.id, entry.service_id
    locks = resource_locks(session, service_id)

    def work(session: Session) -> bool:
        entry = locked_entry(session, entry_id)
        offer = open_offer(session, entry)
        if offer is None:
            return _why_over(session, entry) == "declined"
        end_offer(session, offer, "declined", now=now)
        if keep_waiting:
            entry.status = "waiting"
        else:
            end_entry(session, entry, "declined", reason="declined", now=now, offer_id=offer.id)
        outbox.record(session, "waitlist.look", f"service:{service_id}", cause="declined")
        return True

    is_done = write_transaction(locks, work)
    look_quietly(service_id, cause="declined", now=now)
    if not is_done:
        raise _over(db.session(), entry_id)


def leave(token: str, *, now: datetime) -> None:
    """Leave the queue; an open offer is given back. For an entry that has ended it changes nothing. Raises NotFound, NotAllowedNow (accepted)."""
    session: Session = db.session()
    entry = entry_of_token(session, token)
    entry_id, service_id = entry.id, entry.service_id
    locks = resource_locks(session, service_id)

    def work(session: Session) -> None:
        entry = locked_entry(session, entry_id)
        if entry.status == "accepted":
            raise NotAllowedNow(
                say("You have taken the places that were offered. To give them back, cancel the booking.")
            )
        take_off(session, entry, reason="left", now=now)

    write_transaction(locks, work)
    look_quietly(service_id, cause="left", now=now)


def take_off(session: Session, entry: WaitlistEntry, *, reason: str, now: datetime) -> None:
    """End a live entry, with its offer, in the caller's transaction. `reason` is left or removed."""
    if entry.ended_at is not None:
        return
    if (offer := open_offer(session, entry)) is not None:
        end_offer(session, offer, "withdrawn", now=now)
        outbox.record(session, "waitlist.look", f"service:{entry.service_id}", cause=reason)
    end_entry(session, entry, "left", reason=reason, now=now)


def _accepted(session: Session, entry: WaitlistEntry) -> Outcome | None:
    booking = session.get(Booking, entry.booking_id) if entry.status == "accepted" and entry.booking_id else None
    if booking is None:
        return None
    return Outcome(booking.id, booking.public_id, manage_token(booking), booking.status, is_repeat=True)


def _wish_of_offer(session: Session, entry: WaitlistEntry) -> Wish | None:
    offer = open_offer(session, entry)
    return wish_of(offer.booking) if offer is not None and offer.booking is not None else None


def _held(session: Session, entry: WaitlistEntry, *, now: datetime) -> tuple[Offer | None, Booking | None]:
    """The open offer and its hold, while it holds: by the database's clock, at the time that was offered, before the start."""
    offer = open_offer(session, entry)
    if offer is None or offer.booking_id is None:
        return None, None
    booking = session.scalar(
        select(Booking)
        .where(Booking.id == offer.booking_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if booking is None or booking.status != "held" or booking.held_until is None:
        return None, None
    appointment = booking.appointment
    is_as_offered = appointment.is_active and appointment.start_at == offer.start_at and appointment.start_at > now
    if booking.held_until < database_now(session) or not is_as_offered:
        return None, None
    return offer, booking


def _confirm(
    session: Session, entry: WaitlistEntry, offer: Offer, booking: Booking, *, seen: Seen, now: datetime
) -> Outcome:
    wish, service = wish_of(booking), booking.appointment.service
    check_no_outside_event(session, wish, seen=seen)
    check_per_customer(session, service, entry.customer_email, now=now)
    customer = Customer(
        name=entry.customer_name, email=entry.customer_email, phone=entry.customer_phone, zone=entry.customer_zone,
        language=entry.customer_language, note=entry.note,
    )  # fmt: skip
    key = rules.check_key(f"waitlist-{entry.public_id}-{offer.id}")
    digest = rules.request_digest(entry=entry.public_id, offer=offer.id)
    link = fill_in(booking, customer, request=Request(key, digest, "waitlist", entry.answers))
    stale = stale_calendars(session, wish.resource_ids, now=now)
    operations.decide(booking, service, stale, seen=seen, now=now)
    booking.appointment.version = Appointment.version + 1
    operations.announce(session, booking)
    end_offer(session, offer, "accepted", now=now)
    entry.status, entry.booking_id, entry.ended_at = "accepted", booking.id, now
    return Outcome(booking.id, booking.public_id, link, booking.status)


def _withdraw(entry_id: int, locks: list[int], *, now: datetime) -> None:
    """The seats cannot be given; the entry keeps its place. `look` offers again what can be had."""

    def work(session: Session) -> None:
        entry = locked_entry(session, entry_id)
        offer = open_offer(session, entry)
        if offer is not None:
            end_offer(session, offer, "withdrawn", now=now)
            entry.status = "waiting"

    write_transaction(locks, work)


def _over(session: Session, entry_id: int) -> OfferOver:
    why = _why_over(session, locked_entry(session, entry_id))
    session.rollback()
    return OfferOver(_sentence(why), why=why)


def _why_over(session: Session, entry: WaitlistEntry) -> str:
    """What became of the entry, or of its newest offer while it waits on."""
    if entry.status not in ("waiting", "offered"):
        return entry.status
    offer = last_offer(session, entry)
    if offer is None:
        return "none"
    return "lapsed" if offer.state == "open" else offer.state


def _sentence(why: str) -> str:
    sentences = {
        "accepted": say("You have taken these places already; the booking was changed since."),
        "declined": say("You have declined this offer already, so the places are not kept for you any more."),
        "lapsed": say("This offer has ended: the places were held for you until the time in our e-mail, and are not kept any more. "
                      "You may join the waitlist once more."),
        "left": say("You are not on the waitlist any more, so these places are not held for you."),
        "over": say("This appointment does not take place any more, or has begun already."),
        "withdrawn": say("These places cannot be given after all: something has come up at that time. You keep your place in the queue."),
        "none": say("Nothing is offered to you just now. You keep your place in the queue, and we write as soon as places are free."),
    }  # fmt: skip
    return sentences[why]
