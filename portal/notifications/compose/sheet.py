"""The sheet of facts in a mail: what, when, where, with whom. Pure; worded in the language that is being spoken. Called by `messages`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from babel import Locale

from portal.language import dates
from portal.language.say import in_a_row, say, say_n
from portal.notifications.compose.facts import BookingFacts, House, WaitFacts
from portal.notifications.compose.wording import When, instant, same_clock, when


@dataclass(frozen=True, slots=True)
class Row:
    """One fact. `url` makes a link of its last line. `is_strong`: its first line catches the eye. `is_bare`: the plain text shows it without
    its label. `is_typed`: a person's own words, whose line breaks are kept."""

    label: str
    lines: tuple[str, ...]
    url: str = ""
    is_strong: bool = False
    is_bare: bool = False
    is_typed: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """Facts that belong together, under what they are about. `is_code`: the heading is all, and is to be typed."""

    heading: str
    rows: tuple[Row, ...] = ()
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """In which zone and with which habits times are told."""

    zone: str
    locale: Locale

    def when(self, start_at: datetime, end_at: datetime) -> When:
        return when(start_at, end_at, zone=self.zone, locale=self.locale)

    def instant(self, at: datetime) -> str:
        return instant(at, zone=self.zone, locale=self.locale)

    def short(self, at: datetime) -> str:
        return when(at, at, zone=self.zone, locale=self.locale).short

    def names(self, names: tuple[str, ...]) -> str:
        return in_a_row(names, self.locale)


def booking_sheet(
    booking: BookingFacts, *, house: House, reader: Reader, previous_start_at: datetime | None, call_words: str
) -> Sheet:
    """A booking for whoever reads. `previous_start_at` where it stood before; `call_words` stand in place of a link that is not there yet."""
    has_moved = previous_start_at is not None and previous_start_at != booking.start_at
    rows = [
        when_row(booking.start_at, booking.end_at, house=house, reader=reader),
        Row(say("Before"), (reader.instant(previous_start_at),)) if previous_start_at and has_moved else None,
        Row(say("With"), (reader.names(booking.people),)) if booking.people else None,
        Row(say("For"), (party(booking.party_size),)) if booking.party_size > 1 else None,
        *place_rows(booking, reader=reader, phone=booking.phone, has_call=bool(booking.meeting_url or call_words)),
        _call(booking, call_words),
        Row(say("Price"), (booking.price,)) if booking.price else None,
    ]
    return Sheet(booking.service, tuple(row for row in rows if row))


def waiting_sheet(wait: WaitFacts, *, house: House, reader: Reader) -> Sheet:
    """What somebody waits for, or is offered."""
    rows = [
        _wish_row(wait, house=house, reader=reader),
        Row(say("With"), (reader.names(wait.people),)) if wait.people else None,
        Row(say("For"), (party(wait.party_size),)) if wait.party_size > 1 else None,
        *place_rows(wait, reader=reader, phone=""),
        Row(say("Price"), (wait.price,)) if wait.price else None,
    ]
    return Sheet(wait.service, tuple(row for row in rows if row))


def person_sheet(booking: BookingFacts) -> Sheet:
    """Who has booked, and what they wrote; for staff."""
    customer = booking.customer
    rows = [
        Row(say("Customer"), (customer.name,), is_strong=True, is_bare=True),
        Row(say("E-mail"), (customer.email,), url=f"mailto:{customer.email}", is_bare=True),
        Row(say("Phone"), (booking.phone,), is_bare=True) if booking.phone else None,
        *(Row(label, (answer,), is_typed="\n" in answer) for label, answer in booking.answers),
        Row(say("They wrote"), (booking.note,), is_typed=True) if booking.note else None,
    ]
    return Sheet("", tuple(row for row in rows if row))


def when_row(start_at: datetime, end_at: datetime, *, house: House, reader: Reader) -> Row:
    """Day, time and zone; and the same by the business's clocks, for who reads it elsewhere and may travel there."""
    words = reader.when(start_at, end_at)
    lines = [words.day, words.clock]
    if not same_clock(reader.zone, house.zone, at=start_at):
        there = when(start_at, end_at, zone=house.zone, locale=reader.locale)
        told = there.clock if words.day == there.day else str(there)
        lines.append(say("At %(business)s: %(when)s", business=house.name, when=told))
    return Row(say("When"), tuple(lines), is_strong=True, is_bare=True)


def place_rows(facts: BookingFacts | WaitFacts, *, reader: Reader, phone: str, has_call: bool = False) -> list[Row]:
    """Where it takes place: a room, an address, on the telephone; or online, unless the row of the video call says so."""
    rows = [Row(say("Room"), (reader.names(facts.rooms),))] if facts.rooms else []
    if facts.location_kind == "phone":
        called = say("By phone: we call you at %(number)s.", number=phone) if phone else say("By phone")
        rows.append(Row(say("Where"), (called, *_lines(facts.location))))
    elif facts.location_kind == "online" and not (has_call and not facts.location):
        rows.append(Row(say("Where"), (say("Online"), *_lines(facts.location))))
    elif facts.location:
        rows.append(Row(say("Where"), (facts.location,)))
    return rows


def place_in_words(facts: BookingFacts | WaitFacts, reader: Reader) -> str:
    """The same in one line, for a placeholder."""
    return ", ".join(line for row in place_rows(facts, reader=reader, phone="") for line in row.lines)


def party(number: int) -> str:
    """“1 person”, “3 people”"""
    return say_n("%(number)s person", "%(number)s people", number)


def wish_in_words(wait: WaitFacts, reader: Reader) -> str:
    """When it would be, in one line."""
    if wait.start_at and wait.end_at:
        return str(reader.when(wait.start_at, wait.end_at))
    if wait.wish_on is None:
        return say("Any time")
    day = dates.long_date(wait.wish_on, reader.locale)
    if wait.wish == "week":
        return say("Any time in the week of %(day)s", day=day)
    return say("Any time on %(day)s", day=day)


def _wish_row(wait: WaitFacts, *, house: House, reader: Reader) -> Row:
    if wait.start_at and wait.end_at:
        return when_row(wait.start_at, wait.end_at, house=house, reader=reader)
    return Row(say("When"), (wish_in_words(wait, reader),), is_strong=True, is_bare=True)


def _call(booking: BookingFacts, call_words: str) -> Row | None:
    if booking.meeting_url:
        return Row(say("Video call"), (booking.meeting_url,), url=booking.meeting_url)
    return Row(say("Video call"), (call_words,)) if call_words else None


def _lines(text: str) -> tuple[str, ...]:
    return (text,) if text else ()
