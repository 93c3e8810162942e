"""Booking a service with a limit per customer, in the browser: what is said tells nobody whether an address has bookings already.

The page is the same for everybody, and so is what becomes of the time for as long as it is kept: the true answer goes to the address alone. It is
the confirmation, or (topic `notify.limit`) that the limit is reached, with the links of the bookings there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking import rules
from portal.booking.models import Booking, Spending
from portal.booking.operations import SENT_BEFORE, confirm_hold
from portal.booking.rules import Customer
from portal.booking.steps import NOT_KEPT
from portal.booking.strangers import by_mail
from portal.booking.strangers.budgets import KEPT, Visitor, key_of, weigh_booking
from portal.booking.time.limits import to_come_of
from portal.database.engine import transaction
from portal.errors import LimitReached, NotFound, RepeatedDifferently
from portal.extensions import db
from portal.language.say import say
from portal.outbox import OutboxEntry
from portal.security import token_hash

TOPIC = "notify.limit"
ANSWERED = "answered"
ONCE_IN = timedelta(hours=1)
"""No address's mailbox is filled by whoever asks again and again."""


def confirm_quietly(
    token: str,
    customer: Customer,
    *,
    idempotency_key: str,
    now: datetime,
    channel: str = "web",
    answers: Mapping[str, Any] | None = None,
    visitor: Visitor | None = None,
) -> None:
    """As `confirm_hold`, but silent about the limit, and about what has come of the same form before: for a day it is answered as it was the
    first time, and then as one whose time is over, whatever became of it. Raises the same, save LimitReached."""
    key = rules.check_key(idempotency_key)
    form = Form(key, rules.request_digest(hold=token_hash(token), customer=customer, answers=answers or {}))
    if _is_answered(db.session(), form, now=now):
        return
    try:
        made = confirm_hold(
            token, customer, idempotency_key=idempotency_key, now=now, channel=channel, answers=answers, visitor=visitor
        )
    except LimitReached:
        transaction(lambda session: _refuse(session, token, customer.email, form, visitor=visitor, now=now))
        return
    if made.is_repeat and _is_old(db.session(), made.booking_id, now=now):
        raise NotFound(say(NOT_KEPT))
    transaction(lambda session: _note(session, form, now=now))


@dataclass(frozen=True, slots=True)
class Form:
    """What was sent, as digests: its idempotency key and its content."""

    key: str
    digest: str

    def marks(self) -> tuple[str, str]:
        """What is kept of it: of its key alone, and with the content."""
        return key_of("form", self.key), key_of("form", f"{self.key} {self.digest}")


def _refuse(session: Session, token: str, email: str, form: Form, *, visitor: Visitor | None, now: datetime) -> None:
    """The hold goes on to the end of its time, as a booking would, but cannot be filled in any more; the address is told why. It counts in the
    budgets of who asks as any booking does: another end of them would tell who is known."""
    hold = session.scalar(select(Booking).where(Booking.hold_hash == token_hash(token), Booking.status == "held"))
    if hold is None:  # the same request a second time
        return
    if visitor is not None and weigh_booking(session, hold.appointment.service, email, visitor, now=now):
        by_mail.keep(session, hold)
    hold.hold_hash, hold.idempotency_key, hold.request_digest = None, form.key, form.digest
    _note(session, form, now=now)
    first = session.scalars(to_come_of(email, service_id=hold.appointment.service_id, now=now).limit(1)).first()
    if first is not None and not _was_told(session, first.id, now=now):
        outbox.record(session, TOPIC, f"booking:{first.id}", wanted_at=hold.appointment.start_at.isoformat())


def _is_answered(session: Session, form: Form, *, now: datetime) -> bool:
    """Whether this very form was sent in the last day. Raises RepeatedDifferently for its key with other content."""
    any_content, this_content = form.marks()
    kept = (Spending.what == ANSWERED, Spending.spent_at > now - KEPT)
    known = set(session.scalars(select(Spending.whose).where(*kept, Spending.whose.in_(form.marks()))))
    if any_content in known and this_content not in known:
        raise RepeatedDifferently(say(SENT_BEFORE))
    return bool(known)


def _note(session: Session, form: Form, *, now: datetime) -> None:
    session.execute(insert(Spending), [{"what": ANSWERED, "whose": mark, "spent_at": now} for mark in form.marks()])


def _is_old(session: Session, booking_id: int, *, now: datetime) -> bool:
    """Whether one that was refused at that time would be forgotten by now."""
    return session.get_one(Booking, booking_id).created_at <= now - KEPT


def _was_told(session: Session, booking_id: int, *, now: datetime) -> bool:
    told = select(OutboxEntry.id).where(
        OutboxEntry.topic == TOPIC,
        OutboxEntry.subject == f"booking:{booking_id}",
        OutboxEntry.created_at > now - ONCE_IN,
    )
    return session.scalar(told.limit(1)) is not None
