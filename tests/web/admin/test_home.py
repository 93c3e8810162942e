"""The first page after signing in: what is next, and what needs somebody."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import time_machine

from portal.booking import operations
from portal.booking.fixed import dates
from portal.booking.models import EventLink
from portal.clock import now_utc
from portal.extensions import db
from portal.sync.models import Lease, Question
from portal.upkeep.vitals import HEARTBEAT
from tests.factories import make_calendar, make_service
from tests.support.people import make_user, signed_in


@pytest.fixture(autouse=True)
def worker_alive(sqlite_app):
    db.session.add(Lease(name=HEARTBEAT, last_done_at=now_utc()))
    db.session.commit()


def test_what_comes_next_is_shown(studio, admin, page):
    studio.book("Clara")
    assert "Clara" in page(admin, "/admin")
    assert "Clara" in page(admin, "/admin", partial=True)


def test_when_all_is_well_nothing_alarms(studio, admin, page):
    make_calendar(studio.ana, last_read_at=now_utc())
    assert "What needs you" not in page(admin, "/admin")


def test_a_portal_without_calendars_says_how_to_connect_one(studio, admin, page):
    assert "No calendar is connected yet" in page(admin, "/admin")


def test_a_silent_worker_is_told(studio, admin, page):
    db.session.query(Lease).update({"last_done_at": now_utc() - timedelta(minutes=10)})
    db.session.commit()
    text = page(admin, "/admin")
    assert "Calendars and mails are standing still" in text
    assert "10 minutes ago" in text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("degraded", "not answering"),
        ("needs reauth", "needs a new password"),
        ("misconfigured", "needs attention"),
        ("paused", "paused"),
    ],
)
def test_an_account_that_is_not_well_is_named(studio, admin, staff, page, state, words):
    make_calendar(studio.ana).connection.state = state
    db.session.commit()
    assert f"Ana: {words}" in page(admin, "/admin")
    assert "Ana:" not in page(staff, "/admin")


def test_writes_that_are_stuck_and_doubtful_reads_are_named(studio, admin, page):
    booking, calendar = (
        studio.book(),
        make_calendar(studio.ana, name="Work", quarantine={"would_remove": 40, "decision": None}),
    )
    db.session.add(EventLink(appointment_id=booking.appointment_id, calendar_id=calendar.id, uid="u", state="stuck"))
    db.session.commit()
    text = page(admin, "/admin")
    assert "Ana, Work: not written" in text
    assert "Ana, Work: is this right?" in text


def test_open_questions_are_counted_beside_the_link(studio, admin, staff, page):
    booking, calendar = studio.book(), make_calendar(studio.ana, last_read_at=now_utc())
    db.session.add(
        Question(kind="deleted", appointment_id=booking.appointment_id, calendar_id=calendar.id, sentence="Gone.")
    )
    db.session.commit()
    assert "One thing waits for your answer" in page(admin, "/admin")
    assert 'class="count">1' in page(admin, "/admin/bookings")
    assert 'class="count"' not in page(staff, "/admin/bookings")


def test_a_request_for_approval_is_named_until_it_is_answered(studio, admin, staff, page):
    booking = studio.book()
    booking.status, booking.pending_reason = "pending", "approval"
    db.session.commit()
    assert "One request waits for your yes or no" in page(admin, "/admin")
    assert "waits for your yes or no" not in page(staff, "/admin")
    page(admin, f"/admin/bookings/{booking.id}/approval", post={})
    assert "waits for your yes or no" not in page(admin, "/admin")


def test_a_class_of_today_is_one_block_with_all_who_come(studio):
    make_service([studio.ana], slug="yoga", name="Yoga", timing="fixed", duration=60, capacity=12, horizon=60)
    start = (now_utc() + timedelta(days=10)).replace(hour=10, minute=0, second=0, microsecond=0)
    yoga = dates.plan_date("yoga", start, now=now_utc())

    def home(at: datetime) -> str:
        with time_machine.travel(at):
            return signed_in(studio.app, make_user("admin")).get("/admin").get_data(as_text=True)

    text = home(start - timedelta(hours=2))
    assert text.count(f'href="/admin/appointments/{yoga}"') == 1  # nobody has booked, and it takes place
    assert "0 of 12" in text
    for name, people in (("Clara", 3), ("Dora", 1)):
        customer = operations.Customer(name, f"{name.lower()}@example.org")
        operations.book(
            service_slug="yoga", start_at=start, customer=customer, party_size=people, idempotency_key=f"key-{name}", now=now_utc()
        )  # fmt: skip
    text = home(start - timedelta(hours=2))
    assert text.count(f'href="/admin/appointments/{yoga}"') == 1
    assert "4 of 12" in text
    assert ">Clara " in text
    assert ">Dora<" in text
    text = home(start + timedelta(minutes=1))
    assert text.count(f'href="/admin/appointments/{yoga}"') == 1  # it has begun, so it is not still to come
    assert text.count(">Did not come<") == 2


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("/admin", "/admin"),
        ("/admin/bookings/{booking}/cancellation", "/admin/bookings"),
        ("/admin/services/new", "/admin/services"),
        ("/admin/tokens", "/admin/people"),
        ("/admin/texts", "/admin/texts"),
        ("/admin/texts/booked?language=en", "/admin/texts"),
        ("/admin/mailbox", "/admin/mailbox"),
        ("/admin/mails", "/admin/mailbox"),
        ("/admin/account", "/admin/account"),
    ],
)
def test_each_page_belongs_to_the_link_in_whose_folder_it_stands(studio, admin, address, link):
    answer = admin.get(address.format(booking=studio.book("Clara").id))
    current = [
        part.partition('"')[0]
        for part in answer.get_data(as_text=True).split('<a href="')[1:]
        if 'aria-current="page"' in part.partition(">")[0]
    ]
    assert (answer.status_code, current) == (200, [link])
