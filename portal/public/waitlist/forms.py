"""The form of somebody who wants to wait: what it carries, read as it was sent. Pure; its content is checked by `portal.waitlist.operations.join`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from portal.public.booking.forms import BookingForm
from portal.web.instants import read_instant

WISHES = ("day", "week", "any")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForm(BookingForm):
    """A booking form without a held time, and with a wish in its place. The names of the fields are the same, so that a time which turns out
    to be free can be taken with what was typed here."""

    appointment: str = ""
    """The start of the full appointment that is waited for; empty for days."""
    wish: str = ""
    day: str = ""

    @property
    def appointment_at(self) -> datetime | None:
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
        if self.appointment_at is not None:
            return "appointment"
        if self.wish in WISHES:
            return self.wish
        return "day" if self.day else "any"

    def party(self) -> int:
        """How many come; 1 for what is no number. Whether so many may is for `operations.join` to say."""
        return int(self.people) if self.people.isascii() and self.people.isdigit() and len(self.people) < 4 else 1
