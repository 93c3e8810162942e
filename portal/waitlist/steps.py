"""Small steps shared by the waitlist's operations: finding entries and offers, ending them, telling their customers.

Called inside transactions that hold the lock of the service's resources (`resource_locks`), as everything does that gives or takes seats
here; so two answers to one offer, or an answer and the end of the offer, come one after the other.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, AppointmentResource, Booking, Offer, WaitlistEntry
from portal.booking.time import claims
from portal.business.models import ServiceResource
from portal.errors import NotFound
from portal.extensions import current_sealer
from portal.language.say import say
from portal.security import token_hash

LIVE = ("waiting", "offered")
"""Statuses of entries that have not ended."""


def entry_token(entry: WaitlistEntry) -> str:
    """The token of the entry's link `/w/<token>`, for mails and repeated answers. Raises Invalid when it does not open."""
    return current_sealer().open(entry.sealed_token or "", place=token_place(entry))


def entry_of_token(session: Session, token: str) -> WaitlistEntry:
    """Raises NotFound for unknown and foreign tokens alike."""
    entry = session.scalar(select(WaitlistEntry).where(WaitlistEntry.token_hash == token_hash(token)))
    if entry is None:
        raise NotFound(say("This link does not lead to a waitlist. Please use the newest link from our mails."))
    return entry


def found_entry(session: Session, entry_id: int) -> WaitlistEntry:
    """Raises NotFound."""
    entry = session.get(WaitlistEntry, entry_id)
    if entry is None:
        raise NotFound("There is no such entry in a waitlist.")
    return entry


def locked_entry(session: Session, entry_id: int) -> WaitlistEntry:
    """The entry as it stands, its row locked. Raises NotFound."""
    entry = session.scalar(
        select(WaitlistEntry)
        .where(WaitlistEntry.id == entry_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if entry is None:
        raise NotFound("There is no such entry in a waitlist.")
    return entry


def open_offer(session: Session, entry: WaitlistEntry) -> Offer | None:
    """The offer that waits for the customer's answer, if there is one. Its hold may be over already: `look` settles that."""
    return session.scalar(select(Offer).where(Offer.entry_id == entry.id, Offer.state == "open"))


def last_offer(session: Session, entry: WaitlistEntry) -> Offer | None:
    """The newest offer of the entry, whatever became of it."""
    return session.scalar(select(Offer).where(Offer.entry_id == entry.id).order_by(Offer.id.desc()).limit(1))


def resource_locks(session: Session, service_id: int) -> list[int]:
    """All resources of whose time the service's waitlist may give or take: those that it needs, and those of its standing appointments."""
    needed = select(ServiceResource.resource_id).where(ServiceResource.service_id == service_id)
    standing = (
        select(AppointmentResource.resource_id)
        .join(Appointment, Appointment.id == AppointmentResource.appointment_id)
        .where(Appointment.service_id == service_id, Appointment.is_active)
    )
    return sorted({*session.scalars(needed), *session.scalars(standing.distinct())})


def end_offer(session: Session, offer: Offer, state: str, *, now: datetime) -> None:
    """Close the offer; its seats are free again unless they were accepted."""
    offer.state, offer.ended_at = state, now
    if state == "accepted" or offer.booking_id is None:
        return
    held = session.execute(
        select(Booking.id, Booking.appointment_id)
        .where(Booking.id == offer.booking_id, Booking.status == "held")
        .with_for_update()
    ).first()
    offer.booking_id = None
    session.flush()
    if held is not None:
        claims.drop_hold(session, held.id, held.appointment_id)


def end_entry(
    session: Session, entry: WaitlistEntry, status: str, *, reason: str, now: datetime, offer_id: int | None = None
) -> None:
    """The entry has come to its end, with its last offer if there was one; its customer is told why. It never comes back."""
    entry.status, entry.ended_at = status, now
    tell_entry(session, entry, "ended", reason=reason, offer_id=offer_id)


def tell_entry(
    session: Session, entry: WaitlistEntry, news: str, *, reason: str = "", offer_id: int | None = None
) -> None:
    """Record that the customer must be told: `news` is joined, offered or ended, the latter for a `reason`."""
    entry.sequence += 1
    outbox.record(
        session, "notify.waitlist", f"entry:{entry.id}", news=news, reason=reason, offer_id=offer_id, sequence=entry.sequence
    )  # fmt: skip


def token_place(entry: WaitlistEntry) -> str:
    """To what a sealed token is bound."""
    return f"waitlist/{entry.public_id}/token"
