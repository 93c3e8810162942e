"""Booking a service with a limit per customer, in the browser: what is said tells nobody whether an address has bookings already.

The page is the same for everybody, and so is what becomes of the time for as long as it is kept: the true answer goes to the address alone. It is
the confirmation, or (topic `notify.limit`) that the limit is reached, with the links of the bookings there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking import rules
from portal.booking.budgets import Visitor
from portal.booking.limits import to_come_of
from portal.booking.models import Booking
from portal.booking.operations import confirm_hold
from portal.booking.rules import Customer
from portal.db import transaction
from portal.errors import LimitReached
from portal.outbox import OutboxEntry
from portal.security import token_hash

TOPIC = "notify.limit"
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
    """As `confirm_hold`, but silent about the limit. Raises the same, save LimitReached."""
    try:
        confirm_hold(
            token, customer, idempotency_key=idempotency_key, now=now, channel=channel, answers=answers, visitor=visitor
        )
    except LimitReached:
        key = rules.check_key(idempotency_key)
        digest = rules.request_digest(hold=token_hash(token), customer=customer, answers=answers or {})
        transaction(lambda session: _refuse(session, token, customer.email, key=key, digest=digest, now=now))


def _refuse(session: Session, token: str, email: str, *, key: str, digest: str, now: datetime) -> None:
    """The hold goes on to the end of its time, as a booking would, but cannot be filled in any more; the address is told why."""
    hold = session.scalar(select(Booking).where(Booking.hold_hash == token_hash(token), Booking.status == "held"))
    if hold is None:  # the same request a second time
        return
    hold.hold_hash, hold.idempotency_key, hold.request_digest = None, key, digest
    first = session.scalars(to_come_of(email, service_id=hold.appointment.service_id, now=now).limit(1)).first()
    if first is not None and not _was_told(session, first.id, now=now):
        outbox.record(session, TOPIC, f"booking:{first.id}", wanted_at=hold.appointment.start_at.isoformat())


def _was_told(session: Session, booking_id: int, *, now: datetime) -> bool:
    told = select(OutboxEntry.id).where(
        OutboxEntry.topic == TOPIC,
        OutboxEntry.subject == f"booking:{booking_id}",
        OutboxEntry.created_at > now - ONCE_IN,
    )
    return session.scalar(told.limit(1)) is not None
