"""A customer's own bookings and waitlist entries, as their page shows them: in words, on their clock, nothing about anybody else. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from babel import Locale
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.models import AppointmentResource, Booking, Offer, WaitlistEntry
from portal.business.models import Resource
from portal.customers import queries
from portal.errors import NotFound
from portal.language import dates
from portal.language.say import say, say_n
from portal.public.booking import view
from portal.waitlist.queries import wished_start

LINK_LASTS = timedelta(days=30)
"""As long after an appointment its own page can be opened (`portal.public.manage`)."""
MOST = 100
"""So many bookings are listed, the latest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """One booking. `state` is confirmed, pending, cancelled, over or missed; `has_page` while its own page can be opened."""

    public_id: str
    state: str
    service: str
    slug: str
    day: str
    time: str
    people: str
    party: str
    has_page: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """One waitlist entry that has not ended. `until` is when the open offer ends, empty while nothing is offered."""

    public_id: str
    service: str
    wish: str
    party: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """`zone` is the clock by which all times are told, `place` what it is named after; `zones` are offered first to choose from."""

    upcoming: list[Mine]
    past: list[Mine]
    waiting: list[Waits]
    zone: str
    place: str
    zones: list[tuple[str, str]]

    @property
    def is_empty(self) -> bool:
        return not (self.upcoming or self.past or self.waiting)


@dataclass(frozen=True, slots=True)
class Clock:
    """How the reader is told times."""

    zone: str
    locale: Locale

    def moment(self, instant: datetime) -> str:
        local = instant.astimezone(ZoneInfo(self.zone))
        return f"{dates.long_date(local.date(), self.locale)}, {dates.clock(local, self.locale)}"


def of_customer(
    session: Session, email: str, *, zone: str, business_zone: str, locale: Locale, now: datetime
) -> Overview:
    """All of one address. `zone` is the one asked for; else that of the newest booking, else the business's."""
    bookings = queries.bookings_of(session, email, limit=MOST)
    clock = Clock(zone or _usual_zone(bookings) or business_zone, locale)
    people = _people(session, [booking.appointment_id for booking in bookings])
    shown = [(booking, _mine(booking, people, clock=clock, now=now)) for booking in bookings]
    is_ahead = {booking.id: booking.status != "cancelled" and booking.appointment.end_at > now for booking in bookings}
    zones = dict.fromkeys((clock.zone, business_zone))
    return Overview(
        upcoming=[mine for booking, mine in reversed(shown) if is_ahead[booking.id]],
        past=[mine for booking, mine in shown if not is_ahead[booking.id]],
        waiting=[
            _waits(session, entry, clock=clock) for entry in queries.entries_of(session, email) if _is_open(entry)
        ],
        zone=clock.zone,
        place=dates.city(clock.zone),
        zones=[(name, dates.zone_label(name, now)) for name in zones],
    )


def own_booking(session: Session, email: str, public_id: str, *, now: datetime) -> Booking:
    """A booking of this address whose page can still be opened. Raises the same NotFound for what is not there and what is not theirs."""
    for booking in queries.bookings_of(session, email):
        if booking.public_id == public_id and booking.appointment.end_at + LINK_LASTS > now:
            return booking
    raise NotFound(say("There is no such booking of yours (any more)."))


def own_entry(session: Session, email: str, public_id: str) -> WaitlistEntry:
    """The same for an open waitlist entry."""
    for entry in queries.entries_of(session, email):
        if entry.public_id == public_id and _is_open(entry):
            return entry
    raise NotFound(say("There is no such entry of yours (any more)."))


def _mine(booking: Booking, people: dict[int, list[str]], *, clock: Clock, now: datetime) -> Mine:
    appointment = booking.appointment
    words = view.when(appointment.start_at, appointment.end_at, clock.zone, clock.locale)
    return Mine(
        public_id=booking.public_id,
        state=_state(booking, now=now),
        service=appointment.service.name,
        slug=appointment.service.slug if appointment.service.is_active else "",
        day=words["day"],
        time=words["time"],
        people=", ".join(people.get(appointment.id, [])),
        party=_party(booking.party_size),
        has_page=appointment.end_at + LINK_LASTS > now and bool(booking.sealed_manage_token),
    )


def _state(booking: Booking, *, now: datetime) -> str:
    if booking.status in ("confirmed", "pending"):
        return booking.status if booking.appointment.end_at > now else "over"
    return {"cancelled": "cancelled", "no_show": "missed"}.get(booking.status, "over")


def _waits(session: Session, entry: WaitlistEntry, *, clock: Clock) -> Waits:
    ends_at = session.scalar(select(Offer.ends_at).where(Offer.entry_id == entry.id, Offer.state == "open"))
    return Waits(
        public_id=entry.public_id,
        service=entry.service.name,
        wish=_wish(session, entry, clock=clock),
        party=_party(entry.party_size),
        until=clock.moment(ends_at) if ends_at else "",
    )


def _wish(session: Session, entry: WaitlistEntry, *, clock: Clock) -> str:
    start_at = wished_start(session, entry)
    if start_at is not None:
        return clock.moment(start_at)
    if entry.wish_on is None:
        return say("Any day")
    day = dates.day_and_month(entry.wish_on, clock.locale)
    return say("The week of %(day)s", day=day) if entry.wish == "week" else day


def _is_open(entry: WaitlistEntry) -> bool:
    return entry.status in ("waiting", "offered")


def _party(size: int) -> str:
    return say_n("%(number)s person", "%(number)s people", size) if size > 1 else ""


def _usual_zone(bookings: list[Booking]) -> str:
    newest = sorted(bookings, key=lambda booking: booking.created_at, reverse=True)
    return next((booking.customer_zone for booking in newest if dates.is_zone(booking.customer_zone)), "")


def _people(session: Session, appointment_ids: list[int]) -> dict[int, list[str]]:
    """The names of the staff of each appointment."""
    rows = session.execute(
        select(AppointmentResource.appointment_id, Resource.name)
        .join(Resource, Resource.id == AppointmentResource.resource_id)
        .where(AppointmentResource.appointment_id.in_(appointment_ids), Resource.kind == "staff")
        .order_by(AppointmentResource.list_no, Resource.position, Resource.id)
    )
    found: dict[int, list[str]] = {}
    for appointment_id, name in rows:
        found.setdefault(appointment_id, []).append(name)
    return found
