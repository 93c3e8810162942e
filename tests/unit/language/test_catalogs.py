"""Every text for customers stands in Spanish and in Hungarian, and the catalogs hold nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel import Locale
from babel.messages import Catalog, Message

from portal.language import dates
from portal.language import say as i18n
from portal.language.catalogs import ROOT, TRANSLATED, catalog_of, compiled, extracted, forms, po_file, untranslated
from portal.language.say import in_a_row, say, say_n, speaking

PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|\{\w+\}|%(?!\()")
MARKUP = re.compile(r"[<>]|&(?=\w+;)|\"")


@pytest.fixture(scope="module")
def texts() -> Catalog:
    return extracted()


@pytest.fixture(scope="module", params=TRANSLATED)
def tag(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ids(catalog: Catalog) -> set[str | tuple[str, ...]]:
    return {m.id if isinstance(m.id, str) else tuple(m.id) for m in catalog if m.id}


def english(message: Message) -> list[str]:
    return [message.id] if isinstance(message.id, str) else list(message.id)


def translated(tag: str) -> list[Message]:
    """What another test finds missing is not judged here."""
    return [message for message in catalog_of(tag) if message.id and all(forms(message))]


def named(text: str) -> set[str]:
    return set(PLACEHOLDER.findall(text))


def test_the_catalogs_hold_the_texts_of_the_code_and_no_others(texts: Catalog, tag: str) -> None:
    assert len(ids(texts)) > 400
    known = ids(catalog_of(tag))
    assert (ids(texts) - known, known - ids(texts)) == (set(), set()), "run `make translations`"


def test_nothing_is_untranslated_or_guessed(tag: str) -> None:
    assert [message.id for message in untranslated(catalog_of(tag))] == []


def test_the_compiled_catalog_is_that_of_the_text(tag: str) -> None:
    assert po_file(tag).with_suffix(".mo").read_bytes() == compiled(catalog_of(tag))


def test_a_translation_has_the_placeholders_of_its_text(tag: str) -> None:
    """The singular may do without the number, as it may in English."""
    for message in translated(tag):
        *singular, last = english(message)
        for number, form in enumerate(forms(message)):
            wanted = named(last if number else english(message)[0])
            if singular and not number:
                assert named(form) - {"%(num)s", "%(number)s"} == wanted - {"%(num)s", "%(number)s"}, message.id
                assert named(form) <= named(last), message.id
            else:
                assert named(form) == wanted, message.id


def test_a_translation_brings_no_markup_of_its_own(tag: str) -> None:
    """Texts stand in pages and attributes as they are: a straight quote would end the attribute."""
    for message in translated(tag):
        for text in [*forms(message), *english(message)]:
            assert not MARKUP.search(text), text


def test_a_translation_begins_and_ends_as_its_text(tag: str) -> None:
    """No blank is lost or won at the ends, and a sentence ends like one."""
    for message in translated(tag):
        first = english(message)[0]
        for form in forms(message):
            assert form == form.strip(), message.id
            if first[-1] in ".:" and not first.endswith("(.ics)"):
                assert form[-1] in ".:!", message.id


def test_there_are_two_forms_of_a_plural(tag: str) -> None:
    catalog = catalog_of(tag)
    assert (catalog.num_plurals, catalog.plural_expr) == (2, "(n != 1)")
    for message in translated(tag):
        assert len(forms(message)) == (1 if isinstance(message.id, str) else 2), message.id


def test_hungarian_leaves_inserted_words_alone() -> None:
    """No article before a name, whose first letter decides between a and az, and no case ending behind it, which follows its vowels."""
    for message in translated("hu"):
        for form in forms(message):
            assert not re.search(r"\b[Aa]z? [„]?%\((?!num|number)", form), form
            assert not re.search(r"%\(\w+\)s[”]?-?[a-záéíóöőúüű]", form), form
            assert "a(z)" not in form.lower(), form


def test_a_text_is_said_in_the_language_of_the_moment() -> None:
    told = {}
    for one in i18n.LANGUAGES:
        with speaking(one):
            told[one] = (say("Today"), say_n("1 hour", "%(number)s hours", 1), say_n("1 hour", "%(number)s hours", 3))
    assert told == {
        "en": ("Today", "1 hour", "3 hours"),
        "es": ("Hoy", "1 hora", "3 horas"),
        "hu": ("Ma", "1 óra", "3 óra"),
    }
    assert say("Today") == "Today"


def test_a_language_of_a_country_keeps_its_country_for_dates() -> None:
    with speaking("es-MX"):
        assert (say("Today"), i18n.language(), dates.present_locale()) == ("Hoy", "es", Locale("es", "MX"))
    with speaking("xx"):
        assert (say("Today"), dates.present_locale()) == ("Today", Locale("en", "GB"))


@pytest.mark.parametrize(
    ("language", "duration", "zone", "names", "greeting"),
    [
        ("en", "1 hour 30 minutes", "London time (UTC)", "Ana, Ben and Ines", "Kovács"),
        ("es", "1 hora y 30 minutos", "Hora de Londres (UTC)", "Ana, Ben e Ines", "Kovács"),
        ("hu", "1 óra 30 perc", "Helyi idő: London (UTC)", "Ana, Ben és Ines", "Anna"),
    ],
)
def test_stretches_places_and_names(language: str, duration: str, zone: str, names: str, greeting: str) -> None:
    with speaking(language):
        locale = dates.present_locale()
        assert dates.duration(90) == duration
        assert dates.zone_in_words("Europe/London", dates.datetime(2026, 12, 3, tzinfo=dates.UTC)) == zone
        assert in_a_row(["Ana", "Ben", "Ines"], locale) == names
        assert i18n.given_name("Kovács Anna") == greeting


# --- Sentences that are raised ----------------------------------------------------------------------------------------

REFUSALS = {
    "NotFound",
    "Invalid",
    "Refused",
    "SlotTaken",
    "HoldExpired",
    "TooLate",
    "LimitReached",
    "NotAllowedNow",
    "OfferOver",
}
FOR_STAFF = {"portal/booking/approval.py", "portal/waitlist/by_hand.py"}
"""Modules of public rooms that only staff's pages call; those speak English."""
PROGRAMS_AND_STAFF = (
    "The idempotency key must",
    "There is no booking with this id",
    "This time has begun already, so the request is over",
    "This appointment has not begun yet",
    "There is no such entry in a waitlist",
)


def spelled_out(path: Path) -> Iterator[str]:
    """The refusals of a module whose sentence is written into them, past the catalogs."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            name, sentence = ast.unparse(node.exc.func), node.exc.args[0]
            if name in REFUSALS and isinstance(sentence, (ast.Constant, ast.JoinedStr)):
                yield ast.unparse(sentence).strip("f'\"")


@pytest.mark.parametrize("room", ["booking", "waitlist"])
def test_what_customers_are_refused_is_said_through_the_catalogs(room: str) -> None:
    for path in sorted((ROOT / "portal" / room).glob("*.py")):
        if str(path.relative_to(ROOT)) not in FOR_STAFF:
            assert [text for text in spelled_out(path) if not text.startswith(PROGRAMS_AND_STAFF)] == [], path
