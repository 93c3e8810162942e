"""Times as the staff pages say them: in the business's zone and language. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from babel import Locale

from portal.language.dates import clock, day_and_month, day_starts_at, long_date, short_date, zone_in_words


@dataclass(frozen=True, slots=True)
class Moments:
    """Says instants in one zone. `now` is the instant at which the page is made."""

    zone: str
    locale: Locale
    now: datetime

    def today(self) -> date:
        return self.local(self.now).date()

    def local(self, instant: datetime) -> datetime:
        return instant.astimezone(ZoneInfo(self.zone))

    def day(self, instant: datetime) -> str:
        """Today, Tomorrow, or Thursday 3 December (with the year when it is another one)."""
        on = self.local(instant).date()
        if on == self.today():
            return f"Today, {day_and_month(on, self.locale)}"
        if on == self.today() + timedelta(days=1):
            return f"Tomorrow, {day_and_month(on, self.locale)}"
        return day_and_month(on, self.locale) if on.year == self.today().year else long_date(on, self.locale)

    def short(self, instant: datetime) -> str:
        """Thu 3 Dec, with the year when it is another one."""
        on = self.local(instant).date()
        year = "" if on.year == self.today().year else f" {on.year}"
        return f"{short_date(on, self.locale)}{year}"

    def date(self, on: date) -> str:
        """3 December 2026, with its weekday"""
        return long_date(on, self.locale)

    def span(self, start: datetime, end: datetime) -> str:
        """10:00–10:30; an end on another day is named."""
        first, last = self.local(start), self.local(end)
        tail = (
            clock(last, self.locale)
            if first.date() == last.date()
            else f"{self.short(end)}, {clock(last, self.locale)}"
        )
        return f"{clock(first, self.locale)}–{tail}"

    def moment(self, instant: datetime) -> str:
        """Thu 3 Dec, 10:00"""
        return f"{self.short(instant)}, {clock(self.local(instant), self.locale)}"

    def clock(self, instant: datetime) -> str:
        """10:00"""
        return clock(self.local(instant), self.locale)

    def full(self, start: datetime, end: datetime) -> str:
        """Thursday 3 December 2026, 10:00–10:30"""
        return f"{long_date(self.local(start).date(), self.locale)}, {self.span(start, end)}"

    def zone_words(self) -> str:
        return zone_in_words(self.zone, self.now)

    def start_of_today(self) -> datetime:
        return day_starts_at(self.today(), self.zone)

    def end_of_today(self) -> datetime:
        return day_starts_at(self.today() + timedelta(days=1), self.zone)

    def iso(self, instant: datetime) -> str:
        """For the `datetime` attribute of <time>."""
        return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
