"""What the forms of the integrations page show of accounts and calendars (`portal.web.shown.versions`)."""

from __future__ import annotations

from flask import request
from sqlalchemy.orm import Session

from portal.business.fields.base import declared
from portal.business.fields.business import CalendarRules
from portal.business.fields.typed import in_words
from portal.calendars.models import Calendar, Connection, RemoteObject
from portal.errors import NotFound
from portal.web.shown.versions import At, Shown, shows


@shows("integrations.rules")
def shown_rules(session: Session, at: At) -> Shown:
    row = _calendar(session, at)
    parts = {
        "closing times": row.is_busy_source,
        **{in_words(kind): getattr(row, name) for name, kind in declared(CalendarRules).items()},
    }
    return Shown(f"calendar:{row.id}", parts)


@shows("integrations.decide", page="integrations.index")
def shown_quarantine(session: Session, at: At) -> Shown:
    row = _calendar(session, at)
    facts = row.quarantine or {}
    parts = {"decision": facts.get("decision"), "missing events": facts.get("remote_ids")}
    return Shown(f"calendar:{row.id}", parts)


@shows("integrations.dismiss", page="integrations.index")
def shown_meanwhile(session: Session, at: At) -> Shown:
    row = _calendar(session, at)
    done = ("integrations.dismiss",) if row.meanwhile is None else ()
    return Shown(f"calendar:{row.id}", {"what changed": row.meanwhile}, done=done)


@shows("integrations.leave_open", page="integrations.index")
def shown_entry(session: Session, at: At) -> Shown:
    """The entry is named by the form, and by the query of the address for which a page asks the version."""
    calendar = _calendar(session, at)
    name = request.form.get("entry") or str(at.get("entry", ""))
    row = session.get(RemoteObject, (calendar.id, name))
    if row is None:
        raise NotFound("There is no such entry any more.")
    is_so = request.method == "POST" and (request.form.get("wish") == "open") == bool(row.left_open)
    parts = {"whether it closes times": bool(row.left_open), "the entry itself": [row.etag, row.problem]}
    done = ("integrations.leave_open",) if is_so else ()
    return Shown(f"calendar:{calendar.id}", parts, done=done)


@shows("integrations.pause", "integrations.resume", page="integrations.index")
def shown_pause(session: Session, at: At) -> Shown:
    row = _connection(session, at)
    is_paused = row.state == "paused"
    done = "integrations.pause" if is_paused else "integrations.resume"
    return Shown(f"connection:{row.id}", {"pause": is_paused, "leaving": row.leaving}, done=(done,))


@shows("integrations.refresh", "integrations.disconnect", "integrations.disconnect_anyway", page="integrations.index")
def shown_account(session: Session, at: At) -> Shown:
    row = _connection(session, at)
    parts = {
        "account": [row.provider, row.account.get("url"), row.account.get("username")],
        "calendars": sorted([each.id, each.is_destination] for each in row.calendars),
        "disconnecting": row.leaving,
    }
    done = ("integrations.disconnect",) if row.leaving else ()
    return Shown(f"connection:{row.id}", parts, done=done)


def _calendar(session: Session, at: At) -> Calendar:
    row = session.get(Calendar, at["calendar_id"])
    if row is None:
        raise NotFound("There is no such calendar.")
    return row


def _connection(session: Session, at: At) -> Connection:
    row = session.get(Connection, at["connection_id"])
    if row is None:
        raise NotFound("This account is not connected any more.")
    return row
