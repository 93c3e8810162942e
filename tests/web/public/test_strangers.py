"""No customer learns anything of another: two who never met share a class, a waitlist and a room, and one looks at everything there is.

SECURITY A06, A12, A20: the other's name, address, telephone number, note and answer are unlike anything else, and stand in no byte that the
first one receives: pages, calendar files, mails of all kinds, the API; nor in what a calendar shows to whoever may look into it.
"""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import time_machine
from sqlalchemy import select

from portal.booking import operations
from portal.booking.fixed.dates import move_appointment
from portal.booking.models import Appointment, Booking
from portal.booking.steps import manage_token
from portal.business.models import Resource
from portal.clock import now_utc
from portal.customers import codes
from portal.customers.models import MailedCode
from portal.extensions import db
from portal.sync.publish.publish import publish
from portal.waitlist import operations as waitlist
from portal.web.instants import instant_text
from portal.worker import jobs
from providers.calendars.memory import MemoryCalendars
from tests.factories import make_calendar
from tests.operations.customers.people import a_booking, a_service
from tests.support import mails
from tests.support.visitor import Visitor

MINE = "maria@example.org"
MARKERS = ("quill", "zsofia", "555 0199", "notemarker", "answermarker", "tamsin")
STRANGER = {"name": "Zsofia Quill", "phone": "555 0199", "note": "notemarker", "answers": {"allergies": "answermarker"}}


@pytest.fixture
def world(app):
    """A class of three: mine, the stranger's, and a third who waits. `inbox` keeps every mail that leaves."""
    inbox = mails.memory_mail(app)
    a_service("yoga", name="Yoga", capacity=3, has_waitlist=True, duration=60, step=60, reminders=[60])
    theirs = a_booking("zsofia.quill@example.org", slug="yoga", days=3, **STRANGER)
    start = theirs.appointment.start_at
    mine = a_booking(MINE, "María Pérez", slug="yoga", start_at=start)
    third = a_booking("tamsin@example.org", "Tamsin Vole", slug="yoga", start_at=start)
    yield SimpleNamespace(app=app, inbox=inbox, start=start, mine=mine.id, theirs=theirs.id, third=third.id)
    app.extensions.pop("messenger", None)


def found_in(text: str) -> list[str]:
    return [marker for marker in MARKERS if marker in text.lower()]


def my_mails(world):
    """All that left for me, whole: headers, texts, calendar parts."""
    mails.deliver_all()
    parts = []
    for message in mails.to(world.inbox.sent, MINE):
        parts.append(str(message["Subject"]))
        for part in message.walk():
            if not part.is_multipart():
                parts.append((part.get_payload(decode=True) or b"").decode("utf-8", "replace"))
    return parts


def test_no_page_shows_one_customer_to_another(world):
    token = manage_token(db.session.get(Booking, world.mine))
    db.session.rollback()
    day = quote(world.start.date().isoformat())
    pages = [
        "/", "/yoga", f"/yoga?day={day}", f"/yoga/slots?day={day}", f"/yoga/waitlist?appointment={instant_text(world.start)}",
        f"/b/{token}", f"/b/{token}/cancellation", f"/b/{token}/move", f"/b/{token}/move?start_at={instant_text(world.start + timedelta(days=1))}",
        f"/b/{token}.ics", "/api/v1/services", f"/api/v1/availability?service=yoga&from={day}&to={day}",
        f"/api/v1/availability/explain?service=yoga&at={instant_text(world.start)}", "/api/v1/openapi.json", "/mine", "/healthz", "/readyz",
    ]  # fmt: skip
    client = world.app.test_client()
    for address in pages:
        response = client.get(address)
        assert response.status_code in (200, 503), (address, response.status_code)
        assert found_in(response.get_data(as_text=True)) == [], address
        assert found_in(str(response.headers)) == [], address


def test_my_link_cancels_my_place_and_nobody_else_s(world):
    """A05: the others in the class keep theirs, whatever else is posted along."""
    token = manage_token(db.session.get(Booking, world.mine))
    theirs = db.session.get(Booking, world.theirs).public_id
    db.session.rollback()
    posted = {"booking_id": world.theirs, "public_id": theirs, "seat": "1", "all": "1"}
    assert world.app.test_client().post(f"/b/{token}/cancellation", data=posted).status_code == 303
    statuses = {name: db.session.get(Booking, getattr(world, name)).status for name in ("mine", "theirs", "third")}
    assert statuses == {"mine": "cancelled", "theirs": "confirmed", "third": "confirmed"}


def test_my_own_page_shows_mine_alone(world):
    visitor = Visitor(world.app).get("/mine").press("Send me a code", email=MINE)
    db.session.rollback()
    code = codes.code_of(db.session.scalars(select(MailedCode)).one())
    db.session.rollback()
    visitor.press("Show my bookings", code=code)
    assert "Yoga" in visitor.text()
    assert found_in(visitor.response.get_data(as_text=True)) == []


def test_no_mail_to_one_customer_tells_of_another(world):
    """Booked, moved with all the class, reminded, cancelled, and the code for the own page."""
    appointment_id = db.session.get(Booking, world.mine).appointment_id
    db.session.rollback()
    move_appointment(appointment_id, world.start + timedelta(hours=2), by="staff", now=now_utc())
    codes.ask_for_code(MINE, client="192.0.2.1", language="en", now=now_utc())
    my_mails(world)
    jobs.plan_reminders()
    with time_machine.travel(world.start + timedelta(hours=1, minutes=5)):
        jobs.queue_reminders()
        my_mails(world)
    operations.cancel_booking(world.mine, by="staff", now=now_utc())
    parts = my_mails(world)
    kinds = {str(message["Subject"]).split(":")[0] for message in mails.to(world.inbox.sent, MINE)}
    assert len(kinds) >= 4, kinds
    assert len(parts) > 12
    for part in parts:
        assert found_in(part) == []


def test_requests_and_the_answers_to_them_tell_of_no_other_request(world):
    a_service("studio", name="Studio", capacity=3, needs_approval=True)
    theirs = a_booking("zsofia.quill@example.org", slug="studio", days=5, **STRANGER)
    start = theirs.appointment.start_at
    asked = [a_booking(MINE, "María Pérez", slug="studio", start_at=start).id for _ in range(2)]
    my_mails(world)
    operations.approve_booking(asked[0], now=now_utc())
    operations.refuse_booking(asked[1], now=now_utc())
    parts = my_mails(world)
    subjects = " ".join(str(message["Subject"]) for message in mails.to(world.inbox.sent, MINE))
    assert "Studio" in subjects
    assert len(mails.to(world.inbox.sent, MINE)) >= 5
    for part in parts:
        assert found_in(part) == []


def test_the_page_behind_a_mail_s_own_button_tells_of_nobody(world):
    mails.deliver_all()
    jobs.plan_reminders()
    with time_machine.travel(world.start - timedelta(minutes=55)):
        jobs.queue_reminders()
        mails.deliver_all()
        links = [
            message["List-Unsubscribe"] for message in mails.to(world.inbox.sent, MINE) if message["List-Unsubscribe"]
        ]
        assert links
        address = links[-1].strip("<>").removeprefix("http://localhost")
        response = world.app.test_client().get(address)
        assert response.status_code == 200
        assert found_in(response.get_data(as_text=True)) == []


def test_who_waits_learns_that_a_place_is_free_and_not_whose_it_was(world):
    joined = waitlist.join(
        service_slug="yoga", wish="appointment", appointment_start_at=world.start, party_size=1, now=now_utc(),
        customer=operations.Customer("Wanda", "wanda@example.org"), idempotency_key="waits",
    )  # fmt: skip
    mails.deliver_all()
    client = world.app.test_client()
    before = client.get(f"/w/{joined.token}").get_data(as_text=True)
    operations.cancel_booking(world.theirs, by="customer", now=now_utc())
    service_id = db.session.get(Appointment, db.session.get(Booking, world.mine).appointment_id).service_id
    db.session.rollback()
    waitlist.look(service_id, cause="cancelled", now=now_utc())
    after = client.get(f"/w/{joined.token}").get_data(as_text=True)
    assert before != after
    mails.deliver_all()
    waitlist.decline(joined.token, keep_waiting=False, now=now_utc())
    mails.deliver_all()
    sent = mails.to(world.inbox.sent, "wanda@example.org")
    assert len(sent) == 3
    texts = [before, after, *(str(message["Subject"]) + mails.text(message) + mails.html(message) for message in sent)]
    for text in texts:
        assert found_in(text) == []


def test_over_the_api_a_booking_tells_of_itself_alone(world):
    from portal.accounts.operations import add_api_token

    client = world.app.test_client()
    headers = {"Authorization": f"Bearer {add_api_token('site')}", "Idempotency-Key": "one"}
    start = world.start + timedelta(days=1)
    body = {"service": "yoga", "start_at": instant_text(start), "customer": {"name": "María", "email": MINE}}
    made = client.post("/api/v1/bookings", json=body, headers=headers)
    assert made.status_code == 201
    assert found_in(made.get_data(as_text=True)) == []
    full = {**body, "start_at": instant_text(world.start)}
    taken = client.post("/api/v1/bookings", json=full, headers={**headers, "Idempotency-Key": "two"})
    assert taken.status_code == 409
    assert found_in(taken.get_data(as_text=True)) == []
    own = db.session.get(Booking, world.mine).public_id
    db.session.rollback()
    assert found_in(client.get(f"/api/v1/bookings/{own}", headers=headers).get_data(as_text=True)) == []


@pytest.mark.parametrize("privacy", ["busy only", "initials"])
def test_calendars_show_as_little_as_they_are_set_to(world, privacy):
    booking = db.session.get(Booking, world.mine)
    appointment_id = booking.appointment_id
    resource = db.session.get(Resource, booking.appointment.resources[0].resource_id)
    calendar = make_calendar(resource, remote_id="calendar", last_read_at=now_utc(), privacy=privacy)
    url = calendar.connection.account["url"]
    publish(appointment_id)
    store = MemoryCalendars.open(url)
    (event,) = store.events()
    draft = str(store.drafts[event.remote_id])
    assert found_in(draft) == []
    assert "example.org" not in draft
    assert ("Yoga" in draft) == (privacy == "initials")
    assert ("Z. Q." in draft) == (privacy == "initials")
