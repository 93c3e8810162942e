"""Mail programs and scanners open every link in a mail before its reader does. That must change nothing."""

from __future__ import annotations

import re
from datetime import timedelta

import time_machine
from flask import current_app
from icalendar import Calendar

from portal.booking.models import WaitlistEntry
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.notifications.reminders import queue_due
from portal.security import token_hash
from portal.sync.models import Conflict, Question
from portal.waitlist.steps import tell_entry, token_place
from tests.factories import make_calendar
from tests.operations.notifications.conftest import HALF_HOUR, MAX, NINE
from tests.operations.notifications.test_staff_news import record, save, state
from tests.support.mails import deliver_all, html, invitation, text

LINK = re.compile(r"https?://[^\s\"'<>)]+")


def test_opening_every_link_of_every_mail_changes_nothing(app, sent, studio):
    write_every_kind_of_mail(studio)
    links = sorted({link for mail in sent.sent for link in links_of(mail)})
    assert {link.partition("/b/")[0] for link in links if "/b/" in link} == {"http://localhost"}
    assert len([link for link in links if "/b/" in link]) == 2
    assert len([link for link in links if "/u/" in link]) == 2, "of the reminder, and of the waitlist"
    assert len([link for link in links if "/w/" in link]) == 1
    before = everything()
    for link in links:
        for method in ("GET", "HEAD"):
            client = app.test_client()
            response = client.open(link.removeprefix("http://localhost"), method=method)
            assert response.status_code in (200, 302), link
    assert everything() == before


def test_links_lead_to_this_portal_only(sent, studio):
    write_every_kind_of_mail(studio)
    assert {re.match(r"https?://[^/]+", link).group() for mail in sent.sent for link in links_of(mail)} == {
        "http://localhost"
    }


def write_every_kind_of_mail(studio) -> None:
    studio.service.reminders = [60]
    db.session.commit()
    zoes, maxs = studio.book(), studio.book(NINE + 2 * HALF_HOUR, MAX)
    assert deliver_all() == []
    studio.move(zoes, NINE + HALF_HOUR, by="staff")
    studio.cancel(maxs)
    calendar = make_calendar(studio.ana, last_read_at=now_utc())
    event = {"start_at": NINE, "end_at": NINE + HALF_HOUR, "calendar_id": calendar.id, "appointment_id": 1}
    record(f"question:{save(Question(kind='moved', sentence='x', **event)).id}", news="question")
    record(f"conflict:{save(Conflict(remote_id='x', **event)).id}", news="conflict")
    state(calendar, "needs reauth")
    assert deliver_all() == []
    make_entry_and_tell(studio)
    with time_machine.travel(NINE + HALF_HOUR - timedelta(minutes=60), tick=True):
        assert queue_due(now_utc()) == 1
        assert deliver_all() == []


def make_entry_and_tell(studio) -> None:
    entry = WaitlistEntry(
        public_id="e", service_id=studio.service.id, wish="any", customer_name="Zoë", customer_email="zoe@customer.example",
        token_hash=token_hash("secret"),
    )  # fmt: skip
    entry.sealed_token = current_app.extensions["sealer"].seal("secret", place=token_place(entry))
    entry_id = save(entry).id
    transaction(lambda session: tell_entry(session, session.get_one(WaitlistEntry, entry_id), "joined"))


def links_of(mail) -> set[str]:
    """All that looks like a link, wherever it stands."""
    found = set(LINK.findall(text(mail))) | set(LINK.findall(html(mail)))
    if ics := invitation(mail):
        found |= {str(event["url"]) for event in Calendar.from_ical(ics).walk("VEVENT") if "url" in event}
    return {link.rstrip(".,") for link in found if "dav.example" not in link}


def everything() -> dict[str, list[str]]:
    """All rows of all tables."""
    db.session.rollback()
    tables = db.metadata.sorted_tables
    rows = {table.name: sorted(str(tuple(row)) for row in db.session.execute(table.select())) for table in tables}
    db.session.rollback()
    assert len(rows["booking"]) == 2
    return rows
