"""Connecting a Google account over HTTP, against the stand-in: the whole way there and back, and every way in which it must not work."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import time_machine
from sqlalchemy import select

from portal.admin.integrations import forms
from portal.booking.models import EventLink
from portal.calendars.account import account_of, seal_secret, unseal_secret
from portal.calendars.models import Calendar, Connection, ConnectionDraft
from portal.calendars.oauth import drafts
from portal.clock import now_utc
from portal.extensions import db, limiter
from portal.sync.account import operations
from portal.sync.models import LedgerLine
from portal.worker import drain, jobs
from providers.calendars.base import RemoteCalendar
from providers.calendars.google.oauth import CALENDARS, EVENTS
from providers.kinds import GOOGLE
from tests.support.google_server import GoogleServer
from tests.support.people import make_user, signed_in

START = "/admin/integrations/google"
RULES = {"when_moved": "follow", "when_deleted": "ask", "when_unreadable": "pending"}


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    with GoogleServer(tmp_path_factory.mktemp("google")) as server:
        yield server


@pytest.fixture(autouse=True)
def calm(google):
    yield
    google.clear_faults()
    assert google.violations() == []  # nothing was asked that Google would call malformed


@pytest.fixture
def set_up(studio, google, monkeypatch):
    """The portal has a Google project, at the stand-in; `set_up(...)` changes further settings."""

    def change(**changes):
        settings = dataclasses.replace(studio.app.extensions["settings"], **changes)
        monkeypatch.setitem(studio.app.extensions, "settings", settings)

    values = {name.lower(): value for name, value in google.environment().items() if name.startswith("GOOGLE_")}
    change(**values, outbound_allow=("127.0.0.1",))
    return change


@pytest.fixture
def ana(google, set_up):
    """A Google account of her own in each test."""
    return google.account(f"ana-{time.monotonic_ns()}@gmail.example")


@pytest.fixture
def other(google, set_up):
    return google.account(f"other-{time.monotonic_ns()}@gmail.example")


@pytest.fixture
def mark(google):
    """The number of the newest request at the stand-in so far."""
    return max((entry["no"] for entry in google.log()), default=0)


def begin(client, **form):
    """Press the button; gives the address of Google's page."""
    answer = client.post(START, data={name: str(value) for name, value in form.items()})
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return answer.location


def path_of(address):
    """What the browser asks the portal for when Google sends it to this address."""
    parts = urlsplit(address)
    assert f"{parts.scheme}://{parts.netloc}" == "http://localhost"
    return f"{parts.path}?{parts.query}"


def come_back(client, person, *, consent=None, **form):
    """There, yes, and back again; gives the portal's answer."""
    return client.get(path_of(person.consent(begin(client, **form), **(consent or {}))))


def connected(client, person, resource, **roles):
    """Through both steps; the primary calendar is chosen for everything unless roles are given. Gives the connection's id."""
    step_2 = come_back(client, person, resource_id=resource.id)
    assert step_2.status_code == 303, step_2.get_data(as_text=True)
    found = only(ConnectionDraft).found
    number = next(n for n, calendar in enumerate(found) if calendar["is_primary"])
    answer = client.post(step_2.location, data={f"busy-{number}": "1", "destination": str(number), **roles, **RULES})
    assert answer.status_code == 303, answer.get_data(as_text=True)
    db.session.rollback()
    return db.session.scalars(select(Connection.id).order_by(Connection.id.desc())).first()


def rows(model):
    """All of them; of the drafts those that can still be used."""
    db.session.rollback()
    found = db.session.scalars(select(model)).all()
    return [row for row in found if model is not ConnectionDraft or row.expires_at > now_utc()]


def only(model):
    (row,) = rows(model)
    return row


def count(model):
    return len(rows(model))


def secret_of(connection_id):
    db.session.rollback()
    return unseal_secret(account_of(db.session.get_one(Connection, connection_id)))


def text_of(answer):
    """What people read, without the marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True)))


def paths(google, since):
    return [entry["path"] for entry in google.log(since=since)]


# ── The way it should go ──


def test_an_account_is_connected_there_and_back_and_its_calendars_are_proved(studio, admin, ana, page):
    ana.make_calendar("Family", role="owner")
    ana.make_calendar("Holidays", role="reader")
    tomorrow = now_utc() + timedelta(days=1)
    ana.add_event(ana.email, "Dentist", tomorrow, tomorrow + timedelta(hours=1))
    step_2 = come_back(admin, ana, resource_id=studio.ana.id)
    assert step_2.status_code == 303
    text = page(admin, step_2.location)
    assert f"Google accepted {ana.email}" in text
    found = only(ConnectionDraft).found
    own, family, holidays = (
        next(n for n, one in enumerate(found) if one["name"] == name) for name in (ana.email, "Family", "Holidays")
    )
    ticked = set(map(int, re.findall(r'name="busy-(\d+)" value="1" checked', text)))
    assert ticked == {own, family}  # others' calendars are not hers to be held against
    assert re.findall(r'name="destination" value="(\d+)" checked', text) == [str(own)]
    assert f'id="field-destination-{holidays}"' not in text
    form = {f"busy-{own}": "1", f"busy-{holidays}": "1", "destination": str(own), **RULES}
    text = page(admin, step_2.location, post=form)
    assert f"“{ana.email}” can be read: 1 busy time in the next two months." in text
    assert "“Holidays” can be read; nothing is busy" in text
    connection = only(Connection)
    assert (connection.provider, connection.resource_id) == ("google", studio.ana.id)
    assert connection.account["username"] == ana.email
    assert {EVENTS, CALENDARS} <= set(connection.account["scopes"].split())
    assert connection.account["subject"] not in ("", ana.email)
    assert {(c.remote_id, c.is_busy_source, c.is_destination) for c in connection.calendars} == {
        (ana.email, True, True),
        (found[holidays]["remote_id"], True, False),
    }
    assert count(ConnectionDraft) == 0


def test_the_tokens_are_sealed_and_in_no_page(studio, admin, ana):
    begun = begin(admin, resource_id=studio.ana.id)
    step_2 = admin.get(path_of(ana.consent(begun)))
    pages = [step_2, admin.get(step_2.location)]
    draft = drafts.find(
        db.session(), user_id=only(ConnectionDraft).user_id, draft_id=only(ConnectionDraft).id, now=now_utc()
    )
    texts = [draft.secret["access_token"], draft.secret["refresh_token"]]
    kept = json.dumps([str(vars(only(ConnectionDraft)))])
    pages.append(admin.post(step_2.location, data={"busy-0": "1", **RULES}))
    pages.append(admin.get("/admin/integrations"))
    connection = only(Connection)
    assert unseal_secret(account_of(connection))["refresh_token"] == texts[1]
    kept += str(vars(connection))
    for text in texts:
        assert text not in kept
        for answer in pages:
            assert text not in answer.get_data(as_text=True)
            assert text not in str(answer.headers)


def test_the_way_to_google_is_asked_for_exactly(studio, admin, ana, google):
    url = begin(admin, resource_id=studio.ana.id)
    assert url.startswith(f"{google.url}/o/oauth2/v2/auth?")
    given = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert given["redirect_uri"] == "http://localhost/admin/integrations/google/callback"
    assert given["scope"].split() == ["openid", "email", EVENTS, CALENDARS]
    assert (given["access_type"], given["prompt"], given["code_challenge_method"]) == ("offline", "consent", "S256")
    again = {
        name: values[0] for name, values in parse_qs(urlsplit(begin(admin, resource_id=studio.ana.id)).query).items()
    }
    for name in ("state", "nonce", "code_challenge"):
        assert again[name] != given[name]
        assert len(given[name]) >= 43


def test_what_is_remembered_meanwhile_cannot_be_read_in_the_cookie(studio, admin, ana):
    from flask.sessions import SecureCookieSessionInterface

    url = begin(admin, resource_id=studio.ana.id)
    cookie = admin.get_cookie("lockstep").value
    opened = SecureCookieSessionInterface().get_signing_serializer(studio.app).loads(cookie)
    assert "google_consent" in opened
    state = parse_qs(urlsplit(url).query)["state"][0]
    assert state not in str(opened)
    assert "verifier" not in str(opened)


def test_the_browser_may_follow_the_form_to_google_on_the_pages_that_start_it(studio, admin, ana, google):
    for address in ("/admin/integrations", START, f"{START}/help", "/admin/integrations/caldav"):
        policy = admin.get(address).headers["Content-Security-Policy"]
        assert f"form-action 'self' {google.url};" in policy, address
    assert google.url not in admin.get("/admin/bookings").headers["Content-Security-Policy"]


def test_the_pages_on_the_way_belong_to_the_calendars(studio, admin, ana):
    current = [
        re.findall(r'<a href="(/admin[^"]*)" aria-current="page">', admin.get(address).get_data(as_text=True))
        for address in (START, f"{START}/help", f"{START}/callback?state=x")
    ]
    assert current == [["/admin/integrations"]] * 3


def test_an_admin_connects_for_each_of_several_people(studio, admin, ana, other):
    connected(admin, ana, studio.ana)
    connected(admin, other, studio.ben)
    db.session.rollback()
    found = {c.resource_id: c.account["username"] for c in db.session.scalars(select(Connection))}
    assert found == {studio.ana.id: ana.email, studio.ben.id: other.email}


def test_one_person_may_have_several_accounts_but_no_calendar_twice(studio, admin, ana, other):
    connected(admin, ana, studio.ana)
    connected(admin, other, studio.ana)
    step_2 = come_back(admin, ana, resource_id=studio.ana.id)
    answer = admin.post(step_2.location, data={"busy-0": "1", **RULES})
    assert answer.status_code == 422
    assert "connected already" in text_of(answer)
    assert count(Connection) == 2


def abandoned():
    """The worker comes to what somebody began and left; a quarter of an hour has passed."""
    with time_machine.travel(now_utc() + timedelta(minutes=15, seconds=1), tick=True):
        for work in drain.claim(9, topics=["calendar.draft"]):
            drain.do(work, jobs.handler_of(work.topic))
    db.session.rollback()


def test_what_was_begun_and_left_is_forgotten_and_the_permission_given_back(studio, admin, ana, google, mark):
    step_2 = come_back(admin, ana, resource_id=studio.ana.id)
    assert drain.claim(9, topics=["calendar.draft"]) == []
    abandoned()
    assert db.session.scalars(select(ConnectionDraft)).all() == []
    assert "/revoke" in paths(google, mark)
    assert not ana.grant_state()["granted"]
    assert admin.get(step_2.location).status_code == 404


def test_a_permission_by_which_a_connection_lives_is_not_given_back(studio, admin, ana, google, mark):
    connected(admin, ana, studio.ana)
    come_back(admin, ana, resource_id=studio.ben.id)
    abandoned()
    assert db.session.scalars(select(ConnectionDraft)).all() == []
    assert "/revoke" not in paths(google, mark)
    assert ana.grant_state()["granted"]


def test_an_account_that_is_connected_anew_while_it_is_disconnected_stays_allowed(studio, admin, ana, google):
    connection_id = connected(admin, ana, studio.ana)
    operations.disconnect(connection_id, take_away=False, by="Olga", now=now_utc())
    step_2 = come_back(admin, ana, resource_id=studio.ana.id)
    assert (
        admin.post(step_2.location, data={"busy-0": "1", **RULES}).status_code == 422
    )  # it is still being disconnected
    for work in drain.claim(9, topics=["calendar.farewell"]):
        drain.do(work, jobs.handler_of(work.topic))
    assert count(Connection) == 0
    assert ana.grant_state()["granted"]
    assert admin.post(step_2.location, data={"busy-0": "1", **RULES}).status_code == 303


def test_beginning_anew_takes_nothing_away_from_the_new_beginning(studio, admin, ana, google, mark):
    older = come_back(admin, ana, resource_id=studio.ana.id)
    newer = come_back(admin, ana, resource_id=studio.ana.id)
    assert admin.get(older.location).status_code == 404
    for work in drain.claim(9, topics=["calendar.draft"]):
        drain.do(work, jobs.handler_of(work.topic))
    assert "/revoke" not in paths(google, mark)
    assert admin.post(newer.location, data={"busy-0": "1", **RULES}).status_code == 303


# ── What is not allowed, and what goes wrong ──


@pytest.mark.parametrize(("untick", "named"), [((EVENTS,), 0), ((CALENDARS,), 1), ((EVENTS, CALENDARS), None)])
def test_a_permission_that_was_not_ticked_is_named_and_nothing_is_half_accepted(
    studio, admin, ana, google, mark, untick, named
):
    answer = come_back(admin, ana, resource_id=studio.ana.id, consent={"untick": untick})
    assert answer.status_code == 422
    text = text_of(answer)
    names = [name for name, _ in GOOGLE.consent.permissions.values()]
    assert [name in text for name in names] == [named in (0, None), named in (1, None)]
    assert count(Connection) == count(ConnectionDraft) == 0
    assert "/revoke" in paths(google, mark)
    assert not [path for path in paths(google, mark) if path.startswith("/calendar/")]
    form = answer.get_data(as_text=True)
    again = dict(re.findall(r'<input type="hidden" name="(resource_id|connection_id)" value="(\d+)">', form))
    assert again == {"resource_id": str(studio.ana.id)}
    assert come_back(admin, ana, **again).status_code == 303


def test_a_half_consent_is_not_given_back_while_another_connection_lives_by_it(studio, admin, ana, google):
    connection_id = connected(admin, ana, studio.ana)
    mark = max(entry["no"] for entry in google.log())
    answer = come_back(admin, ana, resource_id=studio.ben.id, consent={"untick": (EVENTS,)})
    assert answer.status_code in (303, 422)  # what was granted before may be granted still
    assert "/revoke" not in paths(google, mark)
    assert secret_of(connection_id)


def test_a_person_who_says_no_is_told_that_nothing_happened(studio, admin, ana):
    answer = come_back(admin, ana, resource_id=studio.ana.id, consent={"deny": True})
    assert answer.status_code == 422
    assert "You did not allow the portal" in text_of(answer)
    assert "Nothing was stored" in text_of(answer)
    assert 'id="ask-again"' in answer.get_data(as_text=True)
    assert count(Connection) == count(ConnectionDraft) == 0


@pytest.mark.parametrize(
    ("error", "sentence"),
    [("admin_policy_enforced", "administrator"), ("<b>evil</b>", "did not give"), ("", "did not give")],
)
def test_googles_reasons_are_told_in_our_words(studio, admin, ana, error, sentence):
    state = parse_qs(urlsplit(begin(admin, resource_id=studio.ana.id)).query)["state"][0]
    answer = admin.get(f"{START}/callback?{urlencode({'error': error, 'state': state})}")
    assert answer.status_code == 422
    assert sentence in text_of(answer)
    assert "evil" not in answer.get_data(as_text=True)


def refused_without_a_request(google, mark, answer):
    """The answer says to begin again; nothing was asked of Google, nothing stored."""
    assert answer.status_code == 400
    assert "Please begin again" in text_of(answer)
    assert "/token" not in paths(google, mark)
    assert count(Connection) == count(ConnectionDraft) == 0


def test_a_consent_begun_in_another_browser_is_refused(studio, admin, ana, google, mark):
    """SECURITY 45: somebody who lures an admin to the end of his own consent would hang his account on our calendar."""
    same_user = signed_in(studio.app, make_user("owner"))
    back = path_of(ana.consent(begin(same_user, resource_id=studio.ana.id)))
    refused_without_a_request(google, mark, admin.get(back))
    begin(admin, resource_id=studio.ana.id)
    refused_without_a_request(google, mark, admin.get(back))
    assert same_user.get(back).status_code == 303


def test_a_consent_begun_by_another_user_of_the_same_browser_is_refused(studio, admin, staff, ana, google, mark):
    back = path_of(ana.consent(begin(admin, resource_id=studio.ben.id)))
    with admin.session_transaction() as session, staff.session_transaction() as theirs:
        theirs["google_consent"] = session["google_consent"]
    refused_without_a_request(google, mark, staff.get(back))


def test_a_consent_that_took_too_long_is_refused(studio, admin, ana, google, mark):
    back = path_of(ana.consent(begin(admin, resource_id=studio.ana.id)))
    with time_machine.travel(now_utc() + timedelta(minutes=10, seconds=1), tick=True):
        refused_without_a_request(google, mark, admin.get(back))


def test_an_answer_counts_once(studio, admin, ana, google):
    back = path_of(ana.consent(begin(admin, resource_id=studio.ana.id)))
    with admin.session_transaction() as session:
        kept = session["google_consent"]
    assert admin.get(back).status_code == 303
    assert admin.get(back).status_code == 400
    with admin.session_transaction() as session:
        session["google_consent"] = kept  # the cookie of before, played again: the code is used up at Google
    answer = admin.get(back)
    assert answer.status_code == 422
    assert "used already" in text_of(answer)


def test_an_older_consent_of_the_same_browser_ends_with_a_new_one(studio, admin, ana, google, mark):
    older = path_of(ana.consent(begin(admin, resource_id=studio.ana.id)))
    newer = path_of(ana.consent(begin(admin, resource_id=studio.ben.id)))
    refused_without_a_request(google, mark, admin.get(older))
    assert admin.get(newer).status_code == 303  # and a stray answer does not end it
    assert only(ConnectionDraft).resource_id == studio.ben.id


@pytest.mark.parametrize("query", ["", "?code=x", "?state=&code=x", "?state=x&code=x", "?state=é&code=x"])
def test_an_answer_that_nobody_asked_for_is_refused(studio, admin, ana, google, mark, query):
    refused_without_a_request(google, mark, admin.get(f"{START}/callback{query}"))


def test_staff_connect_for_themselves_only(studio, staff, ana, google, mark):
    """SECURITY 19: not another's resource, nor, by a callback, the resource of a consent begun for another."""
    assert staff.post(START, data={"resource_id": studio.ana.id}).status_code == 404
    assert re.findall(r'<option value="(\d+)"', staff.get(START).get_data(as_text=True)) == [str(studio.ben.id)]
    connected(staff, ana, studio.ben)
    assert only(Connection).resource_id == studio.ben.id


def test_staff_who_are_moved_elsewhere_meanwhile_connect_nothing(studio, ana):
    user = make_user("staff", resource_id=studio.ben.id)
    client = signed_in(studio.app, user)
    back = path_of(ana.consent(begin(client, resource_id=studio.ben.id)))
    user.resource_id = studio.ana.id
    db.session.commit()
    assert client.get(back).status_code == 404
    assert count(ConnectionDraft) == 0


def test_staff_reach_no_account_of_others(studio, admin, staff, ana, google):
    connection_id = connected(admin, ana, studio.ana)
    mark = max(entry["no"] for entry in google.log())
    for answer in (
        staff.post(START, data={"connection_id": connection_id}),
        staff.get(f"/admin/integrations/{connection_id}/refresh"),
    ):
        assert answer.status_code == 404
        assert ana.email not in answer.get_data(as_text=True)
    assert paths(google, mark) == []


@pytest.mark.parametrize("form", [{}, {"resource_id": "x"}, {"resource_id": "987654"}, {"connection_id": "987654"}])
def test_a_start_for_nobody_is_refused(studio, admin, ana, form):
    assert admin.post(START, data=form).status_code in (404, 422)


@pytest.mark.parametrize(
    ("path", "fault", "sentence"),
    [
        ("/token", {"kind": "status", "status": 503}, "out of order"),
        ("/token", {"kind": "html", "status": 200}, "could not be read"),
        ("/token", {"kind": "cut"}, "could not be reached"),
        ("/calendarList", {"kind": "status", "status": 503, "reason": "backendError"}, ""),
        ("/calendarList", {"kind": "html", "status": 200}, ""),
    ],
)
def test_trouble_at_google_is_told_and_nothing_is_stored(studio, admin, ana, google, path, fault, sentence):
    google.fault(path=path, times=3, **fault)
    answer = come_back(admin, ana, resource_id=studio.ana.id)
    assert answer.status_code == 422
    assert sentence in text_of(answer)
    assert "Nothing was stored" in text_of(answer)
    assert count(Connection) == count(ConnectionDraft) == 0
    google.clear_faults()
    assert come_back(admin, ana, resource_id=studio.ana.id).status_code == 303


def test_a_wrong_client_secret_is_the_operators_to_mend(studio, admin, ana, set_up):
    set_up(google_client_secret="wrong")
    answer = come_back(admin, ana, resource_id=studio.ana.id)
    assert answer.status_code == 422
    assert "GOOGLE_CLIENT_SECRET" in text_of(answer)


def test_a_calendar_that_is_not_readable_after_all_is_not_connected(studio, admin, ana, google):
    step_2 = come_back(admin, ana, resource_id=studio.ana.id)
    google.fault(path="/events", kind="status", status=403, reason="forbidden", times=9)
    answer = admin.post(step_2.location, data={"busy-0": "1", **RULES})
    assert answer.status_code == 422
    assert "CalDAV" not in text_of(answer)
    assert count(Connection) == 0
    google.clear_faults()
    assert admin.post(step_2.location, data={"busy-0": "1", **RULES}).status_code == 303


def test_google_is_asked_a_limited_number_of_times(studio, admin, ana, monkeypatch):
    monkeypatch.setattr(limiter, "enabled", True)
    for call in (
        lambda: admin.post(START, data={"resource_id": str(studio.ana.id)}),
        lambda: admin.get(f"{START}/callback?state=x&code=x"),
    ):
        limiter.reset()
        statuses = [call().status_code for _ in range(22)]
        assert statuses[20:] == [429, 429]
        assert 429 not in statuses[:20]
    limiter.reset()


# ── Without a Google project ──


def test_without_a_google_project_the_button_leads_to_the_help(studio, admin, staff, page):
    for client in (admin, staff):
        for answer in (client.get(START), client.post(START, data={"resource_id": str(studio.ben.id)})):
            assert answer.status_code == 303
            assert answer.location == f"{START}/help"
        assert "form-action 'self';" in client.get(START).headers["Content-Security-Policy"]
    text = page(admin, f"{START}/help")
    assert (
        '<code class="breakable" id="redirect-address">http://localhost/admin/integrations/google/callback</code>'
        in text
    )
    assert "seven days" in text
    assert "Not set up yet" in text


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [("http://localhost", False), ("http://book.example", True), ("https://book.example", False)],
)
def test_the_help_warns_of_an_address_that_google_will_refuse(studio, admin, ana, set_up, page, url, is_refused):
    set_up(url=url)
    text = page(admin, f"{START}/help")
    assert f"{url}/admin/integrations/google/callback" in text
    assert ("Google will refuse this address" in text) == is_refused
    assert "Not set up yet" not in text


# ── Refreshing ──


def broken(connection_id):
    """The connection as it stands when Google no longer accepts it."""
    db.session.rollback()
    connection = db.session.get_one(Connection, connection_id)
    connection.state, connection.state_reason = "needs reauth", "The permission has ended."
    for calendar in connection.calendars:
        calendar.trouble, calendar.when_moved, calendar.sync_token = "needs reauth", "put back", "kept"
        calendar.next_read_at = now_utc() + timedelta(hours=1)
    db.session.commit()


def test_the_same_account_again_keeps_every_mapping_and_catches_up(studio, admin, ana, page):
    connection_id = connected(admin, ana, studio.ana)
    booking, calendar = studio.book(), only(Calendar)
    db.session.add(EventLink(appointment_id=booking.appointment_id, calendar_id=calendar.id, uid="u", state="waiting"))
    db.session.commit()
    link_id, before = only(EventLink).id, secret_of(connection_id)
    ana.revoke()
    broken(connection_id)
    form = admin.get(f"/admin/integrations/{connection_id}/refresh").get_data(as_text=True)
    assert f'action="{START}"' in form
    assert f'name="connection_id" value="{connection_id}"' in form
    url = begin(admin, connection_id=connection_id)
    assert parse_qs(urlsplit(url).query)["login_hint"] == [ana.email]
    began = now_utc()
    answer = admin.get(path_of(ana.consent(url)), follow_redirects=True)
    assert "Google accepts the portal again" in text_of(answer)
    connection, calendar = only(Connection), only(Calendar)
    assert (connection.id, connection.state, calendar.trouble) == (connection_id, "connected", "")
    assert (calendar.when_moved, calendar.sync_token) == ("put back", "kept")
    assert connection.refreshed_at >= began
    assert calendar.next_read_at <= now_utc()
    assert only(EventLink).id == link_id
    after = secret_of(connection_id)
    assert after["refresh_token"] != before["refresh_token"]
    assert datetime.fromisoformat(after["granted_at"]) >= began
    assert count(ConnectionDraft) == 0


def test_a_half_consent_at_a_refresh_changes_nothing_and_gives_nothing_back(studio, admin, ana, google):
    connection_id = connected(admin, ana, studio.ana)
    ana.revoke()
    broken(connection_id)
    before, mark = secret_of(connection_id), max(entry["no"] for entry in google.log())
    answer = come_back(admin, ana, connection_id=connection_id, consent={"untick": (EVENTS,)})
    assert answer.status_code == 422
    assert "The connection stays as it was" in text_of(answer)
    assert f'name="connection_id" value="{connection_id}"' in answer.get_data(as_text=True)
    assert secret_of(connection_id) == before
    assert only(Connection).state == "needs reauth"
    assert "/revoke" not in paths(google, mark)


def test_another_account_that_does_not_see_the_calendars_cannot_take_over(studio, admin, ana, other):
    connection_id = connected(admin, ana, studio.ana)
    broken(connection_id)
    before = secret_of(connection_id)
    answer = come_back(admin, other, connection_id=connection_id)
    assert answer.status_code == 303
    text = text_of(admin.get(answer.location))
    assert ana.email in text
    assert other.email in text
    assert "cannot take its place" in text
    assert admin.post(answer.location).status_code == 422
    assert secret_of(connection_id) == before
    assert only(Connection).account["username"] == ana.email


def test_another_account_that_sees_the_calendars_takes_over_when_confirmed(studio, admin, ana, other, google):
    connection_id = connected(admin, ana, studio.ana)
    shared = other.make_calendar("Shared", role="owner")
    db.session.rollback()
    only(Calendar).remote_id = shared
    db.session.commit()
    broken(connection_id)
    before = secret_of(connection_id)
    question = come_back(admin, other, connection_id=connection_id).location
    assert secret_of(connection_id) == before
    stranger = signed_in(studio.app, make_user("owner"))
    assert stranger.get(question).status_code == stranger.post(question).status_code == 404
    assert admin.get(f"/admin/integrations/choice/{only(ConnectionDraft).id}").status_code == 404
    mark = max(entry["no"] for entry in google.log())
    answer = admin.post(question, follow_redirects=True)
    assert f"{other.email} is used from now on" in text_of(answer)
    connection = only(Connection)
    assert (connection.id, connection.account["username"], connection.state) == (
        connection_id,
        other.email,
        "connected",
    )
    assert only(Calendar).sync_token is None  # the change feed told the other account so far
    assert secret_of(connection_id)["refresh_token"] != before["refresh_token"]
    assert "/revoke" in paths(google, mark)  # the portal has no more use for the former one
    assert count(ConnectionDraft) == 0
    assert any("take the place of" in line.sentence for line in db.session.scalars(select(LedgerLine)))
    assert admin.post(question).status_code == 404


def test_a_caldav_account_is_not_refreshed_at_google(studio, admin, ana):
    connection = Connection(resource_id=studio.ana.id, provider="caldav", account={"url": "x", "username": "ana"})
    db.session.add(connection)
    db.session.flush()
    connection.sealed_secret = seal_secret(connection.id, {"password": "x"})
    db.session.commit()
    assert admin.post(START, data={"connection_id": connection.id}).status_code == 404


def test_an_account_that_is_being_disconnected_is_not_refreshed(studio, admin, ana):
    connection_id = connected(admin, ana, studio.ana)
    back = path_of(ana.consent(begin(admin, connection_id=connection_id)))
    only(Connection).leaving = True
    db.session.commit()
    assert admin.get(back).status_code == 404
    assert admin.post(START, data={"connection_id": connection_id}).status_code == 404


def test_a_draft_keeps_all_that_is_known_of_a_calendar(studio, admin, ana):
    found = (RemoteCalendar(remote_id="a", name="A", zone="Europe/Madrid", is_writable=False, is_primary=True),)
    user = make_user("owner")
    draft_id = drafts.keep(
        user_id=user.id,
        resource_id=studio.ana.id,
        provider="google",
        account={"username": "a@b.example"},
        secret={"access_token": "x"},
        found=found,
        now=now_utc(),
    )
    kept = drafts.find(db.session(), user_id=user.id, draft_id=draft_id, now=now_utc())
    assert kept.found == found
    assert "access_token" not in repr(kept)


def test_what_is_ticked_at_first_is_what_most_people_want():
    def remote(name, *, is_writable=True, is_primary=False):
        return RemoteCalendar(remote_id=name, name=name, is_writable=is_writable, is_primary=is_primary)

    google = [remote("holidays", is_writable=False), remote("team"), remote("own", is_primary=True)]
    assert forms.suggest(google) == forms.Suggestion(frozenset({1, 2}), 2)
    caldav = [remote("holidays", is_writable=False), remote("work"), remote("family")]
    assert forms.suggest(caldav) == forms.Suggestion(frozenset({0, 1, 2}), 1)
    assert forms.suggest(caldav[:1]) == forms.Suggestion(frozenset({0}), None)
