"""Who may do what: tokens, scopes, roles, and Google's way to say no."""

from __future__ import annotations

import pytest

from tests.standins.google.conftest import CALENDAR, hours, ids

WRITES = ("events.insert", "events.patch", "events.update", "events.delete")


def attempt(api, name, calendar_id, event_id):
    parameters = {"calendarId": calendar_id}
    if name != "events.insert":
        parameters["eventId"] = event_id
    if name != "events.delete":
        parameters["body"] = hours(8, 9)
    return api.refusal(name, **parameters)


def test_without_a_token_nothing_is_told(api):
    answer = api.raw("GET", "users/me/calendarList", headers={"Authorization": ""})
    assert answer.status_code == 401
    assert answer.json()["error"]["errors"][0]["reason"] == "required"


def test_a_token_that_is_none_is_refused_in_googles_words(api):
    answer = api.raw("GET", "users/me/calendarList", headers={"Authorization": "Bearer nope"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json() == {
        "error": {
            "errors": [{
                "message": "Invalid Credentials", "domain": "global", "reason": "authError",
                "locationType": "header", "location": "Authorization",
            }],
            "code": 401, "message": "Invalid Credentials",
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "may_list", "may_read", "may_write"),
    [
        ("openid", False, False, False),
        (f"{CALENDAR}.calendarlist.readonly", True, False, False),
        (f"{CALENDAR}.events.readonly", False, True, False),
        (f"{CALENDAR}.events", False, True, True),
        (f"{CALENDAR}.readonly", True, True, False),
        (CALENDAR, True, True, True),
    ],
)
def test_each_scope_opens_what_it_names(ana, api_for, scope, may_list, may_read, may_write):
    api = api_for(ana, [scope])
    tries = [
        ("calendarList.list", {}, may_list),
        ("events.list", {"calendarId": "primary"}, may_read),
        ("events.insert", {"calendarId": "primary", "body": hours(8, 9)}, may_write),
    ]
    for name, parameters, may in tries:
        if may:
            assert api(name, **parameters)["kind"]
        else:
            assert api.refusal(name, **parameters) == (403, "insufficientPermissions")


def test_a_missing_scope_is_told_in_both_styles(ana, api_for):
    error = api_for(ana, ["openid"]).raw("GET", "users/me/calendarList").json()["error"]
    assert error["status"] == "PERMISSION_DENIED"
    assert error["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


@pytest.mark.parametrize("role", ["reader", "freeBusyReader"])
def test_a_reader_may_not_write(ana, api, role):
    calendar_id = ana.make_calendar("Somebody's", role=role)
    event_id = ana.add(calendar_id, hours(10, 11))["id"]
    for name in WRITES:
        assert attempt(api, name, calendar_id, event_id) == (403, "requiredAccessLevel")
    assert api("events.list", calendarId=calendar_id)["accessRole"] == role


def test_a_writer_may(ana, api):
    assert api.insert(ana.make_calendar("Shared", role="writer"))["status"] == "confirmed"


def test_who_sees_free_and_busy_only_is_told_no_words(ana, api):
    calendar_id = ana.make_calendar("Boss", role="freeBusyReader")
    ana.add(calendar_id, {"summary": "Secret", "location": "Here", **hours(10, 11)})
    (seen,) = api.all(calendarId=calendar_id)
    assert seen["visibility"] == "private"
    assert {"summary", "location"}.isdisjoint(seen)
    assert seen["start"]


def test_a_reader_is_told_no_words_of_private_events(ana, api):
    calendar_id = ana.make_calendar("Team", role="reader")
    ana.add(calendar_id, {"summary": "Doctor", "visibility": "private", **hours(10, 11)})
    ana.add(calendar_id, {"summary": "Lunch", **hours(12, 13)})
    assert sorted(event.get("summary", "") for event in api.all(calendarId=calendar_id)) == ["", "Lunch"]


def test_a_calendar_that_is_not_shared_does_not_exist(google, api, ana):
    somebody = google.account("somebody@gmail.example")
    for calendar_id in (somebody.email, "nowhere@group.calendar.google.com"):
        assert api.refusal("events.list", calendarId=calendar_id) == (404, "notFound")

    work = ana.make_calendar("Work")
    ana.unshare(work)
    assert api.refusal("events.list", calendarId=work) == (404, "notFound")
    somebody.share(ana.email, "reader")
    assert ids(api.all(calendarId=ana.email)) == []


def test_a_calendar_and_the_own_settings_can_be_asked_for(ana, api_for):
    api = api_for(ana, [CALENDAR])
    work = ana.make_calendar("Work", zone="Asia/Kolkata")
    told = api("calendars.get", calendarId=work)
    assert (told["summary"], told["timeZone"]) == ("Work", "Asia/Kolkata")
    assert api("calendarList.get", calendarId=work)["accessRole"] == "owner"
    assert api("settings.get", setting="timezone")["value"] == "UTC"


def test_free_and_busy_times_are_merged_and_each_calendar_has_its_own_error(ana, api_for):
    api = api_for(ana, [CALENDAR])
    api.insert(**hours(9, 11))
    api.insert(**hours(10, 12))
    api.insert(**hours(14, 15), transparency="transparent")
    api.insert(**hours(16, 17), attendees=[{"email": ana.email, "responseStatus": "declined"}])
    window = {"timeMin": hours(0, 23)["start"]["dateTime"], "timeMax": hours(0, 23)["end"]["dateTime"]}
    told = api("freebusy.query", body={**window, "items": [{"id": ana.email}, {"id": "nobody@x"}]})["calendars"]
    assert [(busy["start"][11:16], busy["end"][11:16]) for busy in told[ana.email]["busy"]] == [("09:00", "12:00")]
    assert told["nobody@x"]["errors"] == [{"domain": "global", "reason": "notFound"}]
    assert api.refusal("freebusy.query", body={"items": []}) == (400, "required")
