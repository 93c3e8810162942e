"""What mails may mention: one dataclass per occasion, plain values only. Pure; `portal.notifications.gather.bookings` fills them, `messages` words
them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias

from portal.booking.invitation.customer_ics import CustomerEvent
from portal.notifications.compose.news import News
from providers.kinds import CALDAV


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Who writes. `url` is the portal's public base address: links in mails never come from a request. `email` is where answers go, if anywhere."""

    name: str
    zone: str
    language: str
    url: str
    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who reads, in which zone, and in which language ("" is the business's)."""

    name: str
    email: str
    zone: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class OwnWords:
    """An admin's own subject and text with {placeholders}, in the reader's language; empty: the portal's own."""

    subject: str = ""
    body: str = ""


NO_WORDS = OwnWords()


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingFacts:
    """A booking as mails may mention it. `people` and `rooms` are the names of what the appointment takes; `meeting` is the state of
    `portal.booking.invitation.meetings.Meeting`, as the booking's customer may know it; `answers` are (question, answer) pairs, for staff alone."""

    service: str
    start_at: datetime
    end_at: datetime
    people: tuple[str, ...]
    rooms: tuple[str, ...] = ()
    location: str = ""
    location_kind: str = ""
    price: str = ""
    meeting: str = "none"
    meeting_url: str = ""
    party_size: int = 1
    status: str = "confirmed"
    pending_reason: str = ""
    held_until: datetime | None = None
    is_called_off: bool = False
    cancel_until: int = 0
    move_until: int = 0
    customer: Person
    phone: str = ""
    note: str = ""
    answers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerNews:
    """News of a booking for its customer. `manage_url` is empty when the link can no longer be opened; `event` is for the .ics."""

    message_key: str
    house: House
    news: News
    booking: BookingFacts
    manage_url: str
    event: CustomerEvent
    own: OwnWords = NO_WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderNews:
    """A booking is near. `stop_url` ends the reminders of this booking; `told_at` is when the reminder goes out."""

    message_key: str
    house: House
    booking: BookingFacts
    manage_url: str
    stop_url: str
    told_at: datetime
    own: OwnWords = NO_WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffNews:
    """News of a booking for staff, in short. `booking_id` is for the link to its page."""

    message_key: str
    house: House
    news: News
    booking: BookingFacts
    recipient: Person
    booking_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFacts:
    """What somebody waits for: the appointment from `start_at` to `end_at` (`wish` "appointment"), or a time on the day or in the week of
    `wish_on`, or whenever ("day", "week", "any"). An offer, once made, fills in its own times, and `people` and `rooms` who gives it and where."""

    service: str
    wish: str
    customer: Person
    party_size: int = 1
    wish_on: date | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    people: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    location: str = ""
    location_kind: str = ""
    price: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitlistNews:
    """News of a waitlist entry for its customer: joined, offered, ended. `reason` says of an end how it came about, `held_until` of an offer how
    long it stands. `entry_url` is empty when the link can no longer be opened; `stop_url` takes the entry off the waitlist."""

    message_key: str
    house: House
    news: str
    wait: WaitFacts
    entry_url: str
    stop_url: str = ""
    reason: str = ""
    held_until: datetime | None = None
    own: OwnWords = NO_WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeNews:
    """A code with which somebody opens the page of their own bookings, good for so many `minutes`."""

    message_key: str
    house: House
    recipient: Person
    code: str
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetNews:
    """A link with which a user chooses a new password, good for so many `minutes`."""

    message_key: str
    house: House
    recipient: Person
    link: str
    minutes: int


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
    provider: str = CALDAV.name


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitNews:
    """Nothing more was booked with this address, since as many bookings to come as are taken with one stand there: (start, end, its link) each."""

    message_key: str
    house: House
    recipient: Person
    service: str
    limit: int
    wanted_at: datetime
    standing: tuple[tuple[datetime, datetime, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockNews:
    """A worker's clock is in doubt, and why."""

    message_key: str
    house: House
    recipient: Person
    reason: str


Facts: TypeAlias = (
    CustomerNews
    | ReminderNews
    | StaffNews
    | WaitlistNews
    | CodeNews
    | ResetNews
    | QuestionNews
    | ConflictNews
    | ConnectionNews
    | ClockNews
    | LimitNews
)
