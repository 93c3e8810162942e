"""What the portal writes to people. Pure: facts in, a finished message out; nothing is asked, nothing is sent.

The texts are files under templates/mail/<message>/ (`subject.txt`, `body.txt`, `body.html`), never text from the database: what people
typed is only inserted, escaped in HTML. Called by `deliver`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from portal.calendars.ical import Method, customer_ics
from portal.notifications.facts import (
    BookingFacts,
    ConflictNews,
    ConnectionNews,
    CustomerNews,
    Facts,
    House,
    Person,
    QuestionNews,
    StaffNews,
)
from portal.notifications.wording import in_a_row, instant, known_zone, locale_for, same_clock, when

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "mail"
LONGEST_SUBJECT = 200
_CALL_FOR_STAFF = {
    "coming": "The link stands in the event in your calendar, as soon as it is there.",
    "unable": "No calendar here can make a link: please send one.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A finished mail to one person. `message_key` is the left part of its Message-ID: the same news to the same person has the same."""

    kind: str
    recipient: str
    recipient_name: str
    subject: str
    text: str
    html: str
    message_key: str
    ics: bytes | None = None
    ics_method: Method | None = None


def compose(facts: Facts) -> Message:
    """The mail for these facts."""
    if isinstance(facts, CustomerNews):
        return _to_customer(facts)
    if isinstance(facts, StaffNews):
        return _to_staff(facts)
    if isinstance(facts, QuestionNews):
        return _question(facts)
    if isinstance(facts, ConflictNews):
        return _conflict(facts)
    return _connection(facts)


def message_key(instance_id: str, subject: str, *, news: str, sequence: int | str, recipient: str) -> str:
    """The same for the same news to the same person, and for nothing else."""
    parts = "\n".join((instance_id, subject, news, str(sequence), recipient.lower()))
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _to_customer(facts: CustomerNews) -> Message:
    kind = facts.news.news
    method: Method = "CANCEL" if kind in ("cancelled", "refused") else "REQUEST"
    values = {
        "by": facts.news.by,
        "manage_url": facts.manage_url,
        **_link_values(facts),
        **_booking_values(facts),
    }
    return _message(
        kind, facts, facts.booking.customer, values, ics=customer_ics(facts.event, method=method), ics_method=method
    )


def _to_staff(facts: StaffNews) -> Message:
    link = f"{facts.house.url}/admin/bookings"
    values = {"news": facts.news.news, "by": facts.news.by, "link_url": link, **_booking_values(facts)}
    return _message("staff_booking", facts, facts.recipient, values)


def _zone(facts: CustomerNews | StaffNews) -> str:
    reader = facts.recipient if isinstance(facts, StaffNews) else facts.booking.customer
    return known_zone(reader.zone, facts.house.zone)


def _booking_values(facts: CustomerNews | StaffNews) -> dict[str, Any]:
    booking, zone, before = facts.booking, _zone(facts), facts.news.previous_start_at
    locale = locale_for(facts.house.language)
    return {
        "booking": booking,
        "customer": booking.customer,
        "people": in_a_row(booking.people),
        "rooms": in_a_row(booking.rooms),
        "call_words": _call_words(facts),
        "when": when(booking.start_at, booking.end_at, zone=zone, locale=locale),
        "when_there": _when_there(facts.house, booking, zone),
        "previous": instant(before, zone=zone, locale=locale) if before and before != booking.start_at else "",
    }


def _call_words(facts: CustomerNews | StaffNews) -> str:
    """What is to be said of the video call while its link cannot be told; empty where there is none, or the link is known."""
    meeting = facts.booking.meeting
    if isinstance(facts, StaffNews):
        return _CALL_FOR_STAFF.get(meeting, "")
    if meeting == "coming" and facts.manage_url:
        once = ", once it is confirmed" if facts.booking.status == "pending" else ""
        return f"The link will stand on the page of your booking{once}; the way there is below."
    return "We will let you know the link in time." if meeting in ("coming", "unable") else ""


def _when_there(house: House, booking: BookingFacts, zone: str) -> str:
    """The same time by the business's clocks, for who reads it elsewhere and may travel there."""
    if same_clock(zone, house.zone, at=booking.start_at):
        return ""
    locale = locale_for(house.language)
    here, there = (when(booking.start_at, booking.end_at, zone=name, locale=locale) for name in (zone, house.zone))
    return f"{there.time}, {there.zone}" if here.day == there.day else str(there)


def _link_values(facts: CustomerNews) -> dict[str, Any]:
    """What the manage link is good for when the news comes about, by the service's cut-offs."""
    booking = facts.booking
    deadlines = {
        verb: booking.start_at - timedelta(minutes=minutes)
        for verb, minutes in (("move", booking.move_until), ("cancel", booking.cancel_until))
    }
    open_verbs = [verb for verb, until in deadlines.items() if facts.event.stamped_at < until]
    return {
        "can_change": bool(open_verbs),
        "link_purpose": f"{' or '.join(open_verbs).capitalize()} your appointment"
        if open_verbs
        else "See your booking",
        "deadline": _deadline_words(facts, deadlines, open_verbs),
    }


def _deadline_words(facts: CustomerNews, deadlines: dict[str, datetime], open_verbs: list[str]) -> str:
    zone, locale = _zone(facts), locale_for(facts.house.language)
    if not open_verbs:
        return "It is too late to move or cancel it online; please get in touch with us instead."
    if deadlines["move"] == deadlines["cancel"]:
        until = deadlines["move"]
        has_cut_off = until != facts.booking.start_at
        return f"You can do so until {instant(until, zone=zone, locale=locale)}." if has_cut_off else ""
    return " ".join(
        f"You can {verb} it until {instant(deadlines[verb], zone=zone, locale=locale)}." for verb in open_verbs
    )


def _question(facts: QuestionNews) -> Message:
    zone, locale = facts.recipient.zone, locale_for(facts.house.language)
    values = {
        "kind": facts.kind,
        "when": when(facts.start_at, facts.end_at, zone=zone, locale=locale),
        "moved_to": when(*facts.moved_to, zone=zone, locale=locale) if facts.moved_to else None,
        "link_url": f"{facts.house.url}/admin/questions",
        **_event_values(facts),
    }
    return _message("question", facts, facts.recipient, values)


def _conflict(facts: ConflictNews) -> Message:
    zone, locale = facts.recipient.zone, locale_for(facts.house.language)
    values = {
        "resource": facts.resource,
        "when": when(facts.start_at, facts.end_at, zone=zone, locale=locale),
        "event_when": when(facts.event_start_at, facts.event_end_at, zone=zone, locale=locale),
        "link_url": f"{facts.house.url}/admin/questions",
        **_event_values(facts),
    }
    return _message("conflict", facts, facts.recipient, values)


def _event_values(facts: QuestionNews | ConflictNews) -> dict[str, str]:
    return {"service": facts.service, "customers": in_a_row(facts.customers), "calendar": facts.calendar}


def _connection(facts: ConnectionNews) -> Message:
    values = {
        "state": facts.state,
        "reason": facts.reason,
        "since": instant(facts.since, zone=facts.recipient.zone, locale=locale_for(facts.house.language)),
        "resource": facts.resource,
        "account": facts.account,
        "calendars": in_a_row(facts.calendars),
        "rules": sorted(set(facts.rules)),
        "has_password": facts.provider != "google",
        "link_url": f"{facts.house.url}/admin/integrations",
    }
    return _message("connection", facts, facts.recipient, values)


def _message(
    kind: str,
    facts: Facts,
    reader: Person,
    values: dict[str, Any],
    *,
    ics: bytes | None = None,
    ics_method: Method | None = None,
) -> Message:
    values = {**values, "house": facts.house, "reader": reader}
    subject = " ".join(_render("text", kind, "subject.txt", values).split())
    return Message(
        kind=kind,
        recipient=reader.email,
        recipient_name=reader.name,
        subject=subject if len(subject) <= LONGEST_SUBJECT else subject[: LONGEST_SUBJECT - 1] + "…",
        text=re.sub(r"\n{3,}", "\n\n", _render("text", kind, "body.txt", values)).strip() + "\n",
        html=_render("html", kind, "body.html", {**values, "subject": subject}),
        message_key=facts.message_key,
        ics=ics,
        ics_method=ics_method,
    )


def _render(form: str, kind: str, name: str, values: dict[str, Any]) -> str:
    return _environment(form).get_template(f"{kind}/{name}").render(values)


@lru_cache
def _environment(form: str) -> Environment:
    """An environment of its own for each form: HTML escapes what is inserted, plain text must not. A value left out is an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=form == "html",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
