"""The only reader of time. Everything else is told what time it is."""

from __future__ import annotations

from datetime import UTC, datetime


def now_utc() -> datetime:
    """This instant, aware, in UTC."""
    return datetime.now(UTC)
