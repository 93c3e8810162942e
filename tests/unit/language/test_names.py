"""Names: something to see in every one, nothing that turns the text around it, and every script and emoji as it is written."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.errors import Invalid
from portal.language.names import read_name

WELCOME = [
    "Ana", "Dávid Kovács-Őri", "O’Brien", "Jean-Luc", "明日香", "김민준", "Анна", "Ελένη", "محمد", "שרה", "ประภาส", "தமிழ்", "ქეთევან", "ሰላም",
    "علی‌رضا",  # Persian, with a joiner that keeps two parts from joining
    "ක්‍රිශාන්", "क्‍ष",  # Sinhala and Hindi, with joiners
    "👩‍👩‍👧‍👦", "👍🏽", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🇪🇸", "1️⃣", "❤️", "Ana 🎉",
    "葛󠄀城",  # a Japanese family name with a variant of its first sign
    "X Æ A-12", "李", "...", "-",
]  # fmt: skip

INVISIBLE = [
    "\u200b", "\u200b\u200b \u200b", "\ufeff", "\u2060", "\u00ad", "\u200c", "\u200d\u200d", "\u200e\u200f", "\u202e", "\u2066\u2069", "\u061c",
    "\u3164", "\u115f", "\u1160", "\uffa0", "\u2800", "\u2800 \u2800", "\ufe0f", "\ufe00\ufe01", "\U000e0100", "\U000e0041\U000e0042", "\u180e",
    "\u0301", "\u0301\u0302", "\u034f", "\u17b4", "\U000e0001", "\ufff9\ufffb", "\u2065", "\ufffe",
    "\ue000", "\U0001d159", "\u180b", "\U0001bca0", "\u2062",
]  # fmt: skip


@pytest.mark.parametrize("name", WELCOME)
def test_names_of_all_scripts_and_emoji_stay_as_they_are_written(name):
    assert read_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("text", INVISIBLE, ids=lambda text: " ".join(f"{ord(sign):04x}" for sign in text))
def test_a_name_with_nothing_to_see_is_refused(text):
    with pytest.raises(Invalid, match="can be seen"):
        read_name(text)


@pytest.mark.parametrize("text", ["", " ", "\u00a0", "\u2003\u2003", "\u3000", "\t\n"])
def test_spaces_alone_are_nothing_typed(text):
    assert read_name(text) == ""


@pytest.mark.parametrize("sign", ["\x00", "\x01", "\x1b", "\x7f", "\x9f", "\ud800"])
def test_control_characters_are_refused_with_a_sentence(sign):
    with pytest.raises(Invalid, match="cannot be shown"):
        read_name(f"An{sign}a")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Ana \t López\n", "Ana López"), ("Ana\u00a0\u2003López", "Ana López"), ("A\u200bna", "Ana"), ("A\u200dna", "Ana"), ("A\u200cna", "Ana"),
        ("\u202eanA", "anA"), ("\u2067Ana\u2069", "Ana"), ("Ana\u200f", "Ana"), ("\ufeffAna", "Ana"), ("A\u00adna", "Ana"),
        ("A\u0301na", "Ána"), ("\u0301Ana", "Ana"), ("\ufe0fAna", "Ana"), ("Ana\u2800López", "Ana López"), ("Ana\U000e0041", "Ana"),
        ("Ana\u3164", "Ana"), ("ع\u200c", "ع"), ("Ana\u2028López", "Ana López"), ("", ""), ("   ", ""), ("Ana\uffff", "Ana"),
        ("🏴\U000e0067", "🏴"), ("👩\u200d", "👩"),
    ],
)  # fmt: skip
def test_what_is_not_seen_is_left_out(typed, kept):
    assert read_name(typed) == kept


def test_a_name_has_two_hundred_characters_at_most():
    assert len(read_name("x" * 200)) == 200
    with pytest.raises(Invalid, match="at most 200"):
        read_name("x" * 201)


@given(st.text(max_size=30))
def test_a_name_that_is_kept_is_seen_in_one_line_and_stays_as_it_is(text):
    try:
        name = read_name(text)
    except Invalid:
        return
    assert read_name(name) == name
    assert name == "" or any(
        unicodedata.category(sign)[0] in "LNPS" or unicodedata.category(sign) == "Cf" for sign in name
    )
    assert "\n" not in name
    assert not any(
        unicodedata.bidirectional(sign) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        for sign in name
    )
