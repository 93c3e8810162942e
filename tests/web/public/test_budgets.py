"""One visitor empties no calendar: budgets in the database, the share of a day that may be held, and bookings that are confirmed by mail."""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update

from portal.booking import operations
from portal.booking.models import Booking, Claim, Spending
from portal.booking.strangers import budgets, confirming
from portal.booking.time import queries
from portal.business.models import Business, Service
from portal.calendars.models import BusyInterval
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import BudgetSpent
from portal.extensions import db, limiter
from portal.intervals import Interval
from portal.language.dates import day_starts_at
from portal.notifications.compose.messages import compose
from portal.notifications.gather import bookings
from portal.outbox import OutboxEntry, work_of
from portal.privacy import erase
from tests.factories import make_calendar, make_resource, make_service
from tests.support.people import make_user, signed_in
from tests.support.visitor import Visitor

ALWAYS = {day: [(0, 1440)] for day in range(7)}
TYPED = {"name": "Eva Sanz", "email": "eva@example.org"}


@pytest.fixture(autouse=True)
def with_budgets(app, monkeypatch):
    monkeypatch.setitem(app.config, "BUDGETS", True)


@pytest.fixture
def service(app):
    return make_service([make_resource(slug="ana", weekly=ALWAYS)], slug="consultation")


@pytest.fixture
def starts(service):
    """The times of a whole day, two days ahead."""
    on = (now_utc().astimezone(ZoneInfo("Europe/Madrid")) + timedelta(days=2)).date()
    day = Interval(day_starts_at(on, "Europe/Madrid"), day_starts_at(on + timedelta(days=1), "Europe/Madrid"))
    return [slot.interval.start for slot in queries.free_slots(db.session(), service, window=day, now=now_utc())]


def hold(client_or_app, start_at, address="192.0.2.1", *, slug="consultation", **headers):
    """A click on a time, by somebody without cookies."""
    client = getattr(client_or_app, "test_client", lambda: client_or_app)()
    return client.post(
        f"/{slug}/holds", data={"start_at": f"{start_at:%Y-%m-%dT%H:%M:%SZ}"}, environ_overrides={"REMOTE_ADDR": address}, headers=headers
    )  # fmt: skip


def held():
    db.session.rollback()
    return db.session.scalar(select(func.count(Booking.id)).where(Booking.status == "held"))


def book(app, start_at, *, email="eva@example.org", address="192.0.2.1", slug="consultation"):
    """The whole way of a visitor; gives the last answer."""
    client = app.test_client()
    kept = hold(client, start_at, address, slug=slug)
    assert kept.status_code == 303, kept.get_data(as_text=True)
    page = client.get(kept.location).get_data(as_text=True)
    values = {name: re.search(rf'name="{name}" value="([^"]*)"', page)[1] for name in ("hold", "held_at", "key")}
    return client.post(
        f"/{slug}/bookings", data={**values, "name": "Eva Sanz", "email": email}, environ_overrides={"REMOTE_ADDR": address}
    )  # fmt: skip


def mail():
    """The newest mail to a customer, as it would leave now."""
    db.session.rollback()
    entry = db.session.scalars(
        select(OutboxEntry).where(OutboxEntry.topic == "notify.customer").order_by(OutboxEntry.id.desc())
    ).first()
    (facts,) = bookings.for_customer(db.session(), work_of(entry), now=now_utc())
    return compose(facts)


def link_in_mail():
    return re.search(r"http\S+(/b/\S+)", mail().text)[1]


def an_hour_passes():
    """For what was counted; the holds of this test end by the database's clock."""
    transaction(
        lambda session: session.execute(update(Spending).values(spent_at=now_utc() - timedelta(hours=1, seconds=1)))
    )


def statuses():
    db.session.rollback()
    return list(db.session.scalars(select(Booking.status).order_by(Booking.id)))


class TestHolds:
    def test_one_network_keeps_four_times_at_once_whatever_it_sends(self, app, starts):
        answers = [hold(app, start, f"192.0.2.{number}").status_code for number, start in enumerate(starts[:9])]
        assert answers.count(303) == budgets.MOST_OPEN == held()
        assert set(answers[budgets.MOST_OPEN :]) == {429}

    def test_a_header_that_nobody_trusts_makes_no_other_network(self, app, starts):
        for number, start in enumerate(starts[:12]):
            hold(app, start, **{"X-Forwarded-For": f"203.0.{number}.7", "Forwarded": f"for=203.0.{number}.7"})
        assert held() == budgets.MOST_OPEN

    def test_an_ipv6_customer_is_one_network_with_all_their_addresses(self, app, starts):
        for number, start in enumerate(starts[:12]):
            hold(app, start, f"2001:db8:1:2:{number:x}::1")
        assert held() == budgets.MOST_OPEN
        assert hold(app, starts[20], "2001:db8:1:3::1").status_code == 303

    def test_many_networks_take_a_fifth_of_a_day_together(self, app, starts):
        assert len(starts) >= 46  # a day on which the clocks change has 46 or 50 half hours
        for number, start in enumerate(starts[::3]):
            hold(app, start, f"10.{number}.0.1")
        assert held() == len(starts) // budgets.SHARE

    def test_who_holds_most_of_a_day_makes_room_for_who_holds_nothing(self, app, starts):
        for number in range(3):
            for start in starts[number * 4 : number * 4 + 4]:
                hold(app, start, f"10.{number}.0.1")
        assert held() == len(starts) // budgets.SHARE
        visitor = hold(app, starts[-1], "203.0.113.9")
        assert visitor.status_code == 303
        assert held() == len(starts) // budgets.SHARE
        assert app.test_client().get(visitor.location).status_code == 200

    def test_three_people_may_choose_at_once_on_a_short_day(self, app):
        service = make_service(
            [make_resource(weekly={day: [(600, 780)] for day in range(7)})], slug="short", duration=60, step=60
        )
        on = (now_utc() + timedelta(days=2)).date()
        day = Interval(day_starts_at(on, "Europe/Madrid"), day_starts_at(on + timedelta(days=1), "Europe/Madrid"))
        starts = [slot.interval.start for slot in queries.free_slots(db.session(), service, window=day, now=now_utc())]
        assert len(starts) == 3
        answers = [
            hold(app, start, f"10.{number}.0.1", slug="short").status_code for number, start in enumerate(starts)
        ]
        assert answers == [303, 303, 303]

    def test_the_last_time_of_a_day_can_be_held(self, app, starts):
        calendar = make_calendar(_ana(), last_read_at=now_utc())
        busy = {"calendar_id": calendar.id, "resource_id": calendar.resource_id, "remote_id": "x"}
        db.session.add(BusyInterval(**busy, start_at=starts[0], end_at=starts[-1]))
        db.session.commit()
        assert hold(app, starts[-1]).status_code == 303

    def test_another_service_of_the_same_person_is_no_way_around(self, app, starts):
        make_service([_ana()], slug="other")
        for number, start in enumerate(starts[:14]):
            hold(app, start, f"10.{number}.0.1", slug=("consultation", "other")[number % 2])
        assert held() == len(starts) // budgets.SHARE

    def test_a_refused_time_is_answered_with_a_page_that_says_what_to_do(self, app, starts):
        for start in starts[:4]:
            hold(app, start)
        refused = hold(app, starts[5])
        text = refused.get_data(as_text=True)
        assert refused.status_code == 429
        assert "several times are being kept already" in text
        assert 'name="start_at"' in text, "the day's times stand there"

    def test_what_was_typed_stays_when_no_other_time_is_kept(self, app, starts):
        for start in starts[:4]:
            hold(app, start)
        typed = {**TYPED, "key": "some key", "start_at": f"{starts[6]:%Y-%m-%dT%H:%M:%SZ}"}
        refused = app.test_client().post(
            "/consultation/holds", data=typed, environ_overrides={"REMOTE_ADDR": "192.0.2.1"}
        )
        assert refused.status_code == 429
        assert "eva@example.org" in refused.get_data(as_text=True)

    def test_changing_ones_mind_is_free(self, app, starts):
        """Each click gives the time before back: one person who looks around never has more than one."""
        client = app.test_client()
        assert [hold(client, start).status_code for start in starts[:8]] == [303] * 8
        assert held() == 1

    def test_looking_around_without_end_is_stopped_and_free_again_in_an_hour(self, app, starts, monkeypatch):
        monkeypatch.setattr(budgets, "HOLDS", 5)
        client = app.test_client()
        assert [hold(client, start).status_code for start in starts[:6]] == [303] * 5 + [429]
        an_hour_passes()
        assert hold(client, starts[6]).status_code == 303

    def test_staff_programs_and_the_waitlist_have_no_budget(self, app, starts):
        for start in starts[:12]:
            operations.place_hold(service_slug="consultation", start_at=start, now=now_utc())
        assert held() == 12


def _ana():
    from portal.business.models import Resource

    return db.session.scalars(select(Resource).where(Resource.slug == "ana")).one()


class TestBookings:
    def test_a_name_that_was_never_asked_gets_three_bookings_and_then_has_to_confirm(self, app, starts):
        answers = [book(app, start, address=f"10.{n}.0.1") for n, start in enumerate(starts[:8]) if n < 6]
        assert [answer.status_code for answer in answers] == [303] * 6
        assert statuses() == ["confirmed"] * 3 + ["held"] * 3
        assert [answer.location.endswith("/consultation/asked") for answer in answers] == [False] * 3 + [True] * 3
        end = book(app, starts[9], address="10.9.0.1")
        assert end.status_code == 429
        assert "eva@example.org" in end.get_data(as_text=True), "nothing typed is lost"

    @pytest.mark.parametrize("is_known", [False, True])
    def test_a_service_with_a_limit_per_customer_counts_all_that_is_asked_for(self, app, starts, is_known):
        """Known and unknown addresses reach the end of the budget at the same booking, with the same answer."""
        if is_known:
            operations.book(
                service_slug="consultation", start_at=starts[20], customer=operations.Customer("Eva", "eva@example.org"),
                idempotency_key="hers", now=now_utc(),
            )  # fmt: skip
        limit = {"per_customer": 1 if is_known else 20}
        db.session.execute(update(Service).values(**limit))
        db.session.commit()
        answers = [book(app, start, address=f"10.{n}.0.1") for n, start in enumerate(starts[:7])]
        assert [answer.status_code for answer in answers] == [303] * budgets.ADDRESS_END + [429]
        lasting = select(func.count(Booking.id)).where(Booking.held_until > now_utc() + timedelta(minutes=20))
        db.session.rollback()
        assert db.session.scalar(lasting) == budgets.ADDRESS_END - budgets.ADDRESS_ASKED

    def test_one_network_makes_ten_and_then_each_has_to_be_confirmed(self, app, starts):
        for number, start in enumerate(starts[:12]):
            book(app, start, email=f"person-{number}@example.org")
        assert statuses() == ["confirmed"] * 10 + ["held"] * 2

    def test_a_service_that_is_flooded_asks_by_mail_says_so_and_stops_by_itself(self, app, starts, monkeypatch):
        monkeypatch.setattr(budgets, "SERVICE_ASKED", 2)
        for number, start in enumerate(starts[:3]):
            book(app, start, email=f"person-{number}@example.org", address=f"10.{number}.0.1")
        assert statuses() == ["confirmed", "confirmed", "held"]
        owner = signed_in(app, make_user("owner"))
        assert "Very many bookings of “Consultation” at once" in owner.get("/admin").get_data(as_text=True)
        an_hour_passes()
        assert "Very many bookings" not in owner.get("/admin").get_data(as_text=True)
        book(app, starts[5], email="person-5@example.org", address="10.5.0.1")
        assert statuses()[-1] == "confirmed"

    def test_what_waits_for_its_mail_counts_for_the_share_of_the_day(self, app, starts):
        db.session.execute(update(Service).values(confirm_by_mail=True))
        db.session.commit()
        for number, start in enumerate(starts[:14]):
            kept = hold(app, start, f"10.{number}.0.1")
            if kept.status_code == 303:
                transaction(lambda session, n=number: _fill_in(session, n))
        assert held() == len(starts) // budgets.SHARE

    def test_a_program_with_a_token_is_asked_nothing(self, app, starts):
        for number, start in enumerate(starts[:12]):
            operations.book(
                service_slug="consultation", start_at=start, customer=operations.Customer("Eva", "eva@example.org"),
                idempotency_key=f"key-{number}", now=now_utc(),
            )  # fmt: skip
        assert statuses() == ["confirmed"] * 12


def _fill_in(session, number):
    row = session.scalars(select(Booking).where(Booking.status == "held").order_by(Booking.id.desc())).first()
    row.hold_hash, row.manage_hash = None, f"filled-{number}"


class TestConfirmingByMail:
    @pytest.fixture(autouse=True)
    def asks(self, service):
        db.session.execute(update(Service).values(confirm_by_mail=True))
        db.session.commit()

    def test_the_booking_counts_when_the_button_behind_the_mailed_link_is_pressed(self, app, starts):
        answer = book(app, starts[0])
        assert "/b/" not in answer.location, "the link is for the mail alone"
        assert statuses() == ["held"]
        topics = set(db.session.scalars(select(OutboxEntry.topic)))
        assert "calendar.publish" not in topics
        assert "notify.staff" not in topics
        visitor = Visitor(app).get(link_in_mail())
        assert statuses() == ["held"], "looking changes nothing: mail scanners do"
        visitor.press("Yes, book it")
        assert "You are booked" in visitor.text()
        assert statuses() == ["confirmed"]
        assert mail().kind == "booked"
        again = app.test_client().post(f"{visitor.url}/confirmation")
        assert again.status_code == 303
        assert statuses() == ["confirmed"]

    def test_the_page_after_the_form_names_nobody_and_leads_nowhere_but_to_the_mail(self, app, starts):
        text = app.test_client().get(book(app, starts[0]).location).get_data(as_text=True)
        assert "look into your mail" in text
        assert "eva@example.org" not in text
        assert "/b/" not in text

    def test_the_mail_holds_nothing_that_a_stranger_may_have_typed(self, app, starts):
        book(app, starts[0])
        message = mail()
        assert "Please confirm" in message.subject
        assert "Eva" not in message.text
        assert (message.recipient, message.recipient_name, message.ics) == ("eva@example.org", "", None)

    def test_what_nobody_confirms_is_free_again_and_forgotten(self, app, starts):
        book(app, starts[0])
        link = link_in_mail()
        db.session.execute(update(Booking).values(held_until=now_utc() - timedelta(seconds=1)))
        db.session.commit()
        late = app.test_client().post(f"{link}/confirmation")
        assert late.status_code == 409
        assert "The time to confirm it is over" in late.get_data(as_text=True)
        assert operations.sweep_expired_holds() == 1
        assert statuses() == []
        assert db.session.scalar(select(func.count()).select_from(Claim)) == 0
        assert app.test_client().get(link).status_code == 404

    def test_a_request_that_is_confirmed_waits_for_staff_as_any_other(self, app, starts):
        db.session.execute(update(Service).values(needs_approval=True))
        db.session.commit()
        book(app, starts[0])
        confirming.confirm(link_in_mail().removeprefix("/b/"), now=now_utc())
        assert statuses() == ["pending"]

    def test_nothing_is_confirmed_over_an_event_that_came_meanwhile(self, app, starts):
        book(app, starts[0])
        link = link_in_mail()
        calendar = make_calendar(_ana(), last_read_at=now_utc())
        busy = {"calendar_id": calendar.id, "resource_id": calendar.resource_id, "remote_id": "x"}
        db.session.add(BusyInterval(**busy, start_at=starts[0], end_at=starts[1]))
        db.session.commit()
        refused = app.test_client().post(f"{link}/confirmation")
        assert refused.status_code == 409
        assert statuses() == ["held"]

    def test_all_services_ask_where_the_business_says_so(self, app, starts):
        db.session.execute(update(Service).values(confirm_by_mail=False))
        db.session.execute(update(Business).values(confirm_by_mail=True))
        db.session.commit()
        book(app, starts[0])
        assert statuses() == ["held"]

    def test_the_same_form_sent_twice_asks_once(self, app, starts):
        client = app.test_client()
        kept = hold(client, starts[0])
        page = client.get(kept.location).get_data(as_text=True)
        values = {name: re.search(rf'name="{name}" value="([^"]*)"', page)[1] for name in ("hold", "held_at", "key")}
        for _ in range(2):
            sent = client.post("/consultation/bookings", data={**values, **TYPED})
            assert sent.location.endswith("/consultation/asked")
        with client.session_transaction() as session:
            assert not session.get("booked"), "the browser learns nothing that opens the link"
        assert statuses() == ["held"]

    def test_back_says_to_who_has_booked_that_a_mail_went_to_their_address_and_to_nobody_else(self, app, starts):
        client = app.test_client()
        kept = hold(client, starts[0])
        page = client.get(kept.location).get_data(as_text=True)
        values = {name: re.search(rf'name="{name}" value="([^"]*)"', page)[1] for name in ("hold", "held_at", "key")}
        client.post("/consultation/bookings", data={**values, **TYPED})
        text = client.get(kept.location).get_data(as_text=True)
        assert "We have written to eva@example.org." in text
        assert "The time is kept for you until" in text
        assert "not held any more" not in text
        assert "/b/" not in text, "the link is for the mail alone"
        stranger = app.test_client().get(kept.location).get_data(as_text=True)
        assert "eva@example.org" not in stranger
        link = link_in_mail()
        db.session.execute(update(Booking).values(held_until=now_utc() - timedelta(seconds=1)))
        db.session.commit()
        assert "This time is not held any more" in client.get(kept.location).get_data(as_text=True)
        db.session.execute(update(Booking).values(held_until=now_utc() + timedelta(minutes=10)))
        db.session.commit()
        confirming.confirm(link.removeprefix("/b/"), now=now_utc())
        assert "You have answered our e-mail" in client.get(kept.location).get_data(as_text=True)

    def test_a_mistyped_address_is_put_right_and_asked_to_confirm(self, app, starts):
        visitor = Visitor(app).get(f"/consultation?day={starts[20]:%Y-%m-%d}")
        visitor.press(visitor.times()[0])
        form = visitor.url
        visitor.press("Book this time", name="Eva Sanz", email="eva@exmaple.org")
        wrong = link_in_mail()
        visitor.get(form).press("Write to this address", email="nonsense")
        assert "Please give an e-mail address" in visitor.response.get_data(as_text=True)
        visitor.press("Write to this address", email="eva@example.org")
        assert "We have written to eva@example.org." in visitor.text()
        message = mail()
        assert (message.kind, message.recipient) == ("confirm", "eva@example.org")
        assert "/b/" not in visitor.response.get_data(as_text=True)
        assert "calendar.publish" not in set(db.session.scalars(select(OutboxEntry.topic)))
        assert app.test_client().get(wrong).status_code == 404, "whoever got the mail that went astray"
        stranger = app.test_client().post(f"{form.split('?')[0]}/address", data={"email": "x@example.org"})
        assert stranger.status_code == 303
        assert mail().recipient == "eva@example.org"
        Visitor(app).get(link_in_mail()).press("Yes, book it")
        assert statuses() == ["confirmed"]

    def test_the_other_pages_of_the_link_are_not_there_yet(self, app, starts):
        book(app, starts[0])
        link = link_in_mail()
        for page in ("/move", "/cancellation", ".ics"):
            assert app.test_client().get(f"{link}{page}").status_code == 404


class TestTooQuick:
    """The limits by the minute answer as the budgets do."""

    @pytest.fixture(autouse=True)
    def with_limits(self, monkeypatch):
        monkeypatch.setattr(limiter, "enabled", True)
        limiter.reset()
        yield
        limiter.reset()

    def form(self, client, start_at):
        page = client.get(hold(client, start_at).location).get_data(as_text=True)
        values = {name: re.search(rf'name="{name}" value="([^"]*)"', page)[1] for name in ("hold", "held_at", "key")}
        return {**values, "name": "Eva Sanz", "email": "not an address", "note": "by the window"}

    @pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
    def test_the_form_says_what_to_do_and_loses_nothing_that_was_typed(self, app, starts, headers):
        client = app.test_client()
        sent = self.form(client, starts[0])
        answers = [client.post("/consultation/bookings", data=sent, headers=headers) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [422] * 10 + [409 if headers else 429]
        text = answers[-1].get_data(as_text=True)
        assert "Too many tries in a short time. Please wait a minute and try again." in text
        assert "by the window" in text
        assert f'name="key" value="{sent["key"]}"' in text
        assert "Held for you until" in text
        assert ("<html" in text) != bool(headers)

    @pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
    def test_a_click_too_many_is_answered_with_the_times(self, app, starts, headers):
        client = app.test_client()
        answers = [hold(client, starts[0], **headers) for _ in range(31)]
        assert {answer.status_code for answer in answers[:30]} == {204 if headers else 303}
        text = answers[-1].get_data(as_text=True)
        assert answers[-1].status_code == (409 if headers else 429)
        assert "Please wait a minute" in text
        assert 'name="start_at"' in text
        assert ("<html" in text) != bool(headers)


class TestWhatIsKept:
    def test_no_row_holds_an_address_or_a_network_and_they_go_after_a_day(self, app, starts):
        book(app, starts[0])
        db.session.rollback()
        rows = db.session.scalars(select(Spending)).all()
        assert {row.what for row in rows} == {"hold", "booking"}
        assert all(re.fullmatch("[0-9a-f]{64}", row.whose) for row in rows)
        assert db.session.scalars(select(Booking.network_hash)).one() is None
        budgets.forget_old(now=now_utc() + budgets.KEPT + timedelta(seconds=1))
        assert db.session.scalars(select(Spending)).all() == []

    def test_an_erased_address_leaves_no_count_behind(self, app, starts):
        book(app, starts[0])
        mine = select(func.count(Spending.id)).where(Spending.whose == budgets.key_of("address", "eva@example.org"))
        db.session.rollback()
        assert db.session.scalar(mine) == 1
        erasure = erase.begin("eva@example.org", is_told=False, user_id=None, now=now_utc())
        erase.carry_on(erasure, now=now_utc())
        db.session.rollback()
        assert db.session.scalar(mine) == 0


def test_places_in_waitlists_have_a_budget_of_their_own(app, monkeypatch):
    for number in range(budgets.JOINS_OF_ADDRESS):
        budgets.spend_join(budgets.Visitor(f"10.{number}.0.0/24"), "eva@example.org", now=now_utc())
    with pytest.raises(BudgetSpent):
        budgets.spend_join(budgets.Visitor("10.99.0.0/24"), "EVA@example.org", now=now_utc())
    for number in range(budgets.JOINS_OF_NETWORK):
        budgets.spend_join(budgets.Visitor("192.0.2.0/24"), f"{number}@example.org", now=now_utc())
    with pytest.raises(BudgetSpent):
        budgets.spend_join(budgets.Visitor("192.0.2.0/24"), "one-more@example.org", now=now_utc())
