"""What outside events are called is their owner's business: sealed where it is kept, and not kept where nobody needs it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from portal.admin.questions import queries
from portal.calendars.models import Calendar, RemoteObject
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.sync.account import operations, view
from portal.sync.state import overview
from portal.web.access import sees_titles
from providers.calendars.google.mapping import read_event as read_google
from providers.calendars.ical.mapping import read_event
from tests.factories import make_calendar, make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, MemoryCalendars, Studio, at, fresh
from tests.support.people import make_user

TITLE = "Oncology appointment"


def everything_stored() -> str:
    """All rows of all tables, as the database holds them."""
    db.session.rollback()
    return " ".join(str(list(db.session.execute(table.select()))) for table in db.metadata.sorted_tables)


def test_no_title_of_an_outside_event_is_stored_in_clear(studio: Studio):
    studio.booked(at(2, 10))
    studio.store.add_event("calendar", TITLE, at(2, 10), at(2, 11))
    studio.pull()
    operations.refresh_connection(studio.connection().id, password="x")
    studio.store.add_event("calendar", TITLE, at(3, 10), at(3, 11), problem="Half of it could not be read.")
    studio.pull()
    assert TITLE not in everything_stored()
    assert {row.summary for row in studio.objects() if not row.is_ours} == {TITLE}
    assert studio.calendar().meanwhile["new"]["first"][0]["summary"] == TITLE


def test_a_title_that_was_read_again_is_not_written_again(studio: Studio):
    path = studio.store.add_event("calendar", TITLE, at(2, 10), at(2, 11))
    studio.pull()
    (before,) = [row.sealed_summary for row in studio.objects()]
    studio.store.move_event("calendar", path, at(4, 10))
    studio.pull()
    assert [row.sealed_summary for row in studio.objects()] == [before]


def test_of_our_own_events_no_title_is_kept(studio: Studio):
    studio.booked(at(2, 10))
    studio.pull(is_complete=True)
    studio.store.move_event("calendar", studio.own_event().remote_id, at(4, 16))
    studio.pull()
    assert [(row.is_ours, row.sealed_summary) for row in studio.objects()] == [(True, "")]


def test_of_a_private_event_no_title_is_kept(studio: Studio):
    path = studio.store.add_event("calendar", TITLE, at(2, 10), at(2, 11))
    studio.pull()
    answer = studio.store.changes

    def privately(*args: Any, **more: Any) -> Any:
        batch = answer(*args, **more)
        return replace(batch, upserts=tuple(replace(event, is_private=True) for event in batch.upserts))

    studio.store.changes = privately  # type: ignore[method-assign]
    studio.store.move_event("calendar", path, at(3, 10))
    operations.refresh_connection(studio.connection().id, password="x")
    studio.pull()
    assert [row.sealed_summary for row in studio.objects()] == [""]
    assert studio.calendar().meanwhile["moved"]["first"][0]["summary"] == ""
    assert studio.busy() == [(at(3, 10), at(3, 11))]


@pytest.mark.parametrize(
    ("line", "is_private"),
    [
        ("CLASS:PRIVATE", True), ("CLASS:CONFIDENTIAL", True), ("CLASS:confidential ", True), ("CLASS:X-SECRET", True),
        ("CLASS:PUBLIC", False), ("X-A:B", False),
    ],
)  # fmt: skip
def test_the_class_of_an_event_is_honoured(line: str, is_private: bool):
    start = at(2, 10)
    body = f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\n{line}\r\nDTSTART:{start:%Y%m%dT%H%M%SZ}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    event = read_event(body, remote_id="/a", etag="1", window=(start, start + timedelta(1)), zone="UTC")
    assert event.is_private is is_private


@pytest.mark.parametrize(
    ("visibility", "is_private"), [("private", True), ("confidential", True), ("public", False), ("default", False)]
)
def test_googles_visibility_is_honoured(visibility: str, is_private: bool):
    start = at(2, 10)
    times = {"start": {"dateTime": start.isoformat()}, "end": {"dateTime": (start + timedelta(hours=1)).isoformat()}}
    event = {"id": "a", "etag": "1", "summary": TITLE, "visibility": visibility, "status": "confirmed", **times}
    assert read_google(event, window=(start, start + timedelta(1)), zone="UTC").is_private is is_private


def test_titles_are_for_the_calendars_own_people(app: Any):
    """Of a member of staff that member; of a room, which is nobody, owners and admins."""
    ana, ben, room = make_resource(), make_resource(), make_resource(kind="room")
    people = {
        "ana": make_user("staff", resource_id=ana.id), "owner": make_user("owner", email="o@studio.example"),
        "ben": make_user("admin", email="b@studio.example", resource_id=ben.id),
    }  # fmt: skip
    seen = {who: [sees_titles(user, resource) for resource in (ana, ben, room)] for who, user in people.items()}
    assert seen == {"ana": [True, False, False], "owner": [False, False, True], "ben": [False, True, True]}


def test_a_colleague_in_the_same_appointment_does_not_read_what_stands_over_it(app: Any):
    ana, ben = (make_resource(weekly=ALL_DAY, zone="UTC") for _ in range(2))
    service = make_service([ana], [ben], duration=60, step=30)
    calendar = make_calendar(ana, remote_id="calendar", url="both", zone="UTC")
    studio = Studio(ana.id, calendar.id, service.slug, MemoryCalendars.open("both"))
    studio.booked(at(2, 10))
    studio.store.add_event("calendar", TITLE, at(2, 10), at(2, 11), problem="Half of it could not be read.")
    studio.pull()
    own, colleague = make_user("staff", resource_id=ana.id), make_user("staff", email="b@x.example", resource_id=ben.id)
    owner = make_user("owner", email="o@x.example")
    told = {
        user.email: [clash.summary for clash in queries.open_conflicts(db.session(), user)]
        for user in (own, colleague, owner)
    }
    assert told == {own.email: [TITLE], colleague.email: [""], owner.email: [""]}
    named = overview.list_calendars(db.session(), titles_of=[ana.id])[0].doubts
    unnamed = overview.list_calendars(db.session())[0].doubts
    assert ([doubt.name for doubt in named], [doubt.name for doubt in unnamed]) == ([TITLE], ["An entry"])
    assert (
        view.list_accounts(db.session(), resource_ids=[ana.id], now=now_utc())[0].calendars[0].facts.doubts == unnamed
    )


def test_a_title_that_does_not_open_hides_nothing_else(studio: Studio):
    studio.store.add_event("calendar", TITLE, at(2, 10), at(2, 11))
    studio.pull()
    transaction(lambda s: s.execute(RemoteObject.__table__.update().values(sealed_summary="nokey.AAAA")))
    transaction(lambda s: s.execute(Calendar.__table__.update().values(sealed_meanwhile="nokey.AAAA")))
    assert [row.summary for row in studio.objects()] == [""]
    assert fresh(Calendar, studio.calendar_id).meanwhile is None
