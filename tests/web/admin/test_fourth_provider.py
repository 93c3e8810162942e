"""A provider with sign-in and push needs its record and what the record names: this one is known to nothing but its record, and does all that
Google does, through the real pages, hooks and jobs."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from sqlalchemy import select

from portal.app import create_app
from portal.booking.invitation.meetings import meeting_for
from portal.calendars.meeting_gaps import gaps
from portal.calendars.models import BusyInterval, Calendar, Connection, ConnectionDraft, PushSubscription
from portal.clock import now_utc
from portal.extensions import db, limiter
from portal.sync import throttle
from portal.sync.account import disconnect, disconnecting
from portal.sync.models import LedgerLine
from portal.upkeep.doctor import examine
from portal.worker import drain
from providers import kinds
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from providers.errors import AccessRevoked, Misconfigured
from tests.factories import make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, Studio, at, rows
from tests.support.orbit import ORBIT, PERSON, SERVER
from tests.support.people import make_user, signed_in

PAGE = "/admin/integrations"
START = f"{PAGE}/orbit"
RULES = {"when_moved": "follow", "when_deleted": "ask", "when_unreadable": "pending"}


@pytest.fixture
def portal(sqlite_app, monkeypatch):
    """The portal as it is when one record more stands among the others."""
    monkeypatch.setitem(kinds.KINDS, ORBIT.name, ORBIT)
    MemoryCalendars.reset()
    SERVER.reset()
    SERVER.store.with_push()
    throttle.forget()
    settings = dataclasses.replace(
        sqlite_app.extensions["settings"],
        microsoft_client_id="portal",
        microsoft_client_secret="secret",
        microsoft_login_url="https://orbit.example/login",
        microsoft_graph_url="http://127.0.0.1:9",
    )
    app = create_app(settings)
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False, BUDGETS=False)
    app.test_client_class = sqlite_app.test_client_class
    limiter.enabled = False
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()
    MemoryCalendars.reset()
    throttle.forget()


@pytest.fixture
def ana(portal):
    return make_resource(slug="ana", name="Ana", weekly=ALL_DAY, zone="UTC")


@pytest.fixture
def staff(portal, ana):
    """Ana, signed in."""
    return signed_in(portal, make_user("staff", resource_id=ana.id, name="Ana"))


@pytest.fixture
def studio(portal, ana, staff):
    """Her account is connected and read."""
    service = make_service([ana], slug="call", duration=60, step=30, meeting=ORBIT.name)
    connect(staff, ana)
    studio = Studio(ana.id, rows(Calendar)[0].id, service.slug, SERVER.store)
    studio.pull()
    return studio


def text_of(answer):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True))).split())


def come_back(client, *, code="all", **form):
    """To Orbit's page, and back from it."""
    away = client.post(START, data={name: str(value) for name, value in form.items()})
    assert away.status_code == 303, text_of(away)
    given = parse_qs(urlsplit(away.location).query)
    assert away.location.startswith("https://orbit.example/login/consent?")
    assert given["redirect_uri"] == [f"http://localhost{START}/callback"]
    return client.get(f"{START}/callback?code={code}&state={given['state'][0]}")


def connect(client, resource):
    step_2 = come_back(client, resource_id=resource.id)
    assert step_2.status_code == 303, text_of(step_2)
    answer = client.post(step_2.location, data={"busy-0": "1", "destination": "0", **RULES})
    assert answer.status_code == 303, text_of(answer)
    db.session.rollback()


def tell(app, says):
    """Orbit's message to each subscription; the answers' status codes."""
    held = list(SERVER.store.subscriptions.values())
    assert held
    return [
        app.test_client()
        .post(
            urlsplit(one.address).path,
            headers={
                "Orbit-Subscription": one.granted.subscription_id,
                "Orbit-Secret": one.secret,
                "Orbit-Thing": one.granted.resource_id,
                "Orbit-Says": says,
            },
        )
        .status_code
        for one in held
    ]


def test_it_stands_among_the_ways_to_connect_with_its_own_help(portal, staff):
    page = staff.get(PAGE)
    assert "Connect Orbit" in text_of(page)
    assert "Orbit asks for one permission: please tick the box." in text_of(page)
    assert "form-action 'self' https://orbit.example;" in page.headers["Content-Security-Policy"]
    assert f'href="{START}?resource_id=' in staff.get(f"{PAGE}/caldav?resource_id=1").get_data(as_text=True)
    help = text_of(staff.get(f"{START}/help"))
    assert "MICROSOFT_CLIENT_ID and MICROSOFT_CLIENT_SECRET" in help
    assert f"http://localhost{START}/callback" in help
    assert "Google" not in help


def test_its_pages_are_for_whoever_is_signed_in_and_its_hook_for_everybody(portal, staff):
    assert staff.get(START).status_code == 200
    assert portal.test_client().get(START).status_code == 302
    assert portal.test_client().post("/hooks/orbit").status_code == 204


def test_connecting_it_asks_for_its_permission_and_shows_its_name(studio, staff):
    (connection,) = rows(Connection)
    assert (connection.provider, connection.account["username"]) == ("orbit", PERSON)
    page = text_of(staff.get(PAGE))
    assert f"Orbit Calendar · {PERSON}" in page
    assert "Allowed: to see and change events." in page


def test_a_permission_that_was_not_given_and_a_refusal_are_told_in_its_words(portal, staff, ana):
    answer = come_back(staff, code="nothing", resource_id=ana.id)
    assert answer.status_code == 422
    assert "Read and write your events" in text_of(answer)
    assert SERVER.refresh == set(), "what was given is given back"
    away = staff.post(START, data={"resource_id": str(ana.id)})
    state = parse_qs(urlsplit(away.location).query)["state"][0]
    assert "behind the moon" in text_of(staff.get(f"{START}/callback?error=moon&state={state}"))
    assert rows(Connection) == rows(ConnectionDraft) == []


def test_its_access_is_renewed_by_itself(studio):
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=2)):
        studio.pull()
    assert SERVER.renewed == 1
    assert studio.connection().state == "connected"


def test_a_permission_that_ended_is_told_and_one_press_signs_in_again(studio, staff):
    SERVER.refresh.clear()
    SERVER.access.clear()
    with pytest.raises(AccessRevoked):
        studio.pull()
    connection = studio.connection()
    assert connection.state == "needs reauth"
    page = staff.get(PAGE)
    assert "Orbit no longer lets the portal in." in text_of(page)
    assert f'action="{START}"' in page.get_data(as_text=True)
    assert f"choose the account {PERSON} there" in text_of(staff.get(f"{PAGE}/{connection.id}/refresh"))
    assert come_back(staff, connection_id=connection.id).location == PAGE
    studio.pull()
    assert studio.connection().state == "connected"
    assert "Orbit accepts the portal again." in text_of(staff.get(PAGE))


def test_its_messages_have_a_calendar_read_at_once(studio, portal, staff):
    studio.keep_subscriptions()
    (held,) = SERVER.store.subscriptions.values()
    assert held.address == "http://localhost/hooks/orbit"
    assert tell(portal, "hello") == [204]
    db.session.rollback()
    sentences = [line.sentence for line in rows(LedgerLine)]
    assert any(sentence.startswith("From now on Orbit tells of changes") for sentence in sentences)
    assert "Orbit tells of changes at once" in text_of(staff.get(PAGE))
    SERVER.store.add_event(DEFAULT_CALENDAR, "Dentist", at(2, 9), at(2, 10))
    assert tell(portal, "changed") == [204]
    assert tell(portal, "gibberish") == [204]
    db.session.rollback()
    assert studio.calendar().next_read_at <= now_utc() + timedelta(seconds=5)
    studio.pull()
    assert [busy.start_at for busy in rows(BusyInterval)] == [at(2, 9)]


def test_a_booking_gets_the_link_of_its_meeting(studio):
    assert gaps(db.session()) == []
    appointment_id = studio.booked(at(1, 10))
    (event,) = SERVER.store.events()
    meeting = meeting_for(db.session(), studio.booking(appointment_id))
    assert event.meeting_url
    assert (meeting.state, meeting.url) == ("ready", event.meeting_url)


def test_where_no_calendar_makes_its_meetings_that_is_said_by_their_name(portal, ana):
    make_service([ana], slug="call", name="Call", meeting=ORBIT.name)
    (sentence,) = gaps(db.session())
    assert "“Call” promises a Orbit Call link" in sentence
    assert "go into no Orbit calendar" in sentence


def test_disconnecting_takes_its_events_away_ends_push_and_gives_the_permission_back(studio, portal, staff):
    studio.keep_subscriptions()
    tell(portal, "hello")
    studio.booked(at(1, 10))
    address = f"{PAGE}/{studio.connection().id}/disconnection"
    assert "The permission is given back to Orbit" in text_of(staff.get(address))
    assert staff.post(address, data={"events": "take"}).status_code == 303
    for work in drain.claim(10, topics=[disconnecting.TOPIC]):
        drain.do(work, disconnect.farewell)
    db.session.rollback()
    assert rows(Connection) == rows(PushSubscription) == SERVER.store.events() == []
    assert not SERVER.store.subscriptions
    assert SERVER.refresh == SERVER.access == set()


def test_the_doctor_knows_it_too(studio):
    findings = {finding.subject: finding for finding in examine()}
    assert findings["orbit"].state == "ok"
    assert f"http://localhost{START}/callback" in findings["orbit"].sentence


def test_without_its_record_an_account_is_shown_and_cannot_be_used(studio, sqlite_app, monkeypatch):
    """A portal that went back to a version without this provider."""
    monkeypatch.delitem(kinds.KINDS, ORBIT.name)
    with pytest.raises(Misconfigured, match="no calendar provider of the kind “orbit”"):
        studio.pull()
    assert studio.connection().state == "misconfigured"
    with sqlite_app.app_context():
        page = text_of(signed_in(sqlite_app, make_user("owner")).get(PAGE))
        assert f"orbit · {PERSON}" in page
    assert db.session.scalar(select(Connection.provider)) == "orbit"
