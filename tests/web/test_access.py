"""Who may call what. The tests walk the routes as they are, so that a new one is either on a list or shut; none passes by being forgotten."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import url_for
from sqlalchemy import func, select

from portal.accounts.models import User
from portal.booking import operations
from portal.booking.models import Booking, EventLink
from portal.booking.time import queries
from portal.calendars.models import Connection
from portal.clock import now_utc
from portal.customers import codes
from portal.customers.models import MailedCode
from portal.extensions import db
from portal.notifications.models import Mail
from portal.sync.models import Conflict, Question
from portal.web import access
from providers.calendars.memory import MemoryCalendars
from tests.factories import ask, make_calendar, make_resource, make_service
from tests.support.people import make_user, signed_in

ALWAYS = {day: [(0, 1440)] for day in range(7)}
SAMPLE = {"int": 987_654, "string": "nothing"}


@pytest.fixture
def app(sqlite_app):
    return sqlite_app


def rules(app):
    """(rule, method, address) of everything that can be called, with made-up ids."""
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            values = {
                name: SAMPLE["int" if "Integer" in type(c).__name__ else "string"]
                for name, c in rule._converters.items()
            }
            address = url_for(rule.endpoint, **values)
            for method in sorted(rule.methods - {"OPTIONS"}):
                yield rule, method, address


def rows(app):
    """How many rows each table holds, and every status and state: what a request may not change by accident."""
    db.session.rollback()
    counts = {t.name: db.session.scalar(select(func.count()).select_from(t)) for t in db.metadata.sorted_tables}
    states = [
        db.session.scalars(select(column)).all()
        for column in (Booking.status, Connection.state, Question.answer, User.role)
    ]
    return counts, states


@pytest.fixture
def world(app):
    """Two members of staff, each with a booking, a calendar, a question and a conflict."""
    ana, ben = make_resource(name="Ana", weekly=ALWAYS), make_resource(name="Ben", weekly=ALWAYS)
    service = make_service([ana, ben], slug="consultation")
    things = {}
    for name, resource in (("ana", ana), ("ben", ben)):
        calendar = make_calendar(resource, last_read_at=now_utc())
        slot = queries.soonest_slots(db.session(), service, now=now_utc(), limit=1, resource_id=resource.id)[0]
        made = operations.book(
            service_slug="consultation",
            start_at=slot.interval.start,
            customer=operations.Customer(f"MARKER-{name}", f"marker-{name}@example.org", phone="600 123 456"),
            idempotency_key=f"key-of-{name}",
            now=now_utc(),
            resource_slug=resource.slug,
        )
        appointment = db.session.get(Booking, made.booking_id).appointment
        question = Question(
            kind="deleted", appointment_id=appointment.id, calendar_id=calendar.id, sentence=f"MARKER-{name}"
        )
        span = {"start_at": appointment.start_at, "end_at": appointment.end_at}
        conflict = Conflict(appointment_id=appointment.id, calendar_id=calendar.id, remote_id="x", **span)
        link = EventLink(appointment_id=appointment.id, calendar_id=calendar.id, uid=name, state="waiting")
        mail = Mail(
            message_id=name, kind="booked", booking_id=made.booking_id, recipient="x", subject="x", state="failed"
        )
        db.session.add_all([question, conflict, link, mail])
        db.session.commit()
        things[name] = {
            "booking_id": made.booking_id,
            "mail_id": mail.id,
            "appointment_id": appointment.id,
            "connection_id": calendar.connection_id,
            "calendar_id": calendar.id,
            "question_id": question.id,
            "user": make_user("staff", resource_id=resource.id),
            "url": calendar.connection.account["url"],
        }
    return things


def test_every_route_is_on_the_public_list_or_shut(app):
    """A04, A12, A22, A28: nobody gets further than the sign-in, or a 401, unless it was decided so."""
    make_service()
    wrong = []
    for rule, method, address in rules(app):
        if rule.endpoint in access.PUBLIC:
            continue
        response = app.test_client().open(address, method=method)
        is_sign_in = response.status_code == 302 and response.location.startswith("/admin/sign-in")
        if not (is_sign_in or response.status_code in (401, 404)):
            wrong.append((rule.rule, method, response.status_code))
    assert not wrong


def test_the_lists_name_routes_that_exist(app):
    assert set(app.view_functions) >= access.PUBLIC
    assert set(app.view_functions) >= access.STAFF
    assert not access.PUBLIC & access.STAFF


def test_staff_reach_only_what_is_on_their_list(app):
    """A13: whatever is on neither list is for admins."""
    make_service()
    client = signed_in(app, make_user("staff", resource_id=make_resource().id))
    wrong = []
    for rule, method, address in rules(app):
        if rule.endpoint in access.PUBLIC | access.STAFF or rule.endpoint.startswith("api."):
            continue
        response = client.open(address, method=method)
        if response.status_code not in (403, 404):
            wrong.append((rule.rule, method, response.status_code))
    assert not wrong


def own_pages(ids):
    """(method, address, form) of everything that names a thing by its number."""
    yield "GET", f"/admin/bookings/{ids['booking_id']}", {}
    yield "GET", f"/admin/bookings/{ids['booking_id']}/cancellation", {}
    for action in ("cancellation", "approval", "refusal"):
        yield "POST", f"/admin/bookings/{ids['booking_id']}/{action}", {}
    yield "POST", f"/admin/bookings/{ids['booking_id']}/attendance", {"status": "completed"}
    yield "POST", f"/admin/bookings/{ids['booking_id']}/mails/{ids['mail_id']}/again", {}
    appointment = f"/admin/appointments/{ids['appointment_id']}"
    yield "GET", appointment, {}
    for action, form in (
        ("capacity", {"capacity": "3"}),
        ("move", {"day": "2999-01-01", "time": "10:00"}),
        ("call-off", {}),
    ):
        yield "GET", f"{appointment}/{action}", form
        yield "POST", f"{appointment}/{action}", form
    for answer in ("cancel", "put back"):
        yield "POST", f"/admin/questions/{ids['question_id']}/answer", {"answer": answer}
    connection = f"/admin/integrations/{ids['connection_id']}"
    for action in ("refresh", "disconnection"):
        yield "GET", f"{connection}/{action}", {}
        yield "POST", f"{connection}/{action}", {"password": "secret"}
    for action in ("pause", "resumption", "reading", "writing", "disconnection/attempt", "disconnection/end"):
        yield "POST", f"{connection}/{action}", {}
    calendar = f"/admin/integrations/calendars/{ids['calendar_id']}"
    yield "GET", calendar, {}
    yield "POST", calendar, {"when_moved": "ask", "when_deleted": "ask", "when_unreadable": "stop", "freshness": "600"}
    yield "POST", f"{calendar}/quarantine", {"decision": "accept"}
    yield "POST", f"{calendar}/meanwhile/dismissal", {}
    for wish in ("open", "closed"):
        yield "POST", f"{calendar}/entries", {"entry": "/endless.ics", "wish": wish}


def test_every_staff_route_that_takes_a_number_is_in_the_foreign_ids_test(app):
    """Keeps `own_pages` complete: a new route with an id must be added there."""
    named = {"appointment_id", "booking_id", "mail_id", "question_id", "connection_id", "calendar_id"}
    routed = {r.rule for r in app.url_map.iter_rules() if r.endpoint in access.STAFF and named & set(r.arguments)}
    ids = {name: f"<int:{name}>" for name in named}
    assert routed == {address for _, address, _ in own_pages(ids)}


def test_what_belongs_to_others_is_not_found_and_no_server_is_asked(app, world):
    """A08, A13, A17, A32: ids of a colleague's things answer as ids of nothing do, and change nothing."""
    client, before = signed_in(app, world["ben"]["user"]), rows(app)
    store = MemoryCalendars.open(world["ana"]["url"])
    calls = len(store.calls)
    names = ("appointment_id", "booking_id", "mail_id", "question_id", "connection_id", "calendar_id")
    nothing = dict.fromkeys(names, 987654)
    for (method, address, form), (_, unknown, _) in zip(own_pages(world["ana"]), own_pages(nothing), strict=True):
        foreign, missing = (
            client.open(address, method=method, data=form),
            client.open(unknown, method=method, data=form),
        )
        assert (foreign.status_code, missing.status_code) == (404, 404), address
        assert without_token(foreign) == without_token(missing), address
    assert rows(app) == before
    assert len(store.calls) == calls


def without_token(response):
    return re.sub(r'name="csrf_token" value="[^"]+"', "", response.get_data(as_text=True))


def test_no_list_shows_staff_what_belongs_to_others(app, world):
    """A12, A33: a marker of the colleague's customer is in no page, search included."""
    client = signed_in(app, world["ben"]["user"])
    for address in (
        "/admin", "/admin/bookings", "/admin/bookings?search=marker", "/admin/bookings?show=past", "/admin/bookings?show=cancelled",
        "/admin/questions", "/admin/integrations", "/admin/integrations/caldav", "/admin/account",
    ):  # fmt: skip
        page = client.get(address).get_data(as_text=True)
        assert "MARKER-ana" not in page, address
        assert "marker-ana" not in page, address
    assert "MARKER-ben" in client.get("/admin/bookings").get_data(as_text=True)


def test_staff_without_a_resource_see_nothing(app, world):
    client = signed_in(app, make_user("staff"))
    for address in ("/admin", "/admin/bookings", "/admin/questions", "/admin/integrations"):
        response = client.get(address)
        assert response.status_code == 200
        assert "MARKER" not in response.get_data(as_text=True)
    assert client.get(f"/admin/bookings/{world['ana']['booking_id']}").status_code == 404


def test_admins_see_everybody(app, world):
    page = signed_in(app, make_user("admin")).get("/admin/bookings").get_data(as_text=True)
    assert "MARKER-ana" in page
    assert "MARKER-ben" in page


def test_nobody_without_a_right_changes_anything(app, world):
    """A23, A25: neither an anonymous visitor nor one with a good CSRF token from a public page."""
    before = rows(app)
    for client in (app.test_client(), with_public_token(app)):
        for method, address, form in own_pages(world["ana"]):
            assert client.open(address, method=method, data=form).status_code == 302
    assert rows(app) == before


def with_public_token(app):
    client = app.test_client()
    client.get("/consultation")
    return client


def changing(app):
    """Every route behind the sign-in that takes a POST."""
    for rule, method, address in rules(app):
        if method == "POST" and rule.endpoint not in access.PUBLIC and not rule.endpoint.startswith("api."):
            yield rule, address


def test_changes_need_the_csrf_token_of_this_very_session(app, world, monkeypatch):
    """A15, A29: without a token, with another session's token, and by every other method, nothing happens."""
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    admin, stranger = signed_in(app, make_user("owner")), signed_in(app, make_user("owner"))
    foreign = re.search(r'name="csrf_token" value="([^"]+)"', stranger.get("/admin/people").get_data(as_text=True))[1]
    before = rows(app)
    for _, address, _ in own_pages(world["ana"]):
        assert admin.post(address).status_code in (400, 405), address
        assert admin.post(address, data={"csrf_token": foreign}).status_code in (400, 405), address
    for rule, address in changing(app):
        assert admin.post(address).status_code == 400, rule.rule
        assert admin.post(address, data={"csrf_token": foreign}).status_code == 400, rule.rule
        for method in ("PUT", "PATCH", "DELETE"):
            assert admin.open(address, method=method).status_code in (400, 405), (rule.rule, method)
    assert rows(app) == before


def test_looking_changes_nothing_even_with_parameters_of_a_post(app, world):
    """A15: handlers read the body of a POST only, so a link cannot act."""
    admin, before = signed_in(app, make_user("owner")), rows(app)
    for _, address, form in own_pages(world["ana"]):
        for method in ("GET", "HEAD"):
            admin.open(address, method=method, query_string=form)
    assert rows(app) == before


def test_the_token_in_the_page_lets_its_own_form_through(app, world, monkeypatch):
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    admin, address = signed_in(app, make_user("owner")), f"/admin/bookings/{world['ana']['booking_id']}/cancellation"
    token = re.search(
        r'action="[^"]+cancellation"[^>]*><input[^>]+value="([^"]+)"', admin.get(address).get_data(as_text=True)
    )[1]
    assert admin.post(address, data={"csrf_token": token}).status_code == 303
    db.session.rollback()
    assert db.session.get(Booking, world["ana"]["booking_id"]).status == "cancelled"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_sent_by_another_site_is_refused_before_anything_is_read(app, world, site):
    """D04: the second wall, should the first have a hole."""
    admin, before = signed_in(app, make_user("owner")), rows(app)
    for rule, address in changing(app):
        assert admin.post(address, headers={"Sec-Fetch-Site": site}).status_code == 403, rule.rule
    assert app.test_client().post("/consultation/holds", headers={"Sec-Fetch-Site": site}).status_code == 403
    assert rows(app) == before


NASTY = "<img src=x onerror=alert(1)><svg onload=alert(2)>"


def test_text_typed_by_anybody_is_shown_as_text(app):
    """A16: in every field that people fill in, on public pages and on the staff's."""
    ana = make_resource(name=NASTY, weekly=ALWAYS)
    service = make_service([ana], slug="nasty", name=NASTY, description=NASTY, location=NASTY)
    ask(service, "nasty", label=NASTY)
    calendar = make_calendar(ana, name=NASTY, last_error=NASTY, last_read_at=now_utc())
    calendar.connection.account = {"url": f"https://{NASTY}", "username": NASTY}
    calendar.connection.state, calendar.connection.state_reason = "degraded", NASTY
    slot = queries.soonest_slots(db.session(), service, now=now_utc(), limit=1)[0]
    customer = operations.Customer(NASTY, "c@example.org", note=NASTY)
    made = operations.book(
        service_slug="nasty", start_at=slot.interval.start, customer=customer, idempotency_key="key-nasty", now=now_utc(),
        answers={"nasty": NASTY},
    )  # fmt: skip
    appointment = db.session.get(Booking, made.booking_id).appointment
    db.session.add(Question(kind="deleted", appointment_id=appointment.id, calendar_id=calendar.id, sentence=NASTY))
    db.session.commit()
    admin, visitor = signed_in(app, make_user("owner", name=NASTY)), app.test_client()
    pages = [visitor.get(address) for address in ("/", "/nasty", f"/b/{made.manage_token}")]
    pages += [
        admin.get(address)
        for address in (
            "/admin", "/admin/bookings", f"/admin/bookings?search={NASTY}", f"/admin/bookings/{made.booking_id}", "/admin/people",
            f"/admin/bookings/{made.booking_id}/cancellation", "/admin/questions", "/admin/integrations", "/admin/account",
            f"/admin/integrations/{calendar.connection_id}/refresh", f"/admin/integrations/{calendar.connection_id}/disconnection",
            f"/admin/integrations/calendars/{calendar.id}", "/admin/integrations/caldav", "/admin/customers", f"/admin/customers?search={NASTY}",
            f"/admin/customers/{made.public_id}", f"/admin/customers/{made.public_id}/erasure",
        )
    ]  # fmt: skip
    pages.append(own_page_of(visitor, "c@example.org"))
    for response in pages:
        assert response.status_code == 200
        assert "<img src=x" not in response.get_data(as_text=True), response.request.path
        assert "<svg onload" not in response.get_data(as_text=True), response.request.path
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]


def own_page_of(visitor, email):
    """The customer's own page, opened with the mailed code."""
    name = codes.ask_for_code(email, client="192.0.2.1", language="en", now=now_utc())
    token = codes.use_code(name, codes.code_of(db.session.query(MailedCode).one()), now=now_utc())
    with visitor.session_transaction() as session:
        session["customer_visit"] = token
    return visitor.get("/mine/bookings")


def test_handlers_never_mix_query_and_body():
    """A15: `request.values` would let a link do what only a form may."""
    for path in Path("portal").rglob("*.py"):
        assert "request.values" not in path.read_text(encoding="utf-8"), path


def test_no_user_is_ever_merged_into_another():
    """A03: an upsert on the user table would overwrite somebody."""
    for path in Path("portal").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "session.merge(" not in text, path
        assert "on_conflict_do_update" not in text or "User" not in text, path
