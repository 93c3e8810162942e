"""What an event says in a calendar, by its privacy setting: nothing leaks in the stricter ones, whatever people are called or have written."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portal.sync.event.desired import Wanted, draft_event
from portal.sync.event.text import STRICTNESS, Guest, Subject, initials, strictest
from providers.calendars.google.draft import insert_body, patch_body
from providers.calendars.ical.draft import write_event

AT = datetime(2026, 12, 3, 10, tzinfo=UTC)
WANTED = Wanted(must_stand=True, version=1, generation=1, start_at=AT, end_at=AT + timedelta(hours=1))
MEET = "https://meet.example/abc-defg-hij"
EVA = Guest(
    name="Eva Ruiz", email="eva@example.org", phone="+34 600 123 456", note="First time",
    answers=(("What hurts?", "My left knee"),),
)  # fmt: skip
SUBJECT = Subject(
    instance_id="studio", appointment_id=7, service="Consultation", location="Calle de la Luna", zone="Europe/Madrid",
    portal_url="https://book.example/admin/bookings", guests=(EVA,), privacy="full", meeting_url=MEET,
)  # fmt: skip
OF_EVA = ("Eva", "Ruiz", "eva@example.org", "600 123 456", "First time", "What hurts", "left knee")
OF_THE_SERVICE = ("Consultation", "Luna", MEET)

texts = st.text(max_size=30)
guests = st.builds(
    Guest, name=texts, email=texts, phone=texts, note=texts, party_size=st.integers(1, 9),
    answers=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
)  # fmt: skip
subjects = st.builds(
    replace, st.just(SUBJECT), service=texts, location=texts, meeting_url=texts, capacity=st.integers(1, 30),
    guests=st.lists(guests, max_size=4).map(tuple), language=st.sampled_from(["en", "es", "hu"]),
)  # fmt: skip


def draft(subject):
    return draft_event(subject, WANTED, generation=1, sequence=0)


def all_that_is_sent(subject):
    """Everything that any provider is given: the draft itself, both bodies for Google, and the object for CalDAV servers."""
    written = draft(subject)
    bodies = [insert_body(written, "an-id"), patch_body(written)]
    ical = write_event(written, stamp=AT).replace("\r\n ", "")
    return "\n".join([json.dumps([asdict(written), *bodies], default=str, ensure_ascii=False), ical])


@pytest.mark.parametrize("capacity", [1, 12])
@pytest.mark.parametrize(
    ("privacy", "hidden", "told"),
    [
        ("busy only", (*OF_EVA, *OF_THE_SERVICE, "E. R.", " of "), ("Busy", "https://book.example/admin/bookings")),
        ("initials", OF_EVA, (*OF_THE_SERVICE, "E. R.")),
        ("full", (), (*OF_EVA, *OF_THE_SERVICE)),
    ],
)
def test_each_setting_tells_what_it_may_and_nothing_else(privacy, hidden, told, capacity):
    sent = all_that_is_sent(replace(SUBJECT, privacy=privacy, capacity=capacity))
    assert [word for word in hidden if word in sent] == []
    assert [word for word in told if word not in sent] == []


@given(subjects, subjects, st.booleans())
def test_a_calendar_that_tells_only_that_the_time_is_taken_is_the_same_whoever_comes_for_whatever(one, other, wants):
    """Also the seats: eight of twelve would say that it is a class."""
    one, other = (replace(subject, privacy="busy only", language="en", wants_meeting=wants) for subject in (one, other))
    assert draft(one) == draft(other)


@given(subjects)
@example(replace(SUBJECT, guests=(Guest(name="李 雷", email="li@example.org", party_size=2),), capacity=4))
def test_with_initials_nothing_else_of_a_customer_changes_the_event(subject):
    subject = replace(subject, privacy="initials")
    assert draft(subject) == draft(replace(subject, guests=tuple(map(lookalike, subject.guests))))


def lookalike(guest):
    """Somebody else with the same initials."""
    name = " ".join(f"{initial.removesuffix('.')}qq" for initial in initials(guest.name).split())
    return Guest(name=name, email="else@example.org", party_size=guest.party_size)


@given(subjects)
def test_a_setting_that_nobody_knows_tells_nothing(subject):
    assert draft(replace(subject, privacy="")) == draft(replace(subject, privacy="busy only"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Eva Ruiz", "E. R."),
        ("Mária Gabriela García", "M. G."),
        ("ödön  szabó", "Ö. S."),
        ("O\u0308do\u0308n", "Ö."),
        ("Cher", "C."),
        ("Иван Петров", "И. П."),
        ("محمد علي", "م. ع."),
        ("मीरा शर्मा", "म. श."),
        ("山田 太郎", "山. 太."),
        ("李 雷", "李."),
        ("D'Artagnan (the 2nd)", "D. N."),
        ("\u202eEva Ruiz", "E. R."),
        ("<b>Eva</b> *", "B."),
        ("ßtraße ßtern", "ß. ß."),
        ("😀 42 --", ""),
        ("", ""),
    ],
)
def test_the_initials_of(name, shown):
    assert initials(name) == shown


@given(st.text())
def test_initials_are_at_most_two_letters_of_the_name(name):
    shown = initials(name)
    assert len(shown) <= 5
    assert all(unicodedata.category(sign).startswith("L") or sign in ". " for sign in shown)


@pytest.mark.parametrize("privacy", ["initials", "full"])
def test_a_class_shows_its_seats_from_the_first_day_on(privacy):
    empty = replace(SUBJECT, privacy=privacy, capacity=12, guests=())
    party = Guest(name="Ben", email="ben@example.org", party_size=7)
    assert draft(empty).summary == "Consultation · 0 of 12"
    assert draft(replace(empty, guests=(EVA, party))).summary == "Consultation · 8 of 12"
    assert "7 people" in draft(replace(empty, guests=(EVA, party))).description


def test_somebody_without_a_letter_in_the_name_is_counted_at_least():
    nameless = Guest(name="42", email="x@example.org")
    subject = replace(SUBJECT, privacy="initials", guests=(nameless,))
    assert draft(subject).summary == "Consultation"
    assert "1 person" in draft(subject).description


@pytest.mark.parametrize("privacy", ["initials", "full"])
def test_of_an_erased_customer_only_the_number_is_told(privacy):
    subject = replace(SUBJECT, privacy=privacy, meeting_url="", guests=(Guest(name="", email="", party_size=2),))
    assert draft(subject).summary == "Consultation"
    assert draft(subject).description == f"2 people\n\nManage in the portal: {SUBJECT.portal_url}"


@pytest.mark.parametrize(
    ("language", "busy", "seats"), [("en", "Busy", "8 of 12"), ("es", "Ocupado", "8 de 12"), ("hu", "Foglalt", "8/12")]
)
def test_the_words_are_in_the_language_of_the_business(language, busy, seats):
    party = replace(EVA, party_size=8)
    group = replace(SUBJECT, language=language, capacity=12, guests=(party,))
    assert draft(replace(group, privacy="busy only")).summary == busy
    assert draft(group).summary == f"Consultation · {seats}"


def test_of_several_settings_the_strictest_counts():
    assert [strictest(STRICTNESS[i:]) for i in range(3)] == list(STRICTNESS)
    assert strictest(["full", "something new"]) == "something new"
