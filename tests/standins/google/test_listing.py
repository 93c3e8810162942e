"""Lists of events: what is in them, page by page, and what changed since."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.standins.google.conftest import hours, ids, tomorrow

GARBAGE = "bm90IGEgdG9rZW4"


def bare(event):
    """What a deleted event still has in a list."""
    return {name: value for name, value in event.items() if name != "etag"}


def test_a_list_says_whose_it_is(api, ana):
    page = api("events.list", calendarId="primary")
    assert (page["summary"], page["timeZone"], page["accessRole"]) == (ana.email, "UTC", "owner")
    assert page["kind"] == "calendar#events"


def test_a_window_takes_what_overlaps_it_and_not_what_touches_it(api):
    inside = api.insert(**hours(10, 12))
    api.insert(**hours(8, 10))
    api.insert(**hours(13, 14))
    found = api.all(timeMin=tomorrow(10).isoformat(), timeMax=tomorrow(13).isoformat())
    assert ids(found) == [inside["id"]]
    backwards = {"timeMin": tomorrow(13).isoformat(), "timeMax": tomorrow(10).isoformat()}
    assert api.refusal("events.list", calendarId="primary", **backwards) == (400, "timeRangeEmpty")


def test_whole_days_lie_in_the_zone_of_the_calendar(google, api_for):
    api = api_for(google.account("kiri@gmail.example", zone="Pacific/Auckland"))
    api.insert(start={"date": "2027-01-10"}, end={"date": "2027-01-11"})
    assert len(api.all(timeMin="2027-01-09T11:30:00Z", timeMax="2027-01-09T12:00:00Z")) == 1
    assert api.all(timeMin="2027-01-10T11:00:00Z", timeMax="2027-01-10T12:00:00Z") == []


def test_pages_hold_what_was_asked_for_and_the_sync_token_stands_on_the_last(api, ana):
    ana.add_many(ana.email, [(f"E{n}", tomorrow(9), tomorrow(10)) for n in range(7)])
    first = api("events.list", calendarId="primary", maxResults=3)
    assert len(first["items"]) == 3
    assert "nextSyncToken" not in first
    found, token = api.pages(maxResults=3)
    assert sorted(event["summary"] for event in found) == [f"E{n}" for n in range(7)]
    assert token


def test_what_is_written_between_pages_is_told_after_them(api, ana):
    ana.add_many(ana.email, [(f"E{n}", tomorrow(9), tomorrow(10)) for n in range(4)])
    first = api("events.list", calendarId="primary", maxResults=2)
    late = api.insert(summary="late")
    api("events.delete", calendarId="primary", eventId=first["items"][0]["id"])

    second = api("events.list", calendarId="primary", maxResults=2, pageToken=first["nextPageToken"])
    assert late["id"] not in ids(second["items"])
    changes = api.all(syncToken=second["nextSyncToken"])
    assert set(ids(changes)) == {late["id"], first["items"][0]["id"]}


def test_a_page_token_goes_with_the_question_it_was_given_for(api, ana):
    ana.add_many(ana.email, [(f"E{n}", tomorrow(9), tomorrow(10)) for n in range(4)])
    token = api("events.list", calendarId="primary", maxResults=2)["nextPageToken"]
    assert api.refusal("events.list", calendarId="primary", pageToken=token, q="x") == (400, "invalid")
    assert api.refusal("events.list", calendarId="primary", pageToken="none") == (400, "invalid")


def test_a_page_may_be_empty_and_not_the_last(google, api, ana):
    ana.add_many(ana.email, [(f"E{n}", tomorrow(9), tomorrow(10)) for n in range(4)])
    google.empty_pages()
    first = api("events.list", calendarId="primary", maxResults=2)
    assert first["items"] == []
    assert first["nextPageToken"]
    assert len(api.all(maxResults=2)) == 4


def test_after_a_sync_token_only_what_changed_is_told(api):
    stays, moves, goes = (api.insert(summary=name) for name in ("stays", "moves", "goes"))
    _, token = api.pages()
    assert api.pages(syncToken=token)[0] == []

    moved = api("events.patch", calendarId="primary", eventId=moves["id"], body=hours(15, 16))
    api("events.delete", calendarId="primary", eventId=goes["id"])
    new = api.insert(summary="new")
    changes, later = api.pages(syncToken=token)
    assert stays["id"] not in ids(changes)
    told = {event["id"]: event for event in changes}
    assert told[moves["id"]] == moved
    assert told[new["id"]] == new
    assert bare(told[goes["id"]]) == {"kind": "calendar#event", "id": goes["id"], "status": "cancelled"}
    assert api.pages(syncToken=later)[0] == []


def test_the_same_sync_token_may_be_used_again(api):
    _, token = api.pages()
    made = api.insert()
    assert ids(api.all(syncToken=token)) == ids(api.all(syncToken=token)) == [made["id"]]


def test_changes_outside_of_the_first_window_may_be_told(api):
    made = api.insert()
    window = {"timeMin": tomorrow().isoformat(), "timeMax": tomorrow(23).isoformat()}
    _, token = api.pages(singleEvents=True, **window)
    api("events.patch", calendarId="primary", eventId=made["id"], body=hours(10, 11, day=60))
    (told,) = api.all(singleEvents=True, syncToken=token)
    assert told["start"]["dateTime"].startswith((tomorrow() + timedelta(days=60)).date().isoformat())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeMin", "2027-01-01T00:00:00Z"), ("timeMax", "2027-01-01T00:00:00Z"), ("q", "x"), ("iCalUID", "x"),
        ("orderBy", "updated"), ("privateExtendedProperty", "a=b"), ("sharedExtendedProperty", "a=b"),
        ("updatedMin", "2027-01-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_a_sync_token_stands_alone(google, api, name, value):
    _, token = api.pages()
    assert api.refusal("events.list", calendarId="primary", syncToken=token, **{name: value}) == (400, "badRequest")
    assert len(google.violations()) == 1
    google.clear_violations()


def test_a_sync_token_goes_with_the_parameters_it_was_given_for(google, api):
    _, token = api.pages(singleEvents=True)
    assert api.refusal("events.list", calendarId="primary", syncToken=token) == (400, "badRequest")
    google.clear_violations()
    asked = {"calendarId": "primary", "syncToken": token, "singleEvents": True, "showDeleted": False}
    assert api.refusal("events.list", **asked) == (400, "invalid")


def test_a_forgotten_sync_token_asks_for_everything_anew_and_there_no_deleted_event_is_told(api, ana):
    kept, gone = api.insert(), api.insert()
    _, token = api.pages()
    api("events.delete", calendarId="primary", eventId=gone["id"])
    ana.forget_sync_tokens(ana.email)

    assert api.refusal("events.list", calendarId="primary", syncToken=token) == (410, "fullSyncRequired")
    found, fresh = api.pages()
    assert ids(found) == [kept["id"]]
    assert api.pages(syncToken=fresh)[0] == []


def test_a_token_that_is_none_or_another_calendars_counts_as_forgotten(api, ana):
    work = ana.make_calendar("Work")
    _, token = api.pages(calendarId=work)
    for wrong in (GARBAGE, "ä", token):
        assert api.refusal("events.list", calendarId="primary", syncToken=wrong) == (410, "fullSyncRequired")


def test_deleted_events_are_listed_where_asked_for(api):
    event_id = api.insert()["id"]
    api("events.delete", calendarId="primary", eventId=event_id)
    assert api.all() == []
    assert [event["status"] for event in api.all(showDeleted=True)] == ["cancelled"]


def test_events_are_found_by_their_marks_uid_type_and_words(api):
    ours = api.insert(summary="Haircut", extendedProperties={"private": {"booking": "7", "of": "us"}})
    away = api.insert(summary="Away", eventType="outOfOffice")

    assert ids(api.all(privateExtendedProperty=["booking=7", "of=us"])) == [ours["id"]]
    assert api.all(privateExtendedProperty="booking=8") == []
    assert ids(api.all(iCalUID=away["iCalUID"])) == [away["id"]]
    assert ids(api.all(eventTypes=["outOfOffice"])) == [away["id"]]
    assert ids(api.all(q="hairCUT")) == [ours["id"]]
    assert "nextSyncToken" not in api("events.list", calendarId="primary", q="x")


def test_events_come_by_their_start_where_series_are_expanded(api):
    late, early = api.insert(**hours(15, 16)), api.insert(**hours(8, 9))
    assert ids(api.all(singleEvents=True, orderBy="startTime")) == [early["id"], late["id"]]
    assert api.refusal("events.list", calendarId="primary", orderBy="startTime") == (400, "invalid")


def test_a_list_that_did_not_change_is_not_sent_again(api):
    api.insert()
    answer = api.raw("GET", "calendars/primary/events")
    again = {"If-None-Match": answer.headers["ETag"]}
    assert api.raw("GET", "calendars/primary/events", headers=again).status_code == 304
    api.insert()
    assert api.raw("GET", "calendars/primary/events", headers=again).status_code == 200


def test_a_part_of_an_answer_can_be_asked_for(api):
    made = api.insert(summary="Haircut")
    page = api("events.list", calendarId="primary", fields="items(id,start/timeZone),nextSyncToken")
    assert page["items"] == [{"id": made["id"], "start": {"timeZone": "UTC"}}]
    assert page.keys() == {"items", "nextSyncToken"}
    assert api.refusal("events.list", calendarId="primary", fields="items(") == (400, "invalid")


def test_the_list_of_calendars_tells_its_changes_too(api, ana):
    first = api("calendarList.list")
    assert [(entry["id"], entry["accessRole"], entry.get("primary")) for entry in first["items"]] == [
        (ana.email, "owner", True)
    ]
    work, seen = ana.make_calendar("Work", zone="Asia/Kolkata"), ana.make_calendar("Seen", role="reader")
    changed = api("calendarList.list", syncToken=first["nextSyncToken"])
    assert {(e["summary"], e["accessRole"], e["timeZone"]) for e in changed["items"]} == {
        ("Work", "owner", "Asia/Kolkata"), ("Seen", "reader", "UTC"),
    }  # fmt: skip
    assert {e["id"] for e in api("calendarList.list", minAccessRole="writer")["items"]} == {ana.email, work}

    ana.unshare(seen)
    gone = api("calendarList.list", syncToken=changed["nextSyncToken"])["items"]
    assert [(entry["id"], entry["deleted"]) for entry in gone] == [(seen, True)]
    assert seen not in {entry["id"] for entry in api("calendarList.list")["items"]}
