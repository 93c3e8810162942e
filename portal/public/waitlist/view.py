"""What the waitlist's public pages show, in words: what is waited for, the place in the queue, the offer. Reads only; called by `routes.py`.

A page tells its reader about their own entry and nobody else's: of the others it knows how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from babel import Locale
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, Booking, Offer, WaitlistEntry
from portal.booking.steps import manage_token
from portal.business.models import Resource, Service
from portal.errors import NotFound
from portal.language import dates
from portal.language.dates import wish_in_words
from portal.language.say import given_name, in_a_row, say, say_n
from portal.public.booking import view
from portal.public.booking.summary import names_of, place_words
from portal.waitlist import queries
from portal.waitlist.steps import entry_of_token, last_offer
from portal.web.instants import instant_text

LINK_LASTS = timedelta(days=30)
"""After the entry has ended; then the link leads nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wished:
    """What somebody waits for: `title` is a date, a week or any day; `time` and `zone` are set where a time is known."""

    service: str
    title: str
    time: str = ""
    zone: str = ""
    person: str = ""
    place: str = ""
    party: str = ""
    price: str = ""
    place_kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """Seats that are (or were) kept for the reader. `until` is on the reader's clock, `until_at` the instant for programs."""

    what: Wished
    until: str
    until_at: str
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPage:
    """One entry as its own page shows it. `state` is the entry's status, save that an offer whose time is over counts as lapsed at once."""

    state: str
    first_name: str
    wished: Wished
    offer: Offered | None
    place: int
    party_size: int
    is_paused: bool
    can_wait_on: bool
    """Whether other times may follow the one that is offered: a time that was declined is not offered to the same entry again."""
    needs_approval: bool
    service_slug: str
    """Empty when the service cannot be booked any more."""
    again: str
    """The query string of the form to wait for the same again."""
    on: date | None
    """The day that is waited for, while it can still be booked."""
    booking_token: str
    booking_state: str
    version: str


def find_entry(session: Session, token: str, *, now: datetime) -> WaitlistEntry:
    """The entry of a link. Raises the same NotFound for links that never led anywhere and for outdated ones."""
    try:
        entry = entry_of_token(session, token)
    except NotFound:
        entry = None
    if entry is None or (entry.ended_at and entry.ended_at + LINK_LASTS < now):
        raise NotFound(
            say(
                "This link does not lead to a waitlist (any more). Please use the newest link from our mails, or ask us."
            )
        )
    return entry


def show_entry(session: Session, entry: WaitlistEntry, *, zone: str, locale: Locale, now: datetime) -> EntryPage:
    """Everything that the page of an entry says."""
    service = entry.service
    offer = _last_offer(session, entry)
    offered = _offered(session, service, offer, zone=zone, locale=locale, now=now) if offer else None
    state = _state(entry, offered)
    place = queries.position(session, entry)
    booking = session.get(Booking, entry.booking_id) if entry.booking_id else None
    return EntryPage(
        state=state,
        first_name=given_name(entry.customer_name),
        wished=wished_by(session, entry, zone=zone, locale=locale),
        offer=offered,
        place=place,
        party_size=entry.party_size,
        is_paused=service.is_waitlist_paused,
        can_wait_on=entry.wish != "appointment",
        needs_approval=service.needs_approval,
        service_slug=service.slug if service.is_active else "",
        again=_again(session, entry),
        on=_wished_on(session, entry, zone, now),
        booking_token=manage_token(booking) if booking and booking.sealed_manage_token else "",
        booking_state=booking.status if booking else "",
        version=f"{state}-{entry.sequence}-{place}-{int(service.is_waitlist_paused)}-{offer.id if offer else 0}",
    )


def wished_by(session: Session, entry: WaitlistEntry, *, zone: str, locale: Locale) -> Wished:
    """What an entry waits for."""
    appointment = _fixed(session, entry)
    return describe(
        session,
        entry.service,
        wish=entry.wish,
        wish_on=entry.wish_on,
        start_at=appointment.start_at if appointment else entry.start_at,
        end_at=appointment.end_at if appointment else None,
        resource_id=entry.resource_id,
        appointment=appointment,
        party_size=entry.party_size,
        zone=zone,
        locale=locale,
    )


def describe(
    session: Session,
    service: Service,
    *,
    wish: str,
    zone: str,
    locale: Locale,
    wish_on: date | None = None,
    start_at: datetime | None = None,
    end_at: datetime | None = None,
    resource_id: int | None = None,
    appointment: Appointment | None = None,
    party_size: int = 1,
) -> Wished:
    """A wish in words."""
    words = {"day": wish_in_words(wish, wish_on, locale), "time": "", "zone": ""}
    if start_at is not None:
        words = view.when(start_at, end_at or start_at + timedelta(minutes=service.duration), zone, locale)
    resource = session.get(Resource, resource_id) if resource_id else None
    staff, rooms = names_of(session, appointment.id) if appointment else ([], [])
    return Wished(
        service=service.name,
        title=words["day"],
        time=words["time"],
        zone=words["zone"],
        person=resource.name if resource else in_a_row(staff, locale),
        place=", ".join(filter(None, [place_words(service), in_a_row(rooms, locale)])),
        party=say_n("%(number)s person", "%(number)s people", party_size) if party_size > 1 else "",
        price=service.price,
        place_kind=service.location_kind,
    )


def until_in_words(until: datetime, *, zone: str, locale: Locale, now: datetime) -> str:
    """14:05, or with its date when that is not today."""
    local = until.astimezone(ZoneInfo(zone))
    clock = dates.clock(local, locale)
    if local.date() == now.astimezone(ZoneInfo(zone)).date():
        return clock
    return f"{dates.day_and_month(local.date(), locale)}, {clock}"


def _last_offer(session: Session, entry: WaitlistEntry) -> Offer | None:
    if entry.status in ("waiting", "left", "over"):
        return None
    return last_offer(session, entry)


def _offered(session: Session, service: Service, offer: Offer, *, zone: str, locale: Locale, now: datetime) -> Offered:
    appointment = session.get(Appointment, offer.appointment_id) if offer.appointment_id else None
    what = describe(
        session,
        service,
        wish="appointment",
        zone=zone,
        locale=locale,
        start_at=offer.start_at,
        end_at=offer.end_at,
        resource_id=offer.resource_id,
        appointment=appointment,
        party_size=offer.party_size,
    )
    return Offered(
        what=what,
        until=until_in_words(offer.ends_at, zone=zone, locale=locale, now=now),
        until_at=instant_text(offer.ends_at),
        is_open=offer.state == "open" and offer.ends_at > now,
    )


def _state(entry: WaitlistEntry, offered: Offered | None) -> str:
    """Between the end of an offer and the moment when the worker notes it, the entry still says "offered"."""
    if entry.status == "offered" and not (offered and offered.is_open):
        return "lapsed"
    return entry.status


def _wished_on(session: Session, entry: WaitlistEntry, zone: str, now: datetime) -> date | None:
    """The local day of what is waited for; None where that is any day, or a day that is over."""
    appointment = _fixed(session, entry)
    start_at = appointment.start_at if appointment else entry.start_at
    on = start_at.astimezone(ZoneInfo(zone)).date() if start_at else entry.wish_on
    is_over = on is None or on < now.astimezone(ZoneInfo(zone)).date()
    return None if is_over or entry.wish == "any" else on


def _again(session: Session, entry: WaitlistEntry) -> str:
    """How the form for the same wish is asked for."""
    if entry.wish == "appointment":
        appointment = _fixed(session, entry)
        start_at = appointment.start_at if appointment else entry.start_at
        return f"?appointment={instant_text(start_at)}" if start_at else ""
    return f"?day={entry.wish_on.isoformat()}&wish={entry.wish}" if entry.wish_on else ""


def _fixed(session: Session, entry: WaitlistEntry) -> Appointment | None:
    """The fixed appointment that is waited for, wherever staff have moved it. Others come and go with their bookings: there the time counts."""
    appointment = session.get(Appointment, entry.appointment_id) if entry.appointment_id else None
    return appointment if appointment and appointment.is_fixed else None
