"""Series: their occurrences, what is changed in one of them, and what a list of changes tells of them and what not."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.standins.google.conftest import hours, ids, tomorrow

DAILY = ["RRULE:FREQ=DAILY;COUNT=5"]


def starts(events):
    return [event["start"].get("dateTime", event["start"].get("date")) for event in events]


def key(at):
    return f"{at:%Y%m%dT%H%M%SZ}"


def single(api, **parameters):
    return api.all(singleEvents=True, orderBy="startTime", **parameters)


def changes(api, token):
    """id -> status of what changed, occurrences one by one."""
    return {event["id"]: event["status"] for event in api.all(singleEvents=True, syncToken=token)}


def test_a_series_is_one_event_or_all_its_occurrences(api):
    made = api.insert(summary="Standup", recurrence=DAILY)
    assert ids(api.all()) == [made["id"]]

    found = single(api)
    assert ids(found) == [f"{made['id']}_{key(tomorrow(10) + timedelta(days=n))}" for n in range(5)]
    first = found[0]
    assert (first["recurringEventId"], first["iCalUID"]) == (made["id"], made["iCalUID"])
    assert first["originalStartTime"] == first["start"]
    assert "recurrence" not in first
    assert api("events.get", calendarId="primary", eventId=found[3]["id"]) == found[3]


def test_occurrences_keep_to_the_wall_clock_of_the_series(google, api_for):
    api = api_for(google.account("rome@gmail.example", zone="Europe/Rome"))
    body = {
        name: {"dateTime": f"2027-03-27T{hour}:00:00+01:00", "timeZone": "Europe/Rome"}
        for name, hour in (("start", "09"), ("end", "10"))
    }
    api.insert(**body, recurrence=["RRULE:FREQ=DAILY;UNTIL=20270329T070000Z"])
    assert starts(single(api)) == [
        "2027-03-27T09:00:00+01:00", "2027-03-28T09:00:00+02:00", "2027-03-29T09:00:00+02:00",
    ]  # fmt: skip


def test_dates_are_added_and_left_out(api):
    at = tomorrow(10)
    left_out, added = key(at + timedelta(days=1)), key(at + timedelta(days=9, hours=2))
    api.insert(recurrence=["RRULE:FREQ=DAILY;COUNT=3", f"EXDATE:{left_out}", f"RDATE:{added}"])
    found = [datetime.fromisoformat(start) for start in starts(single(api))]
    assert found == [at, at + timedelta(days=2), at + timedelta(days=9, hours=2)]


def test_whole_days_repeat_by_date(api):
    made = api.insert(
        start={"date": "2027-05-01"}, end={"date": "2027-05-03"}, recurrence=["RRULE:FREQ=WEEKLY;COUNT=2"]
    )
    found = single(api)
    assert ids(found) == [f"{made['id']}_20270501", f"{made['id']}_20270508"]
    assert found[1]["end"] == {"date": "2027-05-10"}


def test_an_endless_series_fills_a_window_far_away(api):
    api.insert(
        start={"dateTime": "2009-01-05T09:00:00Z", "timeZone": "UTC"},
        end={"dateTime": "2009-01-05T10:00:00Z", "timeZone": "UTC"}, recurrence=["RRULE:FREQ=WEEKLY"],
    )  # fmt: skip
    found = single(api, timeMin="2029-06-01T00:00:00Z", timeMax="2029-07-01T00:00:00Z")
    assert starts(found)[0] == "2029-06-04T09:00:00Z"
    assert len(found) == 4
    assert 90 < len(single(api, timeMin=tomorrow().isoformat())) < 110, "about two years where no end is set"


@pytest.mark.parametrize("line", ["FREQ=DAILY", "RRULE:FREQ=NEVER", "DTSTART:20270101T000000Z", "RRULE:"])
def test_a_rule_that_is_none_is_refused(api, line):
    assert api.refusal("events.insert", calendarId="primary", body={**hours(1, 2), "recurrence": [line]}) == (
        400,
        "invalid",
    )


def test_one_occurrence_can_be_moved_and_one_cancelled(api):
    made = api.insert(recurrence=DAILY)
    before = single(api)
    _, token = api.pages(singleEvents=True)

    moved = api("events.patch", calendarId="primary", eventId=before[1]["id"], body=hours(15, 16, day=1))
    api("events.delete", calendarId="primary", eventId=before[2]["id"])
    assert moved["originalStartTime"] == before[1]["start"]
    assert ids(single(api)) == ids([before[0], before[1], before[3], before[4]])
    assert changes(api, token) == {before[1]["id"]: "confirmed", before[2]["id"]: "cancelled"}
    assert api("events.get", calendarId="primary", eventId=made["id"])["etag"] == made["etag"]

    plain = api.all()
    assert ids(plain) == [made["id"], before[1]["id"], before[2]["id"]]
    assert plain[2]["originalStartTime"] == before[2]["start"], "a cancelled occurrence comes with its series"


def test_a_moved_occurrence_stands_where_it_was_moved_to(api):
    api.insert(recurrence=DAILY)
    second = single(api)[1]["id"]
    api("events.patch", calendarId="primary", eventId=second, body=hours(15, 16, day=30))
    window = {"timeMin": tomorrow().isoformat(), "timeMax": (tomorrow() + timedelta(days=10)).isoformat()}
    assert second not in ids(single(api, **window))
    later = {"timeMin": (tomorrow() + timedelta(days=29)).isoformat()}
    assert ids(single(api, **later)) == [second]


def test_an_occurrence_that_is_none_is_not_found(api):
    made = api.insert(recurrence=DAILY)
    for wrong in (key(tomorrow(11)), "20270101", "x"):
        refused = api.refusal("events.get", calendarId="primary", eventId=f"{made['id']}_{wrong}")
        assert refused == (404, "notFound")


def test_a_change_of_the_series_is_told_of_every_occurrence(api):
    made = api.insert(recurrence=DAILY)
    old = ids(single(api))
    _, token = api.pages(singleEvents=True)
    api("events.patch", calendarId="primary", eventId=made["id"], body=hours(12, 13))

    told = changes(api, token)
    new = ids(single(api))
    assert told == {**dict.fromkeys(old, "cancelled"), **dict.fromkeys(new, "confirmed")}
    assert made["id"] not in told


def test_a_deleted_series_is_told_for_half_a_year_only(api):
    made = api.insert(recurrence=["RRULE:FREQ=WEEKLY"])
    listed = ids(single(api))
    _, token = api.pages(singleEvents=True)
    api("events.delete", calendarId="primary", eventId=made["id"])

    told = changes(api, token)
    assert set(told.values()) == {"cancelled"}
    assert 24 <= len(told) <= 28
    assert len(listed) > 100
    assert single(api) == []
    assert api.refusal("events.instances", calendarId="primary", eventId=made["id"]) == (410, "deleted")


def test_a_series_cut_short_is_told_for_half_a_year_only(api):
    made = api.insert(recurrence=["RRULE:FREQ=WEEKLY"])
    _, token = api.pages(singleEvents=True)
    cut = f"RRULE:FREQ=WEEKLY;UNTIL={key(tomorrow(12) + timedelta(days=7))}"
    api("events.patch", calendarId="primary", eventId=made["id"], body={"recurrence": [cut]})

    told = list(changes(api, token).values())
    assert told.count("confirmed") == 2
    assert 22 <= told.count("cancelled") <= 26


def test_nothing_says_that_a_single_event_became_a_series(api):
    made = api.insert()
    _, token = api.pages(singleEvents=True)
    api("events.patch", calendarId="primary", eventId=made["id"], body={"recurrence": DAILY})

    told = changes(api, token)
    assert len(told) == 5
    assert made["id"] not in told


def test_a_series_may_become_a_single_event_again(api):
    made = api.insert(recurrence=DAILY)
    old = ids(single(api))
    _, token = api.pages(singleEvents=True)
    api("events.patch", calendarId="primary", eventId=made["id"], body={"recurrence": None})
    assert changes(api, token) == {made["id"]: "confirmed", **dict.fromkeys(old, "cancelled")}


def test_exceptions_go_with_the_time_they_were_exceptions_of(api):
    made = api.insert(recurrence=DAILY)
    second = single(api)[1]["id"]
    api("events.patch", calendarId="primary", eventId=second, body={"summary": "Special"})
    api("events.patch", calendarId="primary", eventId=made["id"], body=hours(12, 13))
    assert "Special" not in [event.get("summary") for event in single(api)]
    assert len(single(api)) == 5


def test_the_occurrences_of_one_series_can_be_listed(api):
    made = api.insert(recurrence=DAILY)
    api.insert()
    everything = api("events.instances", calendarId="primary", eventId=made["id"])
    assert len(everything["items"]) == 5
    assert "nextSyncToken" not in everything
    window = {
        "timeMin": (tomorrow() + timedelta(days=1)).isoformat(),
        "timeMax": (tomorrow() + timedelta(days=3)).isoformat(),
    }
    assert len(api("events.instances", calendarId="primary", eventId=made["id"], **window)["items"]) == 2

    api("events.delete", calendarId="primary", eventId=everything["items"][0]["id"])
    left = api("events.instances", calendarId="primary", eventId=made["id"], maxResults=2)
    assert ids(left["items"]) == ids(everything["items"][1:3])
    shown = api("events.instances", calendarId="primary", eventId=made["id"], showDeleted=True)["items"]
    assert [event["status"] for event in shown].count("cancelled") == 1


def test_the_occurrences_of_a_deleted_series_are_listed_where_deleted_ones_are_asked_for(api):
    made = api.insert(recurrence=DAILY)
    api("events.delete", calendarId="primary", eventId=made["id"])
    shown = api.all(singleEvents=True, showDeleted=True)
    assert [event["status"] for event in shown] == ["cancelled"] * 5
    assert {event["recurringEventId"] for event in shown} == {made["id"]}
