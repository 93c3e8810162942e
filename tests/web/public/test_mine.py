"""Customers' own page: the mailed code, what it shows and to whom, and that nothing is learnt about others' addresses on the way."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select, update

from portal.booking import operations
from portal.booking.models import Booking
from portal.clock import now_utc
from portal.customers import codes
from portal.customers.models import MailedCode
from portal.database.engine import transaction
from portal.extensions import db
from portal.privacy import erase
from portal.public import manage
from portal.public.mine import view
from portal.waitlist import operations as waitlist
from tests.operations.customers.people import a_booking, a_service
from tests.support import mails
from tests.support.visitor import Visitor

ADDRESS = "maria@example.org"


def digits():
    """The code of the newest row, as its mail would tell it."""
    db.session.rollback()
    row = db.session.scalars(select(MailedCode).order_by(MailedCode.id.desc())).first()
    return codes.code_of(row)


def visit(app, email=ADDRESS, **headers):
    """A visitor who has come in with the code of the mail."""
    visitor = Visitor(app, **headers).get("/mine").press("Send me a code", email=email)
    return visitor.press("Show my bookings", code=digits())


def marked(response):
    """A page without what is random in it."""
    return re.sub(r'name="csrf_token" value="[^"]+"', "", response.get_data(as_text=True))


def test_the_code_comes_by_mail_and_opens_the_page(app):
    booking = a_booking(ADDRESS)
    messenger = mails.memory_mail(app)
    visitor = Visitor(app).get("/").follow("My bookings").press("Send me a code", email="MARIA@example.org")
    assert "If anything is booked with MARIA@example.org" in visitor.text()
    mails.deliver_all()
    message = mails.to(messenger.sent, "MARIA@example.org")[0]
    code = re.search(r"\b(\d{3}\s?\d{3})\b", mails.text(message))[1]
    assert not re.search(r"\d{3}\s?\d{3}", message["Subject"]) or code in message["Subject"]
    visitor.press("Show my bookings", code=code)
    assert visitor.url == "/mine/bookings"
    assert "Consultation" in visitor.text()
    assert booking.appointment.service.name in visitor.text()
    app.extensions.pop("messenger")


def test_a_booking_leads_to_its_own_page_and_no_link_to_it_stands_in_the_list(app):
    a_booking(ADDRESS)
    visitor = visit(app)
    assert "/b/" not in visitor.response.get_data(as_text=True)
    visitor.press("See or change it")
    assert visitor.url.startswith("/b/")
    assert "You are booked" in visitor.text()


def test_upcoming_past_cancelled_and_missed_are_told_apart(app):
    with time_machine.travel(now_utc() - timedelta(days=10)):
        missed, came = a_booking(ADDRESS), a_booking(ADDRESS, days=2)
    operations.mark_attendance(missed.id, "no_show", now=now_utc())
    operations.mark_attendance(came.id, "completed", now=now_utc())
    coming, cancelled = a_booking(ADDRESS), a_booking(ADDRESS, days=2)
    operations.cancel_booking(cancelled.id, by="staff", now=now_utc())
    visitor = visit(app)
    upcoming = visitor.text('//section[@aria-labelledby="mine-upcoming"]')
    past = visitor.text('//section[@aria-labelledby="mine-past"]')
    assert upcoming.count("Consultation") == 2  # the name, and the button's
    assert [word for word in ("Over", "Missed", "Cancelled") if word not in past] == []
    assert "Confirmed" in upcoming
    assert coming.public_id in visitor.response.get_data(as_text=True)


def test_a_place_on_the_waitlist_leads_to_its_own_page(app):
    a_service("yoga", capacity=1, has_waitlist=True, name="Yoga")
    full = a_booking("eva@example.org", "Eva", slug="yoga", days=3)
    waitlist.join(
        service_slug="yoga", wish="appointment", appointment_start_at=full.appointment.start_at, party_size=1, now=now_utc(),
        customer=operations.Customer("María", ADDRESS), idempotency_key="waits",
    )  # fmt: skip
    visitor = visit(app)
    assert "Yoga" in visitor.text('//section[@aria-labelledby="mine-waiting"]')
    visitor.press("See or leave it")
    assert visitor.url.startswith("/w/")
    assert visitor.status == 200


def test_what_belongs_to_another_address_is_neither_shown_nor_opened(app):
    a_booking(ADDRESS)
    other = a_booking("eva@example.org", "Eva Stranger", days=2)
    visitor = visit(app)
    page = visitor.response.get_data(as_text=True)
    assert other.public_id not in page
    assert "Stranger" not in page
    assert visitor.client.post(f"/mine/bookings/{other.public_id}").status_code == 404
    assert visitor.client.post(f"/mine/entries/{other.public_id}").status_code == 404
    assert visitor.client.post("/mine/bookings/nothing").status_code == 404


def test_without_a_code_nothing_is_shown(app):
    booking = a_booking(ADDRESS)
    client = app.test_client()
    for method, address in (
        ("GET", "/mine/bookings"), ("GET", "/mine/code"), ("POST", f"/mine/bookings/{booking.public_id}"),
        ("POST", f"/mine/entries/{booking.public_id}"), ("POST", "/mine/session"),
    ):  # fmt: skip
        response = client.open(address, method=method)
        assert (response.status_code, response.location) == (303, "/mine"), address


def test_known_and_unknown_addresses_get_the_same_answers(app):
    """A11: the same status, headers and bytes at every step, down to the refused code."""
    a_booking(ADDRESS)
    answers = []
    for email in (ADDRESS, "mario@example.org"):
        client = app.test_client()
        sent = client.post("/mine/code", data={"email": email})
        form = client.get("/mine/code")
        wrong = client.post("/mine/session", data={"code": "abcdef"})
        answers.append(
            [
                (sent.status_code, sent.location),
                *(
                    (r.status_code, marked(r).replace(email, "ADDRESS"), sorted(set(r.headers.keys())))
                    for r in (form, wrong)
                ),
            ]
        )
    assert answers[0] == answers[1]


def test_asking_takes_as_long_for_an_unknown_address(app):
    a_booking(ADDRESS)

    def seconds(email):
        began = time.perf_counter()
        codes.ask_for_code(email, client=email, language="en", now=now_utc())
        return time.perf_counter() - began

    known, unknown = [], []
    for number in range(4):
        known.append(seconds(ADDRESS))
        unknown.append(seconds(f"nobody-{number}@example.org"))
    assert min(unknown) < min(known) * 3 + 0.01
    assert min(known) < min(unknown) * 3 + 0.01


def test_the_fifth_wrong_code_ends_it_on_the_page_too(app):
    a_booking(ADDRESS)
    visitor = Visitor(app).get("/mine").press("Send me a code", email=ADDRESS)
    code = digits()
    for _ in range(4):
        visitor.press("Show my bookings", code="no")
        assert (visitor.status, "look again" in visitor.text()) == (422, True)
    visitor.press("Show my bookings", code="no")
    assert "have a new one sent" in visitor.text()
    visitor.press("Show my bookings", code=code)
    assert visitor.status == 422


def test_too_many_codes_are_refused_in_the_same_words_for_everybody(app):
    a_booking(ADDRESS)
    pages = []
    for email in (ADDRESS, "mario@example.org"):
        visitor = Visitor(app)
        for _ in range(6):
            visitor.get("/mine").press("Send me a code", email=email)
        pages.append((visitor.status, marked(visitor.response).replace(email, "ADDRESS")))
    assert pages[0] == pages[1]
    assert pages[0][0] == 429


def test_a_visit_that_was_planted_is_worth_nothing_once_somebody_came_in(app):
    """Session fixation: the token and the form's own token are new, whatever the cookie held before."""
    a_booking(ADDRESS)
    client = app.test_client()
    with client.session_transaction() as session:
        session["customer_visit"], session["csrf_token"] = "planted", "planted"
    client.post("/mine/code", data={"email": ADDRESS})
    assert client.post("/mine/session", data={"code": digits()}).location == "/mine/bookings"
    with client.session_transaction() as session:
        assert session["customer_visit"] != "planted"
        assert session.get("csrf_token") != "planted"
        assert "customer_code" not in session
    other = app.test_client()
    with other.session_transaction() as session:
        session["customer_visit"] = "planted"
    assert other.get("/mine/bookings").location == "/mine"


def test_signing_out_ends_the_visit_on_the_server(app):
    a_booking(ADDRESS)
    visitor = visit(app)
    with visitor.client.session_transaction() as session:
        token = session["customer_visit"]
    visitor.press("Sign out")
    assert "You are signed out" in visitor.text("//body")
    with visitor.client.session_transaction() as session:
        session["customer_visit"] = token
    assert visitor.get("/mine/bookings").url == "/mine"


def test_a_visit_ends_after_half_an_hour_without_a_click(app):
    a_booking(ADDRESS)
    visitor = visit(app)
    with time_machine.travel(now_utc() + timedelta(minutes=31)):
        assert visitor.get("/mine/bookings").url == "/mine"
        assert "That was a while ago" in visitor.text("//body")


def test_a_visit_shows_nothing_after_the_data_was_erased(app):
    a_booking(ADDRESS)
    visitor = visit(app)
    erase.carry_on(erase.begin(ADDRESS, is_told=False, user_id=None, now=now_utc()), now=now_utc())
    assert visitor.get("/mine/bookings").url == "/mine"


def test_no_cache_no_search_engine_and_no_other_site_learns_of_it(app):
    a_booking(ADDRESS)
    visitor = visit(app)
    for address in ("/mine/bookings", "/mine"):
        headers = visitor.client.get(address).headers
        assert (headers["Cache-Control"], headers["X-Robots-Tag"], headers["Referrer-Policy"]) == (
            "no-store",
            "noindex",
            "no-referrer",
        )


def test_forms_need_their_token_and_another_site_cannot_send_them(app, monkeypatch):
    booking = a_booking(ADDRESS)
    visitor = visit(app)
    addresses = (
        "/mine/code",
        "/mine/session",
        "/mine/sign-out",
        f"/mine/bookings/{booking.public_id}",
        f"/mine/entries/{booking.public_id}",
    )
    for address in addresses:
        assert visitor.client.post(address, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    for address in addresses:
        assert visitor.client.post(address).status_code == 400
    assert visitor.get("/mine/bookings").status == 200


def test_looking_changes_nothing(app):
    a_booking(ADDRESS)
    visitor = visit(app)
    db.session.rollback()
    before = db.session.scalars(select(MailedCode.tries).order_by(MailedCode.id)).all()
    db.session.rollback()
    for address in ("/mine", "/mine/code", "/mine/bookings", "/mine/sign-out", "/mine/session"):
        visitor.client.get(address, query_string={"email": ADDRESS, "code": "000000"})
    db.session.rollback()
    assert db.session.scalars(select(MailedCode.tries).order_by(MailedCode.id)).all() == before
    assert visitor.get("/mine/bookings").url == "/mine/bookings"


def test_times_are_told_in_the_zone_of_the_booking_or_in_the_one_asked_for(app):
    booking = a_booking(ADDRESS, zone="America/New_York")
    visitor = visit(app)
    assert "New York" in visitor.text("//main")
    there = booking.appointment.start_at.astimezone(__import__("zoneinfo").ZoneInfo("Asia/Tokyo"))
    visitor.get("/mine/bookings?zone=Asia/Tokyo")
    assert f"{there:%H:%M}" in visitor.text("//main")
    assert visitor.get("/mine/bookings?zone=Nowhere/Else").status == 200


def test_an_address_that_is_none_keeps_what_was_typed(app):
    visitor = Visitor(app).get("/mine").press("Send me a code", email="maria@")
    assert visitor.status == 422
    assert visitor.value("email") == "maria@"
    assert "name@example.org" in visitor.text()


def test_who_has_nothing_booked_any_more_is_told_so(app):
    a_booking(ADDRESS)
    visitor = visit(app)
    transaction(lambda session: session.execute(update(Booking).values(customer_email="other@example.org")))
    assert "Nothing is booked with this address" in visitor.get("/mine/bookings").text()


def test_links_last_here_as_long_as_on_the_booking_s_own_page():
    assert view.LINK_LASTS == manage.LINK_LASTS


@pytest.mark.parametrize("language", ["es", "hu"])
def test_the_page_speaks_the_visitor_s_language(sqlite_app, language):
    page = Visitor(sqlite_app, **{"Accept-Language": language}).get("/mine")
    assert f'lang="{language}"' in page.response.get_data(as_text=True)
