"""What servers outside say the time is: each of their answers bears a date. Noted by `portal.outbound.session`, heard by the worker's watch over
its own clock."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from portal.timekeeping.timekeeper import steady

_last: tuple[datetime, float] | None = None


def note_date(header: str) -> None:
    """Keep what an HTTP `Date` says; what is none is left alone."""
    global _last
    try:
        said = parsedate_to_datetime(header)
    except ValueError:
        return
    if said.tzinfo is not None:
        _last = (said.astimezone(UTC), steady())


def last_heard() -> tuple[datetime, float] | None:
    """The newest date, and when it was heard by `steady`."""
    return _last
