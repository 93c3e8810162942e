"""Single events: ids, versions, what a patch does, and the rules of each kind."""

from __future__ import annotations

import pytest

from tests.standins.google.conftest import hours, ids, tomorrow

OUR_ID = "lockstep0123456789abcdefghijklmnopqrstuv"


def test_an_event_comes_back_with_all_that_google_adds(api, ana):
    made = api.insert(summary="Haircut")

    assert made["kind"] == "calendar#event"
    assert made["iCalUID"] == f"{made['id']}@google.com"
    assert made["organizer"] == made["creator"] == {"email": ana.email, "self": True}
    assert (made["status"], made["sequence"], made["eventType"]) == ("confirmed", 0, "default")
    assert made["reminders"] == {"useDefault": True}
    assert api("events.get", calendarId=ana.email, eventId=made["id"]) == made


def test_a_client_may_choose_the_id(api):
    assert api.insert(id=OUR_ID)["id"] == OUR_ID


@pytest.mark.parametrize("wrong", ["abcd", "UPPER", "with-dash", "wxyzw", "a" * 1025])
def test_an_id_outside_of_the_alphabet_or_length_is_refused(api, wrong):
    assert api.refusal("events.insert", calendarId="primary", body={"id": wrong, **hours(9, 10)}) == (400, "invalid")


def test_an_id_is_taken_for_ever_also_after_the_event_was_deleted(api):
    api.insert(id=OUR_ID)
    again = {"calendarId": "primary", "body": {"id": OUR_ID, **hours(9, 10)}}
    assert api.refusal("events.insert", **again) == (409, "duplicate")

    api("events.delete", calendarId="primary", eventId=OUR_ID)
    assert api.refusal("events.insert", **again) == (409, "duplicate")


def test_a_deleted_event_keeps_its_words_and_a_status_brings_it_back(api):
    api.insert(id=OUR_ID, summary="Haircut")
    api("events.delete", calendarId="primary", eventId=OUR_ID)

    gone = api("events.get", calendarId="primary", eventId=OUR_ID)
    assert (gone["status"], gone["summary"]) == ("cancelled", "Haircut")
    change = {"calendarId": "primary", "eventId": OUR_ID}
    assert api.refusal("events.patch", **change, body={"summary": "x"}) == (403, "forbidden")
    assert api("events.patch", **change, body={"status": "confirmed"})["status"] == "confirmed"
    assert ids(api.all()) == [OUR_ID]


def test_deleting_twice_is_410_and_deleting_what_never_was_404(api):
    event_id = api.insert()["id"]
    api("events.delete", calendarId="primary", eventId=event_id)
    assert api.refusal("events.delete", calendarId="primary", eventId=event_id) == (410, "deleted")
    assert api.refusal("events.delete", calendarId="primary", eventId="neverwas") == (404, "notFound")


def test_each_version_has_an_etag_and_only_the_named_version_is_changed(api):
    first = api.insert()
    change = {"calendarId": "primary", "eventId": first["id"]}

    second = api("events.patch", **change, body={"summary": "b"}, headers={"If-Match": first["etag"]})
    assert second["etag"] != first["etag"]
    stale = {"headers": {"If-Match": first["etag"]}}
    assert api.refusal("events.patch", **change, body={"summary": "c"}, **stale) == (412, "conditionNotMet")
    assert api.refusal("events.update", **change, body=hours(1, 2), **stale) == (412, "conditionNotMet")
    assert api.refusal("events.delete", **change, **stale) == (412, "conditionNotMet")
    assert api("events.patch", **change, body={"summary": "c"}, headers={"If-Match": "*"})["summary"] == "c"


def test_a_known_version_is_not_sent_again(api):
    made = api.insert()
    path = f"calendars/primary/events/{made['id']}"
    assert api.raw("GET", path, headers={"If-None-Match": made["etag"]}).status_code == 304
    assert api.raw("GET", path, headers={"If-None-Match": '"1"'}).status_code == 200


def test_a_change_that_changes_nothing_makes_no_new_version(api):
    made = api.insert(summary="a")
    assert api("events.patch", calendarId="primary", eventId=made["id"], body={"summary": "a"}) == made


def test_a_patch_merges_objects_takes_away_nulls_and_replaces_lists(api):
    made = api.insert(
        location="Here", attendees=[{"email": "a@example.org"}, {"email": "b@example.org"}],
        extendedProperties={"private": {"one": "1", "two": "2"}},
    )  # fmt: skip
    body = {
        "location": None, "attendees": [{"email": "b@example.org", "responseStatus": "accepted"}],
        "extendedProperties": {"private": {"two": None, "three": "3"}},
    }  # fmt: skip
    now = api("events.patch", calendarId="primary", eventId=made["id"], body=body)

    assert "location" not in now
    assert [guest["email"] for guest in now["attendees"]] == ["b@example.org"]
    assert now["extendedProperties"]["private"] == {"one": "1", "three": "3"}
    assert now["start"] == made["start"]


def test_an_update_replaces_the_event_and_needs_its_times(api):
    made = api.insert(location="Here", extendedProperties={"private": {"one": "1"}})
    change = {"calendarId": "primary", "eventId": made["id"]}

    now = api("events.update", **change, body={"summary": "New", **hours(12, 13)})
    assert {"location", "extendedProperties"}.isdisjoint(now)
    assert (now["iCalUID"], now["created"]) == (made["iCalUID"], made["created"])
    assert api.refusal("events.update", **change, body={"summary": "New"}) == (400, "required")


def test_a_whole_day_becomes_a_time_only_when_its_date_is_taken_away(api):
    made = api.insert(start={"date": "2027-03-01"}, end={"date": "2027-03-02"})
    change = {"calendarId": "primary", "eventId": made["id"]}
    timed = hours(10, 11)

    assert api.refusal("events.patch", **change, body=timed) == (400, "invalid")
    nulled = {name: {**value, "date": None} for name, value in timed.items()}
    assert "date" not in api("events.patch", **change, body=nulled)["start"]


def test_times_are_told_in_the_zone_of_the_calendar_or_the_one_asked_for(google, api_for):
    eva = google.account("eva-madrid@gmail.example", zone="Europe/Madrid")
    api = api_for(eva)
    body = {"start": {"dateTime": "2027-01-10T09:00:00.5Z"}, "end": {"dateTime": "2027-01-10T10:00:00Z"}}
    made = api("events.insert", calendarId="primary", body=body)

    assert made["start"] == {"dateTime": "2027-01-10T10:00:00+01:00", "timeZone": "Europe/Madrid"}
    asked = {"calendarId": "primary", "eventId": made["id"]}
    assert api("events.get", **asked, timeZone="Asia/Kolkata")["start"]["dateTime"] == "2027-01-10T14:30:00+05:30"
    assert api.refusal("events.get", **asked, timeZone="Mars/Olympus") == (400, "invalid")


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (hours(11, 10), "timeRangeEmpty"),
        ({"start": {"date": "2027-03-01"}, "end": {"date": "2027-03-01"}}, "timeRangeEmpty"),
        ({"start": {"date": "2027-03-01"}, "end": {"dateTime": "2027-03-01T10:00:00Z"}}, "invalid"),
        ({"start": {"dateTime": "2027-03-01T10:00:00"}, "end": {"dateTime": "2027-03-01T11:00:00"}}, "invalid"),
        ({"start": {"dateTime": "2027-03-01T10:00:00Z"}}, "required"),
    ],
)
def test_times_that_are_none_are_refused(api, times, reason):
    assert api.refusal("events.insert", calendarId="primary", body=times) == (400, reason)


def test_google_counts_the_sequence_itself(api):
    made = api.insert()
    change = {"calendarId": "primary", "eventId": made["id"]}

    assert api("events.patch", **change, body={"colorId": "3"})["sequence"] == 0
    assert api("events.patch", **change, body=hours(12, 13))["sequence"] == 1
    assert api("events.patch", **change, body={"sequence": 7})["sequence"] == 7
    assert api.refusal("events.patch", **change, body={"sequence": 3}) == (400, "invalid")


def test_defaults_and_empty_texts_are_not_told(api):
    made = api.insert(summary="", transparency="opaque", visibility="default", attendees=[])
    assert {"summary", "transparency", "visibility", "attendees"}.isdisjoint(made)
    assert api.insert(transparency="transparent")["transparency"] == "transparent"


def test_long_private_properties_are_dropped_or_cut_without_a_word(api):
    made = api.insert(extendedProperties={"private": {"k" * 45: "lost", "k" * 44: "v" * 2000}})
    assert made["extendedProperties"]["private"] == {"k" * 44: "v" * 1024}
    many = {f"k{n}": "v" for n in range(301)}
    assert api.refusal(
        "events.insert", calendarId="primary", body={**hours(1, 2), "extendedProperties": {"private": many}}
    ) == (400, "invalid")


def test_reminders_are_the_defaults_or_ones_own(api):
    own = {"useDefault": False, "overrides": [{"method": "popup", "minutes": 5}]}
    assert api.insert(reminders=own)["reminders"] == own
    both = {**hours(1, 2), "reminders": {**own, "useDefault": True}}
    refused = api.refusal("events.insert", calendarId="primary", body=both)
    assert refused == (400, "cannotUseDefaultRemindersAndSpecifyOverride")


def test_a_meeting_is_made_where_the_caller_understands_meetings(api):
    request = {"createRequest": {"requestId": "r1", "conferenceSolutionKey": {"type": "hangoutsMeet"}}}
    assert "hangoutLink" not in api.insert(conferenceData=request)

    made = api.insert(conferenceData=request, conferenceDataVersion=1)
    assert made["hangoutLink"].startswith("https://meet.google.com/")
    assert made["conferenceData"]["entryPoints"][0]["uri"] == made["hangoutLink"]
    assert made["conferenceData"]["createRequest"]["status"]["statusCode"] == "success"
    change = {"calendarId": "primary", "eventId": made["id"], "body": {"conferenceData": request}}
    assert api("events.patch", **change, conferenceDataVersion=1)["hangoutLink"] == made["hangoutLink"]
    kept = api("events.update", calendarId="primary", eventId=made["id"], body=hours(12, 13))
    assert kept["hangoutLink"] == made["hangoutLink"]


def test_a_meeting_may_be_pending_first_and_its_link_is_a_change_of_its_own(google, api):
    from tests.support.instance import until

    google.meeting_delay(0.3)
    request = {"createRequest": {"requestId": "r2", "conferenceSolutionKey": {"type": "hangoutsMeet"}}}
    made = api.insert(conferenceData=request, conferenceDataVersion=1)
    _, token = api.pages()

    assert "hangoutLink" not in made
    assert made["conferenceData"]["createRequest"]["status"]["statusCode"] == "pending"
    (told,) = until(lambda: api.all(syncToken=token), what="the meeting's link")
    assert told["etag"] != made["etag"]
    assert told["hangoutLink"].startswith("https://meet.google.com/")


def test_a_calendar_without_meetings_refuses_them(api, ana):
    rooms = ana.make_calendar("Room", meetings=False)
    request = {"createRequest": {"requestId": "r3", "conferenceSolutionKey": {"type": "hangoutsMeet"}}}
    asked = {"calendarId": rooms, "body": {**hours(1, 2), "conferenceData": request}, "conferenceDataVersion": 1}
    assert api.refusal("events.insert", **asked) == (400, "invalid")


def test_guests_are_mailed_only_when_the_caller_says_so(google, api):
    guests = [{"email": "guest@example.org"}]
    before = len(google.mails())
    quiet = api.insert(attendees=guests, sendUpdates="none")
    api("events.delete", calendarId="primary", eventId=quiet["id"])
    assert len(google.mails()) == before

    loud = api.insert(attendees=guests, sendUpdates="all")
    assert [(mail["to"], mail["event"]) for mail in google.mails()[before:]] == [("guest@example.org", loud["id"])]


def test_a_meeting_stands_in_each_guests_calendar_and_the_organizer_rules(google, api, api_for, ana):
    ben = google.account("ben-guest@gmail.example")
    guest = api_for(ben)
    made = api.insert(summary="Planning", attendees=[{"email": ana.email}, {"email": ben.email}])
    change = {"calendarId": "primary", "eventId": made["id"]}

    copy = guest("events.get", **change)
    assert (copy["iCalUID"], copy["organizer"]) == (made["iCalUID"], {"email": ana.email})
    assert next(g for g in copy["attendees"] if g.get("self"))["email"] == ben.email
    assert guest.refusal("events.patch", **change, body=hours(14, 15)) == (403, "forbiddenForNonOrganizer")

    answered = [{**g, "responseStatus": "declined"} if g.get("self") else g for g in copy["attendees"]]
    guest("events.patch", **change, body={"attendees": answered})
    seen = {g["email"]: g["responseStatus"] for g in api("events.get", **change)["attendees"]}
    assert seen[ben.email] == "declined"

    moved = api("events.patch", **change, body=hours(14, 15))
    assert guest("events.get", **change)["start"] == moved["start"]
    api("events.delete", **change)
    assert guest("events.get", **change)["status"] == "cancelled"


def test_private_properties_stay_in_the_own_copy(google, api, api_for):
    ben = google.account("ben-private@gmail.example")
    made = api.insert(
        attendees=[{"email": ben.email}], extendedProperties={"private": {"p": "1"}, "shared": {"s": "2"}}
    )  # fmt: skip
    copy = api_for(ben)("events.get", calendarId="primary", eventId=made["id"])
    assert copy["extendedProperties"] == {"shared": {"s": "2"}}


def test_an_import_is_known_by_its_uid(api):
    body = {"iCalUID": "u1@example.org", **hours(10, 11)}
    first = api("events.import_", calendarId="primary", body={**body, "summary": "a"})
    second = api("events.import_", calendarId="primary", body={**body, "summary": "b"})
    assert (first["id"], first["iCalUID"]) == (second["id"], "u1@example.org")
    assert second["summary"] == "b"
    assert api.refusal("events.import_", calendarId="primary", body=hours(1, 2)) == (400, "required")


def test_a_moved_event_leaves_a_deleted_one_behind(api, ana):
    work = ana.make_calendar("Work")
    made = api.insert(summary="Goes")
    moved = api("events.move", calendarId="primary", eventId=made["id"], destination=work)

    assert (moved["id"], moved["organizer"]["email"]) == (made["id"], work)
    assert api("events.get", calendarId="primary", eventId=made["id"])["status"] == "cancelled"
    assert ids(api.all(calendarId=work)) == [made["id"]]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"eventType": "fromGmail", **hours(1, 2)}, "eventTypeRestriction"),
        ({"eventType": "outOfOffice", "start": {"date": "2027-03-01"}, "end": {"date": "2027-03-02"}}, "malformedOutOfOfficeEvent"),
        ({"eventType": "focusTime", "transparency": "transparent", **hours(1, 2)}, "malformedFocusTimeEvent"),
        ({"eventType": "workingLocation", "visibility": "public", **hours(1, 2)}, "malformedWorkingLocationEvent"),
        ({"eventType": "birthday", **hours(1, 2)}, "malformedBirthdayEvent"),
        ({"eventType": "party", **hours(1, 2)}, "invalid"),
        ({"outOfOfficeProperties": {"autoDeclineMode": "declineNone"}, **hours(1, 2)}, "eventTypeRestriction"),
    ],
)  # fmt: skip
def test_special_events_have_rules_of_their_own(api, body, reason):
    assert api.refusal("events.insert", calendarId="primary", body=body) == (400, reason)


def test_special_events_that_keep_the_rules_stand(api, ana):
    away = api.insert(eventType="outOfOffice", outOfOfficeProperties={"autoDeclineMode": "declineNone"})
    home = api.insert(
        eventType="workingLocation", visibility="public", transparency="transparent",
        workingLocationProperties={"type": "homeOffice", "homeOffice": {}},
    )  # fmt: skip
    birthday = api.insert(
        eventType="birthday", visibility="private", transparency="transparent", recurrence=["RRULE:FREQ=YEARLY"],
        start={"date": "2027-03-01"}, end={"date": "2027-03-02"},
    )  # fmt: skip
    found = ana.add(ana.email, {"eventType": "fromGmail", "summary": "Flight", **hours(5, 6)})

    assert [e["eventType"] for e in (away, home, birthday, found)] == [
        "outOfOffice", "workingLocation", "birthday", "fromGmail",
    ]  # fmt: skip
    change = {"calendarId": "primary", "eventId": away["id"], "body": {"eventType": "default"}}
    assert api.refusal("events.patch", **change) == (400, "eventTypeRestriction")


def test_special_events_stand_in_primary_calendars_only(api, ana):
    body = {"eventType": "focusTime", **hours(1, 2)}
    assert api.refusal("events.insert", calendarId=ana.make_calendar("Work"), body=body) == (
        400,
        "eventTypeRestriction",
    )


def test_a_person_at_work_does_what_her_page_lets_her(ana):
    event_id = ana.add_event(ana.email, "Errand", tomorrow(9), tomorrow(10), id="errand0001")
    ana.move_event(ana.email, event_id, tomorrow(15))
    moved = ana.event(ana.email, event_id)
    assert (moved["start"]["dateTime"][11:16], moved["end"]["dateTime"][11:16]) == ("15:00", "16:00")
    ana.remove_event(ana.email, event_id)
    assert ana.events(ana.email) == []
    assert [event["status"] for event in ana.events(ana.email, show_deleted=True)] == ["cancelled"]
