"""Questions about waitlists, for pages. Each takes the session first and changes nothing. Names of customers are for staff pages alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, joinedload

from portal.booking.models import Appointment, Offer, WaitlistEntry, WaitlistReceipt
from portal.business.models import Service
from portal.waitlist.look import live_entries


@dataclass(frozen=True, slots=True)
class Queued:
    """One who waits, for staff: the place in the queue (0 while something is offered to them) and the open offer."""

    entry: WaitlistEntry
    position: int
    offer: Offer | None


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """Who was considered: `name` is empty when the entry has been forgotten since. `outcome` and `why` as in `plan`."""

    entry_id: int
    name: str
    party_size: int
    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class ReceiptShown:
    """One vacancy and what became of it."""

    decided_at: datetime
    start_at: datetime
    appointment_id: int | None
    seats_free: int
    cause: str
    lines: tuple[ReceiptLine, ...]


def queue(session: Session, service: Service, *, appointment_id: int | None = None) -> list[Queued]:
    """The live entries of a service, or those that wait for one appointment, in the order in which they are served."""
    entries = live_entries(session, service.id)
    if appointment_id is not None:
        entries = _those_for(session, entries, appointment_id)
    offers = _open_offers(session, [entry.id for entry in entries])
    places = {entry.id: number for number, entry in enumerate((e for e in entries if e.status == "waiting"), start=1)}
    return [Queued(entry, places.get(entry.id, 0), offers.get(entry.id)) for entry in entries]


def position(session: Session, entry: WaitlistEntry) -> int:
    """For the customer's own page: 1 for who is next, among those who wait for the same appointment, or for days of the same service; 0 for an
    entry that does not wait. A number, and nobody's data."""
    if entry.status != "waiting":
        return 0
    is_before = or_(
        WaitlistEntry.joined_at < entry.joined_at,
        and_(WaitlistEntry.joined_at == entry.joined_at, WaitlistEntry.id < entry.id),
    )
    ahead = select(func.count()).where(
        WaitlistEntry.service_id == entry.service_id, WaitlistEntry.status == "waiting", _same_wish(entry), is_before
    )
    return 1 + (session.scalar(ahead) or 0)


def ended(session: Session, service: Service, *, limit: int = 50) -> list[WaitlistEntry]:
    """The entries that have come to an end, the latest first."""
    over = select(WaitlistEntry).where(WaitlistEntry.service_id == service.id, WaitlistEntry.ended_at.is_not(None))
    return list(session.scalars(over.order_by(WaitlistEntry.ended_at.desc(), WaitlistEntry.id.desc()).limit(limit)))


def receipts(
    session: Session, service: Service, *, appointment_id: int | None = None, limit: int = 50
) -> list[ReceiptShown]:
    """Who was considered for which vacancy and why, the latest first, with names."""
    wanted = select(WaitlistReceipt).where(WaitlistReceipt.service_id == service.id)
    if appointment_id is not None:
        wanted = wanted.where(WaitlistReceipt.appointment_id == appointment_id)
    rows = session.scalars(wanted.order_by(WaitlistReceipt.id.desc()).limit(limit)).all()
    names = _names(session, {line["entry"] for row in rows for line in row.considered})
    return [_shown(row, names) for row in rows]


def _same_wish(entry: WaitlistEntry) -> ColumnElement[bool]:
    if entry.wish != "appointment":
        return WaitlistEntry.wish != "appointment"
    same_start = and_(WaitlistEntry.wish == "appointment", WaitlistEntry.start_at == entry.start_at)
    if entry.appointment_id is None:
        return same_start
    return or_(WaitlistEntry.appointment_id == entry.appointment_id, same_start)


def _those_for(session: Session, entries: Sequence[WaitlistEntry], appointment_id: int) -> list[WaitlistEntry]:
    """A fixed appointment is waited for wherever it stands; of others the start counts."""
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        return []
    if appointment.is_fixed:
        return [entry for entry in entries if entry.appointment_id == appointment_id]
    return [entry for entry in entries if entry.start_at == appointment.start_at]


def _open_offers(session: Session, ids: Sequence[int]) -> dict[int, Offer]:
    offers = select(Offer).where(Offer.entry_id.in_(ids), Offer.state == "open").options(joinedload(Offer.booking))
    return {offer.entry_id: offer for offer in session.scalars(offers)}


def _names(session: Session, ids: Iterable[int]) -> dict[int, str]:
    named = select(WaitlistEntry.id, WaitlistEntry.customer_name).where(WaitlistEntry.id.in_(list(ids)))
    return dict(session.execute(named).tuples().all())


def _shown(row: WaitlistReceipt, names: dict[int, str]) -> ReceiptShown:
    lines = tuple(
        ReceiptLine(line["entry"], names.get(line["entry"], ""), line["party_size"], line["outcome"], line["why"])
        for line in row.considered
    )
    return ReceiptShown(row.decided_at, row.start_at, row.appointment_id, row.seats_free, row.cause, lines)
