"""In which zone a page opens: the one chosen before, the device's where nobody need travel, else the business's; and each page names it."""

from __future__ import annotations

import pytest
from flask import Flask

from tests import factories
from tests.support.visitor import Visitor
from tests.web.public.test_manage import booking_of, make_booking

EVERY_DAY = {day: [(9 * 60, 17 * 60)] for day in range(7)}
DEVICE = "lockstep-device-zone"


@pytest.fixture
def visitor(sqlite_app: Flask) -> Visitor:
    ana = factories.make_resource(slug="ana", name="Ana", weekly=EVERY_DAY)
    for kind in ("on-site", "online", "phone"):
        factories.make_service([ana], slug=kind, name=kind.title(), location_kind=kind, location="")
    factories.make_service([ana], slug="video", name="Video", meeting="google", location="")
    return Visitor(sqlite_app)


def zone_of(visitor: Visitor, address: str) -> str:
    return visitor.get(address).text('//*[@class="slots__summary"]').partition(" · ")[2]


def test_without_a_word_from_the_device_every_service_opens_in_the_businesss_zone(visitor: Visitor) -> None:
    for slug in ("on-site", "online", "phone", "video"):
        assert zone_of(visitor, f"/{slug}").startswith("Madrid time")


def test_a_chosen_zone_is_remembered_also_by_the_other_pages(visitor: Visitor) -> None:
    visitor.get("/on-site").press("Change zone", zone="Asia/Tokyo")
    assert zone_of(visitor, "/on-site").startswith("Tokyo time")
    assert zone_of(visitor, "/on-site?zone=Europe/London").startswith("London time")
    assert zone_of(visitor, "/on-site").startswith("London time")
    visitor.press("Change zone", zone="Europe/Madrid")
    assert zone_of(visitor, "/on-site").startswith("Madrid time")


def test_days_and_holds_stay_in_the_remembered_zone(visitor: Visitor) -> None:
    visitor.get("/on-site?zone=Asia/Tokyo").get("/on-site")
    day = visitor.page.xpath("//a[@data-day]/@href")[-1]
    assert zone_of(visitor, day).startswith("Tokyo time")
    visitor.press(visitor.times()[0])
    assert "Tokyo time" in visitor.text('//*[@id="summary"]')


def test_an_unknown_zone_is_not_remembered(visitor: Visitor) -> None:
    visitor.get("/on-site?zone=Mars/Olympus")
    assert visitor.client.get_cookie("lockstep-zone") is None
    assert zone_of(visitor, "/on-site").startswith("Madrid time")


@pytest.mark.parametrize("slug", ["online", "phone", "video"])
def test_what_is_online_opens_by_the_devices_clock_and_says_so(visitor: Visitor, slug: str) -> None:
    visitor.client.set_cookie(DEVICE, "America/New_York")
    assert "New York time" in zone_of(visitor, f"/{slug}")
    assert "your device’s" in zone_of(visitor, f"/{slug}")
    assert "You need not travel" in visitor.text()
    visitor.follow("Show Madrid (UTC")
    assert zone_of(visitor, visitor.url).startswith("Madrid time")
    assert zone_of(visitor, f"/{slug}").startswith("Madrid time"), "chosen, and remembered"


def test_what_one_travels_to_stays_in_the_businesss_zone(visitor: Visitor) -> None:
    visitor.client.set_cookie(DEVICE, "America/New_York")
    visitor.get("/online?zone=Asia/Tokyo")
    assert zone_of(visitor, "/on-site").startswith("Madrid time")
    assert not visitor.page.xpath("//*[@data-asks-device]")


def test_a_made_up_device_changes_nothing(visitor: Visitor) -> None:
    visitor.client.set_cookie(DEVICE, "Mars/Olympus")
    assert zone_of(visitor, "/online").startswith("Madrid time")


def test_the_list_of_services_names_its_zone(visitor: Visitor) -> None:
    assert "All times are Madrid time (UTC+" in visitor.get("/").text()
    assert "New York" not in visitor.text()
    visitor.client.set_cookie(DEVICE, "America/New_York")
    first = visitor.get("/").text('//li[contains(., "Online")]')
    assert "New York time" in first


def test_the_own_time_is_none_to_move_to(sqlite_app: Flask) -> None:
    token = make_booking()
    visitor = Visitor(sqlite_app).get(f"/b/{token}")
    own = visitor.text('//*[@class="summary__when"]/span').partition(" ")[0]
    start_at = booking_of(token).appointment.start_at
    page = Visitor(sqlite_app).get(f"/b/{token}/move?day={start_at.date()}")
    assert own not in page.times()
    assert page.times()
    asked = page.get(f"/b/{token}/move?start_at={start_at:%Y-%m-%dT%H:%M:%SZ}")
    assert "Take this time instead?" not in asked.text()


@pytest.mark.parametrize(
    ("zone", "asked", "half"),
    [
        ("Europe/Madrid", "en", False),
        ("Europe/Madrid", "en-US,en;q=0.9", True),
        ("America/New_York", "en", True),
        ("America/New_York", "en-GB,en;q=0.9", False),
        ("America/New_York", "hu-HU,hu;q=0.9", False),
        ("Europe/Madrid", "", False),
        ("America/New_York", "", True),
    ],
)
def test_the_clock_has_twelve_hours_where_the_reader_or_else_the_business_has_such(
    sqlite_app: Flask, zone: str, asked: str, half: bool
) -> None:
    factories.make_business(zone=zone)
    afternoon = {day: [(13 * 60, 17 * 60)] for day in range(7)}
    factories.make_service([factories.make_resource(weekly=afternoon, zone=zone)], slug="consultation")
    times = Visitor(sqlite_app, **({"Accept-Language": asked} if asked else {})).get("/consultation").times()
    assert times
    assert all(("PM" in time) == half for time in times), times
