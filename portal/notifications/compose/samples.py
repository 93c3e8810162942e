"""One mail of each kind with made-up facts: for the preview of own texts, and to look at all mails (tests/support/mail_gallery.py). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from portal.booking.invitation.customer_ics import CustomerEvent
from portal.language.say import known_language, say, speaking
from portal.notifications.compose.facts import (
    NO_WORDS,
    BookingFacts,
    CustomerNews,
    Facts,
    House,
    OwnWords,
    Person,
    ReminderNews,
    WaitFacts,
    WaitlistNews,
)
from portal.notifications.compose.news import News

_STATUSES = {"pending": "pending", "refused": "cancelled", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleService:
    """What the sample is about: a service as it is, or as one might be."""

    name: str
    minutes: int = 30
    location: str = ""
    location_kind: str = ""
    price: str = ""
    people: tuple[str, ...] = ("Ana",)
    capacity: int = 1
    needs_approval: bool = False


def sample_mail(
    kind: str, *, house: House, service: SampleService, language: str, now: datetime, own: OwnWords = NO_WORDS
) -> Facts:
    """The facts for a mail of this kind (one of `own_words.KINDS`) to a made-up customer who reads this language. Raises KeyError."""
    start_at = _next_week(now, house.zone)
    if kind.startswith("waitlist_"):
        return _waiting(kind.removeprefix("waitlist_"), house, service, _customer(house, language), start_at, own)
    booking = _booking(kind, service, _customer(house, language), start_at)
    manage_url = f"{house.url}/b/{'sample' * 4}"
    if kind == "reminder":
        return ReminderNews(
            message_key="sample", house=house, booking=booking, manage_url=manage_url, stop_url=f"{house.url}/u/sample",
            told_at=start_at - timedelta(days=1), own=own,
        )  # fmt: skip
    previous = start_at - timedelta(days=1) if kind == "moved" else None
    news = News(news=kind, by="staff", previous_start_at=previous)
    event = CustomerEvent(
        instance_id="sample", public_id="sample", sequence=0, start_at=booking.start_at, end_at=booking.end_at,
        stamped_at=now, summary=service.name, organizer_name=house.name, organizer_email="sample@example.org",
        customer_name=booking.customer.name, customer_email=booking.customer.email, manage_url=manage_url,
    )  # fmt: skip
    return CustomerNews(
        message_key="sample", house=house, news=news, booking=booking, manage_url=manage_url, event=event, own=own
    )


def _booking(kind: str, service: SampleService, customer: Person, start_at: datetime) -> BookingFacts:
    return BookingFacts(
        service=service.name,
        start_at=start_at,
        end_at=start_at + timedelta(minutes=service.minutes),
        people=service.people,
        location=service.location,
        location_kind=service.location_kind,
        price=service.price,
        party_size=2 if service.capacity > 1 else 1,
        status=_STATUSES.get(kind, "confirmed"),
        pending_reason="approval" if kind == "pending" and service.needs_approval else "",
        customer=customer,
        phone="+34 600 000 000",
    )


def _waiting(
    news: str, house: House, service: SampleService, customer: Person, start_at: datetime, own: OwnWords
) -> WaitlistNews:
    wait = WaitFacts(
        service=service.name,
        wish="appointment",
        customer=customer,
        party_size=2 if service.capacity > 1 else 1,
        start_at=start_at,
        end_at=start_at + timedelta(minutes=service.minutes),
        people=service.people,
        location=service.location,
        location_kind=service.location_kind,
        price=service.price,
    )
    return WaitlistNews(
        message_key="sample", house=house, news=news, wait=wait, entry_url=f"{house.url}/w/{'sample' * 4}",
        stop_url=f"{house.url}/u/sample", reason="lapsed" if news == "ended" else "",
        held_until=start_at - timedelta(days=2) if news == "offered" else None, own=own,
    )  # fmt: skip


def _customer(house: House, language: str) -> Person:
    with speaking(language):
        name = say("Alex Example")
    return Person(name=name, email="alex@example.org", zone=house.zone, language=known_language(language))


def _next_week(now: datetime, zone: str) -> datetime:
    """Ten o'clock by the business's clocks, a week from today."""
    day = now.astimezone(ZoneInfo(zone)) + timedelta(days=7)
    return day.replace(hour=10, minute=0, second=0, microsecond=0).astimezone(now.tzinfo)
