"""What can be done with a waitlist, in one place for pages, the API and the worker. Each operation is a transaction; see the modules it comes from.

`look_entry` is the handler of the outbox topic `waitlist.look`; `look_at_waitlists` stands in the periodic table.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from portal.booking.models import Offer, WaitlistEntry
from portal.business.models import Service
from portal.clock import now_utc
from portal.database.engine import database_clock, read_transaction
from portal.outbox import Work
from portal.waitlist.allot import look, look_quietly
from portal.waitlist.by_hand import WouldOffer, dry_run, offer_by_hand, pause, remove
from portal.waitlist.customer_answers import accept, decline, leave
from portal.waitlist.joining import Joined, join

__all__ = [
    "Joined",
    "WouldOffer",
    "accept",
    "decline",
    "dry_run",
    "join",
    "leave",
    "look",
    "look_at_waitlists",
    "look_entry",
    "look_quietly",
    "offer_by_hand",
    "pause",
    "remove",
]


def look_entry(work: Work) -> None:
    """Something of a service may be free ("service:12"), or an offer has come to its end ("offer:34")."""
    kind, _, number = work.subject.partition(":")
    service_id = int(number) if kind == "service" else read_transaction(lambda s: _service_of(s, int(number)))
    if service_id is not None:
        look(service_id, cause=str(work.payload.get("cause", "")), now=now_utc())


def look_at_waitlists(now: datetime | None = None) -> list[int]:
    """Look at every waitlist where something may have become free or over without anybody's doing: hours, outside events, lapsed holds, time
    itself. Returns the ids of the offers made."""
    moment = now or now_utc()
    made = []
    for service_id in read_transaction(lambda session: _in_question(session, now=moment)):
        made += look_quietly(service_id, cause="time", now=moment)  # the trouble of one must not hold up the others
    return made


def _service_of(session: Session, offer_id: int) -> int | None:
    return session.scalar(
        select(WaitlistEntry.service_id)
        .join(Offer, Offer.entry_id == WaitlistEntry.id)
        .where(Offer.id == offer_id, Offer.state == "open")
    )


def _in_question(session: Session, *, now: datetime) -> list[int]:
    """Services that may make offers to somebody who waits, or whose entries' time may be past; and those with offers past their end."""
    is_offering = and_(Service.has_waitlist, Service.is_active, Service.is_waitlist_paused.is_(False))
    may_be_past = or_(WaitlistEntry.start_at <= now, WaitlistEntry.wish_on < (now - timedelta(days=1)).date())
    waiting = (
        select(WaitlistEntry.service_id)
        .join(Service, Service.id == WaitlistEntry.service_id)
        .where(WaitlistEntry.status == "waiting", or_(is_offering, may_be_past))
    )
    ended = (
        select(WaitlistEntry.service_id)
        .join(Offer, Offer.entry_id == WaitlistEntry.id)
        .where(Offer.state == "open", or_(Offer.ends_at < database_clock(), Offer.booking_id.is_(None)))
    )
    return sorted({*session.scalars(waiting.distinct()), *session.scalars(ended.distinct())})
