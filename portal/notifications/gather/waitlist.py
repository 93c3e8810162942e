"""Reads what somebody on a waitlist should know: that they are on it, that something is offered to them, that it is over. Called by
`portal.notifications.deliver`."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, Offer, WaitlistEntry
from portal.business.models import Resource
from portal.errors import Invalid
from portal.extensions import current_settings
from portal.instance.ids import instance_ids
from portal.notifications.compose.facts import Facts, Person, WaitFacts, WaitlistNews
from portal.notifications.compose.news import Silence
from portal.notifications.gather.history import booking_key, read_history
from portal.notifications.gather.people import resources_of
from portal.notifications.gather.sources import business_of, house_of, own_words, row_of, silent
from portal.notifications.models import Mail
from portal.notifications.stop_links import stop_url
from portal.outbox import Work
from portal.waitlist.steps import entry_token

log = structlog.get_logger()
OPEN = ("waiting", "offered")


def for_waitlist(session: Session, work: Work, *, now: datetime) -> list[Facts | Silence]:
    """The news of `entry:<id>` for the person who waits: one mail, or none. The newest news tells the whole present state."""
    entry = row_of(session, work, WaitlistEntry)
    if entry is None or not entry.customer_email:
        return silent(work, "there is nobody to tell")
    if read_history(session, work).has_later:
        return silent(work, "newer news of the same entry takes its place")
    news, offer = str(work.payload["news"]), _offer(session, work)
    if news != "ended" and entry.status not in OPEN:
        return silent(work, f"the entry is {entry.status} meanwhile")
    if news == "offered" and (offer is None or offer.state != "open" or offer.ends_at <= now):
        if entry.status != "waiting" or _was_told(session, entry):
            return silent(work, Silence("the offer is over", is_too_late=True))
        news, offer = "joined", None  # this news took the place of the first mail, and they must have their link
    business, reader = business_of(session), _reader(entry)
    return [
        WaitlistNews(
            message_key=booking_key(instance_ids(session), work, entry.customer_email),
            house=house_of(business),
            news=news,
            wait=_wait_facts(session, entry, offer, reader),
            entry_url=_entry_url(entry),
            stop_url=stop_url("waitlist", entry.id),
            reason=str(work.payload.get("reason") or ""),
            held_until=offer.ends_at if offer else None,
            own=own_words(session, f"waitlist_{news}", service_id=entry.service_id, reader=reader, business=business),
        )
    ]


def _was_told(session: Session, entry: WaitlistEntry) -> bool:
    """Whether any mail about the entry has left, or may have."""
    mails = select(Mail.id).where(Mail.entry_id == entry.id, Mail.state.in_(("sending", "sent")))
    return session.scalar(mails.limit(1)) is not None


def _wait_facts(session: Session, entry: WaitlistEntry, offer: Offer | None, reader: Person) -> WaitFacts:
    service, (start_at, end_at) = entry.service, _times(session, entry, offer)
    taken = _taken(session, entry, offer)
    return WaitFacts(
        service=service.name,
        wish=entry.wish,
        customer=reader,
        party_size=entry.party_size,
        wish_on=entry.wish_on,
        start_at=start_at,
        end_at=end_at,
        people=tuple(resource.name for resource in taken if resource.kind == "staff"),
        rooms=tuple(resource.name for resource in taken if resource.kind == "room"),
        location=service.location,
        location_kind=service.location_kind,
        price=service.price,
    )


def _times(
    session: Session, entry: WaitlistEntry, offer: Offer | None
) -> tuple[datetime, datetime] | tuple[None, None]:
    if offer is not None:
        return offer.start_at, offer.end_at
    appointment = session.get(Appointment, entry.appointment_id) if entry.appointment_id else None
    if appointment is not None:
        return appointment.start_at, appointment.end_at
    if entry.start_at is not None:
        return entry.start_at, entry.start_at + timedelta(minutes=entry.service.duration)
    return None, None


def _taken(session: Session, entry: WaitlistEntry, offer: Offer | None) -> list[Resource]:
    """What the offered appointment takes; before there is an offer, the person wished for."""
    appointment_id = (offer.appointment_id if offer else None) or entry.appointment_id
    appointment = session.get(Appointment, appointment_id) if appointment_id else None
    if appointment is not None and appointment.resources:
        return resources_of(session, appointment)
    resource_id = (offer.resource_id if offer else None) or entry.resource_id
    resource = session.get(Resource, resource_id) if resource_id else None
    return [resource] if resource else []


def _offer(session: Session, work: Work) -> Offer | None:
    offer_id = work.payload.get("offer_id")
    return session.get(Offer, int(offer_id)) if offer_id else None


def _entry_url(entry: WaitlistEntry) -> str:
    try:
        return f"{current_settings().url}/w/{entry_token(entry)}"
    except Invalid as error:
        log.warning("a waitlist link does not open", entry_id=entry.id, reason=str(error))
        return ""


def _reader(entry: WaitlistEntry) -> Person:
    return Person(
        name=entry.customer_name,
        email=entry.customer_email,
        zone=entry.customer_zone,
        language=entry.customer_language,
    )
