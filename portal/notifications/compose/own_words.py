"""An admin's own texts in mails: plain text with {placeholders}. Pure; called by `messages`, and by the page that edits them.

A placeholder is a name in braces and nothing else: it is looked up in a fixed table and replaced, once. No attributes, no indexes, no format
codes, no code (`str.format` would run what people type); braces around anything else are ordinary text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from portal.notifications.compose.facts import BookingFacts, House, OwnWords, WaitFacts
from portal.notifications.compose.letter import Words, one_line
from portal.notifications.compose.sheet import Reader, party, place_in_words, wish_in_words

KINDS = {
    "booked": "Booked",
    "pending": "Request received",
    "approved": "Request confirmed",
    "refused": "Request refused",
    "moved": "New time",
    "cancelled": "Cancelled",
    "reminder": "Reminder",
    "waitlist_joined": "Waitlist: joined",
    "waitlist_offered": "Waitlist: offer",
    "waitlist_ended": "Waitlist: ended",
}
"""The mails whose words may be an admin's own, and what staff pages call them."""

PLACEHOLDERS = {
    "customer": "the customer's name",
    "service": "the service's name",
    "when": "day, time and time zone",
    "where": "the room or address",
    "who": "who gives it",
    "party": "for how many people",
    "price": "the price, as it is shown",
    "business": "the business's name",
}
UNTIL = {"until": "until when the offer stands"}
_BRACES = re.compile(r"\{([^{}\n]*)\}")
_NAME = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*")
_PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")


def placeholders_of(kind: str) -> dict[str, str]:
    """The placeholders that a mail of this kind knows, with what stands in their place."""
    return PLACEHOLDERS | UNTIL if kind == "waitlist_offered" else PLACEHOLDERS


def unknown_placeholders(text: str, kind: str) -> list[str]:
    """What stands in braces and is not known to this kind, in the order of the text, each once."""
    known = placeholders_of(kind)
    found = (content.strip() for content in _BRACES.findall(text))
    return list(dict.fromkeys(name for name in found if name not in known))


def put_in(own: OwnWords, words: Words, values: Mapping[str, str]) -> Words:
    """The portal's words with the admin's own subject, and own text in place of what happened. The heading, facts and links stay."""
    subject = one_line(_fill(own.subject, values)) or words.subject
    paragraphs = (_fill(part, values).strip() for part in _PARAGRAPHS.split(own.body.replace("\r\n", "\n").strip()))
    lead = tuple(part for part in paragraphs if part)
    return replace(words, subject=subject, lead=lead or words.lead)


def booking_values(booking: BookingFacts, house: House, reader: Reader) -> dict[str, str]:
    """What the placeholders stand for in mails about a booking."""
    when = str(reader.when(booking.start_at, booking.end_at))
    return _values(booking, house, reader, when=when)


def waiting_values(wait: WaitFacts, house: House, reader: Reader, *, until: str) -> dict[str, str]:
    """The same for the waitlist."""
    return _values(wait, house, reader, when=wish_in_words(wait, reader)) | {"until": until}


def _values(facts: BookingFacts | WaitFacts, house: House, reader: Reader, *, when: str) -> dict[str, str]:
    return {
        "customer": facts.customer.name,
        "service": facts.service,
        "when": when,
        "where": place_in_words(facts, reader),
        "who": reader.names(facts.people),
        "party": party(facts.party_size),
        "price": facts.price,
        "business": house.name,
    }


def _fill(text: str, values: Mapping[str, str]) -> str:
    """What is inserted is not looked at again: a customer called {business} stays one."""

    def value(match: re.Match[str]) -> str:
        name = _NAME.fullmatch(match[1])
        return values.get(name[1], match[0]) if name else match[0]

    return _BRACES.sub(value, text)
