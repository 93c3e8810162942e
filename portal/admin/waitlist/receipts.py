"""What staff read of a waitlist's receipts: for each vacancy who was considered and why, in words. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.admin.waitlist.queries import sees_entry, takes_time
from portal.booking.models import WaitlistEntry, WaitlistReceipt
from portal.business.models import Service

RECEIPTS_SHOWN = 20
_WHY = {
    "offered": "was offered it",
    "by_hand": "was offered it by hand",
    "party_too_large": "passed by: too few seats for all of them",
    "other_time": "wants another time",
    "other_person": "wants another person",
    "already_offered": "was offered this time before and did not take it",
    "has_booking": "has a booking or an offer at that time already",
    "limit": "has as many bookings as one customer may have",
    "paused": "offers were paused",
    "too_late": "too near the start for an offer",
    "seats_gone": "no seats were left",
}
_CAUSES = {
    "cancelled": "a booking was cancelled",
    "refused": "a request was refused",
    "moved": "a booking was moved",
    "capacity": "the number of seats was changed",
    "declined": "an offer was declined",
    "lapsed": "an offer or a held time ran out",
    "left": "somebody left the waitlist",
    "removed": "somebody was taken off the waitlist",
    "resumed": "offers were resumed",
    "paused": "offers were paused",
    "by hand": "offered by hand",
    "time": "seats had become free",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One entry in a receipt. `entry` is None where it is not this user's to see."""

    entry: WaitlistEntry | None
    party_size: int
    is_offered: bool
    why: str


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    receipt: WaitlistReceipt
    lines: list[Line]


def list_receipts(session: Session, user: User, service: Service) -> list[ReceiptRow]:
    """Who was considered for the newest vacancies, and why; the newest first."""
    receipts = session.scalars(
        select(WaitlistReceipt)
        .where(WaitlistReceipt.service_id == service.id, takes_time(user, WaitlistReceipt.appointment_id))
        .order_by(WaitlistReceipt.id.desc())
        .limit(RECEIPTS_SHOWN)
    ).all()
    ids = {line["entry"] for receipt in receipts for line in receipt.considered}
    seen = session.scalars(select(WaitlistEntry).where(WaitlistEntry.id.in_(ids), sees_entry(user))) if ids else ()
    entries = {entry.id: entry for entry in seen}
    return [
        ReceiptRow(
            receipt,
            [
                Line(entries.get(line["entry"]), line["party_size"], line["outcome"] == "offered", line["why"])
                for line in receipt.considered
            ],
        )
        for receipt in receipts
    ]


def why_in_words(code: str) -> str:
    """What became of one entry, to follow its name."""
    return _WHY.get(code, code.replace("_", " "))


def cause_in_words(code: str) -> str:
    """What freed the seats."""
    return _CAUSES.get(code, _CAUSES["time"])
