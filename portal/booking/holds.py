"""Whether a hold still counts: by the database's clock, for all processes alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_

from portal.booking.models import Booking
from portal.database.engine import database_clock


def is_live_hold(booking: Any = Booking) -> ColumnElement[bool]:
    """A hold whose time is not over. `booking`: the mapped class, or the columns of its table or of an alias."""
    return and_(booking.status == "held", booking.held_until >= database_clock())


def has_expired(booking: Any = Booking) -> ColumnElement[bool]:
    """A hold whose time is over: it has no seats any more, and whoever comes next clears it away."""
    return and_(booking.status == "held", booking.held_until < database_clock())
