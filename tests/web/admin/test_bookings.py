"""The bookings list, one booking, and what staff do with it."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from sqlalchemy import update

from portal.booking.models import Booking, Claim, EventLink
from portal.business.models import Service
from portal.calendars.models import BusyInterval
from portal.clock import now_utc
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.sync import ledger
from tests.factories import ask, make_calendar


def request_for(studio, **more):
    """A booking that waits for staff."""
    db.session.get(Service, studio.service.id).needs_approval = True
    db.session.commit()
    return studio.book(**more)


def status(booking_id):
    db.session.rollback()
    return db.session.get(Booking, booking_id).status


def test_upcoming_past_and_cancelled_are_apart(studio, admin, page):
    soon, gone = studio.book("Clara"), studio.book("Dora")
    admin.post(f"/admin/bookings/{gone.id}/cancellation")
    assert ("Clara" in page(admin, "/admin/bookings"), "Dora" in page(admin, "/admin/bookings")) == (True, False)
    assert "Dora" in page(admin, "/admin/bookings?show=cancelled")
    assert "Clara" not in page(admin, "/admin/bookings?show=past")
    with time_machine.travel(now_utc() + timedelta(hours=11)):
        assert "Clara" in page(admin, "/admin/bookings?show=past")
        assert "Clara" not in page(admin, "/admin/bookings")
    assert status(soon.id) == "confirmed"


def test_a_time_that_is_only_held_is_no_booking(studio, admin, page):
    from portal.booking import operations
    from portal.booking.time import queries

    slot = queries.soonest_slots(db.session(), studio.service, now=now_utc(), limit=1)[0]
    hold = operations.place_hold(service_slug="consultation", start_at=slot.interval.start, now=now_utc())
    assert "No bookings yet" in page(admin, "/admin/bookings")
    assert admin.get(f"/admin/bookings/{hold.booking_id}").status_code == 404


@pytest.mark.parametrize(
    ("search", "found"), [("clar", True), ("CLARA@EX", True), ("%", False), ("_lara", False), ("zoe", False)]
)
def test_names_and_addresses_are_searched_for_as_they_are_written(studio, admin, page, search, found):
    studio.book("Clara")
    text = page(admin, f"/admin/bookings?search={search}".replace("%", "%25"))
    assert ("Clara" in text) == found
    assert ("Nobody found" in text) != found


def test_long_lists_come_in_pages_that_keep_the_search(studio, admin, page):
    for number in range(27):
        studio.book(f"Clara{number:02}")
    first, second = page(admin, "/admin/bookings?search=clara"), page(admin, "/admin/bookings?search=clara&page=2")
    assert (first.count("<tr>"), second.count("<tr>")) == (26, 3)
    assert "search=clara&amp;page=2" in first
    assert "Clara26" in second
    assert 'rel="next"' not in second
    assert "Nothing on this page" in page(admin, "/admin/bookings?page=99")


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=x", "page=99999999999999999999", "show=everything", "search=%00", "page=%D9%A1"],
)
def test_no_address_breaks_the_list(studio, admin, query):
    assert admin.get(f"/admin/bookings?{query}").status_code == 200


def test_the_list_says_whether_the_calendar_shows_the_booking_and_why_not(studio, admin, page):
    booking = studio.book()
    assert "No calendar" in page(admin, "/admin/bookings")
    calendar = make_calendar(studio.ana)
    assert "Not yet in the calendar" in page(admin, "/admin/bookings")  # the outbox has it, no event link yet
    link = EventLink(
        appointment_id=booking.appointment_id,
        calendar_id=calendar.id,
        uid="u",
        state="stuck",
        last_error="It may only be read.",
    )
    db.session.add(link)
    db.session.commit()
    text = page(admin, "/admin/bookings")
    assert "Not in the calendar" in text
    assert "It may only be read." in text
    link.state = "done"
    db.session.execute(update(OutboxEntry).values(state="done"))
    db.session.commit()
    text = page(admin, "/admin/bookings")
    assert "In the calendar" in text
    assert "It may only be read." not in text


def test_htmx_gets_the_list_alone(studio, admin, page):
    studio.book()
    part = page(admin, "/admin/bookings", partial=True)
    assert part.lstrip().startswith('<div id="bookings"')
    assert "<html" not in part
    assert 'hx-trigger="every 10s"' in part


def test_one_booking_is_told_in_full_with_its_story(studio, admin, page):
    booking = studio.book("Clara", phone="+34 600 123 456", note="Second floor")
    ledger.write(db.session(), "published", "Written into “Work”.", appointment_id=booking.appointment_id)
    db.session.commit()
    text = page(admin, f"/admin/bookings/{booking.id}")
    for part in (
        "Clara",
        "clara@example.org",
        "+34 600 123 456",
        "Second floor",
        "Written into “Work”.",
        "Madrid time",
    ):
        assert part in text


def test_cancelling_asks_first_then_frees_the_time_and_tells_the_customer(studio, admin, page):
    booking = studio.book()
    asked = page(admin, f"/admin/bookings/{booking.id}/cancellation")
    assert "Cancel this booking?" in asked
    assert status(booking.id) == "confirmed"
    assert "The booking is cancelled" in page(admin, f"/admin/bookings/{booking.id}/cancellation", post={})
    assert status(booking.id) == "cancelled"
    assert db.session.query(Claim).count() == 0
    news = [entry.payload for entry in db.session.query(OutboxEntry).filter_by(topic="notify.customer")]
    assert [(n["news"], n["by"]) for n in news] == [("booked", "customer"), ("cancelled", "staff")]
    assert "cancelled already" in page(admin, f"/admin/bookings/{booking.id}/cancellation")


@pytest.mark.parametrize(
    ("action", "becomes", "news"), [("approval", "confirmed", "approved"), ("refusal", "cancelled", "refused")]
)
def test_a_request_that_waits_is_confirmed_or_refused(studio, admin, page, action, becomes, news):
    make_calendar(studio.ana)  # never read: by its rule bookings wait
    booking = studio.book()
    assert status(booking.id) == "pending"
    assert "Waits for you" in page(admin, "/admin/bookings")
    page(admin, f"/admin/bookings/{booking.id}/{action}", post={})
    assert status(booking.id) == becomes
    assert news in [e.payload["news"] for e in db.session.query(OutboxEntry).filter_by(topic="notify.customer")]


def test_what_the_rules_refuse_is_told_and_changes_nothing(studio, admin, page):
    booking = studio.book()
    response = admin.post(f"/admin/bookings/{booking.id}/approval")
    assert response.status_code == 409
    assert "confirmed already" in response.text
    assert status(booking.id) == "confirmed"


def test_of_two_who_answer_a_request_the_second_is_told(studio, admin, staff, page):
    """Each has the page open; the buttons know which request was looked at."""
    booking = request_for(studio, who="ben")
    assert "asks for this time" in page(admin, f"/admin/bookings/{booking.id}")
    seen = {"sequence": str(booking.sequence)}
    assert "The booking is confirmed" in page(admin, f"/admin/bookings/{booking.id}/approval", post=seen)
    second = staff.post(f"/admin/bookings/{booking.id}/refusal", data=seen)
    assert second.status_code == 409
    assert "This booking is confirmed already." in second.text
    assert status(booking.id) == "confirmed"


def test_a_request_that_its_customer_moved_is_looked_at_again(studio, admin, page):
    booking = request_for(studio)
    seen = {"sequence": str(booking.sequence)}
    db.session.get(Booking, booking.id).sequence += 1
    db.session.commit()
    response = admin.post(f"/admin/bookings/{booking.id}/approval", data=seen)
    assert response.status_code == 409
    assert "look at it again" in response.text
    assert status(booking.id) == "pending"


def test_staff_read_the_answers_under_their_questions(studio, admin, page):
    booking = studio.book()
    ask(db.session.get(Service, booking.appointment.service_id), "shoes", label="Which size of shoes?")
    db.session.get(Booking, booking.id).answers = {"shoes": 42, "gone": True}
    db.session.commit()
    text = page(admin, f"/admin/bookings/{booking.id}")
    assert '<dt>Which size of shoes?</dt><dd class="note">42</dd>' in text
    assert '<dt>gone</dt><dd class="note">Yes</dd>' in text


def test_staff_look_after_their_own_bookings(studio, staff, page):
    own = studio.book("Clara", who="ben")
    assert "The booking is cancelled" in page(staff, f"/admin/bookings/{own.id}/cancellation", post={})


def event_over(studio, booking):
    calendar = make_calendar(studio.ana, name="Ana’s own", last_read_at=now_utc())
    date = db.session.get(Booking, booking.id).appointment
    busy = {"calendar_id": calendar.id, "resource_id": studio.ana.id, "remote_id": "x"}
    db.session.add(BusyInterval(**busy, start_at=date.start_at, end_at=date.end_at))
    db.session.commit()


def test_staff_see_an_event_over_a_request_before_they_answer(studio, admin, page):
    booking = request_for(studio)
    for address in ("/admin", "/admin/bookings", f"/admin/bookings/{booking.id}"):
        assert "Ana’s own" not in page(admin, address)
    event_over(studio, booking)
    for address in ("/admin", "/admin/bookings", f"/admin/bookings/{booking.id}"):
        assert "in “Ana’s own”" in page(admin, address), address
    assert "Look at it" in page(admin, "/admin/bookings")
    assert "/approval" not in page(admin, "/admin/bookings")


def test_a_request_under_an_event_is_confirmed_by_who_says_so_and_its_page_tells_it(studio, admin, page):
    booking = request_for(studio)
    event_over(studio, booking)
    address = f"/admin/bookings/{booking.id}"
    refused = admin.post(f"{address}/approval")
    assert refused.status_code == 409
    text = refused.get_data(as_text=True)
    assert "stands over its time" in text
    assert 'name="over"' in text
    assert status(booking.id) == "pending"
    assert "Confirm it over the event" in page(admin, address)
    assert "knowing of it" in page(admin, f"{address}/approval", post={"over": "1"})
    assert status(booking.id) == "confirmed"


def test_how_to_move_a_booking_is_found_where_bookings_are(studio, admin, page):
    booking = studio.book("Clara")
    move = f"/admin/appointments/{booking.appointment_id}/move"
    for address in ("/admin/bookings", f"/admin/bookings/{booking.id}", "/admin"):
        assert f'href="{move}"' in page(admin, address), address
    later = at_noon(days=3)
    admin.post(move, data={"day": later.date().isoformat(), "time": "12:00"})
    db.session.rollback()
    assert db.session.get(Booking, booking.id).appointment.start_at == later


def at_noon(*, days):
    """Noon in Madrid, some days ahead."""
    on = now_utc().astimezone(ZoneInfo("Europe/Madrid")) + timedelta(days=days)
    return on.replace(hour=12, minute=0, second=0, microsecond=0)


def test_an_appointment_of_several_customers_is_moved_with_everybody_in_it(studio, admin, page):
    db.session.get(Service, studio.service.id).capacity = 4
    db.session.commit()
    booking, other = studio.book("Clara"), studio.book("Dora")
    assert booking.appointment_id == other.appointment_id
    assert "Move it, with everybody in it" in page(admin, f"/admin/bookings/{other.id}")


def test_what_has_begun_is_not_moved(studio, admin, page):
    booking = studio.book("Clara")
    with time_machine.travel(now_utc() + timedelta(hours=11)):
        assert f'href="/admin/appointments/{booking.appointment_id}/move"' not in page(
            admin, f"/admin/bookings/{booking.id}"
        )
