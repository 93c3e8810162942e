"""The form of somebody who wants to wait: what it carries, read as it was sent. Pure; its content is checked by `operations.join`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta

from portal.booking.pages import read_instant
from portal.booking.questions import typed_answers
from portal.booking.rules import Customer

WISHES = ("day", "week", "any")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForm:
    """Everything as it was sent. Names are those of the booking form (`portal.booking.forms`), so that a time which turns out to be
    free can be taken with what was typed here. `key` is the idempotency key and says when the page was made."""

    appointment: str = ""
    """The start of the full appointment that is waited for; empty for days."""
    wish: str = ""
    day: str = ""
    resource: str = ""
    people: str = ""
    key: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""
    note: str = ""
    website: str = ""
    """The honeypot: people never see it."""
    answers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, sent: Mapping[str, str]) -> WaitForm:
        names = [each.name for each in fields(cls) if each.name != "answers"]
        return cls(**{name: sent.get(name, "") for name in names}, answers=typed_answers(sent))

    @property
    def start_at(self) -> datetime | None:
        """The start of the wished appointment; None for days, and for what is no time at all."""
        return read_instant(self.appointment)

    def wish_on(self, fallback: date) -> date:
        """The wished date; the fallback where none was sent, or none that there is."""
        try:
            on = date.fromisoformat(self.day)
        except ValueError:
            return fallback
        return on if abs(on - fallback) < timedelta(days=3660) else fallback

    def chosen_wish(self) -> str:
        """appointment, day, week or any: as sent, else what the address of the form suggests."""
        if self.start_at is not None:
            return "appointment"
        if self.wish in WISHES:
            return self.wish
        return "day" if self.day else "any"

    def customer(self, *, zone: str, language: str) -> Customer:
        return Customer(
            name=self.name, email=self.email, phone=self.phone, zone=zone, language=language, note=self.note
        )

    def party(self) -> int:
        """How many come; 1 for what is no number. Whether so many may is for `operations.join` to say."""
        return int(self.people) if self.people.isascii() and self.people.isdigit() and len(self.people) < 4 else 1
