"""The customer's .ics: readable by others, right after every change, and unbroken by any name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import recurring_ical_events
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from portal.booking.invitation.customer_ics import CustomerEvent, customer_ics, customer_uid

START = datetime(2026, 12, 3, 9, 30, tzinfo=UTC)
EVENT = CustomerEvent(
    instance_id="a1b2",
    public_id="bk_1",
    sequence=0,
    start_at=START,
    end_at=START + timedelta(minutes=30),
    stamped_at=datetime(2026, 11, 21, 8, 0, 5, 678, tzinfo=UTC),
    summary="Consultation",
    organizer_name="Studio Ana",
    organizer_email="hello@studio.example",
    customer_name="Zoë Novák",
    customer_email="zoe@customer.example",
    description="With Ana",
    location="Calle Mayor 1, Madrid",
    manage_url="https://book.studio.example/b/secret",
)
NASTY = [
    "Eve\r\nATTENDEE:mailto:other@example.org",
    "Eve\nBEGIN:VEVENT\nSUMMARY:x\nEND:VEVENT",
    'Semi;colon, "quote" \\ back:slash',
    "👩‍👩‍👧 \u200fשלום 山田 太郎",
    "x" * 500,
    "é" * 500,
    "NUL\x00 VT\x0b NEL\x85 LS\u2028 DEL\x7f lone\ud800",
    "^n^^'",
]


def test_a_calendar_app_reads_one_event_at_the_right_time():
    vevent = only_event(customer_ics(EVENT, method="REQUEST"))
    assert (vevent.start, vevent.end) == (EVENT.start_at, EVENT.end_at)
    assert str(vevent["summary"]) == "Consultation"
    assert str(vevent["location"]) == "Calle Mayor 1, Madrid"
    assert str(vevent["url"]) == EVENT.manage_url


def test_the_time_is_written_in_utc():
    madrid = replace(EVENT, start_at=START.astimezone(), end_at=EVENT.end_at.astimezone())
    text = customer_ics(madrid, method="REQUEST").decode()
    assert "DTSTART:20261203T093000Z\r\n" in text
    assert "VTIMEZONE" not in text


def test_a_request_names_the_customer_alone_who_has_accepted_already():
    vevent = only_event(customer_ics(EVENT, method="REQUEST"))
    [attendee] = vevent.attendees
    assert attendee == "mailto:zoe@customer.example"
    assert attendee.params["PARTSTAT"] == "ACCEPTED"
    assert str(attendee.params["RSVP"]).upper() == "FALSE"
    assert vevent["organizer"] == "mailto:hello@studio.example"


def test_a_move_changes_the_same_event():
    moved = replace(EVENT, sequence=1, start_at=START + timedelta(hours=1), end_at=EVENT.end_at + timedelta(hours=1))
    before, after = (only_event(customer_ics(event, method="REQUEST")) for event in (EVENT, moved))
    assert before["uid"] == after["uid"]
    assert after["sequence"] > before["sequence"]


def test_a_cancellation_calls_the_same_event_off():
    ics = customer_ics(replace(EVENT, sequence=2), method="CANCEL")
    vevent = only_event(ics)
    assert str(Calendar.from_ical(ics)["method"]) == "CANCEL"
    assert str(vevent["status"]) == "CANCELLED"
    assert vevent["uid"] == customer_uid("a1b2", "bk_1")
    assert len(vevent.attendees) == 1


def test_a_pending_booking_stands_as_tentative():
    vevent = only_event(customer_ics(replace(EVENT, is_tentative=True), method="REQUEST"))
    assert str(vevent["status"]) == "TENTATIVE"


def test_the_download_is_published_and_names_no_attendee():
    ics = customer_ics(EVENT, method="PUBLISH")
    assert str(Calendar.from_ical(ics)["method"]) == "PUBLISH"
    assert b"ATTENDEE" not in ics
    assert only_event(ics)["uid"] == only_event(customer_ics(EVENT, method="REQUEST"))["uid"]


def test_the_same_news_gives_the_same_bytes():
    assert customer_ics(EVENT, method="REQUEST") == customer_ics(EVENT, method="REQUEST")


def test_bookings_and_instances_have_uids_of_their_own():
    uids = {customer_uid(instance, booking) for instance in ("a", "b") for booking in ("1", "2")}
    assert len(uids) == 4


def test_without_a_manage_link_there_is_no_url():
    assert b"URL" not in customer_ics(replace(EVENT, manage_url=""), method="REQUEST")


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("field", ["summary", "organizer_name", "customer_name", "location", "description"])
def test_no_text_breaks_out_of_its_line(field, text):
    ics = customer_ics(replace(EVENT, **{field: text}), method="REQUEST")
    vevent = only_event(ics)
    assert len(vevent.attendees) == 1
    assert {str(line, "utf-8").partition(":")[0].partition(";")[0] for line in unfolded(ics)} <= KNOWN
    assert all(len(line) <= 75 for line in ics.split(b"\r\n"))


def test_a_long_composed_name_arrives_whole():
    vevent = only_event(customer_ics(replace(EVENT, customer_name=NASTY[3], summary=NASTY[5]), method="REQUEST"))
    assert vevent.attendees[0].params["CN"] == NASTY[3]
    assert str(vevent["summary"]) == NASTY[5]


def test_an_address_with_a_line_break_cannot_add_a_property():
    ics = customer_ics(replace(EVENT, customer_email="eve@example.org\r\nX-EVIL:1"), method="REQUEST")
    assert not any(line.startswith(b"X-EVIL") for line in ics.splitlines())


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=120), name=st.text(max_size=120))
def test_any_text_can_be_read_back(text, name):
    ics = customer_ics(replace(EVENT, summary=text, description=text, customer_name=name), method="REQUEST")
    assert only_event(ics).start == START


KNOWN = {
    "BEGIN", "END", "VERSION", "PRODID", "METHOD", "UID", "SEQUENCE", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY", "DESCRIPTION",
    "LOCATION", "STATUS", "ORGANIZER", "ATTENDEE", "URL", "TRANSP", "",
}  # fmt: skip


def only_event(ics: bytes):
    """The one event, as a calendar app of another maker finds it on its day."""
    calendar = Calendar.from_ical(ics)
    [found] = recurring_ical_events.of(calendar).between(START - timedelta(days=1), START + timedelta(days=2))
    [vevent] = calendar.walk("VEVENT")
    assert found["uid"] == vevent["uid"]
    return vevent


def unfolded(ics: bytes) -> list[bytes]:
    return ics.replace(b"\r\n ", b"").split(b"\r\n")


@pytest.mark.parametrize("method", ["REQUEST", "PUBLISH"])
def test_a_video_call_is_a_conference_that_calendar_apps_can_open(method):
    url = "https://meet.example/abc-defg-hij"
    vevent = only_event(customer_ics(replace(EVENT, meeting_url=url), method=method))
    assert str(vevent["conference"]) == url
    assert dict(vevent["conference"].params) == {"VALUE": "URI", "FEATURE": "VIDEO", "LABEL": "Video call"}
    assert "conference" not in only_event(customer_ics(EVENT, method=method))
