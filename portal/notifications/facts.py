"""What mails may mention: one dataclass per occasion, plain values only. Pure; `gather` fills them, `messages` words them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from portal.calendars.ical import CustomerEvent
from portal.notifications.news import News


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Who writes. `url` is the portal's public base address: links in mails never come from a request."""

    name: str
    zone: str
    language: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who reads, and in which zone."""

    name: str
    email: str
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingFacts:
    """A booking as mails may mention it. `people` and `rooms` are the names of what the appointment takes; `meeting` is the state of
    `portal.booking.meetings.Meeting`, as the booking's customer may know it."""

    service: str
    start_at: datetime
    end_at: datetime
    people: tuple[str, ...]
    rooms: tuple[str, ...] = ()
    location: str = ""
    meeting: str = "none"
    meeting_url: str = ""
    party_size: int = 1
    status: str = "confirmed"
    pending_reason: str = ""
    cancel_until: int = 0
    move_until: int = 0
    customer: Person
    phone: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerNews:
    """News of a booking for its customer. `manage_url` is empty when the link can no longer be opened; `event` is for the .ics."""

    message_key: str
    house: House
    news: News
    booking: BookingFacts
    manage_url: str
    event: CustomerEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffNews:
    """The same for staff, in short."""

    message_key: str
    house: House
    news: News
    booking: BookingFacts
    recipient: Person


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionNews:
    """Somebody moved or deleted one of our events in a calendar, and the rule says to ask. `moved_to` for the former."""

    message_key: str
    house: House
    recipient: Person
    kind: str
    service: str
    customers: tuple[str, ...]
    start_at: datetime
    end_at: datetime
    calendar: str
    moved_to: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictNews:
    """An outside event wants the time of an appointment. What the event is about is the calendar's owner's own business."""

    message_key: str
    house: House
    recipient: Person
    service: str
    resource: str
    customers: tuple[str, ...]
    start_at: datetime
    end_at: datetime
    calendar: str
    event_start_at: datetime
    event_end_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionNews:
    """A connection changed its state. `rules` are the `when_unreadable` of its calendars that close slots, `provider` its kind."""

    message_key: str
    house: House
    recipient: Person
    state: str
    reason: str
    since: datetime
    resource: str
    account: str
    calendars: tuple[str, ...]
    rules: tuple[str, ...] = ()
    provider: str = "caldav"


Facts: TypeAlias = CustomerNews | StaffNews | QuestionNews | ConflictNews | ConnectionNews
