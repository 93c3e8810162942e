"""Today: the agenda, and what needs somebody."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from flask import render_template
from flask_login import current_user
from sqlalchemy.orm import Session

from portal.admin.frame import bp, moments
from portal.admin.home import agenda
from portal.admin.home.warnings import Warning, find_warnings
from portal.admin.questions import queries
from portal.admin.scope import resource_ids_of
from portal.booking.strangers.budgets import asked_lately
from portal.booking.time.queries import list_services
from portal.clock import now_utc
from portal.extensions import current_settings, db
from portal.notifications import failures
from portal.sync import clock_doubts
from portal.sync.account import disconnecting
from portal.sync.outside.unknown import count_open as count_unknown
from portal.sync.state import overview
from portal.upkeep.settings_checks import warnings as doubts
from portal.upkeep.vitals import read_vitals
from portal.web.hypermedia import wants_partial

COMING_DAYS = 7
COMING_SHOWN = 12


@bp.get("")
def home() -> Any:
    at = moments()
    end_of_today = at.end_of_today()
    calendars = overview.list_calendars(db.session(), resource_ids=resource_ids_of(current_user))
    coming = agenda.coming(
        db.session(), current_user, end_of_today, end_of_today + timedelta(days=COMING_DAYS), limit=200
    )
    begun = agenda.begun(db.session(), current_user, at.start_of_today(), at.now, limit=50)
    marked = {each.row.appointment.id for each in begun}
    to_come = agenda.coming(db.session(), current_user, at.now, end_of_today, limit=50)
    page = {
        "at": at,
        "warnings": _warnings(calendars),
        "begun": begun,
        "today": [each for each in to_come if each.row.appointment.id not in marked],
        "coming": [
            (day, list(entries))
            for day, entries in groupby(coming[:COMING_SHOWN], key=lambda each: at.day(each.row.appointment.start_at))
        ],
        "more": max(0, len(coming) - COMING_SHOWN),
        "has_calendars": bool(calendars),
    }
    return render_template("admin/_home.html" if wants_partial() else "admin/home.html", **page)


def _warnings(calendars: list[overview.CalendarFacts]) -> list[Warning]:
    session, now = db.session(), now_utc()
    vitals = read_vitals(session, now=now)
    return find_warnings(
        calendars,
        problems=vitals.problems,
        not_adopted=vitals.not_adopted,
        may_adopt=current_user.is_admin,
        waiting_for_us=queries.count_open(session, current_user),
        unknown=count_unknown(session, resource_ids_of(current_user)),
        requests=queries.count_requests(session, current_user, now=now),
        hanging=disconnecting.hanging(session, resource_ids=resource_ids_of(current_user), now=now),
        unreached=failures.unreached(session, resource_ids=resource_ids_of(current_user), now=now),
        mails_wait="" if vitals.not_adopted else failures.why_mails_wait(session, now=now),
        settings=doubts(current_settings(), os.environ) if current_user.is_admin else (),
        given_up=failures.given_up(session, resource_ids=resource_ids_of(current_user), now=now),
        sees_all_mails=current_user.is_admin,
        clocks=clock_doubts.doubts(session),
        asked=_asked(session, now),
    )


def _asked(session: Session, now: datetime) -> list[tuple[str, int]]:
    services = list_services(session) if current_user.is_admin else []
    return [(service.name, number) for service, number in asked_lately(session, services, now=now)]
