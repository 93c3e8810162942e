"""What can be done with bookings. Each public function is one transaction (and begins again as a whole when the database asks for it).

Who takes time locks the resources it may take, in ascending order, before asking the engine; giving time back needs no lock. No outside
server is asked inside a transaction: the last look comes before it. What must happen outside is recorded in the same transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking import rules, statements
from portal.booking.approval import (
    APPROVAL,
    CALENDAR,
    approve_booking,
    refuse_booking,
    refuse_unanswered,
    settle_pending,
)
from portal.booking.attendance import mark_attendance
from portal.booking.models import Appointment, Booking
from portal.booking.move import move_booking
from portal.booking.questions import check_answers
from portal.booking.rules import By, Customer
from portal.booking.statements import rows
from portal.booking.steps import Request, end, fill_in, held, locked, manage_token, tell_of_new, tell_waitlist
from portal.booking.strangers import budgets, by_mail
from portal.booking.strangers.budgets import Visitor
from portal.booking.time import claims
from portal.booking.time.demand import StaleCalendar, stale_calendars
from portal.booking.time.last_look import Seen, look_ahead
from portal.booking.time.limits import check_per_customer, limit_locks
from portal.booking.time.queries import find_service
from portal.booking.time.wish import (
    Wish,
    check_no_outside_event,
    find_place,
    read_wish,
    sit_down,
    wish_of,
    with_nearest,
)
from portal.business.models import Resource, Service
from portal.database.engine import database_now, transaction, write_transaction
from portal.errors import Invalid, LimitReached, NotFound, RepeatedDifferently, SlotTaken
from portal.extensions import db
from portal.intervals import Interval
from portal.language.say import say, say_later
from portal.security import new_token, token_hash

__all__ = [
    "Customer",
    "Hold",
    "Outcome",
    "approve_booking",
    "book",
    "cancel_booking",
    "confirm_hold",
    "extend_hold",
    "mark_attendance",
    "move_booking",
    "place_hold",
    "refuse_booking",
    "refuse_unanswered",
    "release_hold",
    "settle_pending",
    "sweep_expired_holds",
]

SENT_BEFORE = say_later("This was sent before with other content. Please begin again, so that nothing is booked twice.")


@dataclass(frozen=True, slots=True)
class Hold:
    """A time kept while the form is filled in. `token` is known to the visitor only."""

    token: str
    booking_id: int
    held_until: datetime
    slot: Interval


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a confirmation. `is_repeat` is true when the same request had succeeded before."""

    booking_id: int
    public_id: str
    manage_token: str
    status: str
    is_repeat: bool = False


def place_hold(
    *,
    service_slug: str,
    start_at: datetime,
    now: datetime,
    resource_slug: str | None = None,
    party_size: int = 1,
    previous_hold: str | None = None,
    visitor: Visitor | None = None,
) -> Hold:
    """Keep a time for five minutes, in exchange for `previous_hold`. `visitor` is who asks through a page, and has a budget.

    Raises SlotTaken (with `nearest`), BudgetSpent, NotFound, Invalid.
    """
    service = find_service(db.session(), service_slug)
    wish = read_wish(service, start_at, resource_slug=resource_slug, party_size=party_size)
    token = new_token()
    share = budgets.share_of_day(db.session(), service, wish, now=now, own=previous_hold) if visitor else None

    def work(session: Session) -> Hold:
        if previous_hold:
            _drop_hold(session, previous_hold)
        network = budgets.check_hold(session, wish, visitor, share, now=now) if visitor and share else None
        held_until = database_now(session) + rules.HOLD
        place = find_place(session, wish, now=now)
        booking = _new_booking(wish, now=now)
        booking.hold_hash, booking.held_until, booking.network_hash = token_hash(token), held_until, network
        sit_down(session, place, booking)
        return Hold(token, booking.id, held_until, place.interval)

    locks = limit_locks(db.session(), service, wish.resource_ids)
    return with_nearest(wish, now, lambda: write_transaction(locks, work))


def extend_hold(token: str, *, now: datetime) -> Hold:
    """Keep the time for five minutes more, once; asking again changes nothing. Raises NotFound, HoldExpired."""

    def work(session: Session) -> Hold:
        booking = held(session, token)
        assert booking.held_until is not None
        if not booking.hold_extended:
            booking.held_until += rules.HOLD
            booking.hold_extended = True
        slot = Interval(booking.appointment.start_at, booking.appointment.end_at)
        return Hold(token, booking.id, booking.held_until, slot)

    return transaction(work)


def release_hold(token: str) -> None:
    """Give a held time back. Doing it twice, or too late, is the same as once."""

    def work(session: Session) -> None:
        service = _drop_hold(session, token)
        if service is not None:
            tell_waitlist(session, service, "released")

    transaction(work)


def confirm_hold(
    token: str,
    customer: Customer,
    *,
    idempotency_key: str,
    now: datetime,
    channel: str = "web",
    answers: Mapping[str, Any] | None = None,
    visitor: Visitor | None = None,
) -> Outcome:
    """Turn a hold into a booking: confirmed, or pending where the service asks for approval, or a calendar cannot be read and its rule says so.

    Where the customer has to confirm by mail (by the service's rule, or since `visitor`'s budget ran out) it stays held until then, and nobody
    may be led on to its manage link but by the mail. Raises BudgetSpent, Invalid (fields), RepeatedDifferently, NotFound, HoldExpired,
    LimitReached, SlotTaken (with `nearest`).
    """
    key = rules.check_key(idempotency_key)
    digest = rules.request_digest(hold=token_hash(token), customer=customer, answers=answers or {})
    if repeat := _earlier_outcome(key, digest):
        return repeat
    try:
        return _confirm(token, customer, request=Request(key, digest, channel, answers or {}), visitor=visitor, now=now)
    except (SlotTaken, NotFound, LimitReached) as error:
        # Two of the same request at once: the slower one finds that its own twin has made a booking of the hold.
        if repeat := _earlier_outcome(key, digest):
            return repeat
        if isinstance(error, SlotTaken):
            release_hold(token)  # an outside event stands there now; the hold would only hide the time from others
        raise


def book(
    *,
    service_slug: str,
    start_at: datetime,
    customer: Customer,
    idempotency_key: str,
    now: datetime,
    key_owner: rules.KeyOwner | None = None,
    resource_slug: str | None = None,
    party_size: int = 1,
    channel: str = "api",
    answers: Mapping[str, Any] | None = None,
) -> Outcome:
    """Hold and confirm in one transaction, for programs; `key_owner` is whose idempotency key it is. Raises as `place_hold` and `confirm_hold` do."""
    wanted = {"service": service_slug, "start_at": start_at, "resource": resource_slug, "party_size": party_size}
    key, digest = (
        rules.check_key(idempotency_key, owner=key_owner),
        rules.request_digest(customer=customer, answers=answers or {}, **wanted),
    )
    if repeat := _earlier_outcome(key, digest) or _outcome_of_nobodys(idempotency_key, digest, key_owner):
        return repeat
    service = find_service(db.session(), service_slug)
    customer, kept = check_details(service, customer, answers or {})
    request = Request(key, digest, channel, kept)
    wish = read_wish(service, start_at, resource_slug=resource_slug, party_size=party_size)
    locks = limit_locks(db.session(), service, wish.resource_ids)
    seen = look_ahead(wish.resource_ids, wish.claimed, now=now)

    def work(session: Session) -> Outcome:
        place = find_place(session, wish, now=now, seen=seen)
        offered = session.get_one(Service, wish.service_id)
        check_per_customer(session, offered, customer.email, now=now)
        booking = _new_booking(wish, now=now)
        token = fill_in(booking, customer, request=request)
        decide(booking, offered, _of(place.stale, place.resource_ids), seen=seen, now=now)
        sit_down(session, place, booking)
        if not place.is_new:
            appointment = session.get_one(Appointment, place.appointment_id)
            appointment.version = Appointment.version + 1  # the calendars' copy shows how many come
        announce(session, booking)
        return Outcome(booking.id, booking.public_id, token, booking.status)

    try:
        return with_nearest(wish, now, lambda: write_transaction(locks, work))
    except (SlotTaken, LimitReached):
        # Two calls with the same key at once: the slower one finds the time taken, or the limit reached, by its own twin.
        if repeat := _earlier_outcome(key, digest):
            return repeat
        raise


def cancel_booking(booking_id: int, *, by: By, now: datetime) -> None:
    """Cancel, give the time back, tell everybody. Twice is the same as once. Raises TooLate (customers only), NotAllowedNow."""

    def work(session: Session) -> None:
        booking = locked(session, booking_id)
        if booking.status == "cancelled":
            return
        status = rules.next_status(booking.status, "cancel")
        if by == "customer":
            minutes = rules.cut_off(booking.appointment.service.cancel_until, reason=booking.pending_reason)
            rules.check_cut_off(booking.appointment.start_at, minutes=minutes, now=now, verb="cancel")
        end(session, booking, status, news="cancelled", by=by, now=now)

    transaction(work)


def sweep_expired_holds() -> int:
    """Delete the holds whose time is over; returns how many. Readers do not count them anyway."""
    return transaction(lambda session: claims.drop_expired_holds(session, session.scalars(select(Resource.id))))


def decide(booking: Booking, service: Service, stale: Sequence[StaleCalendar], *, seen: Seen, now: datetime) -> None:
    """What becomes of a hold: pending where the service asks for approval, or by the rule *take as pending* where a calendar has not been
    readable for too long, and not at the last look either; else confirmed. Staff who approve decide for unreadable calendars too."""
    unknown = any(row.when_unreadable == "pending" and row.id not in seen.calendars for row in stale)
    booking.pending_reason = APPROVAL if service.needs_approval else CALENDAR if unknown else ""
    booking.status = rules.next_status(booking.status, "await" if booking.pending_reason else "confirm")
    booking.confirmed_at = None if booking.pending_reason else now


def make_count(session: Session, booking: Booking, *, seen: Seen, now: datetime, is_approved: bool = False) -> None:
    """A held booking that is filled in becomes one that counts, of which staff are asked unless they have said yes; the lock of its resources
    is held."""
    stale = stale_calendars(session, [row.resource_id for row in booking.appointment.resources], now=now)
    decide(booking, booking.appointment.service, stale, seen=seen, now=now)
    if is_approved and booking.status == "pending":
        booking.status, booking.pending_reason, booking.confirmed_at = rules.next_status("pending", "approve"), "", now
    booking.network_hash = None
    booking.appointment.version = Appointment.version + 1
    announce(session, booking)


def check_details(service: Service, customer: Customer, answers: Mapping[str, Any]) -> tuple[Customer, dict[str, Any]]:
    """The customer and the answers, as they are kept. Raises one Invalid with all that does not fit."""
    fields: dict[str, str] = {}
    kept: dict[str, Any] = {}
    try:
        customer = rules.check_customer(customer, needs_phone=service.location_kind == "phone")
    except Invalid as error:
        fields |= error.fields
    try:
        kept = check_answers(rows(db.session(), statements.questions(), service_id=service.id), answers)
    except Invalid as error:
        fields |= error.fields
    if fields:
        raise Invalid(say("Something is missing or does not fit yet."), fields=fields)
    return customer, kept


def announce(session: Session, booking: Booking) -> None:
    """Record who must be told of a booking that was a hold until now."""
    is_pending = booking.status == "pending"
    news = "pending" if is_pending else "booked"
    tell_of_new(session, booking, news, by="customer", publish=not is_pending)


def _confirm(token: str, customer: Customer, *, request: Request, visitor: Visitor | None, now: datetime) -> Outcome:
    hold = held(db.session(), token)
    service, wish = hold.appointment.service, wish_of(hold)
    customer, kept = check_details(service, customer, request.answers)
    request = replace(request, answers=kept)
    locks = limit_locks(db.session(), service, wish.resource_ids)
    seen = look_ahead(wish.resource_ids, wish.claimed, now=now)

    def work(session: Session) -> Outcome:
        booking = held(session, token)
        check_no_outside_event(session, wish, seen=seen)
        check_per_customer(session, booking.appointment.service, customer.email, now=now)
        is_asked = visitor is not None and budgets.weigh_booking(
            session, booking.appointment.service, customer.email, visitor, now=now
        )
        manage_link = fill_in(booking, customer, request=request)
        if is_asked:
            by_mail.ask(session, booking)
        else:
            make_count(session, booking, seen=seen, now=now)
        return Outcome(booking.id, booking.public_id, manage_link, booking.status)

    return with_nearest(wish, now, lambda: write_transaction(locks, work))


def _new_booking(wish: Wish, *, now: datetime) -> Booking:
    return Booking(
        public_id=secrets.token_hex(16), status="held", party_size=wish.party_size, sequence=0, created_at=now
    )


def _of(stale: Sequence[StaleCalendar], resource_ids: Sequence[int]) -> list[StaleCalendar]:
    return [row for row in stale if row.resource_id in resource_ids]


def _earlier_outcome(key: str, digest: str) -> Outcome | None:
    """What the same request achieved before. Raises RepeatedDifferently when the key was used for another one."""
    session: Session = db.session()
    if not rows(session, statements.has_key(), key=key):
        return None
    booking = session.scalars(select(Booking).where(Booking.idempotency_key == key)).one()
    if booking.request_digest != digest:
        raise RepeatedDifferently(say(SENT_BEFORE))
    if booking.status == "held" and not booking.sealed_manage_token:  # as `quietly` leaves it
        raise LimitReached(say("With this e-mail address, nothing more is booked here."))
    return Outcome(booking.id, booking.public_id, manage_token(booking), booking.status, is_repeat=True)


def _outcome_of_nobodys(idempotency_key: str, digest: str, owner: rules.KeyOwner | None) -> Outcome | None:
    """Keys of bookings that were made before keys had owners: one may be repeated by whoever was there by then."""
    if owner is None:
        return None
    key = rules.check_key(idempotency_key)
    made_at = db.session.scalar(
        select(Booking.created_at).where(Booking.idempotency_key == key, Booking.channel == "api")
    )
    return _earlier_outcome(key, digest) if made_at is not None and owner.since <= made_at else None


def _drop_hold(session: Session, token: str) -> Service | None:
    """Delete the hold with this token; returns the service whose time is free again, None when there was no such hold."""
    row = session.execute(
        select(Booking.id, Booking.appointment_id, Appointment.service_id)
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(Booking.hold_hash == token_hash(token), Booking.status == "held")
        .with_for_update(of=Booking)  # one that is confirmed in this moment keeps its seats
    ).first()
    if row is None:
        return None
    claims.drop_hold(session, row.id, row.appointment_id)
    return session.get(Service, row.service_id)
