"""Signing in, staying signed in, signing out: over the real pages."""

from __future__ import annotations

import re
import statistics
import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from sqlalchemy import select

from portal.accounts.models import User, UserSession
from portal.clock import now_utc
from portal.extensions import db, limiter
from portal.web.access import safe_next
from tests.factories import make_business
from tests.support.people import PASSWORD, make_user, signed_in

URL = "/admin/sign-in"


@pytest.fixture
def app(sqlite_app):
    """Once is enough here: what depends on the database is tested in tests/operations/accounts."""
    make_business()
    return sqlite_app


def sign_in(client, email, password=PASSWORD, **query):
    return client.post(URL, data={"email": email, "password": password}, query_string=query)


def cookie(client):
    return client.get_cookie("lockstep").value


def test_the_right_password_leads_home(app):
    client, user = app.test_client(), make_user()
    response = sign_in(client, user.email)
    assert (response.status_code, response.location) == (303, "/admin")
    assert client.get("/admin").status_code == 200


def test_the_page_that_was_wanted_comes_after_signing_in(app):
    client, user = app.test_client(), make_user()
    asked = client.get("/admin/bookings?show=past")
    assert asked.status_code == 302
    response = client.post(asked.location, data={"email": user.email, "password": PASSWORD})
    assert response.location == "/admin/bookings?show=past"


def test_a_wrong_password_keeps_the_address_and_never_the_password(app):
    response = sign_in(app.test_client(), "ana@studio.example", "my secret guess")
    assert response.status_code == 422
    assert b'value="ana@studio.example"' in response.data
    assert b"my secret guess" not in response.data


def test_nobody_learns_whether_an_address_is_known(app):
    """A11: the same status, the same body but for the address itself, and the same time."""
    known, unknown = make_user(email="aaa@studio.example").email, "zzz@studio.example"
    times, bodies = {known: [], unknown: []}, {}
    for _ in range(25):
        for email in (known, unknown):
            db.session.execute(db.update(User).values(next_sign_in_at=None, failed_sign_ins=0))
            db.session.commit()
            client = app.test_client()
            begun = time.perf_counter()
            response = sign_in(client, email, "wrong wrong wrong")
            times[email].append(time.perf_counter() - begun)
            assert response.status_code == 422
            page = response.get_data(as_text=True).replace(email, "…")
            bodies[email] = re.sub(r'name="csrf_token" value="[^"]+"', "", page)
    assert bodies[known] == bodies[unknown]
    # in pairs, one right after the other: a machine that is busy for a moment is so for both
    differences = [one - other for one, other in zip(times[known], times[unknown], strict=True)]
    assert abs(statistics.median(differences)) < 0.02


@pytest.mark.parametrize(
    "data", [{}, {"email": "x"}, {"password": "x"}, {"email": "\x00", "password": "\x00"}, {"email": "a" * 9999}]
)
def test_nonsense_is_refused_like_a_wrong_password(app, data):
    assert app.test_client().post(URL, data=data).status_code == 422


def test_a_sign_in_gets_a_new_session_and_forgets_what_was_planted(app):
    client, victim = app.test_client(), make_user()
    with client.session_transaction() as session:
        session["planted"] = "by a stranger"
    before = cookie(client)
    sign_in(client, victim.email)
    assert cookie(client) != before
    with client.session_transaction() as session:
        assert "planted" not in session


def test_the_identity_comes_from_the_server_alone(app):
    """A01: whatever a client writes into forms, or swaps in its own cookie, its user stays its user."""
    staff, owner = make_user("staff"), make_user("owner")
    client = signed_in(app, staff)
    planted = {"email": owner.email, "user_id": str(owner.id), "role": "owner", "id": str(owner.id), "name": "x"}
    for url in ("/admin/account/password", "/admin/sign-out", "/admin/account/sessions/987654/end"):
        signed_in(app, staff).post(url, data=planted)
    db.session.rollback()
    assert (db.session.get(User, staff.id).role, db.session.get(User, staff.id).email) == ("staff", staff.email)
    assert client.get("/admin").status_code == 200
    with client.session_transaction() as session:
        session["_user_id"] = owner.get_id()  # even with the signing key: the session's row says who it is
    assert client.get("/admin").status_code == 302


def test_signing_out_ends_the_session_for_a_copied_cookie_too(app):
    client = signed_in(app, make_user())
    copy = app.test_client()
    copy.set_cookie("lockstep", cookie(client))
    assert copy.get("/admin").status_code == 200
    assert client.post("/admin/sign-out").status_code == 303
    assert copy.get("/admin").status_code == 302
    assert client.get("/admin").status_code == 302


def test_a_session_idles_out_and_a_page_that_refreshes_itself_keeps_none_alive(app):
    client, begun = signed_in(app, make_user()), now_utc()
    for hours in (4, 8, 11):
        with time_machine.travel(begun + timedelta(hours=hours)):
            assert client.get("/admin", headers={"HX-Request": "true"}).status_code == 200
    with time_machine.travel(begun + timedelta(hours=12, minutes=1)):
        assert client.get("/admin", headers={"HX-Request": "true"}).headers["HX-Redirect"] == "/admin/sign-in"


def test_a_person_at_work_stays_signed_in_for_fourteen_days_at_most(app):
    client, begun = signed_in(app, make_user()), now_utc()
    statuses = []
    for hours in range(10, 24 * 15, 10):
        with time_machine.travel(begun + timedelta(hours=hours)):
            statuses.append((hours, client.get("/admin").status_code))
    assert {status for hours, status in statuses if hours <= 24 * 14} == {200}
    assert {status for hours, status in statuses if hours > 24 * 14} == {302}


def test_after_some_wrong_tries_a_stranger_waits_but_the_known_browser_does_not(app):
    user, own = make_user(), app.test_client()
    sign_in(own, user.email)
    own.post("/admin/sign-out")
    stranger = app.test_client()
    for _ in range(8):
        sign_in(stranger, user.email, "wrong wrong wrong")
    assert sign_in(stranger, user.email).status_code == 422
    assert sign_in(own, user.email).status_code == 303


def test_a_device_cookie_of_another_user_helps_nobody(app):
    user, other = make_user(), make_user("staff")
    client = app.test_client()
    sign_in(client, other.email)
    client.post("/admin/sign-out")
    for _ in range(8):
        sign_in(app.test_client(), user.email, "wrong wrong wrong")
    assert sign_in(client, user.email).status_code == 422


def test_tries_are_limited_by_address_without_redis(app, monkeypatch):
    """A34: the limits hold although nothing but this process and the database runs."""
    monkeypatch.setattr(limiter, "enabled", True)
    limiter.reset()
    statuses = [sign_in(app.test_client(), f"u{n}@studio.example", "wrong").status_code for n in range(12)]
    limiter.reset()
    assert statuses == [422] * 10 + [429] * 2


def test_a_forged_forwarded_header_makes_no_new_address(app, monkeypatch):
    """D14: the header counts from configured proxies only."""
    monkeypatch.setattr(limiter, "enabled", True)
    limiter.reset()
    client = app.test_client()
    statuses = {
        client.post(URL, data={}, headers={"X-Forwarded-For": f"198.51.100.{n}"}).status_code for n in range(12)
    }
    limiter.reset()
    assert 429 in statuses


def test_a_device_is_signed_out_by_its_owner_only(app):
    """A43: sessions are numbered, but a number alone opens nothing."""
    owner, staff = make_user("owner"), make_user("staff")
    own, other = signed_in(app, owner), signed_in(app, staff)
    ids = {row.user_id: row.id for row in db.session.scalars(select(UserSession))}
    assert other.post(f"/admin/account/sessions/{ids[owner.id]}/end").status_code == 404
    assert own.get("/admin").status_code == 200
    assert own.post(f"/admin/account/sessions/{ids[owner.id]}/end").status_code == 303
    assert own.get("/admin").status_code == 302


def test_changing_the_password_keeps_this_device_and_no_other(app):
    user = make_user()
    here, there = signed_in(app, user), signed_in(app, user)
    data = {"current": PASSWORD, "password": "another anvil entirely", "password_again": "another anvil entirely"}
    assert here.post("/admin/account/password", data={**data, "current": "wrong"}).status_code == 422
    assert here.post("/admin/account/password", data={**data, "password_again": "other"}).status_code == 422
    assert here.post("/admin/account/password", data={**data, "password": "short"}).status_code == 422
    assert here.post("/admin/account/password", data=data).status_code == 303
    assert here.get("/admin").status_code == 200
    assert there.get("/admin").status_code == 302


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(app):
    response = sign_in(app.test_client(), make_user().email)
    cookies = response.headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    assert all("HttpOnly" in text and "SameSite=Lax" in text and "Path=/" in text for text in cookies)


EVIL = [
    "https://evil.test", "http://evil.test", "//evil.test", "///evil.test", "/\\evil.test", "\\\\evil.test", "/\\/evil.test",
    "https:evil.test", "https:/evil.test", "javascript:alert(1)", "data:text/html,x", "/admin//evil.test", "/admin/..//evil.test",
    "/admin\\evil.test", "/admin@evil.test", "/admin.evil.test", "/adminx", "admin", "/", "", " /admin", "/admin ", "/admin\n",
    "/admin\r\nSet-Cookie: a=b", "/admin\t/x", "/%2f/evil.test", "/admin?x=//evil.test", "/admin#https://evil.test", "/b/token",
    "/admin?next=https://evil.test/", "/\x00admin", "\u2028/admin", "/ADMIN/../../evil",
]  # fmt: skip


@pytest.mark.parametrize("target", EVIL)
def test_no_next_leads_away(app, target):
    """D06: only paths of our own pages behind the sign-in are followed."""
    response = sign_in(app.test_client(), make_user().email, next=target)
    assert response.location == "/admin"
    assert safe_next(target) is None


@pytest.mark.parametrize(
    "target", ["/admin", "/admin/bookings", "/admin/bookings?show=past&page=2", "/admin/integrations/caldav/7"]
)
def test_a_next_of_our_own_is_followed(target):
    assert safe_next(target) == target


@pytest.mark.parametrize("page", ["/admin/bookings/7", "/admin/appointments/12"])
def test_who_follows_an_event_s_link_comes_to_that_very_page_after_signing_in(app, page):
    browser = app.test_client()
    asked = browser.get(page)
    assert asked.status_code == 302
    wanted = parse_qs(urlsplit(asked.location).query)["next"][0]
    assert sign_in(browser, make_user().email, next=wanted).location == page


def test_one_ipv6_customer_is_one_address(app, monkeypatch):
    """D14: whoever owns a /64 has more addresses than any limit."""
    monkeypatch.setattr(limiter, "enabled", True)
    limiter.reset()
    statuses = [
        app.test_client().post(URL, data={}, environ_base={"REMOTE_ADDR": f"2001:db8:1:2::{n:x}"}).status_code
        for n in range(12)
    ]
    limiter.reset()
    assert statuses == [422] * 10 + [429] * 2


def test_guessing_in_an_open_session_is_slowed_and_limited(app, monkeypatch):
    """D17: whoever sits at a computer that was left open tries no more passwords than at the sign-in."""
    monkeypatch.setattr(limiter, "enabled", True)
    limiter.reset()
    user, url = make_user(), "/admin/account/password"
    client = signed_in(app, user)
    form = {"password": "another anvil entirely", "password_again": "another anvil entirely"}
    wrong = [client.post(url, data={**form, "current": f"guess {n}"}).status_code for n in range(6)]
    right = client.post(url, data={**form, "current": PASSWORD})
    assert wrong == [422] * 6
    assert (right.status_code, "wait some minutes" in right.get_data(as_text=True)) == (422, True)
    told = [client.post(url, data={**form, "current": f"guess {n}"}).status_code for n in range(5)]
    limiter.reset()
    assert 429 in told
    with time_machine.travel(now_utc() + timedelta(minutes=10)):
        assert client.post(url, data={**form, "current": PASSWORD}).status_code == 303
