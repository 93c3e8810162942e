"""The waitlist's public pages: full times are shown with the way to their waitlist; joining, the offer, its answers; and nobody else's data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from portal.booking import operations
from portal.booking.fixed.dates import plan_date
from portal.booking.models import Appointment, Booking, Offer, Seat, WaitlistEntry
from portal.booking.rules import Customer
from portal.booking.steps import manage_token
from portal.booking.time import queries
from portal.business.models import Resource, Service, ServiceResource
from portal.calendars.models import BusyInterval
from portal.clock import now_utc
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.security import new_token
from portal.waitlist import operations as waitlist
from portal.waitlist.steps import entry_token
from portal.web.instants import instant_text
from tests import factories
from tests.operations.waitlist.house import cancel, make_class, run_out, take
from tests.support.visitor import Visitor

MADRID = ZoneInfo("Europe/Madrid")
EVERY_DAY = {day: [(9 * 60, 11 * 60)] for day in range(7)}
TYPED = {"name": "Clara Marín", "email": "clara@example.org", "phone": "+34 600 222 333", "note": "a private wish"}


def in_days(days: int, hour: int = 18) -> datetime:
    """An hour of a day to come, by Madrid's clock."""
    on = (now_utc().astimezone(MADRID) + timedelta(days=days)).date()
    return datetime(on.year, on.month, on.day, hour, tzinfo=MADRID).astimezone(ZoneInfo("UTC"))


@pytest.fixture
def yoga(app: Flask) -> Appointment:
    """A class of two seats in three days, both taken by others."""
    appointment = make_class(2, start_at=in_days(3), slug="yoga", name="Evening yoga")
    take(appointment, "Zebedee")
    take(appointment, "Yolanda")
    return appointment


@pytest.fixture
def full_day(app: Flask) -> datetime:
    """Two hours a day of Ana's, both taken in two days; returns the first."""
    person = factories.make_resource(slug="ana", name="Ana", weekly=EVERY_DAY)
    factories.make_service([person], slug="consultation", duration=60, step=60, has_waitlist=True)
    for hour in (9, 10):
        book("consultation", in_days(2, hour), "Zebedee")
    return in_days(2, 9)


def book(slug: str, start_at: datetime, name: str) -> int:
    customer = Customer(name, f"{name.lower()}@example.org")
    return operations.book(
        service_slug=slug, start_at=start_at, customer=customer, idempotency_key=new_token(), now=now_utc()
    ).booking_id


def join(app: Flask, appointment: Appointment, **typed: str) -> Visitor:
    """Somebody who has joined its waitlist and followed the link in their mail; the visitor stands on their own page."""
    visitor = Visitor(app).get(f"/yoga/waitlist?appointment={instant_text(appointment.start_at)}")
    visitor.press("Join the waitlist", **{**TYPED, **typed})
    return open_own_page(visitor) if visitor.status == 200 else visitor


def open_own_page(visitor: Visitor) -> Visitor:
    """By the link that the newest entry's mail carries."""
    db.session.rollback()
    return visitor.get(f"/w/{entry_token(db.session.query(WaitlistEntry).order_by(WaitlistEntry.id.desc()).first())}")


def offered(app: Flask, appointment: Appointment, **typed: str) -> Visitor:
    """Somebody who has been offered a seat that became free."""
    visitor = join(app, appointment, **typed)
    db.session.rollback()
    cancel(booking_of("Zebedee").id, now=now_utc())
    waitlist.look(service_of("yoga").id, cause="cancelled", now=now_utc())
    return visitor.get(visitor.url)


def booking_of(name: str) -> Booking:
    return db.session.query(Booking).filter(Booking.customer_name == name).first()


def service_of(slug: str) -> Service:
    return db.session.query(Service).filter_by(slug=slug).one()


def entry() -> WaitlistEntry:
    db.session.rollback()
    return db.session.query(WaitlistEntry).one()


def day_of(start_at: datetime) -> str:
    return start_at.astimezone(MADRID).date().isoformat()


# --- Where something is full ------------------------------------------------------------------------------------------


def test_a_full_class_stands_in_the_day_with_its_waitlist_and_how_many_wait(app: Flask, yoga: Appointment) -> None:
    join(app, yoga)
    visitor = Visitor(app).get(f"/yoga?day={day_of(yoga.start_at)}")
    assert visitor.times() == []
    assert "18:00 Full · 1 waiting Join the waitlist" in visitor.text('//*[@id="slots"]')
    visitor.follow("18:00")
    assert "1 is waiting already" in visitor.text()
    assert visitor.value("appointment") == instant_text(yoga.start_at)


def test_a_page_on_which_all_is_full_opens_at_the_first_class_that_can_be_waited_for(
    app: Flask, yoga: Appointment
) -> None:
    visitor = Visitor(app).get("/yoga")
    assert "18:00 Full" in visitor.text('//*[@id="slots"]')
    link = visitor.page.xpath('//a[contains(@class, "month__day--full")]')[0]
    assert "full, with a waitlist" in link.get("aria-label")


def test_a_full_class_before_the_first_free_one_is_named_with_the_way_to_its_waitlist(
    app: Flask, yoga: Appointment
) -> None:
    plan_date("yoga", in_days(10), capacity=2, now=now_utc())
    visitor = Visitor(app).get("/yoga")
    assert "Sooner, but full" in visitor.text()
    visitor.follow("Join the waitlist")
    assert "18:00 Full" in visitor.text('//*[@id="slots"]')
    assert "Sooner, but full" not in visitor.text()


def test_the_list_of_services_says_that_what_is_full_can_be_waited_for(app: Flask, yoga: Appointment) -> None:
    assert "Fully booked just now. You can join the waitlist." in Visitor(app).get("/").text()
    service_of("yoga").has_waitlist = False
    db.session.commit()
    assert "Fully booked just now" in Visitor(app).get("/").text()
    assert "waitlist" not in Visitor(app).get("/").text()


def test_seats_too_few_for_a_party_are_told_as_they_are(app: Flask, yoga: Appointment) -> None:
    cancel(booking_of("Zebedee").id, now=now_utc())
    visitor = Visitor(app).get(f"/yoga?day={day_of(yoga.start_at)}&people=2")
    assert "18:00 1 place left Join the waitlist" in visitor.text('//*[@id="slots"]')
    assert len(Visitor(app).get(f"/yoga?day={day_of(yoga.start_at)}").times()) == 1


def test_a_day_whose_times_are_all_taken_offers_its_waitlist(app: Flask, full_day: datetime) -> None:
    visitor = Visitor(app).get(f"/consultation?day={day_of(full_day)}")
    assert "Everything is taken on" in visitor.text('//*[@id="slots"]')
    visitor.follow("Join the waitlist")
    wishes = [box.get("value") for box in visitor.page.xpath('//input[@name="wish"]')]
    assert wishes == ["day", "week", "any"]
    assert visitor.page.xpath('//input[@name="wish"][@checked]')[0].get("value") == "day"


def test_a_day_on_which_nobody_works_has_no_waitlist(app: Flask) -> None:
    person = factories.make_resource(weekly={(in_days(2).weekday() + 1) % 7: [(540, 600)]})
    factories.make_service([person], slug="consultation", duration=60, step=60, has_waitlist=True)
    assert "Everything is taken" not in Visitor(app).get(f"/consultation?day={day_of(in_days(2))}").text()


@pytest.mark.parametrize("path", ["/yoga", "/yoga/waitlist?day=2030-01-01"])
def test_without_a_waitlist_nothing_speaks_of_one(app: Flask, yoga: Appointment, path: str) -> None:
    service_of("yoga").has_waitlist = False
    db.session.commit()
    visitor = Visitor(app).get(path)
    assert "Join the waitlist" not in visitor.text()
    assert visitor.status == (404 if "waitlist" in path else 200)


def test_an_open_page_is_told_when_somebody_joins(app: Flask, yoga: Appointment) -> None:
    address = f"/yoga/slots?day={day_of(yoga.start_at)}"
    visitor = Visitor(app, **{"HX-Request": "true"}).get(address)
    seen = visitor.page.xpath('//*[@id="slots"]/@data-version')[0]
    assert visitor.get(f"{address}&seen={seen}").status == 204
    join(app, yoga)
    assert visitor.get(f"{address}&seen={seen}").status == 200


def test_whoever_loses_the_last_seat_is_shown_the_waitlist(app: Flask, yoga: Appointment) -> None:
    cancel(booking_of("Zebedee").id, now=now_utc())
    visitor = Visitor(app).get(f"/yoga?day={day_of(yoga.start_at)}")
    take(yoga, "Quick")
    visitor.press(visitor.times()[0])
    assert visitor.status == 409
    visitor.follow("Or join the waitlist")
    assert visitor.value("appointment") == instant_text(yoga.start_at)


def test_moving_a_booking_speaks_of_no_waitlist(app: Flask, full_day: datetime) -> None:
    slot = queries.soonest_slots(db.session(), service_of("consultation"), now=now_utc(), limit=1)[0]
    hold = operations.place_hold(service_slug="consultation", start_at=slot.interval.start, now=now_utc())
    made = operations.confirm_hold(
        hold.token, Customer("Me", "me@example.org"), idempotency_key=new_token(), now=now_utc()
    )
    visitor = Visitor(app).get(f"/b/{made.manage_token}/move?day={day_of(full_day)}")
    assert visitor.status == 200
    assert "waitlist" not in visitor.text()


# --- Joining ----------------------------------------------------------------------------------------------------------


def test_joining_leads_to_ones_own_page_with_the_place_in_the_queue(app: Flask, yoga: Appointment) -> None:
    first = join(app, yoga)
    second = join(app, yoga, email="diego@example.org", name="Diego")
    assert first.url.startswith("/w/")
    assert "You are the next in line" in first.text()
    assert "You are number 2 in line" in second.text()
    assert "First come, first served" in first.text()


def test_a_wish_for_a_day_with_a_person_is_kept_as_it_was_said(app: Flask, full_day: datetime) -> None:
    other = factories.make_resource(slug="ben", name="Ben", weekly={})
    db.session.add(ServiceResource(service_id=service_of("consultation").id, resource_id=other.id, position=1))
    db.session.commit()
    visitor = Visitor(app).get(f"/consultation/waitlist?day={day_of(full_day)}&resource=ana")
    visitor.press("Join the waitlist", **TYPED, wish="day")
    assert visitor.status == 200
    open_own_page(visitor)
    assert entry().wish == "day"
    assert entry().wish_on.isoformat() == day_of(full_day)
    assert db.session.get(Resource, entry().resource_id).slug == "ana"
    assert "with Ana" in visitor.text()


def test_what_can_be_booked_now_is_shown_instead_and_what_was_typed_goes_along(app: Flask, full_day: datetime) -> None:
    visitor = Visitor(app).get(f"/consultation/waitlist?day={day_of(full_day)}")
    visitor.press("Join the waitlist", **TYPED, wish="any")
    assert visitor.status == 409
    assert "you can book it at once" in visitor.text()
    times = visitor.times("join")
    assert len(times) == 3
    visitor.press(times[0])
    assert "Your details" in visitor.text()
    assert visitor.value("email") == TYPED["email"]
    assert db.session.query(WaitlistEntry).count() == 0


def test_wrong_fields_are_said_beside_the_fields_and_nothing_is_lost(app: Flask, yoga: Appointment) -> None:
    visitor = join(app, yoga, email="nonsense")
    assert visitor.status == 422
    assert visitor.value("name") == TYPED["name"]
    assert "like name@example.org" in visitor.text('//*[@id="error-email"]')
    assert visitor.page.xpath('//input[@name="email"]/@aria-invalid') == ["true"]
    visitor.press("Join the waitlist", email="clara@example.org")
    assert visitor.url.startswith("/yoga/waitlist/joined")
    assert "We have written to clara@example.org." in visitor.text()


def test_a_service_asks_its_questions_here_too(app: Flask, yoga: Appointment) -> None:
    factories.ask(service_of("yoga"), "level", label="Your level?", is_required=True)
    visitor = join(app, yoga)
    assert visitor.status == 422
    visitor.press("Join the waitlist", **{"answer-level": "beginner"})
    assert entry().answers == {"level": "beginner"}


def test_sending_the_form_twice_joins_once(app: Flask, yoga: Appointment) -> None:
    form = Visitor(app).get(f"/yoga/waitlist?appointment={instant_text(yoga.start_at)}")
    values = {**TYPED, "appointment": form.value("appointment"), "key": form.value("key")}
    places = {form.client.post("/yoga/waitlist", data=values).headers["Location"] for _ in range(2)}
    assert len(places) == 1
    assert entry().status == "waiting"


def test_nobody_learns_from_the_answer_whether_an_address_waits_already(app: Flask, yoga: Appointment) -> None:
    def answer() -> tuple[str, str]:
        visitor = Visitor(app).get(f"/yoga/waitlist?appointment={instant_text(yoga.start_at)}")
        visitor.press("Join the waitlist", **TYPED)
        assert visitor.status == 200
        return visitor.url, visitor.text()

    new, known = answer(), answer()
    assert new == known
    assert entry_token(entry()) not in "".join(known), "the place is shown to whoever has the mail"
    assert "Clara" not in known[1]


def test_programs_fall_into_the_traps(app: Flask, yoga: Appointment) -> None:
    assert join(app, yoga, website="spam").status == 422
    assert join(app, yoga, key="forged").status == 422
    assert db.session.query(WaitlistEntry).count() == 0


@pytest.mark.parametrize(
    "query", ["", "?appointment=x", "?appointment=2030-01-01T10:00:00Z", "?day=nonsense", "?people=999&resource=nobody"]
)
def test_an_appointment_that_does_not_stand_cannot_be_waited_for(app: Flask, yoga: Appointment, query: str) -> None:
    assert Visitor(app).get(f"/yoga/waitlist{query}").status == 404


@pytest.mark.parametrize("query", ["", "?day=nonsense", "?day=0001-01-01&wish=week", "?people=99&resource=x&zone=%00"])
def test_no_address_breaks_the_form_for_days(app: Flask, full_day: datetime, query: str) -> None:
    assert Visitor(app).get(f"/consultation/waitlist{query}").status == 200


# --- One's own page ---------------------------------------------------------------------------------------------------


def test_an_offer_says_what_and_until_when_without_any_script(app: Flask, yoga: Appointment) -> None:
    visitor = offered(app, yoga)
    assert "It is your turn, Clara" in visitor.text("//h1")
    assert "Evening yoga" in visitor.text()
    ends_at = db.session.query(Offer).one().ends_at
    shown = visitor.page.xpath('//p[@class="until"]//time')[0]
    assert shown.get("datetime") == instant_text(ends_at)
    assert ends_at.astimezone(MADRID).strftime("%H:%M") in shown.text_content()


def test_accepting_leads_to_the_booking(app: Flask, yoga: Appointment) -> None:
    visitor = offered(app, yoga)
    own = visitor.url
    visitor.press("Accept and book")
    assert visitor.url.startswith("/b/")
    assert "You are booked" in visitor.text()
    visitor.get(own).follow("See your booking")
    assert visitor.url.startswith("/b/")


def test_accepting_twice_books_once(app: Flask, yoga: Appointment) -> None:
    visitor = offered(app, yoga)
    places = {visitor.client.post(f"{visitor.url}/acceptance").headers["Location"] for _ in range(3)}
    assert len(places) == 1
    assert db.session.query(Booking).filter_by(customer_name="Clara Marín").count() == 1


def test_a_late_tap_is_told_what_happened_and_what_can_be_done(app: Flask, yoga: Appointment) -> None:
    visitor = offered(app, yoga)
    run_out(db.session.query(Offer).one())
    visitor.press("Accept and book")
    assert visitor.status == 409
    assert "This offer has ended" in visitor.text()
    assert "You are no longer on the waitlist" in visitor.text()
    visitor.follow("Join the waitlist again")
    assert visitor.value("appointment") == instant_text(yoga.start_at)


def test_no_thanks_may_keep_the_place_of_who_would_take_other_times(app: Flask, full_day: datetime) -> None:
    address = f"/consultation/waitlist?day={day_of(full_day)}"
    visitor = open_own_page(Visitor(app).get(address).press("Join the waitlist", **TYPED, wish="day"))
    db.session.rollback()
    cancel(booking_of("Zebedee").id, now=now_utc())
    waitlist.look(service_of("consultation").id, cause="cancelled", now=now_utc())
    visitor.get(visitor.url).press("No thanks, and keep waiting")
    assert "you keep your place" in visitor.text()
    assert entry().status == "waiting"


def test_who_declines_the_one_class_they_waited_for_is_not_kept_waiting_in_vain(app: Flask, yoga: Appointment) -> None:
    visitor = offered(app, yoga)
    assert "No thanks, take me off" in visitor.text()
    assert "keep waiting" not in visitor.text()


def test_no_thanks_and_off_asks_once_more(app: Flask, yoga: Appointment) -> None:
    visitor = offered(app, yoga).follow("No thanks, take me off")
    assert entry().status == "offered"
    visitor.press("Yes, take me off")
    assert "You have declined" in visitor.text("//h1")
    assert entry().status == "declined"


def test_leaving_asks_first_and_twice_is_once(app: Flask, yoga: Appointment) -> None:
    visitor = join(app, yoga)
    own = visitor.url
    visitor.follow("Leave the waitlist")
    assert entry().status == "waiting"
    visitor.press("Yes, take me off")
    assert "You are off the waitlist" in visitor.text()
    assert visitor.client.post(f"{own}/leave").status_code == 303
    assert entry().status == "left"


def test_a_class_that_is_over_ends_the_waiting_with_a_word(app: Flask, yoga: Appointment) -> None:
    visitor = join(app, yoga)
    row = entry()
    row.status, row.ended_at = "over", now_utc()
    db.session.commit()
    visitor.get(visitor.url)
    assert "does not take place" in visitor.text()
    assert "Join the waitlist again" not in visitor.text()


def test_while_offers_are_paused_the_page_says_so(app: Flask, yoga: Appointment) -> None:
    visitor = join(app, yoga)
    waitlist.pause("yoga", True)
    assert "No places are offered just now" in visitor.get(visitor.url).text()


def test_an_open_page_learns_of_the_offer_and_of_nothing_else(app: Flask, yoga: Appointment) -> None:
    visitor = join(app, yoga)
    page = Visitor(app, **{"HX-Request": "true"}).get(visitor.url)
    address = page.page.xpath('//*[@id="entry"]/@hx-get')[0]
    assert page.get(address).status == 204
    offered_to_all(yoga)
    assert "It is your turn" in page.get(address).text("//h1")
    assert not page.page.xpath("//html/head/title"), "the fragment alone"


def offered_to_all(appointment: Appointment) -> None:
    cancel(booking_of("Zebedee").id, now=now_utc())
    waitlist.look(appointment.service_id, cause="cancelled", now=now_utc())


def test_looking_changes_nothing(app: Flask, yoga: Appointment) -> None:
    visitor = offered(app, yoga)

    def state() -> object:
        db.session.rollback()
        entries = db.session.query(WaitlistEntry.status, WaitlistEntry.sequence).order_by(WaitlistEntry.id)
        rows = entries, db.session.query(Offer.state).order_by(Offer.id)
        return [query.all() for query in rows], db.session.query(OutboxEntry).count(), db.session.query(Seat).count()

    before = state()
    for path in ("", "/leave", "?seen=x", "?zone=Asia/Tokyo"):
        for method in ("get", "head"):
            headers = {"Purpose": "prefetch", "Sec-Purpose": "prefetch"}
            assert getattr(visitor.client, method)(visitor.url + path, headers=headers).status_code == 200
    for path in ("/acceptance", "/decline"):
        assert visitor.client.get(visitor.url + path).status_code == 405
    assert state() == before


def test_the_link_leaks_nowhere_and_outdated_ones_lead_nowhere(app: Flask, yoga: Appointment) -> None:
    visitor = join(app, yoga)
    headers = visitor.response.headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Robots-Tag"] == "noindex"
    assert headers["Referrer-Policy"] == "no-referrer"
    row = entry()
    row.status, row.ended_at = "left", now_utc() - timedelta(days=31)
    db.session.commit()
    for token in (visitor.url, f"/w/{new_token()}", "/w/%00"):
        assert visitor.get(token).status == 404
        assert visitor.client.post(f"/w/{new_token()}/acceptance").status_code == 404


def test_nobody_sees_anybody_else(app: Flask, yoga: Appointment) -> None:
    own = join(app, yoga).url
    join(app, yoga, name="Diego Secreto", email="diego@example.org")
    when = instant_text(yoga.start_at)
    for path in (f"/yoga?day={day_of(yoga.start_at)}", f"/yoga/waitlist?appointment={when}", own, "/"):
        page = Visitor(app).get(path).response.get_data(as_text=True)
        for private in ("Zebedee", "Yolanda", "Secreto", "diego@", "Marín", "clara@", "600 222", "private wish"):
            assert private not in page, (path, private)


def test_every_form_carries_its_csrf_field_and_nothing_is_inline(app: Flask, yoga: Appointment) -> None:
    own = offered(app, yoga).url
    for path in (own, f"{own}/leave", f"/yoga/waitlist?appointment={instant_text(yoga.start_at)}"):
        page = Visitor(app).get(path).page
        assert all(form.xpath('.//input[@name="csrf_token"]') for form in page.xpath('//form[@method="post"]')), path
        assert not page.xpath("//*[@style] | //style | //script[not(@src)]")
        assert not [name for element in page.iter() for name in element.attrib if re.match(r"on|hx-on", name)]


@pytest.fixture
def counting(app: Flask) -> Iterator[None]:
    from portal.extensions import limiter

    limiter.enabled = True
    limiter.reset()
    yield
    limiter.reset()
    limiter.enabled = False


def test_too_many_tries_are_slowed_down(app: Flask, yoga: Appointment, counting: None) -> None:
    client = app.test_client()
    joins = [client.post("/yoga/waitlist", data={"appointment": instant_text(yoga.start_at)}) for _ in range(12)]
    answers = [client.post(f"/w/{new_token()}/acceptance") for _ in range(22)]
    assert [response.status_code for response in joins][-1] == 429
    assert [response.status_code for response in answers][-1] == 429


def test_a_time_that_is_cancelled_on_the_page_is_kept_for_who_waits_before_anybody_else_sees_it(
    app: Flask, full_day: datetime
) -> None:
    """No worker runs here: the cancelling request looks at the waitlist itself."""
    address = f"/consultation/waitlist?day={day_of(full_day)}"
    waiting = open_own_page(Visitor(app).get(address).press("Join the waitlist", **TYPED, wish="day"))
    with app.test_request_context():
        token = manage_token(booking_of("Zebedee"))
    Visitor(app).get(f"/b/{token}/cancellation").press("Yes, cancel it")
    assert "It is your turn" in waiting.get(waiting.url).text("//h1")
    assert Visitor(app).get(f"/consultation?day={day_of(full_day)}").times() == []


# --- Groups and seats that are kept ---------------------------------------------------------------------------------


def test_a_full_group_of_a_service_with_free_times_is_waited_for_by_its_time(app: Flask) -> None:
    person = factories.make_resource(slug="ana", name="Ana", weekly=EVERY_DAY)
    factories.make_service([person], slug="yoga", duration=60, step=60, capacity=2, has_waitlist=True)
    for name in ("Zebedee", "Yolanda"):
        book("yoga", in_days(2, 9), name)
    visitor = Visitor(app).get(f"/yoga?day={day_of(in_days(2))}")
    assert len(visitor.times()) == 1, "ten o'clock is free"
    open_own_page(visitor.follow("09:00").press("Join the waitlist", **TYPED))
    assert "You are the next in line" in visitor.text()
    cancel(booking_of("Zebedee").id, now=now_utc())
    waitlist.look(service_of("yoga").id, cause="cancelled", now=now_utc())
    assert "It is your turn" in visitor.get(visitor.url).text()


def test_a_seat_kept_for_who_waits_is_shown_as_full_to_the_others(app: Flask, yoga: Appointment) -> None:
    waitlist.pause("yoga", False)
    join(app, yoga)
    cancel(booking_of("Zebedee").id, now=now_utc())
    visitor = Visitor(app).get(f"/yoga?day={day_of(yoga.start_at)}")
    assert visitor.times() == []
    assert "18:00 Full · 1 waiting" in visitor.text('//*[@id="slots"]')


def test_an_expired_hold_leaves_nothing_full(app: Flask, yoga: Appointment) -> None:
    booking = booking_of("Zebedee")
    booking.status, booking.held_until = "held", now_utc() - timedelta(minutes=1)
    db.session.commit()
    visitor = Visitor(app).get(f"/yoga?day={day_of(yoga.start_at)}")
    assert len(visitor.times()) == 1
    assert "Full" not in visitor.text('//*[@id="slots"]')


@pytest.mark.parametrize("is_full", [True, False])
def test_a_class_that_an_outside_event_shuts_is_not_waited_for(app: Flask, yoga: Appointment, is_full: bool) -> None:
    if not is_full:
        cancel(booking_of("Zebedee").id, now=now_utc())
    person = db.session.query(Resource).filter(Resource.id == yoga.resources[0].resource_id).one()
    calendar = factories.make_calendar(person, last_read_at=now_utc())
    db.session.add(
        BusyInterval(
            calendar_id=calendar.id, resource_id=person.id, remote_id="x", start_at=yoga.start_at, end_at=yoga.end_at
        )
    )
    db.session.commit()
    visitor = Visitor(app).get(f"/yoga?day={day_of(yoga.start_at)}")
    assert visitor.times() == []
    assert "Full" not in visitor.text('//*[@id="slots"]')
