"""An old page undoes no newer change: every form that edits carries the version of what it shows, and one that is old by now is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import lxml.html
import pytest
from sqlalchemy import select

from portal.accounts.models import User
from portal.booking import operations
from portal.booking.fixed import dates
from portal.booking.models import Appointment, Booking, WaitlistEntry
from portal.booking.steps import manage_token
from portal.booking.time import queries
from portal.business.models import Business, Service
from portal.calendars.models import Calendar, Connection, RemoteObject
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.notifications import own_texts
from portal.sync.models import Question
from portal.waitlist import operations as waitlist
from portal.waitlist.steps import entry_token
from portal.web.shown import versions
from tests.factories import make_calendar, make_resource, make_service
from tests.support.people import make_user, signed_in

ALWAYS = {day: [(0, 1440)] for day in range(7)}
EDITS_NOTHING_THAT_IS_SHOWN = {
    "accounts.change_password": "asks for the present password",
    "accounts.end_session": "can only end what it names",
    "accounts.forgotten": "sends a link",
    "accounts.new_password": "a link that works once",
    "accounts.setup": "a link that works once",
    "accounts.sign_in": "begins a session",
    "accounts.sign_out": "ends one's own session",
    "admin.add_date": "makes a new one",
    "admin.add_series": "makes a new one",
    "admin.adopt": "says that this installation is the one, whatever stood there",
    "admin.answer_unknown": "is answered once, and a second answer is refused",
    "admin.create_service": "makes a new one",
    "admin.erase_customer": "takes away all there is, whatever it is by then",
    "admin.invite": "makes a new one",
    "admin.make_token": "makes a new one",
    "admin.preview_mail_text": "changes nothing",
    "admin.revoke_token": "can only end what it names",
    "admin.send_all_mails_again": "sends what stands in the list, and changes nothing",
    "admin.send_mail_again": "sends what stands in the list, and changes nothing",
    "admin.send_undelivered_again": "sends what stands in the list, and changes nothing",
    "admin.withdraw_invitation": "can only end what it names",
    "admin.take_up": "is answered once, and a second answer is refused",
    "api.book": "makes a new one, by a key of its own",
    "booking.confirm": "makes a new one, by a key of its own",
    "booking.correct_asked": "the link of its mail ends with it",
    "booking.extend_hold": "one's own hold, once",
    "booking.place_hold": "makes a new one",
    "booking.release_hold": "one's own hold",
    "google.confirm": "a step that works once",
    "google.connect": "leads to Google",
    "hooks.google": "no form",
    "integrations.choose": "a step that works once",
    "integrations.connect": "makes a new one",
    "integrations.finish_disconnecting": "tries again what was decided",
    "integrations.read_now": "reads, and decides nothing",
    "integrations.try_again": "tries again what was decided",
    "languages.choose": "one's own cookie",
    "manage.correct_address": "the link of its page ends with it",
    "manage.confirm": "says yes to what cannot be changed until then",
    "mine.open_booking": "leads to a page",
    "mine.open_entry": "leads to a page",
    "mine.send_code": "sends a code",
    "mine.sign_in": "begins a session",
    "mine.sign_out": "ends one's own session",
    "stop.stop": "a mail program's one click, which shows nothing",
    "waitlist.join": "makes a new one, by a key of its own",
}
"""Endpoints that are sent something and need no version, with the reason. A new one that edits what a page shows belongs to
`portal.web.shown.versions`."""


def test_every_form_that_edits_carries_a_version(sqlite_app):
    posts = {
        rule.endpoint for rule in sqlite_app.url_map.iter_rules() if rule.methods & {"POST", "PUT", "PATCH", "DELETE"}
    }
    assert posts - versions.declared() - set(EDITS_NOTHING_THAT_IS_SHOWN) == set(), (
        "say what its form shows: portal.web.shown.versions"
    )
    assert set(EDITS_NOTHING_THAT_IS_SHOWN) <= posts, "no such endpoint any more"
    assert not versions.declared() & set(EDITS_NOTHING_THAT_IS_SHOWN)


@pytest.fixture
def house(sqlite_app):
    """One of everything that a form edits."""
    return House(sqlite_app)


class House:
    def __init__(self, app: Any) -> None:
        self.app, self.now = app, now_utc()
        self.ana = make_resource(slug="ana", name="Ana", weekly=ALWAYS)
        self.service = make_service([self.ana], slug="consultation", needs_approval=True)
        self.admin = signed_in(app, make_user("owner", name="Olga"))
        self.other = make_user("staff", name="Ben")
        self.calendar = make_calendar(self.ana, name="Work", remote_id="calendar", last_read_at=self.now)
        self.class_ = make_service(
            [make_resource(slug="eva", weekly=ALWAYS)], slug="class", timing="fixed", capacity=2, has_waitlist=True
        )
        self.date_id = dates.plan_date("class", self._day(5), now=self.now)
        self.booking_id = self.book("Clara")

    def _day(self, days: int) -> Any:
        return (self.now + timedelta(days=days)).replace(hour=12, minute=0, second=0, microsecond=0)

    def book(self, name: str, slug: str = "consultation", *, party_size: int = 1) -> int:
        service = db.session.scalars(select(Service).where(Service.slug == slug)).one()
        slot = queries.soonest_slots(db.session(), service, now=self.now + timedelta(days=3), limit=1)[0]
        made = operations.book(
            service_slug=slug, start_at=slot.interval.start, customer=operations.Customer(name, f"{name.lower()}@example.org"),
            idempotency_key=f"key-{name}-{slug}", now=self.now, party_size=party_size,
        )  # fmt: skip
        return made.booking_id

    def begun(self) -> None:
        """The booking is confirmed and has begun."""
        self.confirmed()
        date = self.booking().appointment
        start = self.now - timedelta(minutes=10)
        span = {"start_at": start, "end_at": start + timedelta(minutes=30)}
        self.set(Appointment, date.id, **span, **{f"claim_{name}": value for name, value in span.items()})

    def free(self) -> str:
        """A time to which the booking can be moved, whatever else is."""
        return f"{self.noon(6):%Y-%m-%dT%H:%M:%SZ}"

    def noon(self, days: int) -> datetime:
        return self._day(days)

    def day(self, days: int) -> str:
        return f"{self._day(days):%Y-%m-%d}"

    def typed(self, data: dict[str, str]) -> dict[str, str]:
        values = {"free": self.free, "day": lambda: self.day(7)}
        return {name: values[value]() if value in values else value for name, value in data.items()}

    def look(self) -> list[int]:
        return waitlist.look(self.entry().service_id, cause="capacity", now=self.now)

    def entry_with_room(self) -> WaitlistEntry:
        """There is a seat for it, and nobody has offered it yet."""
        entry = self.entry()
        dates.change_capacity(self.date_id, 3, now=self.now)
        return entry

    def reoffer(self) -> None:
        """The offer is declined from another tab, and another one is made."""
        token = self.offered()
        waitlist.decline(token, keep_waiting=True, now=self.now)
        waitlist.offer_by_hand(self.entry().id, appointment_id=self.date_id, now=self.now)

    def confirmed(self) -> int:
        operations.approve_booking(self.booking_id, now=self.now)
        return self.booking_id

    def token(self) -> str:
        return manage_token(self.booking())

    def booking(self) -> Booking:
        db.session.rollback()
        return db.session.get_one(Booking, self.booking_id)

    def entry(self) -> WaitlistEntry:
        """Somebody who waits for the class."""
        if (entry := db.session.scalars(select(WaitlistEntry)).first()) is None:
            self.book("Full", "class", party_size=2)
            waitlist.join(
                service_slug="class", customer=operations.Customer("Wanda", "wanda@example.org"), wish="appointment", party_size=1,
                appointment_start_at=db.session.get_one(Appointment, self.date_id).start_at, idempotency_key="key-wanda", now=self.now,
            )  # fmt: skip
            entry = db.session.scalars(select(WaitlistEntry)).one()
        return entry

    def offered(self) -> str:
        """The token of an entry with an open offer."""
        entry = self.entry()
        if entry.status == "waiting":
            dates.change_capacity(self.date_id, 3, now=self.now)
            waitlist.look(entry.service_id, cause="capacity", now=self.now)
            db.session.rollback()
        return entry_token(self.entry())

    def question(self) -> Question:
        if (row := db.session.scalars(select(Question)).first()) is None:
            row = Question(
                kind="deleted", appointment_id=self.booking().appointment_id, calendar_id=self.calendar.id, sentence="Deleted."
            )  # fmt: skip
            db.session.add(row)
            db.session.commit()
        return row

    def set(self, model: Any, row_id: int, **values: Any) -> None:
        def work(session: Any) -> None:
            for name, value in values.items():
                setattr(session.get_one(model, row_id), name, value)

        transaction(work)

    def move(self) -> None:
        """Somebody gives the booking another time."""
        operations.move_booking(
            self.booking_id, self.booking().appointment.start_at + timedelta(hours=2), by="staff", now=self.now
        )


@dataclass
class Case:
    """A page and the form on it that is sent to `url`; `change` is what somebody else does meanwhile, `data` what is typed."""

    page: Callable[[House], str]
    url: Callable[[House], str]
    change: Callable[[House], None]
    data: dict[str, str] = field(default_factory=dict)
    outcomes: tuple[int, ...] = (303,)
    ends: bool = False
    """After that change nothing is left to be sent."""


def booking_page(house: House) -> str:
    return f"/admin/bookings/{house.booking_id}"


def set_service(**values: Any) -> Callable[[House], None]:
    return lambda house: house.set(Service, house.service.id, **values)


def set_calendar(**values: Any) -> Callable[[House], None]:
    return lambda house: house.set(Calendar, house.calendar.id, **values)


def set_connection(**values: Any) -> Callable[[House], None]:
    return lambda house: house.set(Connection, house.calendar.connection_id, **values)


def away(hours: int) -> Callable[[House], None]:
    """The calendar was away for so long, and nobody has read what changed meanwhile."""

    def change(house: House) -> None:
        since, now = (house.now - timedelta(hours=hours)).isoformat(), house.now.isoformat()
        set_calendar(meanwhile={"since": since, "refreshed_at": now, "at": now, "waited": []})(house)

    return change


def date_page(house: House) -> str:
    return f"/admin/appointments/{house.date_id}"


def account(house: House) -> str:
    return f"/admin/integrations/{house.calendar.connection_id}"


def keep_text(house: House) -> None:
    own_texts.save_text(own_texts.Place(kind="booked", language="en"), "", f"Other words {house.now}")


QUARANTINE = {
    "since": "2026-01-01T00:00:00+00:00",
    "decision": None,
    "remote_ids": ["a"],
    "would_remove": 1,
    "known": 2,
    "own": 0,
}


def unreadable(**values: Any) -> Callable[[House], None]:
    """An entry of the calendar that cannot be read, as it stands now."""

    def change(house: House) -> None:
        house.set(Calendar, house.calendar.id, unreadable_objects=1)
        entry = {"calendar_id": house.calendar.id, "remote_id": "/endless.ics", "fingerprint": "f"}
        transaction(lambda session: session.merge(RemoteObject(**entry, **values)))

    return change


CASES: dict[str, Case] = {
    "admin.approve_booking": Case(booking_page, lambda h: f"{booking_page(h)}/approval", House.move),
    "admin.refuse_booking": Case(booking_page, lambda h: f"{booking_page(h)}/refusal", House.move),
    "admin.cancel_booking": Case(
        lambda h: f"/admin/bookings/{h.confirmed()}/cancellation",
        lambda h: f"{booking_page(h)}/cancellation",
        House.move,
    ),
    "admin.mark_attendance": Case(
        lambda h: (h.begun(), booking_page(h))[1],
        lambda h: f"{booking_page(h)}/attendance",
        lambda h: operations.mark_attendance(h.booking_id, "no_show", now=h.now),
        {"status": "completed"},
    ),
    "manage.cancel": Case(
        lambda h: f"/b/{h.token()}/cancellation", lambda h: f"/b/{h.token()}/cancellation", House.move
    ),
    "manage.move": Case(
        lambda h: f"/b/{h.token()}/move?start_at={h.free()}",
        lambda h: f"/b/{h.token()}/move",
        House.move,
        {"start_at": "free"},
    ),
    "admin.change_capacity": Case(
        lambda h: f"{date_page(h)}/capacity?capacity=9",
        lambda h: f"{date_page(h)}/capacity",
        lambda h: dates.change_capacity(h.date_id, 5, now=h.now),
        {"capacity": "9"},
    ),
    "admin.move_appointment": Case(
        lambda h: f"{date_page(h)}/move?day={h.day(7)}&time=15:00",
        lambda h: f"{date_page(h)}/move",
        lambda h: dates.move_appointment(h.date_id, h.noon(8), by="staff", now=h.now),
        {"day": "day", "time": "15:00"},
    ),
    "admin.call_off": Case(
        lambda h: f"{date_page(h)}/call-off",
        lambda h: f"{date_page(h)}/call-off",
        lambda h: dates.move_appointment(h.date_id, h.noon(8), by="staff", now=h.now),
    ),
    "waitlist.accept": Case(
        lambda h: f"/w/{h.offered()}", lambda h: f"/w/{h.offered()}/acceptance", lambda h: h.reoffer()
    ),
    "waitlist.decline": Case(
        lambda h: f"/w/{h.offered()}/leave", lambda h: f"/w/{h.offered()}/decline", lambda h: h.reoffer()
    ),
    "waitlist.leave": Case(
        lambda h: f"/w/{entry_token(h.entry())}/leave",
        lambda h: f"/w/{entry_token(h.entry())}/leave",
        lambda h: (h.offered(), None)[1],
    ),
    "admin.offer": Case(
        lambda h: f"/admin/waitlist/entries/{h.entry_with_room().id}/offer",
        lambda h: f"/admin/waitlist/entries/{h.entry().id}/offer",
        lambda h: (h.look(), None)[1],
        ends=True,
    ),
    "admin.remove": Case(
        lambda h: f"/admin/waitlist/entries/{h.entry().id}/removal",
        lambda h: f"/admin/waitlist/entries/{h.entry().id}/removal",
        lambda h: (h.offered(), None)[1],
    ),
    "admin.pause_waitlist": Case(
        lambda h: (h.entry(), "/admin/waitlist/class")[1],
        lambda h: "/admin/waitlist/class/pause",
        lambda h: None,
    ),
    "admin.resume_waitlist": Case(
        lambda h: (h.entry(), waitlist.pause("class", True), "/admin/waitlist/class")[2],
        lambda h: "/admin/waitlist/class/resume",
        lambda h: None,
    ),
    "admin.answer": Case(
        lambda h: (h.question(), "/admin/questions")[1],
        lambda h: f"/admin/questions/{h.question().id}/answer",
        lambda h: h.set(Question, h.question().id, start_at=h.noon(9), end_at=h.noon(10)),
        {"answer": "cancel"},
    ),
    "admin.save_service": Case(
        lambda h: "/admin/services/consultation",
        lambda h: "/admin/services/consultation",
        set_service(price="40 €"),
        {"name": "Long talk"},
    ),
    "admin.save_mail_text": Case(
        lambda h: "/admin/texts/booked?language=en",
        lambda h: "/admin/texts/booked?language=en",
        keep_text,
        {"subject": "", "body": "My words"},
    ),
    "admin.reset_mail_text": Case(
        lambda h: (keep_text(h), "/admin/texts/booked?language=en")[1],
        lambda h: "/admin/texts/booked/reset?language=en",
        lambda h: own_texts.save_text(own_texts.Place(kind="booked", language="en"), "", "Newer words") and None,
    ),
    "admin.shut_out": Case(
        lambda h: "/admin/people",
        lambda h: f"/admin/people/{h.other.id}/shut-out",
        lambda h: h.set(User, h.other.id, role="admin"),
    ),
    "admin.let_in": Case(
        lambda h: (h.set(User, h.other.id, is_enabled=False), "/admin/people")[1],
        lambda h: f"/admin/people/{h.other.id}/let-in",
        lambda h: h.set(User, h.other.id, role="admin"),
    ),
    "admin.change_person": Case(
        lambda h: f"/admin/people/{h.other.id}",
        lambda h: f"/admin/people/{h.other.id}",
        lambda h: h.set(User, h.other.id, is_enabled=False),
        {"role": "admin"},
    ),
    "admin.remove_person": Case(
        lambda h: f"/admin/people/{h.other.id}/removal",
        lambda h: f"/admin/people/{h.other.id}/removal",
        lambda h: h.set(User, h.other.id, role="admin"),
    ),
    "admin.set_retention": Case(
        lambda h: "/admin/customers",
        lambda h: "/admin/customers/retention",
        lambda h: h.set(Business, 1, retention_days=100),
        {"days": ""},
    ),
    "integrations.rules": Case(
        lambda h: f"/admin/integrations/calendars/{h.calendar.id}",
        lambda h: f"/admin/integrations/calendars/{h.calendar.id}",
        set_calendar(when_deleted="cancel"),
        {
            "when_moved": "ask",
            "when_deleted": "ask",
            "when_unreadable": "stop",
            "freshness": "600",
            "privacy": "full",
            "is_busy_source": "1",
        },
    ),
    "integrations.decide": Case(
        lambda h: (set_calendar(quarantine=QUARANTINE)(h), "/admin/integrations")[1],
        lambda h: f"/admin/integrations/calendars/{h.calendar.id}/quarantine",
        set_calendar(quarantine={**QUARANTINE, "remote_ids": ["a", "b"], "would_remove": 2}),
        {"decision": "accept"},
    ),
    "integrations.leave_open": Case(
        lambda h: (unreadable(etag="1", problem="It never ends.")(h), "/admin/integrations")[1],
        lambda h: f"/admin/integrations/calendars/{h.calendar.id}/entries",
        unreadable(etag="2", problem="It has two starts."),
        {"entry": "/endless.ics", "wish": "open"},
    ),
    "integrations.dismiss": Case(
        lambda h: (away(1)(h), "/admin/integrations")[1],
        lambda h: f"/admin/integrations/calendars/{h.calendar.id}/meanwhile/dismissal",
        away(2),
    ),
    "integrations.pause": Case(lambda h: "/admin/integrations", lambda h: f"{account(h)}/pause", lambda h: None),
    "integrations.resume": Case(
        lambda h: (set_connection(state="paused")(h), "/admin/integrations")[1],
        lambda h: f"{account(h)}/resumption",
        lambda h: None,
    ),
    "integrations.refresh": Case(
        lambda h: f"{account(h)}/refresh",
        lambda h: f"{account(h)}/refresh",
        set_calendar(is_destination=False),
        {"password": "new"},
        outcomes=(303, 422),
    ),
    "integrations.disconnect": Case(
        lambda h: f"{account(h)}/disconnection",
        lambda h: f"{account(h)}/disconnection",
        set_calendar(is_destination=False),
    ),
}
NO_PAGE_OF_ITS_OWN = {"integrations.disconnect_anyway"}
"""A button that is shown only while a disconnection hangs; it shows what `integrations.disconnect` does, by the same function."""


def version_on(page: str, url: str) -> str:
    """The version in the form of the page that is sent to `url`; a form without an address is sent to the page's own."""
    for action, inside in re.findall(r'<form[^>]*method="post"([^>]*)>(.*?)</form>', page, re.S):
        named = re.search(r'action="([^"]*)"', action)
        if named is None or unescape(named[1]) == url:
            found = re.search(r'name="version" value="([^"]+)"', inside)
            if found:
                return found[1]
    raise AssertionError(f"no form with a version is sent to {url}")


def fields_on(page: str, url: str) -> dict[str, str]:
    """What the form holds already."""
    for form in lxml.html.fromstring(page).forms:
        if form.method == "POST" and form.action in (None, url):
            return {name: value for name, value in form.form_values() if name not in ("csrf_token", "version")}
    return {}


def test_every_declared_form_has_its_case_here(sqlite_app):
    told = {endpoint for endpoint in versions.declared() if not endpoint.startswith("api.")}
    assert told - set(CASES) - NO_PAGE_OF_ITS_OWN == set()


@pytest.mark.parametrize("endpoint", sorted(CASES))
def test_an_old_form_is_refused_and_can_be_sent_knowingly(house, endpoint):
    case = CASES[endpoint]
    page_url, url = case.page(house), case.url(house)
    page = house.admin.get(page_url).get_data(as_text=True)
    data = {**fields_on(page, url), **house.typed(case.data)}
    old = version_on(page, url)
    case.change(house)
    stale = old if endpoint not in SAME_BY_THEN else "0" * 6
    refused = house.admin.post(url, data={**data, "version": stale})
    text = refused.get_data(as_text=True)
    assert refused.status_code == 409, endpoint
    assert "meanwhile" in text.lower() or "Meanwhile" in text
    for name, value in data.items():
        assert not value or "password" in name or value in unescape(text) or case.ends, (name, "is lost")
    if case.ends:
        return
    fresh = version_on(text, url)
    assert fresh != stale
    sent = house.admin.post(url, data={**data, "version": fresh})
    assert sent.status_code in case.outcomes, sent.get_data(as_text=True)


SAME_BY_THEN = {"admin.pause_waitlist", "admin.resume_waitlist", "integrations.pause", "integrations.resume"}
"""Buttons that say what shall be: when it is so already by somebody else, nothing is left to do, and nobody is told off."""


def test_of_two_tabs_that_move_a_booking_the_second_is_told_where_it_went(house):
    house.confirmed()
    before, address = house.booking().appointment.start_at, f"/b/{house.token()}/move"
    question = f"{address}?start_at={house.free()}"
    version = version_on(house.admin.get(question).get_data(as_text=True), address)
    other = before + timedelta(hours=3)
    first = house.admin.post(address, data={"start_at": f"{other:%Y-%m-%dT%H:%M:%SZ}", "version": version})
    assert first.status_code == 303
    second = house.admin.post(address, data={"start_at": house.free(), "version": version})
    text = second.get_data(as_text=True)
    assert second.status_code == 409
    assert "It was moved meanwhile to" in text
    assert f"{other.astimezone(ZoneInfo('Europe/Madrid')):%H:%M}" in text
    assert house.free() in text
    assert house.booking().appointment.start_at == other
    knowingly = house.admin.post(address, data={"start_at": house.free(), "version": version_on(text, address)})
    assert knowingly.status_code == 303
    assert house.booking().appointment.start_at == house.noon(6)


def test_a_second_click_is_no_change_by_somebody_else(house):
    house.confirmed()
    address = f"{booking_page(house)}/cancellation"
    version = version_on(house.admin.get(address).get_data(as_text=True), address)
    assert [house.admin.post(address, data={"version": version}).status_code for _ in range(2)] == [303, 303]


def test_a_mistake_in_a_field_does_not_make_an_old_form_new(house):
    """The form comes back with what is wrong in it, and still knows only what it showed."""
    address = "/admin/services/consultation"
    page = house.admin.get(address).get_data(as_text=True)
    typed = {**fields_on(page, address), "version": version_on(page, address)}
    set_service(price="40 €")(house)
    wrong = house.admin.post(address, data={**typed, "duration": "7"})
    assert wrong.status_code == 422
    again = version_on(wrong.get_data(as_text=True), address)
    stale = house.admin.post(address, data={**typed, "version": again})
    assert stale.status_code == 409
    assert "changed this meanwhile: price" in stale.get_data(as_text=True)


def test_an_old_form_tells_nothing_to_who_may_not_see_it(house):
    ben = signed_in(house.app, make_user("staff", resource_id=make_resource(slug="ben").id))
    refused = ben.post(f"{booking_page(house)}/cancellation", data={"version": "old"})
    assert refused.status_code == 404


def test_of_two_that_save_at_once_one_is_told(app):
    """Both have read the same version; the database lets one after the other through, and the second finds it old."""
    house = House(app)
    address = "/admin/services/consultation"
    page = house.admin.get(address).get_data(as_text=True)
    typed = {**fields_on(page, address), "version": version_on(page, address)}
    db.session.remove()

    def save(price: str) -> int:
        client = signed_in_again(house)
        return client.post(address, data={**typed, "price": price}).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(save, ("40 €", "50 €"))) == [303, 409]


def signed_in_again(house: House) -> Any:
    client = house.app.test_client()
    with house.admin.session_transaction() as mine, client.session_transaction() as session:
        session.update(mine)
    return client
