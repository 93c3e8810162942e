"""A draft as Google's event: what is sent, what is left to people, and that it comes back with the meaning it had."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from providers.calendars.base import EventDraft, Span
from providers.calendars.content import draft_hash
from providers.calendars.google.draft import event_id, insert_body, patch_body
from providers.calendars.google.mapping import read_event
from tests.providers.contract import HOUR, NINE, draft

WINDOW: Span = (NINE - 24 * HOUR, NINE + 24 * HOUR)


def come_back(body: dict[str, Any]) -> Any:
    """The event as Google would give it back, by the text that is sent."""
    body = json.loads(json.dumps(body))
    return read_event({"etag": '"1"', "status": "confirmed", **body}, window=WINDOW, zone="Europe/Madrid")


@pytest.mark.parametrize(
    "words",
    [
        "Consultation: Zoë Ng",
        "x" * 700,
        "😀 王小明",
        "two\nlines",
        " spaces  ",
        "nul\x00 and bell\x07",
        "\ud800",
        "y" * 3000,
        "",
    ],
)
def test_what_is_written_has_the_hash_of_the_draft(words: str) -> None:
    made = draft(summary=words)
    event = come_back(insert_body(made, "abcde"))
    assert event.content_hash == draft_hash(made)
    assert (event.uid, event.mark, event.sequence) == (made.uid, made.mark, made.sequence)
    assert (event.start_at, event.end_at) == (made.start_at, made.end_at)


def test_no_character_is_sent_that_google_refuses() -> None:
    words = "".join(map(chr, range(32))) + "\x7f\ufffe\ud83d end"
    sent = json.dumps(insert_body(draft(summary=words, description=words, location=words), "abcde"), ensure_ascii=False)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe]", sent)
    assert "end" in sent


def test_a_title_changed_by_a_person_is_seen_although_ours_could_not_be_written_as_meant() -> None:
    made = draft(summary="bell\x07")
    body = insert_body(made, "abcde")
    assert come_back({**body, "summary": "Renamed"}).content_hash != draft_hash(made)


def test_a_patch_takes_back_what_people_put_in_place_of_ours_and_nothing_else() -> None:
    body = patch_body(draft(location=""))
    assert body["start"] == {"dateTime": "2027-03-01T09:00:00Z", "date": None, "timeZone": None}
    assert (body["status"], body["recurrence"], body["location"]) == ("confirmed", None, "")
    assert body["extendedProperties"]["private"]["lockstepMeant"] is None
    assert not body.keys() & {"attendees", "colorId", "reminders", "visibility", "id", "sequence", "conferenceData"}


def test_nobody_is_invited() -> None:
    assert not [body for body in (insert_body(draft(), "abcde"), patch_body(draft())) if "attendees" in body]


@pytest.mark.parametrize("zone", ["Europe/Madrid", "Not/AZone", "Europe/Kyiv"])
def test_times_are_sent_as_utc_whatever_google_knows_of_zones(zone: str) -> None:
    madrid = timezone(timedelta(hours=1))
    start = datetime(2027, 3, 1, 10, 0, 0, 5, tzinfo=madrid)
    body = insert_body(draft(zone=zone, start_at=start, end_at=start + HOUR), "abcde")
    assert body["start"] == {"dateTime": "2027-03-01T09:00:00Z"}
    assert come_back(body).start_at == datetime(2027, 3, 1, 9, tzinfo=UTC)


def test_a_meeting_is_asked_for_by_an_id_that_stays_the_same() -> None:
    first, again, other = (
        insert_body(draft(n, wants_meeting=True, sequence=s), "abcde")["conferenceData"]["createRequest"]
        for n, s in ((1, 0), (1, 5), (2, 0))
    )
    assert first == again == patch_body(draft(wants_meeting=True))["conferenceData"]["createRequest"]
    assert first["requestId"] != other["requestId"]
    assert first["conferenceSolutionKey"] == {"type": "hangoutsMeet"}
    assert "conferenceData" not in insert_body(draft(wants_meeting=True), "abcde", with_meeting=False)


def test_what_a_customer_typed_cannot_become_a_link_with_another_face() -> None:
    note = 'Tom & Ana <a href="https://evil.example">portal</a> &lt;b> a<b'
    text = insert_body(draft(description=note), "abcde")["description"]
    assert "<" not in text
    assert text.startswith("Tom & Ana &lt;a href")
    assert "&amp;lt;b>" in text


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "ftp://x.example", "https://x.example/\x00"])
def test_only_web_addresses_are_given_as_source(url: str) -> None:
    assert "source" not in insert_body(draft(url=url), "abcde")
    assert patch_body(draft(url=url))["source"] is None


def test_a_web_address_is_given_as_source() -> None:
    assert insert_body(draft(), "abcde")["source"]["url"] == draft().url


@pytest.mark.parametrize("uid", ["a", "ABCDE", "wxyz1", "a-b-c-d", "ä@x", "x" * 2000, "\ud800", "a/../b"])
def test_ids_are_of_googles_alphabet(uid: str) -> None:
    made = event_id(uid)
    assert re.fullmatch(r"[0-9a-v]{5,1024}", made)
    assert made == event_id(uid) != event_id(uid + "x")


def test_a_uid_that_google_takes_stays_itself() -> None:
    assert event_id("0123456789abcdefghijklmnopqrstuv") == "0123456789abcdefghijklmnopqrstuv"


def test_a_long_description_is_cut_where_google_would_refuse_it() -> None:
    made: EventDraft = draft(description="d" * 20_000)
    assert len(insert_body(made, "abcde")["description"]) == 8_000
