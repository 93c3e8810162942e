"""Times and names as the ledger, questions and news say them: in the zone of the business."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.business.models import Business


def moment(session: Session, instant: datetime) -> str:
    """Like “Thu 3 Dec 2026, 10:00”, in the business's zone."""
    return moment_in(instant, session.scalars(select(Business.zone)).first() or "UTC")


def moment_in(instant: datetime, zone: str) -> str:
    """Like “Thu 3 Dec 2026, 10:00”."""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M}"
