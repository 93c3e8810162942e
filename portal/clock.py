"""The only reader of time. Everything else is told what time it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

DATABASE_SHIFT = timedelta(0)
"""What `portal.database.engine` adds to the databases' clocks. Nothing; tests alone move the clock of all processes, and these with it."""


def now_utc() -> datetime:
    """This instant, aware, in UTC."""
    return datetime.now(UTC)
