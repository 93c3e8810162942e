"""The pages for people: a calendar to work in, access taken back, and who may use them."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
import requests

from providers.standins.google import seed
from providers.standins.google.model import World
from providers.standins.google.people import week
from tests.standins.google.conftest import tomorrow


def get(google, path, **query):
    return requests.get(f"{google.url}{path}", params=query, timeout=20)


def post(google, path, headers=None, **form):
    return requests.post(f"{google.url}{path}", data=form, headers=headers, timeout=20, allow_redirects=False)


@pytest.fixture
def day():
    return tomorrow().date().isoformat()


def test_a_person_adds_moves_and_deletes_an_event(google, ana, day):
    mine = {"account": ana.email, "calendar": ana.email, "day": day}
    added = post(google, "/calendar/events", **mine, title="Dentist <3", start=f"{day}T10:00", minutes="30")
    assert added.status_code == 303

    (event,) = ana.events(ana.email)
    page = get(google, "/calendar", account=ana.email, day=day).text
    assert "Dentist &lt;3" in page
    assert "10:00–10:30" in page
    moved = post(google, "/calendar/events/move", **mine, event=event["id"], start=f"{day}T16:30", minutes="60")
    assert moved.status_code == 303
    assert ana.event(ana.email, event["id"])["end"]["dateTime"] == f"{day}T17:30:00Z"
    assert post(google, "/calendar/events/delete", **mine, event=event["id"]).status_code == 303
    assert ana.events(ana.email) == []


def test_a_whole_day_can_be_added_and_moved_to_a_time(google, ana, day):
    mine = {"account": ana.email, "calendar": ana.email, "day": day}
    post(google, "/calendar/events", **mine, title="Trip", start=f"{day}T10:00", all_day="1", free="1")
    (event,) = ana.events(ana.email)
    assert (event["start"], event["transparency"]) == ({"date": day}, "transparent")
    post(google, "/calendar/events/move", **mine, event=event["id"], start=f"{day}T08:00", minutes="120")
    assert ana.event(ana.email, event["id"])["start"]["dateTime"] == f"{day}T08:00:00Z"


def test_one_occurrence_of_a_series_is_moved_alone(google, ana, day):
    mine = {"account": ana.email, "calendar": ana.email, "day": day}
    post(google, "/calendar/events", **mine, title="Gym", start=f"{day}T10:00", minutes="60", repeats="DAILY")
    page = get(google, "/calendar", account=ana.email, day=day).text
    occurrences = re.findall(r'data-event="([^"]+)"', page)
    assert len(occurrences) == 7
    post(google, "/calendar/events/move", **mine, event=occurrences[1], start=f"{day}T20:00", minutes="60")
    page = get(google, "/calendar", account=ana.email, day=day).text
    assert page.count("10:00–11:00") == 6
    assert page.count("20:00–21:00") == 1


def test_what_cannot_be_is_said_and_nothing_changes(google, ana, day):
    mine = {"account": ana.email, "calendar": ana.email, "day": day}
    wrong = post(google, "/calendar/events", **mine, title="x", start="tomorrow")
    assert (wrong.status_code, 'role="alert"' in wrong.text) == (422, True)
    seen = ana.make_calendar("Seen", role="reader")
    refused = post(google, "/calendar/events", **{**mine, "calendar": seen}, title="x", start=f"{day}T10:00")
    assert refused.status_code == 403
    assert "writer access" in refused.text
    assert ana.events(seen) == ana.events(ana.email) == []


def test_all_calendars_of_the_person_stand_in_her_week(google, ana, day):
    work = ana.make_calendar("Work")
    ana.add_event(work, "Meeting", tomorrow(9), tomorrow(10))
    ana.add_event(ana.email, "Overnight", tomorrow(22), tomorrow(30))
    page = get(google, "/calendar", account=ana.email, day=day).text
    assert page.count("<strong>Meeting</strong>") == 1
    assert page.count("<strong>Overnight</strong>") == 2
    ana.unshare(work)
    assert "Meeting" not in get(google, "/calendar", account=ana.email, day=day).text


def test_the_link_of_an_event_leads_to_its_week(google, ana):
    event = ana.add(ana.email, {"summary": "Here", "start": {"date": "2027-02-03"}, "end": {"date": "2027-02-04"}})
    page = requests.get(event["htmlLink"], timeout=20)
    assert page.status_code == 200
    assert "Here" in page.text
    assert get(google, "/calendar/event", eid="bm90aGluZw").status_code == 404


def test_access_is_taken_back_on_the_account_page(google, ana):
    ana.grant()
    assert "View and edit events" in get(google, "/account", account=ana.email).text
    assert post(google, "/account/revocation", account=ana.email).status_code == 303
    assert ana.grant_state()["granted"] is False
    assert "No program has access" in get(google, "/account", account=ana.email).text


def test_the_front_page_says_what_this_is_and_leads_to_each_account(google, ana, api):
    page = html.unescape(get(google, "/").text)
    assert "stand-in for Google" in page
    assert f"/calendar?account={ana.email}" in page
    api.all()
    assert "events.list" in get(google, "/log").text


def test_an_account_that_nobody_named_is_not_there(google):
    assert get(google, "/calendar", account="nobody@gmail.example").status_code == 404


@pytest.mark.parametrize("path", ["/calendar/events", "/account/revocation"])
def test_a_form_on_a_page_of_elsewhere_does_not_count(google, ana, path):
    assert post(google, path, headers={"Origin": "https://evil.example"}, account=ana.email).status_code == 403


def test_tests_alone_reach_the_control_and_no_other_name_leads_here(google):
    assert requests.post(f"{google.url}/control", json={"do": "log", "since": 0}, timeout=20).status_code == 403
    assert requests.get(f"{google.url}/", headers={"Host": "evil.example"}, timeout=20).status_code == 421


def test_the_demo_begins_with_a_believable_fortnight():
    world = World("http://127.0.0.1:1", "client", "secret")
    seed.demo(world, "Europe/Madrid")
    today = week.today("Europe/Madrid")
    for email in ("clara@gmail.example", "ben@gmail.example"):
        days = [
            day for n in (0, 7) for day in week.week(world, world.accounts[email], today + timedelta(days=n))
        ]  # fmt: skip
        assert sum(bool(day.rows) for day in days) >= 7
        assert len({row.calendar for day in days for row in day.rows}) >= 2
