"""The staff's waitlist page: queues in order, receipts in words, a look ahead, offers by hand, pausing, taking off; and whose it is to see."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from lxml import html
from werkzeug.test import TestResponse

from portal.booking import operations
from portal.booking.models import Appointment, Offer, WaitlistEntry
from portal.booking.rules import Customer
from portal.booking.time import queries
from portal.business.models import ServiceResource
from portal.clock import now_utc
from portal.extensions import db
from portal.waitlist import operations as waitlist
from portal.web.instants import instant_text
from tests.factories import ask, make_resource
from tests.operations.waitlist.house import cancel, make_class, take, wait
from tests.support.people import make_user, signed_in


@pytest.fixture
def yoga(studio: Any) -> Appointment:
    """Ben's class of two, full; Clara (1), Diego (3) and Eva (1) wait for it, in this order."""
    start_at = (now_utc() + timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    appointment = make_class(2, start_at=start_at, resource=studio.ben, slug="yoga", name="Evening yoga")
    take(appointment, "Zoe")
    take(appointment, "Yan")
    for minutes, (name, party_size) in enumerate((("Clara", 1), ("Diego", 2), ("Eva", 1))):
        wait(appointment, name, party_size=party_size, now=now_utc() - timedelta(minutes=30 - minutes))
    return appointment


def parsed(response: TestResponse) -> Any:
    assert response.status_code == 200
    return html.fromstring(response.get_data(as_text=True))


def cancel_one(appointment: Appointment) -> None:
    """A seat becomes free, and the waitlist is looked at."""
    cancel(appointment.bookings[0].id, now=now_utc())
    waitlist.look(appointment.service_id, cause="cancelled", now=now_utc())


def offers() -> list[Offer]:
    db.session.rollback()
    return db.session.query(Offer).all()


def entry(name: str) -> WaitlistEntry:
    db.session.rollback()
    return db.session.query(WaitlistEntry).filter_by(customer_name=name).one()


def names(page: Any) -> list[str]:
    return [element.text_content() for element in page.xpath('//td[@data-label="Customer"]//strong')]


def text(page: Any) -> str:
    return " ".join(page.xpath("//main")[0].text_content().split())


def test_the_queue_stands_in_order(admin: FlaskClient, yoga: Appointment) -> None:
    shown = parsed(admin.get("/admin/waitlist"))
    assert names(shown) == ["Clara", "Diego", "Eva"]
    places = [cell.text_content() for cell in shown.xpath('//td[@data-label="Place"]')]
    assert places == ["1", "2", "3"]
    assert "none of 2 seats free" in text(shown)


def test_the_link_is_there_only_when_some_service_has_a_waitlist(admin: FlaskClient, studio: Any) -> None:
    links = '//nav//a[@href="/admin/waitlist"]'
    assert not parsed(admin.get("/admin")).xpath(links)
    studio.service.has_waitlist = True
    db.session.commit()
    assert parsed(admin.get("/admin")).xpath(links)


def test_an_open_offer_and_its_receipt_say_why(admin: FlaskClient, yoga: Appointment) -> None:
    entry("Clara")
    db.session.query(WaitlistEntry).filter_by(customer_name="Clara").update({"party_size": 2})
    db.session.commit()
    cancel_one(yoga)
    shown = parsed(admin.get("/admin/waitlist/yoga"))
    assert shown.xpath('//td[@data-label="State"]//*[text()="Offered"]')
    assert "2 waiting, 1 with an open offer" in text(shown)
    receipt = [" ".join(line.text_content().split()) for line in shown.xpath('//*[@class="receipts"]//ol/li')]
    assert receipt == [
        "Clara (2) passed by: too few seats for all of them",
        "Diego (2) passed by: too few seats for all of them",
        "Eva (1) was offered it",
    ]
    assert "a booking was cancelled" in text(shown)


def test_a_look_ahead_tells_who_would_be_offered_and_changes_nothing(admin: FlaskClient, yoga: Appointment) -> None:
    url = f"/admin/waitlist/yoga?appointment={yoga.id}&seats="
    shown = parsed(admin.get(f"{url}2"))
    assert "With 2 more seats free, these 2 would be offered it:" in text(shown)
    assert [row.text_content() for row in shown.xpath('//*[@id="trial"]//li/strong')] == ["Clara", "Eva"]
    assert "nobody would be offered anything" in text(parsed(admin.get(f"{url}0"))).lower()
    assert offers() == []


@pytest.mark.parametrize(
    "query", ["seats=x", "seats=-1", "appointment=99999&seats=3", "appointment=x&seats=", "seats=9" * 9]
)
def test_no_address_breaks_the_look_ahead(admin: FlaskClient, yoga: Appointment, query: str) -> None:
    assert admin.get(f"/admin/waitlist/yoga?{query}").status_code == 200


def test_offering_by_hand_asks_and_passes_the_others_by(admin: FlaskClient, yoga: Appointment) -> None:
    waitlist.pause("yoga", True)
    cancel_one(yoga)
    address = f"/admin/waitlist/entries/{entry('Eva').id}/offer"
    shown = parsed(admin.get(address))
    assert "2 entries stand before them" in text(shown)
    assert offers() == []
    shown = parsed(admin.post(address, follow_redirects=True))
    assert "It is kept for Eva" in text(shown)
    assert "Eva (1) was offered it by hand" in text(shown)
    assert [offer.made_by for offer in offers()] == ["staff"]


def test_what_somebody_wrote_and_answered_is_read_before_it_is_offered(admin: FlaskClient, yoga: Appointment) -> None:
    ask(yoga.service, "level", label="Your level?")
    row = entry("Clara")
    row.note, row.answers = "<b>first</b> row, please", {"level": "beginner"}
    db.session.commit()
    shown = text(parsed(admin.get(f"/admin/waitlist/entries/{row.id}/offer")))
    assert "<b>first</b> row, please" in shown
    assert "Your level?beginner" in shown.replace("? ", "?")


def test_without_seats_nothing_can_be_offered_by_hand(admin: FlaskClient, yoga: Appointment) -> None:
    address = f"/admin/waitlist/entries/{entry('Clara').id}/offer"
    shown = parsed(admin.get(address))
    assert "too few free seats" in text(shown)
    assert not shown.xpath('//button[text()="Offer it"]')
    refused = admin.post(address)
    assert refused.status_code == 409
    assert offers() == []


def test_for_a_day_a_free_time_is_chosen_by_hand(admin: FlaskClient, studio: Any) -> None:
    made = wait_for_a_full_day(studio)
    address = f"/admin/waitlist/entries/{made.entry_id}/offer"
    shown = parsed(admin.get(address))
    times = [button.get("value") for button in shown.xpath('//button[@name="start_at"]')]
    assert times
    assert admin.post(address, data={"start_at": "2020-01-01T10:00:00Z"}).status_code == 422
    assert admin.post(address, data={"start_at": times[0]}).status_code == 303
    assert [instant_text(offer.start_at) for offer in offers()] == times[:1]


def test_staff_offer_their_own_time_to_who_would_take_anyone(staff: FlaskClient, studio: Any) -> None:
    """Ben is signed in; Ana stands before him in the service's list, and has as much time."""
    made = wait_for_a_full_day(studio)
    address = f"/admin/waitlist/entries/{made.entry_id}/offer"
    times = [button.get("value") for button in parsed(staff.get(address)).xpath('//button[@name="start_at"]')]
    assert staff.post(address, data={"start_at": times[0]}).status_code == 303
    assert [offer.resource_id for offer in offers()] == [studio.ben.id]


def wait_for_a_full_day(studio: Any) -> waitlist.Joined:
    """Clara waits for somebody who has no time; then she would take anybody, and many times are free."""
    studio.service.has_waitlist, studio.service.is_waitlist_paused = True, True
    db.session.commit()
    made = waitlist.join(
        service_slug="consultation", wish="any", customer=Customer("Clara", "clara@example.org"), party_size=1,
        idempotency_key="k", now=now_utc(), resource_slug=make_idle(studio).slug,
    )  # fmt: skip
    db.session.query(WaitlistEntry).update({"resource_id": None})
    db.session.commit()
    return made


def make_idle(studio: Any) -> Any:
    """Somebody of the service whose only time is taken."""
    on = now_utc().date() + timedelta(days=2)
    idle = make_resource(slug="idle", name="Idle", weekly={}, overrides={on: [(600, 630)]})
    db.session.add(ServiceResource(service_id=studio.service.id, resource_id=idle.id, position=9))
    db.session.commit()
    slot = queries.soonest_slots(db.session(), studio.service, now=now_utc(), limit=1, resource_id=idle.id)[0]
    operations.book(
        service_slug="consultation", start_at=slot.interval.start, resource_slug="idle", now=now_utc(),
        customer=Customer("Zoe", "zoe@example.org"), idempotency_key="z",
    )  # fmt: skip
    return idle


def test_pausing_and_resuming(admin: FlaskClient, yoga: Appointment) -> None:
    shown = parsed(admin.post("/admin/waitlist/yoga/pause", follow_redirects=True))
    assert "Offers are paused" in text(shown)
    cancel_one(yoga)
    assert offers() == []
    shown = parsed(admin.post("/admin/waitlist/yoga/resume", follow_redirects=True))
    assert "Offers are made again" in text(shown)


def test_taking_somebody_off_asks_first(admin: FlaskClient, yoga: Appointment) -> None:
    address = f"/admin/waitlist/entries/{entry('Diego').id}/removal"
    assert "Take Diego off the waitlist?" in text(parsed(admin.get(address)))
    assert entry("Diego").status == "waiting"
    shown = parsed(admin.post(address, follow_redirects=True))
    assert names(shown) == ["Clara", "Eva"]
    assert entry("Diego").status == "left"
    assert admin.post(address).status_code == 303


def test_staff_see_and_offer_what_is_theirs_and_do_no_more(staff: FlaskClient, studio: Any, yoga: Appointment) -> None:
    shown = parsed(staff.get("/admin/waitlist"))
    assert names(shown) == ["Clara", "Diego", "Eva"]
    assert not shown.xpath('//a[starts-with(., "Remove")]')
    cancel(yoga.bookings[0].id, now=now_utc())
    assert staff.post(f"/admin/waitlist/entries/{entry('Eva').id}/offer").status_code == 303
    assert entry("Eva").status == "offered"
    for path in ("yoga/pause", "yoga/resume", f"entries/{entry('Clara').id}/removal"):
        assert staff.post(f"/admin/waitlist/{path}").status_code == 403


def test_what_belongs_to_a_colleague_is_not_there(studio: Any, yoga: Appointment) -> None:
    ana = signed_in(studio.app, make_user("staff", resource_id=studio.ana.id))
    assert "Clara" not in ana.get("/admin/waitlist").get_data(as_text=True)
    number = entry("Clara").id
    for path in ("yoga", f"entries/{number}/offer"):
        assert ana.get(f"/admin/waitlist/{path}").status_code == 404
    assert ana.post(f"/admin/waitlist/entries/{number}/offer").status_code == 404
    assert offers() == []


def test_in_a_shared_service_one_does_not_see_who_waits_for_a_colleague(staff: FlaskClient, studio: Any) -> None:
    studio.service.has_waitlist = True
    for name, resource in (("Anas", studio.ana), ("Bens", studio.ben), ("Anyones", None)):
        db.session.add(
            WaitlistEntry(
                public_id=name, token_hash=name, service_id=studio.service.id, wish="any", customer_name=name,
                resource_id=resource.id if resource else None,
            )
        )  # fmt: skip
    db.session.commit()
    shown = parsed(staff.get("/admin/waitlist"))
    assert names(shown) == ["Bens", "Anyones"]
    assert [cell.text_content() for cell in shown.xpath('//td[@data-label="Place"]')] == ["2", "3"], "among all"


def test_an_open_page_fetches_itself_anew(admin: FlaskClient, yoga: Appointment) -> None:
    answer = admin.get("/admin/waitlist", headers={"HX-Request": "true"}).get_data(as_text=True)
    assert answer.lstrip().startswith('<div id="waitlists"')
