"""What all staff pages share: their blueprint, the links at the top, and how they say times."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flask import Blueprint, current_app, request, url_for
from flask_login import current_user

from portal.admin.moments import Moments
from portal.admin.questions import queries
from portal.admin.scope import resource_ids_of
from portal.admin.waitlist import queries as waitlist_queries
from portal.clock import now_utc
from portal.extensions import current_settings, db
from portal.language.dates import present_locale
from portal.sync.outside import unknown
from portal.web.site import current_site
from providers.kind import Kind
from providers.kinds import kind_of

bp = Blueprint("admin", __name__, url_prefix="/admin")

PAGES = "portal.admin."


@bp.app_template_global("kind_of")
def kind_named(provider: str) -> Kind:
    """What differs by the kind of an account's provider."""
    return kind_of(provider)


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
        ("home", "admin.home", "Today", 0),
        ("bookings", "admin.bookings", "Bookings", 0),
        *([("dates", "admin.all_dates", "Dates", 0)] if waitlist_queries.has_fixed_dates(db.session()) else []),
        *([("waitlist", "admin.waitlist", "Waitlist", 0)] if waitlist_queries.has_waitlists(db.session()) else []),
        ("questions", "admin.questions", "Questions", waiting),
        ("integrations", "integrations.index", "Calendars", 0),
    ]
    if current_user.is_admin:
        links.insert(2, ("customers", "admin.customers", "Customers", 0))
        links.append(("services", "admin.services", "Services", 0))
        links.append(("mails.texts", "admin.mail_texts", "Texts", 0))
        links.append(("people", "admin.people", "People", 0))
        if not current_settings().smtp_url and "mailbox.index" in current_app.view_functions:
            links.append(("mails", "mailbox.index", "Mails", 0))
        else:
            links.append(("mails", "admin.undelivered", "Mails", 0))
    here = _room_of_page({room for room, _endpoint, _text, _count in links})
    return [
        {"url": url_for(endpoint), "text": text, "count": count, "is_current": room == here}
        for room, endpoint, text, count in links
    ]


def _room_of_page(rooms: Collection[str]) -> str:
    """Of these folders and files of pages the innermost in which the page stands that is shown; "" for none."""
    view = current_app.view_functions.get(request.endpoint or "")
    name = view.__module__.removeprefix(PAGES) if view else ""
    return max((room for room in rooms if f"{name}.".startswith(f"{room}.")), key=len, default="")
