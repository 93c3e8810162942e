"""The page behind the "no more of these" links of mails, and the address to which mail programs send their one click (RFC 8058).

GET only asks: mail scanners open every link. POST needs neither cookie nor form token, since a mail program has none; the signed link is the
right, it may come twice, and the answer is a page, never a redirect (RFC 8058 3.1).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from flask import Blueprint, render_template
from sqlalchemy.orm import Session

from portal import doorbell
from portal.booking.models import Booking, WaitlistEntry
from portal.business.models import Business
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import NotAllowedNow, NotFound
from portal.extensions import csrf, db, limiter
from portal.language import dates
from portal.language.say import capital, say
from portal.notifications import reminders
from portal.notifications.compose.wording import instant, known_zone
from portal.notifications.gather.sources import business_of
from portal.notifications.stop_links import Kind, read_stop_token
from portal.waitlist import operations as waitlist
from portal.waitlist.steps import entry_token
from portal.web import visitors

bp = Blueprint("stop", __name__, url_prefix="/u")
CLICKS = "60 per minute; 600 per hour"
Row = TypeVar("Row")


@bp.get("/<token>")
def show(token: str) -> str:
    """The question, with a button."""
    kind, row_id = read_stop_token(token)
    return render_template("stop/show.html", kind=kind, token=token, is_done=False, **_facts(kind, row_id))


@bp.post("/<token>")
@csrf.exempt  # type: ignore[untyped-decorator]
@limiter.limit(CLICKS, key_func=visitors.address)
def stop(token: str) -> str:
    """End it; once more changes nothing."""
    kind, row_id = read_stop_token(token)
    facts = _facts(kind, row_id)
    problem = _end_reminders(row_id, now=now_utc()) if kind == "reminders" else _leave(row_id, now=now_utc())
    doorbell.ring()
    return render_template("stop/show.html", kind=kind, token=token, is_done=not problem, problem=problem, **facts)


def _end_reminders(booking_id: int, *, now: datetime) -> str:
    def work(session: Session) -> None:
        booking = session.get(Booking, booking_id)
        if booking is not None and booking.wants_reminders:
            booking.wants_reminders = False
            reminders.plan_booking(session, booking, now)

    transaction(work)
    return ""


def _leave(entry_id: int, *, now: datetime) -> str:
    """What keeps them on the list, in words; empty when they are off it."""
    token = entry_token(_existing(db.session.get(WaitlistEntry, entry_id)))
    try:
        waitlist.leave(token, now=now)
    except NotAllowedNow as error:
        return str(error)
    return ""


def _facts(kind: Kind, row_id: int) -> dict[str, Any]:
    """A service, and a time where there is one; nothing about the person. Raises NotFound when the row is gone."""
    session: Session = db.session()
    business = business_of(session)
    if kind == "reminders":
        booking = _existing(session.get(Booking, row_id))
        appointment = booking.appointment
        when = _when(appointment.start_at, booking.customer_zone, business)
        return {"service": appointment.service.name, "when": when}
    entry = _existing(session.get(WaitlistEntry, row_id))
    return {
        "service": entry.service.name,
        "when": _when(entry.start_at, entry.customer_zone, business) if entry.start_at else "",
    }


def _when(start_at: datetime, zone: str, business: Business) -> str:
    return capital(instant(start_at, zone=known_zone(zone, business.zone), locale=dates.present_locale()))


def _existing(row: Row | None) -> Row:
    if row is None:
        raise NotFound(say("There is nothing left to end: this is over."))
    return row
