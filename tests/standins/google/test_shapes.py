"""Google's discovery document judges what comes in and what goes out."""

from __future__ import annotations

import pytest

from providers.standins.google.api import schema
from tests.standins.google.conftest import hours, ids


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sumary": "x"}, "sumary"),
        ({"start": {"datetime": "2027-01-01T00:00:00Z"}}, "datetime"),
        ({"extendedProperties": {"private": {"a": 1}}}, "private.a"),
        ({"attendees": [{"mail": "x"}]}, "mail"),
        ({"sequence": "1"}, "sequence"),
        ({"start": {"date": "2027-13-01"}}, "date"),
        ({"recurrence": "RRULE:FREQ=DAILY"}, "recurrence"),
    ],
)
def test_a_body_outside_of_the_schema_is_refused_and_noted(google, api, body, field):
    answer = api.raw("POST", "calendars/primary/events", json={**hours(1, 2), **body})
    assert answer.status_code == 400
    (noted,) = google.violations()
    assert field in noted
    google.clear_violations()


@pytest.mark.parametrize(
    "query",
    [
        "singleEvent=true",
        "maxResults=0",
        "orderBy=name",
        "singleEvents=1",
        "timeMin=2027-01-01T00:00:00",
        "calendarId=x",
    ],
)
def test_a_parameter_that_does_not_exist_or_cannot_be_is_refused_and_noted(google, api, query):
    assert api.raw("GET", f"calendars/primary/events?{query}").status_code == 400
    (noted,) = google.violations()
    assert query.partition("=")[0] in noted
    google.clear_violations()


def test_a_path_that_does_not_exist_is_not_found_and_noted(google, api):
    assert api.raw("GET", "calendars/primary/event").status_code == 404
    assert api.raw("PATCH", "calendars/primary/events").status_code == 404
    assert len(google.violations()) == 2
    google.clear_violations()


def test_what_google_knows_and_the_stand_in_does_not_is_noted(google, ana, api_for):
    api = api_for(ana, ["https://www.googleapis.com/auth/calendar"])
    assert api.raw("GET", "colors").status_code == 501
    assert google.violations() == ["The stand-in does not know colors.get."]
    google.clear_violations()


def test_null_takes_a_field_away_and_is_no_violation(api):
    made = api.insert(location="Here", source={"url": "https://portal.example/", "title": "Portal"})
    body = {"location": None, "source": None, "recurrence": None, "start": {**hours(1, 2)["start"], "date": None}}
    assert {"location", "source"}.isdisjoint(api("events.patch", calendarId="primary", eventId=made["id"], body=body))


def test_every_answer_has_the_fields_that_google_always_sends(api):
    made = api.insert()
    assert schema.problems_of("Event", made) == []
    assert schema.missing_in("Event", made) == []
    assert schema.missing_in("Event", {k: v for k, v in made.items() if k != "htmlLink"}) == ["Event lacks “htmlLink”."]
    assert schema.missing_in("Events", {**api("events.list", calendarId="primary"), "items": [{"id": "x"}]})
    gone = {"kind": "calendar#event", "id": "x", "status": "cancelled", "etag": '"1"'}
    assert schema.missing_in("Event", gone) == []


def test_the_judge_finds_what_is_wrong():
    assert schema.problems_of("Event", {"id": "x", "sumary": "y"}) == ["Event has no field “sumary”."]
    assert schema.problems_of("Event", {"id": 5}) == ["Event.id must be a string."]
    assert schema.problems_of("Event", {"id": None}) == ["Event.id must be a string."]
    assert schema.problems_of("Event", {"id": None}, nulls=True) == []
    assert schema.problems_of("Channel", {"expiration": "soon"}) == ["Channel.expiration: 'soon' is no int64."]
    assert schema.problems_of("FreeBusyResponse", {"calendars": {"a": {"bsy": []}}}) != []
    assert schema.problems_of("Event", {"sequence": True}) == ["Event.sequence must be a integer."]


def test_an_import_is_not_taken_for_an_event_of_that_name():
    method, holes = schema.find_method("POST", "calendars/primary/events/import")
    assert (method.name, holes) == ("events.import", {"calendarId": "primary"})


def test_several_requests_may_come_in_one(google, api):
    answers = {}
    batch = api.service.new_batch_http_request(
        callback=lambda key, answer, error: answers.update({key: answer or error})
    )
    batch.add(
        api.service.events().insert(calendarId="primary", body={"id": "batch0001", **hours(9, 10)}), request_id="a"
    )
    batch.add(api.service.events().get(calendarId="primary", eventId="nothere"), request_id="b")
    batch.execute(http=api.http)
    assert answers["a"]["id"] == "batch0001"
    assert answers["b"].resp.status == 404
    assert ids(api.all()) == ["batch0001"]


def test_answers_are_packed_for_programs_that_say_so_twice(api, ana):
    ana.add_many(ana.email, [("x", _at(9), _at(10))] * 5)
    plain = api.raw("GET", "calendars/primary/events")
    packed = api.raw("GET", "calendars/primary/events", headers={"User-Agent": "portal (gzip)"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.json() == plain.json()


def _at(hour):
    from tests.standins.google.conftest import tomorrow

    return tomorrow(hour)
