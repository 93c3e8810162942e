"""What staff answer in place of a customer whose mail has not been confirmed yet; both answers come from the buttons for requests."""

from __future__ import annotations

from typing import Any

from flask import flash, url_for

from portal import doorbell
from portal.booking.strangers import confirming
from portal.clock import now_utc
from portal.errors import HoldExpired
from portal.web.hypermedia import see_other

TOO_LATE = "The customer has not confirmed this booking in time, so it is deleted, and its time is free again."


def settle(booking_id: int, *, says_yes: bool) -> Any:
    """The booking counts, or is gone with its page. Raises what the rules refuse (Refused)."""
    try:
        if says_yes:
            confirming.confirm_for_customer(booking_id, now=now_utc())
        else:
            confirming.let_go(booking_id)
    except HoldExpired:
        flash(TOO_LATE, "bad")
        return see_other(url_for("admin.bookings"))
    doorbell.ring()
    if not says_yes:
        flash("The booking is deleted, and its time is free again. The customer is not told.", "ok")
        return see_other(url_for("admin.bookings"))
    flash("The booking is confirmed, and the customer is told.", "ok")
    return see_other(url_for("admin.booking", booking_id=booking_id))
