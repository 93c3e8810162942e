"""What must stand in a calendar, and the step that leads there."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.sync.event.desired import LinkView, Step, Wanted, derived_uid, draft_event, next_step
from portal.sync.event.text import Guest, Subject

AT = datetime(2026, 12, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
WANTED = Wanted(must_stand=True, version=2, generation=1, start_at=AT, end_at=AT + HOUR)
GONE = replace(WANTED, must_stand=False)
STANDS = LinkView(
    id=1, generation=1, uid="u", remote_id="/u.ics", etag='"1"', content_hash="h", sent_hash="h", outside="",
    start_at=AT, end_at=AT + HOUR, sequence=3, applied_version=2, state="done",
)  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "link", "expected"),
    [
        (WANTED, None, Step("create", 1, 0)),
        (GONE, None, Step("nothing")),
        (WANTED, STANDS, Step("nothing", 1, 3)),
        (WANTED, replace(STANDS, applied_version=1), Step("update", 1, 3)),
        (replace(WANTED, start_at=AT + HOUR), replace(STANDS, applied_version=1), Step("update", 1, 4)),
        (WANTED, replace(STANDS, etag="", applied_version=0, state="waiting"), Step("create", 1, 3)),
        (WANTED, replace(STANDS, etag="", state="none"), Step("create", 2, 0)),
        (WANTED, replace(STANDS, etag="", state="none", sent_hash=""), Step("create", 1, 0)),
        (GONE, STANDS, Step("delete", 1)),
        (GONE, replace(STANDS, state="none", etag=""), Step("nothing")),
        (GONE, replace(STANDS, etag="", sent_hash=""), Step("forget", 1)),
        (GONE, replace(STANDS, etag=""), Step("delete", 1)),
        (GONE, replace(STANDS, etag="", outside="removed"), Step("forget", 1)),
        (WANTED, replace(STANDS, outside="moved", start_at=AT + 3 * HOUR), Step("leave")),
        (WANTED, replace(STANDS, outside="moved", applied_version=1), Step("leave")),
        (replace(WANTED, start_at=AT + HOUR), replace(STANDS, outside="moved", applied_version=0), Step("update", 1, 4)),
        (WANTED, replace(STANDS, outside="removed", etag=""), Step("leave")),
        (WANTED, replace(STANDS, outside="removed", etag="", applied_version=1), Step("leave")),
        (replace(WANTED, start_at=AT + HOUR), replace(STANDS, outside="removed", etag=""), Step("create", 2)),
        (WANTED, replace(STANDS, outside="removed"), Step("leave")),
    ],
    ids=[
        "new", "never was", "shown already", "changed but not moved", "moved", "an unfinished create", "revived",
        "closed before it was ever sent", "cancelled", "cancelled and gone", "cancelled before it was sent",
        "cancelled, and perhaps sent", "cancelled, and deleted by hand", "moved by hand", "moved by hand, then booked",
        "moved by hand, then moved here",
        "deleted by hand", "deleted by hand, then changed here", "deleted by hand, then moved here", "called off by hand",
    ],
)  # fmt: skip
def test_the_next_step_for(wanted, link, expected):
    assert next_step(wanted, link) == expected


@given(st.text(min_size=1, max_size=40), st.integers(1, 10**9), st.integers(1, 99))
def test_derived_ids_fit_google_and_name_one_thing(instance_id, appointment_id, generation):
    uid = derived_uid(instance_id, appointment_id, generation)
    assert re.fullmatch(r"[a-v0-9]{5,1024}", uid)
    assert uid == derived_uid(instance_id, appointment_id, generation)
    assert uid != derived_uid(instance_id, appointment_id, generation + 1)
    assert uid != derived_uid(instance_id, appointment_id + 1, generation)


SUBJECT = Subject(
    instance_id="studio", appointment_id=7, service="Consultation", location="Room 1", zone="Europe/Madrid",
    portal_url="https://book.example/admin/bookings", privacy="full",
    guests=(Guest(name="Eva Ruiz", email="eva@example.org", phone="+34 600 123 456", note="First time"),),
)  # fmt: skip


def test_the_event_tells_staff_who_comes_and_how_to_reach_them():
    draft = draft_event(SUBJECT, WANTED, generation=1, sequence=0)
    assert draft.summary == "Consultation · Eva Ruiz"
    for detail in ("eva@example.org", "+34 600 123 456", "First time", "https://book.example/admin/bookings"):
        assert detail in draft.description
    assert (draft.location, draft.zone) == ("Room 1", "Europe/Madrid")


def test_a_class_shows_how_many_seats_are_taken():
    guests = (*SUBJECT.guests, Guest(name="Ben", email="ben@example.org", party_size=2))
    draft = draft_event(replace(SUBJECT, capacity=12, guests=guests), WANTED, generation=1, sequence=0)
    assert draft.summary == "Consultation · 3 of 12"
    assert "Ben (2 people)" in draft.description


def test_the_calendar_that_makes_the_meeting_is_asked_and_the_others_tell_its_link():
    asked = draft_event(replace(SUBJECT, wants_meeting=True), WANTED, generation=1, sequence=0)
    assert (asked.wants_meeting, asked.location) == (True, SUBJECT.location)
    url = "https://meet.example/abc-defg-hij"
    told = draft_event(replace(SUBJECT, meeting_url=url), WANTED, generation=1, sequence=0)
    assert (told.wants_meeting, told.location) == (False, SUBJECT.location)
    assert f"Video call: {url}" in told.description
    assert draft_event(replace(SUBJECT, location="", meeting_url=url), WANTED, generation=1, sequence=0).location == url
