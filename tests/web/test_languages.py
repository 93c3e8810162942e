"""Public pages speak the reader's language: chosen, asked for by the browser, or the business's; and nothing in them is left in English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin
from zoneinfo import ZoneInfo

import flask_babel
import pytest
from babel import Locale
from babel.support import NullTranslations
from flask import Flask
from sqlalchemy import event

from portal.booking import operations
from portal.booking.models import Booking
from portal.booking.operations import Customer
from portal.booking.time import queries
from portal.business.models import Business
from portal.clock import now_utc
from portal.customers import codes
from portal.customers.models import MailedCode
from portal.extensions import db
from portal.language import dates, say
from portal.notifications.stop_links import stop_url
from portal.security import new_token
from portal.waitlist import operations as waitlist
from portal.web import access
from portal.web.instants import instant_text
from tests import factories
from tests.operations.waitlist.house import cancel, make_class, take, wait
from tests.support.people import make_user, signed_in
from tests.support.visitor import Visitor

EVERY_DAY = {day: [(9 * 60, 17 * 60)] for day in range(7)}
SPANISH = {"Accept-Language": "es-ES,es;q=0.9,en;q=0.5"}


@pytest.fixture
def app(sqlite_app: Flask) -> Flask:
    people = [factories.make_resource(slug=name, name=name.title(), weekly=EVERY_DAY) for name in ("ana", "ben")]
    factories.make_service(people, slug="consultation")
    return sqlite_app


def language_of(visitor: Visitor) -> str:
    return str(visitor.page.get("lang"))


def business_speaks(language: str) -> None:
    db.session.query(Business).one().language = language
    db.session.commit()


# --- Which language ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "business", "spoken"),
    [
        ("es-MX,es;q=0.9,en;q=0.8", "en", "es"),
        ("de,fr;q=0.9,hu;q=0.2,en;q=0.1", "en", "hu"),
        ("de-DE,de;q=0.9", "es", "es"),
        ("*", "hu", "hu"),
        ("", "hu", "hu"),
        ("es;q=0", "hu", "hu"),
        ("", "de", "en"),
        ("EN-us", "es", "en"),
    ],
)
def test_a_page_speaks_what_the_browser_asks_for_else_what_the_business_speaks(
    app: Flask, asked: str, business: str, spoken: str
) -> None:
    business_speaks(business)
    visitor = Visitor(app, **{"Accept-Language": asked}).get("/consultation")
    assert language_of(visitor) == spoken
    assert visitor.response.headers["Content-Language"] == spoken


def test_what_was_chosen_counts_before_what_the_browser_asks_for(app: Flask) -> None:
    visitor = Visitor(app, **SPANISH).get("/consultation").press("Magyar")
    assert (visitor.status, visitor.url, language_of(visitor)) == (200, "/consultation", "hu")
    assert language_of(visitor.get("/")) == "hu"
    assert language_of(Visitor(app, **SPANISH).get("/")) == "es"


def test_the_present_language_is_marked_and_each_stands_under_its_own_name(app: Flask) -> None:
    page = Visitor(app, **SPANISH).get("/").page
    buttons = {button.text: button for button in page.xpath('//form[@action="/language"]//button')}
    assert [(name, button.get("lang")) for name, button in buttons.items()] == [
        ("English", "en"),
        ("Español", "es"),
        ("Magyar", "hu"),
    ]
    assert [name for name, button in buttons.items() if button.get("aria-current")] == ["Español"]


def test_the_day_and_zone_stay_where_the_browser_tells_them(app: Flask) -> None:
    day = (now_utc() + timedelta(days=2)).date().isoformat()
    visitor = Visitor(app).get(f"/consultation?day={day}&zone=Asia/Kolkata")
    visitor.headers = {"Referer": f"http://localhost{visitor.url}"}
    assert visitor.press("Español").url == f"/consultation?day={day}&zone=Asia/Kolkata"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/a//evil.example",
        "javascript:alert(1)",
        "",
        "/x\ny",
    ],
)
@pytest.mark.parametrize("came_from", ["", "http://localhost/?x=1", "https://evil.example/?x=1"])
def test_the_switch_leads_nowhere_else(app: Flask, target: str, came_from: str) -> None:
    data = {"language": "es", "next": target}
    response = app.test_client().post("/language", data=data, headers={"Referer": came_from})
    assert (response.status_code, response.headers["Location"]) == (303, "/")


def test_the_question_of_another_page_is_not_taken_over(app: Flask) -> None:
    data = {"language": "es", "next": "/consultation"}
    for came_from in ("https://evil.example/consultation?day=2030-01-01", "http://localhost/other?day=2030-01-01"):
        response = app.test_client().post("/language", data=data, headers={"Referer": came_from})
        assert response.headers["Location"] == "/consultation"


def test_only_a_language_that_is_spoken_here_can_be_chosen(app: Flask) -> None:
    client = app.test_client()
    assert client.post("/language", data={"language": "de", "next": "/"}).status_code == 400
    assert client.get("/language").status_code == 404


def test_the_switch_wants_its_token_and_says_so_in_the_readers_language(app: Flask) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    try:
        response = app.test_client().post("/language", data={"language": "es"}, headers=SPANISH)
    finally:
        app.config["WTF_CSRF_ENABLED"] = False
    assert response.status_code == 400
    assert "Recárguela e inténtelo de nuevo" in response.text


def test_where_something_is_typed_no_switch_would_lose_it(app: Flask) -> None:
    visitor = Visitor(app).get("/consultation")
    visitor.press(visitor.times()[0])
    assert "/holds/" in visitor.url
    assert not visitor.page.xpath('//form[@action="/language"]')


def test_pages_may_not_be_kept_for_readers_of_another_language(app: Flask) -> None:
    for path in ("/", "/consultation", "/consultation/slots", "/nothing/here", "/api/v1/bookings/x"):
        vary = app.test_client().get(path).vary
        assert "Accept-Language" in vary, path
        assert "Cookie" in vary, path


def test_staffs_own_pages_speak_english(app: Flask) -> None:
    for path in ("/admin/sign-in", "/admin/nothing"):
        response = app.test_client().get(path, headers=SPANISH)
        assert '<html lang="en">' in response.text
        assert "/language" not in response.text
    client = signed_in(app, make_user("owner"))
    for language, clock in (("es", "10:30 "), ("en-US", "10:30\u202fAM")):
        business_speaks(language)
        booking = at_half_past_ten()
        response = client.get(f"/admin/bookings/{booking}", headers=SPANISH)
        assert '<html lang="en">' in response.text
        assert clock.strip() in response.text
        assert "noviembre" not in response.text
        assert "diciembre" not in response.text


def test_machines_cost_no_query_for_a_language(app: Flask) -> None:
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *values: asked.append(values[2]))
    client = app.test_client()
    assert client.get("/healthz", headers=SPANISH).status_code == 200
    assert client.post("/hooks/google", headers=SPANISH).status_code == 204
    assert [statement for statement in asked if "business" in statement] == []


def at_half_past_ten() -> int:
    """A booking of the next free day, at half past ten in Madrid."""
    service = queries.find_service(db.session(), "consultation")
    slots = queries.soonest_slots(db.session(), service, now=now_utc() + timedelta(days=1), limit=40)
    at = [slot.interval.start.astimezone(ZoneInfo("Europe/Madrid")).strftime("%H:%M") for slot in slots].index("10:30")
    book(slots[at].interval.start)
    return db.session.scalars(db.select(Booking.id).order_by(Booking.id.desc())).first()


# --- What follows from it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "remembered"), [("es-MX,es;q=0.9", "es-MX"), ("hu", "hu"), ("es-419", "es"), ("de", "en")]
)
def test_a_booking_remembers_the_language_of_its_page(app: Flask, asked: str, remembered: str) -> None:
    visitor = Visitor(app, **{"Accept-Language": asked}).get("/consultation")
    visitor.press(visitor.times()[0])
    button = visitor.page.xpath('//form[@id="details"]//button')[0].text
    visitor.press(button, name="María Pérez", email="maria@example.org")
    db.session.rollback()
    assert db.session.query(Booking).one().customer_language == remembered


@pytest.mark.parametrize(
    ("asked", "day", "clock"),
    [
        ("en-GB", r"\w+day \d+ \w+( \d{4})?", r"10:30"),
        ("en-US", r"\w+day, \w+ \d+(, \d{4})?", r"10:30.AM"),
        ("es", r"[A-ZÁÉ]\w+, \d+ de \w+( de \d{4})?", r"10:30"),
        ("hu", r"(\d{4}\. )?[A-ZÁÉa-záé]\w+ \d+\., \w+", r"10:30"),
    ],
)
def test_days_and_times_are_written_as_the_reader_does(app: Flask, asked: str, day: str, clock: str) -> None:
    """With the year, where it is another one."""
    on = (now_utc() + timedelta(days=1)).date()
    visitor = Visitor(app, **{"Accept-Language": asked}).get(f"/consultation?day={on.isoformat()}")
    assert re.fullmatch(day, visitor.text('//*[@id="slots-title"]'))
    assert any(re.fullmatch(clock, time) for time in visitor.times())


def test_programs_hear_of_mistakes_in_the_language_they_ask_for(app: Flask) -> None:
    business_speaks("hu")
    client = app.test_client()
    told = [client.get("/api/v1/availability?service=none", headers=h).get_json()["title"] for h in (SPANISH, {})]
    assert told[0].startswith("Aquí no existe ese servicio")
    assert told[1].startswith("There is no such service")


def test_refusals_are_said_in_the_readers_language(app: Flask) -> None:
    visitor = Visitor(app, **SPANISH).get("/consultation")
    visitor.press(visitor.times()[0])
    visitor.press("Reservar esta hora", name="", email="nobody")
    assert visitor.status == 422
    assert "Díganos su nombre" in visitor.text()
    assert "name@example.org" not in visitor.text()


# --- Nothing is left in English ---------------------------------------------------------------------------------------

MARKED = re.compile(r"⟦[^⟦⟧]*⟧")
ADDRESS = re.compile(r"\S+@\S+")
LATIN = re.compile(r"[A-Za-zÀ-ɏ]{2,}")
HEARD = (
    "aria-label",
    "title",
    "alt",
    "placeholder",
    "abbr",
    "data-summary",
    "data-sentence",
    "data-link",
    "data-last-minute",
)
KNOWN = {"UTC", "Google", "Outlook", "English", "Español", "Magyar", "Lockstep"}


class Marks(NullTranslations):
    """A catalog in which every text stands between marks, and all others therefore outside of them."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, one: str, many: str, number: int) -> str:
        return f"⟦{one if number == 1 else many}⟧"

    ugettext, ungettext = gettext, ngettext


def forget_names() -> None:
    """Names of places are kept by language, and would be Greek in the tests after."""
    for kept in (dates._city, dates._zones_by_region):
        kept.cache_clear()


@pytest.fixture
def marked(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The pages with marked texts, Greek names and Greek dates."""
    monkeypatch.setattr(say, "catalog", lambda _tag: Marks())
    monkeypatch.setattr(flask_babel.Domain, "get_translations", lambda _self: Marks())
    monkeypatch.setattr(dates, "locale_of", lambda _tag, _country="": Locale("el"))
    business = db.session.query(Business).one()
    business.name = "Στούντιο"
    for row in [*queries.list_services(db.session()), *db.session.query(factories.Resource)]:
        db.session.merge(row).name = "Άννα"
    db.session.commit()
    forget_names()
    yield app
    forget_names()


def leftovers(page: Any) -> Iterator[str]:
    """Latin words that a person sees or hears on a page, and that stand in no catalog."""
    for element in page.iter():
        if not isinstance(element.tag, str) or element.tag in ("script", "style", "option", "input", "textarea"):
            texts = [element.tail or ""]
        else:
            texts = [element.text or "", element.tail or "", *(element.get(name) or "" for name in HEARD)]
        if element.tag == "optgroup":
            texts.append(element.get("label"))
        yield from (word for text in texts for word in LATIN.findall(outside(text)) if word not in KNOWN)


def outside(text: str) -> str:
    text = ADDRESS.sub(" ", text)
    while MARKED.search(text):
        text = MARKED.sub(" ", text)
    return text


def crawl(app: Flask, *starts: str) -> Iterator[Visitor]:
    """Every page that links and forms of GET lead to from `starts`, one of a kind."""
    visitor, queue, seen = Visitor(app, **SPANISH), list(starts), set(starts)
    while queue:
        visitor.get(queue.pop(0))
        if visitor.response.mimetype != "text/html":
            continue
        yield visitor
        for link in visitor.page.xpath("//a/@href | //*/@hx-get"):
            found = urljoin(visitor.url, link).split("#")[0]
            kind = re.sub(r"\d+", "0", found)
            if found.startswith("/") and not found.startswith(("/static", "//")) and kind not in seen:
                seen.add(kind)
                queue.append(found)


def test_the_marks_find_what_stands_in_no_catalog() -> None:
    assert outside("⟦with ⟦Ana⟧⟧ and more").split() == ["and", "more"]


def test_no_public_page_holds_a_word_that_is_in_no_catalog(marked: Flask) -> None:
    slots = queries.soonest_slots(
        db.session(), queries.find_service(db.session(), "consultation"), now=now_utc(), limit=3
    )
    hold = operations.place_hold(service_slug="consultation", start_at=slots[0].interval.start, now=now_utc())
    tokens = [book(slot.interval.start) for slot in slots[1:]]
    operations.cancel_booking(
        db.session.query(Booking).filter_by(status="confirmed").first().id, by="staff", now=now_utc()
    )
    starts = ["/", "/mine", "/nothing", f"/consultation/holds/{hold.token}", "/consultation/holds/gone"]
    pages = 0
    for visitor in crawl(marked, *starts, *(f"/b/{token}" for token in tokens), *a_full_class()):
        pages += 1
        assert sorted(set(leftovers(visitor.page))) == [], visitor.url
    assert pages > 20


def test_no_refusal_holds_a_word_that_is_in_no_catalog(marked: Flask) -> None:
    visitor = Visitor(marked).get("/consultation?zone=Mars&day=x&resource=nobody")
    assert sorted(set(leftovers(visitor.page))) == []
    visitor.press(visitor.times()[0])
    visitor.press("⟦Book this time⟧", name="", email="x", phone="y")
    assert visitor.status == 422
    assert sorted(set(leftovers(visitor.page))) == []


def test_ones_own_bookings_and_stop_links_hold_no_word_that_is_in_no_catalog(marked: Flask) -> None:
    slots = queries.soonest_slots(
        db.session(), queries.find_service(db.session(), "consultation"), now=now_utc(), limit=2
    )
    for slot in slots:
        book(slot.interval.start)
    last = db.session.query(Booking).order_by(Booking.id.desc()).first()
    operations.cancel_booking(last.id, by="customer", now=now_utc())
    visitor = Visitor(marked).get("/mine")
    for button, typed in (("Send me a code", {"email": "anna@example.org"}), ("Show my bookings", {"code": "000000"})):
        visitor.press(f"⟦{button}⟧", **typed)
        assert sorted(set(leftovers(visitor.page))) == [], visitor.url
    code = codes.code_of(db.session.query(MailedCode).one())
    visitor.press("⟦Show my bookings⟧", code=code)
    assert visitor.url == "/mine/bookings"
    assert sorted(set(leftovers(visitor.page))) == []
    visitor.get(stop_url("reminders", last.id).removeprefix("http://localhost"))
    assert sorted(set(leftovers(visitor.page))) == [], visitor.text()
    visitor.press("⟦No more reminders⟧")
    assert sorted(set(leftovers(visitor.page))) == [], visitor.text()


def a_full_class() -> list[str]:
    """The address of its pages, of one who waits for it, and of one who has been offered a seat."""
    tomorrow = now_utc().replace(hour=11, minute=0, second=0, microsecond=0) + timedelta(days=2)
    person = factories.make_resource(name="Άννα")
    class_ = make_class(2, start_at=tomorrow, resource=person, slug="yoga", name="Άννα", description="Άννα")
    taken = [take(class_, name, now=now_utc()) for name in ("Zebedee", "Yolanda")]
    waiting = [
        wait(class_, name, customer=Customer("Άννα", f"{name}@example.org"), now=now_utc()) for name in ("one", "two")
    ]
    cancel(taken[0], now=now_utc())
    waitlist.look(class_.service_id, cause="cancelled", now=now_utc())
    return [f"/yoga/waitlist?appointment={instant_text(tomorrow)}", "/yoga", *(f"/w/{one.token}" for one in waiting)]


def book(start_at: Any) -> str:
    customer = Customer("Άννα", "anna@example.org")
    return operations.book(
        service_slug="consultation", start_at=start_at, customer=customer, idempotency_key=new_token(), now=now_utc()
    ).manage_token


def test_every_public_page_is_known_to_this_test() -> None:
    """A new public blueprint is walked above, or has its reason here."""
    rooms = {name.partition(".")[0] for name in access.PUBLIC}
    walked = {"booking", "manage", "mine", "waitlist", "stop", "languages"}
    for_staff, for_machines = {"accounts"}, {"health", "hooks", "api"}
    assert rooms <= walked | for_staff | for_machines
