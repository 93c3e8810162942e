"""What holds on every public page: headers, weight, fragments, zones; and that looking changes nothing."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from portal.booking import operations
from portal.booking.rules import Customer
from portal.booking.time import queries
from portal.business.models import Service
from portal.clock import now_utc
from portal.extensions import db, limiter
from portal.language import dates
from portal.security import new_token
from portal.web import after_answer
from tests import factories
from tests.support.visitor import Visitor

EVERY_DAY = {day: [(9 * 60, 17 * 60)] for day in range(7)}
HTMX = {"HX-Request": "true"}
OF_A_KIND = 12


@pytest.fixture
def service(sqlite_app: Flask) -> Service:
    people = [factories.make_resource(slug=name, name=name.title(), weekly=EVERY_DAY) for name in ("ana", "ben")]
    row: Service = factories.make_service(people, slug="consultation", description="A calm half hour.")
    return row


@pytest.fixture
def booked(service: Service) -> str:
    """The token of a booking of a customer whose data nobody else may see."""
    slot = queries.soonest_slots(db.session(), service, now=now_utc(), limit=1)[0]
    hold = operations.place_hold(service_slug="consultation", start_at=slot.interval.start, now=now_utc())
    customer = Customer("Zebedee Marker", "marker@example.org", phone="+99 111 222", note="marker note")
    return operations.confirm_hold(hold.token, customer, idempotency_key=new_token(), now=now_utc()).manage_token


def dump() -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    db.session.rollback()
    return {t.name: sorted(map(tuple, db.session.execute(select(t))), key=repr) for t in db.metadata.sorted_tables}


def crawl(app: Flask, *starts: str) -> Iterator[tuple[str, TestResponse]]:
    """GET every kind of page that links lead to from `starts`, within the portal: a dozen of each kind, however many days the month has left."""
    client = app.test_client()
    queue, seen = list(starts), set(starts)
    kinds = Counter(kind_of(app, start) for start in starts)
    while queue:
        address = queue.pop(0)
        response = client.get(address, follow_redirects=True)
        yield address, response
        if response.mimetype != "text/html":
            continue
        page = Visitor(app)._keep(response)
        for element in page.page.xpath("//*[@href or @action or @hx-get or @hx-post]"):
            for name in ("href", "action", "hx-get", "hx-post"):
                found = urljoin(address, element.get(name) or "").split("#")[0]
                if not found.startswith("/") or found.startswith(("/static", "//")) or found in seen:
                    continue
                kind = kind_of(app, found)
                if kinds[kind] < OF_A_KIND:
                    kinds[kind] += 1
                    seen.add(found)
                    queue.append(found)


def kind_of(app: Flask, address: str) -> tuple[str, ...]:
    """The page's endpoint, and what its address asks for by name."""
    parts = urlsplit(address)
    try:
        endpoint, _ = app.url_map.bind("localhost").match(parts.path, method="GET")
    except HTTPException:  # only posted to, or none of ours
        endpoint = parts.path
    return endpoint, *sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})


def test_looking_changes_nothing_whatever_is_opened(
    sqlite_app: Flask, booked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(after_answer, "pull_when_stale", lambda *_args, **_more: None)
    slot = queries.soonest_slots(db.session(), db.session.query(Service).one(), now=now_utc(), limit=1)[0]
    hold = operations.place_hold(service_slug="consultation", start_at=slot.interval.start, now=now_utc())
    before = dump()
    seen = [address for address, _ in crawl(sqlite_app, "/", f"/b/{booked}", f"/consultation/holds/{hold.token}")]
    assert any("/move?" in address for address in seen)
    assert any("/cancellation" in address for address in seen)
    assert dump() == before


def test_every_page_has_a_strict_policy_and_nothing_inline(sqlite_app: Flask, booked: str) -> None:
    for address, response in crawl(sqlite_app, "/", "/no-such-service", f"/b/{booked}"):
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, address
        assert "unsafe" not in policy, address
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        if response.mimetype == "text/html":
            page = Visitor(sqlite_app)._keep(response).page
            assert not page.xpath(
                "//*[@style] | //style | //script[not(@src)] | //*[starts-with(@href, 'javascript:')]"
            )
            assert not [name for element in page.iter() for name in element.attrib if name.startswith(("on", "hx-on"))]


def test_nobody_sees_another_customer(sqlite_app: Flask, booked: str) -> None:
    for address, response in crawl(sqlite_app, "/", "/consultation", "/consultation/slots"):
        for marker in (b"Zebedee", b"marker", b"111 222", booked.encode()):
            assert marker not in response.data, address


def test_every_form_that_changes_something_carries_a_csrf_field(sqlite_app: Flask, booked: str) -> None:
    for address, response in crawl(sqlite_app, "/", f"/b/{booked}"):
        if response.mimetype == "text/html":
            page = Visitor(sqlite_app)._keep(response).page
            assert all(form.xpath('.//input[@name="csrf_token"]') for form in page.xpath('//form[@method="post"]')), (
                address
            )


def test_without_its_csrf_field_nothing_is_done(sqlite_app: Flask, booked: str) -> None:
    sqlite_app.config["WTF_CSRF_ENABLED"] = True
    try:
        before = dump()
        client = sqlite_app.test_client()
        for path in ("/consultation/holds", "/consultation/bookings", f"/b/{booked}/cancellation", f"/b/{booked}/move"):
            assert client.post(path, data={"start_at": "2026-12-01T10:00:00Z"}).status_code == 400
        assert dump() == before
    finally:
        sqlite_app.config["WTF_CSRF_ENABLED"] = False


def test_with_its_csrf_field_a_booking_goes_through(
    sqlite_app: Flask, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_app.config["WTF_CSRF_ENABLED"] = True
    try:
        visitor = Visitor(sqlite_app).get("/consultation")
        visitor.press(visitor.times()[0]).press("Book this time", name="Ana", email="a@example.org")
        assert visitor.url.startswith("/b/")
    finally:
        sqlite_app.config["WTF_CSRF_ENABLED"] = False


def test_the_first_page_is_light(sqlite_app: Flask, service: Service) -> None:
    """At most 40 kB gzipped in at most 4 requests: HTML 10, CSS 10, scripts 20."""
    sqlite_app.config["WTF_CSRF_ENABLED"] = False
    client = sqlite_app.test_client()
    html = client.get("/consultation", headers={"Accept-Encoding": "gzip"})
    assert html.headers["Content-Encoding"] == "gzip"
    page = Visitor(sqlite_app).get("/consultation").page
    sheets = page.xpath('//link[@rel="stylesheet"]/@href')
    scripts = page.xpath("//script/@src")
    sizes = {"html": len(html.data), "css": _weight(client, sheets), "js": _weight(client, scripts)}
    assert sizes["html"] <= 10_000, sizes
    assert sizes["css"] <= 10_000, sizes
    assert sizes["js"] <= 20_000, sizes
    assert 1 + len(sheets) + len(scripts) <= 4
    assert not page.xpath('//img | //link[@rel="preload"] | //*[starts-with(@src, "http")]')


def _weight(client, addresses: list[str]) -> int:  # type: ignore[no-untyped-def]
    total = 0
    for address in addresses:
        with client.get(address, headers={"Accept-Encoding": "gzip"}) as response:
            total += len(response.data)
    return total


def test_static_files_are_kept_for_ever_under_the_hash_of_their_content(sqlite_app: Flask, service: Service) -> None:
    address = Visitor(sqlite_app).get("/").page.xpath('//link[@rel="stylesheet"]/@href')[0]
    with sqlite_app.test_client().get(address, headers={"Accept-Encoding": "gzip"}) as response:
        assert "immutable" in response.headers["Cache-Control"]
        assert "Access-Control-Allow-Origin" not in response.headers
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert b"@layer tokens" in gzip.decompress(response.data)
    assert sqlite_app.test_client().get("/static/../portal/config.py").status_code == 404


def test_pages_that_repeat_what_somebody_typed_are_not_compressed(sqlite_app: Flask, booked: str) -> None:
    client = sqlite_app.test_client()
    for address in (f"/b/{booked}", f"/b/{booked}/move", "/no-such-service"):
        assert "Content-Encoding" not in client.get(address, headers={"Accept-Encoding": "gzip"}).headers


def test_the_slots_address_gives_the_fragment_to_htmx_and_the_page_to_others(
    sqlite_app: Flask, service: Service
) -> None:
    client = sqlite_app.test_client()
    fragment, page = client.get("/consultation/slots", headers=HTMX), client.get("/consultation/slots")
    assert fragment.data.strip().startswith(b'<section id="slots"')
    assert b"<html" in page.data
    assert "HX-Request" in fragment.headers["Vary"]
    boosted = client.get("/consultation/slots", headers={**HTMX, "HX-Boosted": "true"})
    assert b"<html" in boosted.data


def test_an_open_page_is_told_only_news(sqlite_app: Flask, service: Service) -> None:
    visitor = Visitor(sqlite_app, **HTMX)
    address = visitor.get("/consultation/slots").page.xpath('//*[@id="slots"]/@hx-get')[0]
    assert visitor.get(address).status == 204
    times = Visitor(sqlite_app).get("/consultation")
    for person in ("ana", "ben"):
        start_at = times.page.xpath('//*[@id="slots"]//button/@value')[0]
        operations.place_hold(
            service_slug="consultation",
            start_at=dates.datetime.fromisoformat(start_at),
            now=now_utc(),
            resource_slug=person,
        )
    visitor.get(address)
    assert visitor.status == 200
    assert len(visitor.times()) == len(times.times()) - 1


def test_htmx_gets_fragments_for_a_lost_race_and_for_wrong_fields(
    sqlite_app: Flask, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Visitor(sqlite_app).get("/consultation?resource=ana")
    start_at = page.page.xpath('//*[@id="slots"]//button/@value')[0]
    client = sqlite_app.test_client()
    won = client.post("/consultation/holds", data={"start_at": start_at, "resource": "ana"}, headers=HTMX)
    assert (won.status_code, "/holds/" in won.headers["HX-Redirect"]) == (204, True)
    lost = sqlite_app.test_client().post(
        "/consultation/holds", data={"start_at": start_at, "resource": "ana"}, headers=HTMX
    )
    assert lost.status_code == 409
    assert lost.data.strip().startswith(b'<section id="slots"')
    assert b'hx-swap-oob="true"' in lost.data
    form = Visitor(sqlite_app)._keep(client.get(won.headers["HX-Redirect"])).page.get_element_by_id("details")
    wrong = client.post("/consultation/bookings", data=dict(form.form_values()), headers=HTMX)
    assert wrong.status_code == 422
    assert wrong.data.strip().startswith(b'<div id="form"')


def test_the_zone_is_always_named_and_kept_in_every_address(sqlite_app: Flask, service: Service) -> None:
    visitor = Visitor(sqlite_app).get("/consultation")
    assert "Madrid time (UTC" in visitor.text()
    here = visitor.times()
    visitor.get("/consultation?zone=Asia/Kolkata")
    assert "Kolkata time (UTC+5:30)" in visitor.text()
    assert here[0] not in visitor.times()
    for address in visitor.page.xpath("//a[@data-day]/@href | //*[@id='slots']/@hx-get"):
        assert "zone=Asia/Kolkata" in address
    visitor.press(visitor.times()[0])
    assert "Kolkata time (UTC+5:30)" in visitor.text('//*[@id="summary"]')


def test_what_an_address_asks_for_in_vain_is_said_but_never_repeated(sqlite_app: Flask, service: Service) -> None:
    visitor = Visitor(sqlite_app).get("/consultation?zone=Mars/Olympus&day=2026-13-45&resource=zaphod&people=-7")
    assert visitor.status == 200
    assert "do not know that time zone" in visitor.text()
    assert "could not read the date" in visitor.text()
    assert "cannot be chosen here" in visitor.text()
    assert visitor.times()
    for typed in (b"Olympus", b"2026-13", b"zaphod"):
        assert typed not in visitor.response.data


@pytest.mark.parametrize(
    "query", ["day=1999-01-01", "day=2199-12-31", "month=2199-12", "month=x", "day=%00", "people=99999999999999999"]
)
def test_no_address_breaks_the_page(sqlite_app: Flask, service: Service, query: str) -> None:
    for path in ("/consultation", "/consultation/slots"):
        assert sqlite_app.test_client().get(f"{path}?{query}").status_code == 200
        assert sqlite_app.test_client().get(f"{path}?{query}", headers=HTMX).status_code in (200, 204)


def test_a_time_that_the_clock_shows_twice_carries_its_offset(sqlite_app: Flask) -> None:
    night = factories.make_resource(weekly={day: [(0, 1440)] for day in range(7)})
    factories.make_service([night], slug="night-watch", horizon=400)
    day = _next_change_back("Europe/Madrid")
    visitor = Visitor(sqlite_app).get(f"/night-watch?day={day}")
    twice = [time for time in visitor.times() if time.startswith("02:00")]
    assert twice == ["02:00 UTC+2", "02:00 UTC+1"]
    assert "The clocks in Madrid go back by 1 hour" in visitor.text()


def _next_change_back(zone: str) -> date:
    on = now_utc().date() + timedelta(days=1)
    while (change := dates.clock_change(on, zone)) is None or change[1] > timedelta(0) or change[0] < on:
        on += timedelta(days=1)
    return change[0]


def test_too_many_tries_are_slowed_down(sqlite_app: Flask, service: Service) -> None:
    limiter.enabled = True
    try:
        client = sqlite_app.test_client()
        answers = [client.post("/consultation/bookings", data={}).status_code for _ in range(12)]
        assert answers[0] in (409, 422)
        assert answers[-1] == 429
        spoofed = client.post("/consultation/bookings", data={}, headers={"X-Forwarded-For": "203.0.113.9"})
        assert spoofed.status_code == 429
    finally:
        limiter.enabled = False
        limiter.reset()


def test_opening_a_page_wakes_a_read_of_calendars_that_are_not_fresh(
    sqlite_app: Flask, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    monkeypatch.setattr("portal.web.after_answer.request_pull", lambda ids, *, now: asked.append(sorted(ids)))
    later = now_utc() + timedelta(minutes=5)
    ana, ben = queries.main_resources(db.session(), service)
    stale = factories.make_calendar(ana, last_read_at=now_utc() - timedelta(seconds=31), next_read_at=later)
    factories.make_calendar(ben, last_read_at=now_utc(), next_read_at=later)
    sqlite_app.test_client().get("/consultation").close()
    assert asked == [[stale.id]]
