"""What all staff pages share: their blueprint, the links at the top, and how they say times."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, request, url_for
from flask_login import current_user

from portal.admin.moments import Moments
from portal.admin.questions import queries
from portal.admin.scope import resource_ids_of
from portal.admin.waitlist import queries as waitlist_queries
from portal.clock import now_utc
from portal.extensions import db
from portal.language.dates import present_locale
from portal.sync.outside import unknown
from portal.web.site import current_site

bp = Blueprint("admin", __name__, url_prefix="/admin")

_FAMILIES = {
    "admin.all_dates": {
        "admin.all_dates",
        "admin.dates",
        "admin.add_date",
        "admin.add_series",
        "admin.appointment",
        "admin.capacity_form",
        "admin.change_capacity",
        "admin.move_appointment_form",
        "admin.move_appointment",
        "admin.call_off_form",
        "admin.call_off",
    },
    "admin.bookings": {"admin.bookings", "admin.booking", "admin.confirm_cancellation"},
    "admin.customers": {
        "admin.customers",
        "admin.customer",
        "admin.confirm_erasure",
        "admin.erase_customer",
        "admin.set_retention",
    },
    "admin.people": {
        "admin.people",
        "admin.invite",
        "admin.person",
        "admin.change_person",
        "admin.confirm_removal",
        "admin.tokens",
        "admin.make_token",
    },
    "admin.services": {
        "admin.services",
        "admin.new_service",
        "admin.create_service",
        "admin.service",
        "admin.save_service",
    },
    "admin.waitlist": {
        "admin.waitlist",
        "admin.waitlist_service",
        "admin.offer_form",
        "admin.offer",
        "admin.removal_form",
    },
    "admin.mail_texts": {"admin.mail_texts", "admin.mail_text", "admin.save_mail_text"},
}
"""Pages below the one that the link leads to."""
_ROOMS = {"google": "integrations"}
"""Blueprints whose pages belong to the link of another."""


@bp.app_template_global()
def moments() -> Moments:
    """How this page says times: in the business's zone and the page's language, as of now."""
    return Moments(current_site().zone, present_locale(), now_utc())


@bp.app_template_global()
def staff_nav() -> list[dict[str, Any]]:
    """The links of the staff pages that this user may follow, for `admin/layout.html`."""
    waiting = queries.count_open(db.session(), current_user)
    waiting += unknown.count_open(db.session(), resource_ids_of(current_user))
    links = [
        ("admin.home", "Today", 0),
        ("admin.bookings", "Bookings", 0),
        *([("admin.all_dates", "Dates", 0)] if waitlist_queries.has_fixed_dates(db.session()) else []),
        *([("admin.waitlist", "Waitlist", 0)] if waitlist_queries.has_waitlists(db.session()) else []),
        ("admin.questions", "Questions", waiting),
        ("integrations.index", "Calendars", 0),
    ]
    if current_user.is_admin:
        links.insert(2, ("admin.customers", "Customers", 0))
        links.append(("admin.services", "Services", 0))
        links.append(("admin.mail_texts", "Texts", 0))
        links.append(("admin.people", "People", 0))
        if not current_app.extensions["settings"].smtp_url and "mailbox.index" in current_app.view_functions:
            links.append(("mailbox.index", "Mails", 0))
        else:
            links.append(("admin.undelivered", "Mails", 0))
    return [
        {"url": url_for(endpoint), "text": text, "count": count, "is_current": _is_current(endpoint)}
        for endpoint, text, count in links
    ]


def _is_current(endpoint: str) -> bool:
    here = request.endpoint or ""
    if endpoint.startswith("admin."):
        return here in _FAMILIES.get(endpoint, {endpoint})
    room = here.partition(".")[0]
    return _ROOMS.get(room, room) == endpoint.partition(".")[0]
