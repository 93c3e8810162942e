"""The integrations page: connecting in two steps, how accounts do, and what can be done with them. The servers here live in memory;
`test_connecting_radicale.py` does the same with a real one."""

from __future__ import annotations

import dataclasses
import functools
import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.booking.models import EventLink
from portal.calendars import connect, titles
from portal.calendars.account import account_of, unseal_secret
from portal.calendars.models import Calendar, Connection, ConnectionDraft, RemoteObject
from portal.clock import now_utc
from portal.extensions import db, limiter
from portal.outbox import OutboxEntry
from portal.sync.models import LedgerLine
from providers.calendars.memory import MemoryCalendars
from providers.errors import AccessRevoked, BadAnswer, Misconfigured, PermissionMissing, Temporary
from tests.factories import make_calendar
from tests.providers.stand_in import Answer, StandIn
from tests.support.people import make_user, signed_in

PASSWORD = "app-password-MARKER"
RULES = {"when_moved": "follow", "when_deleted": "ask", "when_unreadable": "pending"}
STEP_1 = "/admin/integrations/caldav"


@pytest.fixture(autouse=True)
def in_memory(monkeypatch):
    """The page asks the memory provider, by the same functions."""
    MemoryCalendars.reset()
    monkeypatch.setattr(connect, "list_remote", functools.partial(connect.list_remote, provider="memory"))
    connect_account = connect.connect_account
    monkeypatch.setattr(
        connect, "connect_account", lambda **values: connect_account(**{**values, "provider": "memory"})
    )


@pytest.fixture
def server():
    store = MemoryCalendars.open("https://cloud.example.org")
    store.add_calendar("work", name="Work")
    store.add_calendar("holidays", name="Holidays", is_writable=False)
    store.add_event("work", "Dentist", now_utc() + timedelta(days=1), now_utc() + timedelta(days=1, hours=1))
    return store


def typed(studio, **changes):
    form = {
        "resource_id": str(studio.ana.id),
        "url": "https://cloud.example.org",
        "username": "ana",
        "password": PASSWORD,
    }
    return {**form, **changes}


def one(model):
    db.session.rollback()
    return db.session.scalars(select(model)).one()


def count(model):
    db.session.rollback()
    return len(db.session.scalars(select(model)).all())


def test_an_account_is_connected_in_two_steps(studio, admin, server, page):
    step_2 = admin.post(STEP_1, data=typed(studio)).location
    text = page(admin, step_2)
    assert "Work" in text
    assert "can only be read" in text
    text = page(
        admin, step_2, post={"busy-1": "1", "busy-2": "1", "destination": "1", **RULES, "when_deleted": "put back"}
    )
    assert "“Work” can be read: 1 busy time in the next two months." in text
    connection = one(Connection)
    roles = {c.name: (c.is_busy_source, c.is_destination, c.when_deleted) for c in connection.calendars}
    assert roles == {"Work": (True, True, "put back"), "Holidays": (True, False, "put back")}
    assert connection.resource_id == studio.ana.id
    assert unseal_secret(account_of(connection)) == {"password": PASSWORD}
    assert count(ConnectionDraft) == 0


def test_the_password_is_in_no_page_and_nowhere_in_the_clear(studio, admin, server):
    first = admin.post(STEP_1, data=typed(studio))
    second = admin.get(first.location)
    wrong = admin.post(STEP_1, data=typed(studio, username=""))
    for response in (first, second, wrong):
        assert PASSWORD not in response.get_data(as_text=True)
        assert PASSWORD not in str(response.headers)
    draft = one(ConnectionDraft)
    assert PASSWORD not in str(vars(draft))
    assert draft.sealed_secret not in second.get_data(as_text=True)


def test_a_half_made_connection_is_its_users_own_and_ends(studio, admin, server, monkeypatch):
    step_2 = admin.post(STEP_1, data=typed(studio)).location
    other = signed_in(studio.app, make_user("owner"))
    assert other.get(step_2).status_code == 404
    assert other.post(step_2, data={"busy-0": "1", **RULES}).status_code == 404
    draft = one(ConnectionDraft)
    draft.expires_at = now_utc() - timedelta(seconds=1)
    db.session.commit()
    assert admin.get(step_2).status_code == 404
    assert count(Connection) == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"resource_id": ""}, "resource_id"),
        ({"resource_id": "987654"}, "resource_id"),
        ({"url": ""}, "url"),
        ({"url": "ftp://cloud.example.org"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://ana:secret@cloud.example.org"}, "url"),
        ({"url": "https://cloud.example.org:99999"}, "url"),
        ({"url": "https://cloud example.org"}, "url"),
        ({"url": "https://[::1"}, "url"),
        ({"url": "x" * 2000}, "url"),
        ({"username": " "}, "username"),
        ({"username": "a\x00b"}, "username"),
        ({"password": ""}, "password"),
        ({"password": "a\nb"}, "password"),
    ],
)
def test_a_wrong_field_is_named_and_no_server_is_asked(studio, admin, server, changes, field):
    response = admin.post(STEP_1, data=typed(studio, **changes))
    assert response.status_code == 422
    assert f'id="error-{field}"' in response.get_data(as_text=True)
    assert not server.calls


def test_an_address_without_its_scheme_means_https(studio, admin, server):
    assert admin.post(STEP_1, data=typed(studio, url=" cloud.example.org ")).status_code == 303


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (AccessRevoked("The server refused this name and password."), "app password"),
        (PermissionMissing("Not allowed."), "may not see calendars"),
        (Misconfigured("There is no calendar server here."), "compare the address"),
        (Temporary("The server cannot be reached."), "down just now"),
        (BadAnswer("The answer makes no sense."), "does not speak CalDAV"),
    ],
)
def test_what_the_server_says_is_told_with_advice_and_what_was_typed_stays(studio, admin, server, error, hint):
    server.fail_next("list_calendars", error)
    response = admin.post(STEP_1, data=typed(studio))
    text = response.get_data(as_text=True)
    assert response.status_code == 422
    assert str(error) in text
    assert hint in text
    assert 'value="https://cloud.example.org"' in text
    assert 'value="ana"' in text
    assert count(ConnectionDraft) == 0


def test_a_calendar_that_cannot_be_proved_readable_is_not_connected(studio, admin, server):
    step_2 = admin.post(STEP_1, data=typed(studio)).location
    server.fail_next("busy", PermissionMissing("This calendar may not be read."))
    response = admin.post(step_2, data={"busy-0": "1", "destination": "1", **RULES, "when_moved": "ask"})
    text = response.get_data(as_text=True)
    assert response.status_code == 422
    assert "This calendar may not be read." in text
    assert re.search(r'value="ask" checked', text)
    assert count(Connection) == 0
    assert admin.post(step_2, data={"busy-0": "1", **RULES}).status_code == 303


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (RULES, "choose at least one calendar"),
        ({**RULES, "destination": "2"}, "choose at least one calendar"),  # can only be read
        ({**RULES, "destination": "77"}, "choose at least one calendar"),
        ({**RULES, "busy-1": "1", "when_moved": "explode"}, "choose one of these"),
        ({"busy-1": "1"}, "choose one of these"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(studio, admin, server, form, sentence):
    step_2 = admin.post(STEP_1, data=typed(studio)).location
    response = admin.post(step_2, data=form)
    assert response.status_code == 422
    assert sentence in response.get_data(as_text=True)
    assert count(Connection) == 0


def test_a_calendar_is_not_connected_twice(studio, admin, server):
    for expected in (303, 422):
        step_2 = admin.post(STEP_1, data=typed(studio)).location
        response = admin.post(step_2, data={"busy-1": "1", **RULES})
        assert response.status_code == expected
    assert "connected already" in response.get_data(as_text=True)
    assert count(Connection) == 1


def test_an_account_without_calendars_says_so(studio, admin):
    store = MemoryCalendars.open("https://cloud.example.org")
    store.remove_calendar("calendar")
    response = admin.post(STEP_1, data=typed(studio))
    assert response.status_code == 422
    assert "no calendar that can hold events" in response.get_data(as_text=True)


def test_staff_connect_for_themselves_only(studio, staff, server):
    assert staff.post(STEP_1, data=typed(studio)).status_code == 422
    step_2 = staff.post(STEP_1, data=typed(studio, resource_id=str(studio.ben.id))).location
    assert staff.post(step_2, data={"busy-1": "1", **RULES}).status_code == 303
    assert one(Connection).resource_id == studio.ben.id


def test_servers_are_asked_a_limited_number_of_times(studio, admin, server, monkeypatch):
    monkeypatch.setattr(limiter, "enabled", True)
    limiter.reset()
    statuses = [admin.post(STEP_1, data=typed(studio)).status_code for _ in range(22)]
    limiter.reset()
    assert statuses == [303] * 20 + [429] * 2


def test_the_page_tells_how_each_calendar_does(studio, admin, page):
    booking = studio.book()
    calendar = make_calendar(
        studio.ana,
        name="Work",
        last_read_at=now_utc() - timedelta(seconds=8),
        last_written_at=None,
        unreadable_objects=2,
    )
    db.session.add(EventLink(appointment_id=booking.appointment_id, calendar_id=calendar.id, uid="u", state="waiting"))
    sealed = titles.seal_title(calendar.id, "/yoga.ics", "Yoga")
    doubtful = {"etag": "1", "sealed_summary": sealed, "problem": "It names no time zone."}
    db.session.add(RemoteObject(calendar_id=calendar.id, remote_id="/yoga.ics", **doubtful))
    db.session.commit()
    text = page(admin, "/admin/integrations")
    for part in (
        "Connected",
        "seconds ago",
        "closes times that are taken and receives bookings",
        "entries not read in full",
        "“An entry”: It names no time zone.",
    ):
        assert part in text
    assert re.search(r"<strong>1</strong> waiting to be written", text)
    ana = signed_in(studio.app, make_user("staff", resource_id=studio.ana.id))
    assert "“Yoga”: It names no time zone." in page(ana, "/admin/integrations"), "its name is for whom it belongs to"
    part = page(admin, "/admin/integrations", partial=True)
    assert part.lstrip().startswith('<div id="integrations"')
    assert "<html" not in part


@pytest.mark.parametrize("state", ["degraded", "needs reauth", "misconfigured", "paused"])
def test_a_state_is_told_in_words_with_since_and_why(studio, admin, page, state):
    connection = make_calendar(studio.ana).connection
    connection.state, connection.state_reason, connection.state_since = state, "Because of this.", now_utc()
    db.session.commit()
    text = page(admin, "/admin/integrations")
    assert "Because of this." in text
    assert " since " in text


def test_pausing_and_resuming(studio, admin, page):
    calendar = make_calendar(studio.ana, last_read_at=now_utc(), next_read_at=now_utc() + timedelta(hours=1))
    url = f"/admin/integrations/{calendar.connection_id}"
    assert "Resume" in page(admin, f"{url}/pause", post={})
    assert one(Connection).state == "paused"
    assert "Please resume it first" in page(admin, f"{url}/reading", post={})
    assert "used again" in page(admin, f"{url}/resumption", post={})
    assert one(Connection).state == "connected"
    assert one(Calendar).next_read_at <= now_utc()


def test_an_account_that_is_not_paused_is_not_declared_well_by_resuming_it(studio, admin, page):
    connection = make_calendar(studio.ana).connection
    connection.state = "needs reauth"
    db.session.commit()
    page(admin, f"/admin/integrations/{connection.id}/resumption", post={})
    assert one(Connection).state == "needs reauth"


def test_reading_now_makes_the_calendar_due(studio, admin, page):
    calendar = make_calendar(studio.ana, next_read_at=now_utc() + timedelta(hours=1))
    page(admin, f"/admin/integrations/{calendar.connection_id}/reading", post={})
    assert one(Calendar).next_read_at <= now_utc()


def test_writing_now_hastens_what_waits(studio, admin, page):
    from portal.outbox import OutboxEntry

    booking, calendar = studio.book(), make_calendar(studio.ana)
    db.session.add(EventLink(appointment_id=booking.appointment_id, calendar_id=calendar.id, uid="u", state="stuck"))
    entry = db.session.query(OutboxEntry).filter_by(topic="calendar.publish").one()
    entry.next_at = now_utc() + timedelta(hours=1)
    db.session.commit()
    page(admin, f"/admin/integrations/{calendar.connection_id}/writing", post={})
    db.session.rollback()
    due = [
        e.next_at <= now_utc() for e in db.session.query(OutboxEntry).filter_by(topic="calendar.publish", state="todo")
    ]
    assert any(due)


def connected(studio, admin, server):
    step_2 = admin.post(STEP_1, data=typed(studio)).location
    admin.post(step_2, data={"busy-1": "1", "destination": "1", **RULES})
    return one(Connection).id


def test_a_new_password_is_tried_first_and_keeps_every_mapping(studio, admin, server, page):
    connection_id = connected(studio, admin, server)
    connection, calendar = one(Connection), one(Calendar)
    connection.state, calendar.trouble, calendar.when_moved = "needs reauth", "needs reauth", "put back"
    db.session.commit()
    url, sealed = f"/admin/integrations/{connection_id}/refresh", connection.sealed_secret
    server.fail_next("list_calendars", AccessRevoked("The server refused this name and password."))
    refused = admin.post(url, data={"password": "wrong"})
    assert refused.status_code == 422
    assert "wrong" not in re.sub(r"<[^>]+>", "", refused.get_data(as_text=True)).split("That did not work")[0]
    assert one(Connection).sealed_secret == sealed
    assert "The new password works" in page(admin, url, post={"password": "new-secret"})
    connection = one(Connection)
    assert connection.state == "connected"
    assert unseal_secret(account_of(connection)) == {"password": "new-secret"}
    assert (one(Calendar).id, one(Calendar).when_moved, one(Calendar).trouble) == (calendar.id, "put back", "")


def test_an_empty_new_password_is_refused(studio, admin, server):
    url = f"/admin/integrations/{connected(studio, admin, server)}/refresh"
    assert admin.post(url, data={}).status_code == 422


def test_disconnecting_asks_first_and_leaves_what_was_written(studio, admin, server, page):
    connection_id = connected(studio, admin, server)
    events = len(server.events("work"))
    assert "stay where they are" in page(admin, f"/admin/integrations/{connection_id}/disconnection")
    assert count(Connection) == 1
    assert "is disconnected" in page(admin, f"/admin/integrations/{connection_id}/disconnection", post={})
    assert count(Connection) == count(Calendar) == 0
    assert len(server.events("work")) == events


def test_saving_the_rules_keeps_a_freshness_that_only_a_seed_file_can_set(studio, admin, page):
    calendar = make_calendar(studio.ana, name="Work", freshness=90)
    url = f"/admin/integrations/calendars/{calendar.id}"
    assert '<option value="90" selected>90 seconds</option>' in page(admin, url)
    page(admin, url, post={"when_moved": "ask", "when_deleted": "ask", "when_unreadable": "keep", "freshness": "90"})
    assert (one(Calendar).freshness, one(Calendar).when_unreadable) == (90, "keep")


def test_the_rules_of_a_calendar_are_changed_and_the_ledger_says_by_whom(studio, admin, page):
    calendar = make_calendar(studio.ana, name="Work")
    url = f"/admin/integrations/calendars/{calendar.id}"
    assert "Rules of" in page(admin, url)
    new = {"when_moved": "put back", "when_deleted": "cancel", "when_unreadable": "stop", "freshness": "3600"}
    page(admin, url, post=new)
    calendar = one(Calendar)
    assert (calendar.when_moved, calendar.when_deleted, calendar.when_unreadable) == ("put back", "cancel", "stop")
    assert (calendar.freshness, calendar.is_busy_source) == (3600, False)
    assert one(LedgerLine).sentence == "Olga changed the rules of the calendar “Work”."
    for wrong in ({**new, "when_moved": ""}, {**new, "freshness": "1"}, {**new, "privacy": "everything"}, {}):
        assert admin.post(url, data=wrong).status_code == 422


def test_what_events_tell_of_customers_is_chosen_when_connecting_and_changed_with_the_rules(
    studio, admin, server, page
):
    admin.post(STEP_1, data=typed(studio))
    choice = f"/admin/integrations/choice/{one(ConnectionDraft).id}"
    assert re.search(r'name="privacy" type="radio" value="initials" checked', page(admin, choice))
    admin.post(choice, data={**RULES, "busy-0": "1", "destination": "0", "privacy": "busy only"})
    calendar = one(Calendar)
    assert calendar.privacy == "busy only"
    assert "Events tell only that the time is taken." in page(admin, "/admin/integrations")
    rules = f"/admin/integrations/calendars/{calendar.id}"
    assert re.search(r'name="privacy" type="radio" value="busy only" checked', page(admin, rules))
    page(admin, rules, post={**RULES, "freshness": "600", "privacy": "full"})
    assert one(Calendar).privacy == "full"
    assert [(e.topic, e.subject) for e in db.session.scalars(select(OutboxEntry)) if e.topic == "calendar.rewrite"] == [
        ("calendar.rewrite", f"calendar:{calendar.id}")
    ]


def test_no_other_column_of_a_calendar_can_be_posted(studio, admin):
    """A14: the form's own fields count, and nothing else."""
    calendar = make_calendar(studio.ana, sync_token="kept")
    before = {c.name: getattr(calendar, c.name) for c in Calendar.__table__.columns}
    extra = dict.fromkeys(before, "1")
    form = {**extra, **RULES, "freshness": "600", "privacy": "initials", "is_busy_source": "1"}
    assert admin.post(f"/admin/integrations/calendars/{calendar.id}", data=form).status_code == 303
    calendar = one(Calendar)
    assert {c.name: getattr(calendar, c.name) for c in Calendar.__table__.columns} == before


@pytest.mark.parametrize(
    ("decision", "shown"), [("accept", "being removed with the next read"), ("keep", "They are kept")]
)
def test_a_doubtful_read_is_decided(studio, admin, page, decision, shown):
    facts = {
        "since": now_utc().isoformat(),
        "decision": None,
        "remote_ids": ["a"],
        "would_remove": 40,
        "known": 52,
        "own": 3,
    }
    calendar = make_calendar(studio.ana, quarantine=facts)
    assert "40 of 52 known events" in page(admin, "/admin/integrations")
    url = f"/admin/integrations/calendars/{calendar.id}/quarantine"
    assert admin.post(url, data={"decision": "perhaps"}).status_code == 404
    assert shown in page(admin, url, post={"decision": decision})
    assert one(Calendar).quarantine["decision"] == decision
    calendar = one(Calendar)
    calendar.quarantine = None
    db.session.commit()
    assert "over already" in page(admin, url, post={"decision": decision})


def test_an_entry_that_cannot_be_read_may_be_told_not_to_close_times_and_back(studio, admin, page):
    calendar = make_calendar(studio.ana, unreadable_objects=1)
    row = {"etag": "1", "fingerprint": "f", "problem": "It ends beyond all calendars."}
    db.session.add(RemoteObject(calendar_id=calendar.id, remote_id="/endless.ics", **row))
    db.session.commit()
    url = f"/admin/integrations/calendars/{calendar.id}/entries"
    assert "This entry shall not close times" in page(admin, "/admin/integrations")
    text = page(admin, url, post={"entry": "/endless.ics", "wish": "open"})
    assert "It closes no times, as somebody decided." in text
    assert "Let it close times again" in text
    assert one(RemoteObject).left_open == "f"
    assert "This entry shall not close times" in page(admin, url, post={"entry": "/endless.ics", "wish": "closed"})
    assert one(RemoteObject).left_open == ""
    assert admin.post(url, data={"entry": "/no-such.ics", "wish": "open"}).status_code == 404
    assert admin.post(url, data={"entry": "/endless.ics", "wish": "burn"}).status_code == 404


@pytest.mark.parametrize(
    ("typed_values", "said"),
    [
        ({"password": "p€ß"}, "no longer accepts this user name and password"),
        ({"password": "密码", "username": "安娜"}, "no longer accepts this user name and password"),
        ({"password": "a\tb"}, "cannot be typed"),
        ({"username": "ana:1"}, "must not hold a colon"),
    ],
)
def test_whatever_password_is_typed_is_answered_with_a_sentence(studio, admin, monkeypatch, typed_values, said):
    monkeypatch.setattr(connect, "list_remote", connect.list_remote.func)  # a real server is asked
    with StandIn() as stand_in:
        stand_in.script = lambda asked: Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
        allowed = dataclasses.replace(studio.app.extensions["settings"], outbound_allow=(f"127.0.0.1:{stand_in.port}",))
        monkeypatch.setitem(studio.app.extensions, "settings", allowed)
        answer = admin.post(STEP_1, data=typed(studio, url=stand_in.url, **typed_values))
    assert answer.status_code == 422
    assert said in answer.get_data(as_text=True)
