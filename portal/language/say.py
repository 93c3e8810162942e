"""The portal's words in its reader's language: English stands in the code, Spanish and Hungarian in the catalogs of `portal/language/translations`.

Pages ask Flask-Babel (`_("…")` in templates); what is said without a page (rules, errors, mails) asks `say` here, in the language that
`speaking` has set for the thread. Both read the same catalogs. Pure: no Flask, no database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel import Locale
from babel.lists import format_list
from babel.support import NullTranslations, Translations

LANGUAGES = {"en": "English", "es": "Español", "hu": "Magyar"}
"""The languages of all texts for customers, by their own names; English first, for who speaks none of them."""

CATALOGS = Path(__file__).parent / "translations"
_SOUNDS_LIKE_Y = re.compile(r"(?:i|í|hi(?![aeo])|hí|y(?![aeiouáéíóú]))", re.IGNORECASE)
_spoken: ContextVar[str] = ContextVar("language", default="en")
_country: ContextVar[str] = ContextVar("country", default="")


def language() -> str:
    """The language in which this thread speaks now."""
    return _spoken.get()[:2]


def language_tag() -> str:
    """The same with the country if one is known ("es-MX"), for dates and times: `portal.language.dates.present_locale`."""
    return _spoken.get()


def country() -> str:
    """The business's country, whose habits count where the tag names none: `portal.language.dates.locale_of`."""
    return _country.get()


@contextmanager
def speaking(tag: str, *, country: str = "") -> Iterator[None]:
    """Say everything in this language ("es", "es-MX") meanwhile; one that is not known is English."""
    token = _spoken.set(tag if tag[:2] in LANGUAGES and tag[2:3] in ("", "-") else known_language(tag))
    place = _country.set(country)
    try:
        yield
    finally:
        _country.reset(place)
        _spoken.reset(token)


def known_language(*tags: str) -> str:
    """The first of these tags ("es", "es-MX", "hu_HU") whose language has texts; "en" when none has."""
    for tag in tags:
        language = tag.replace("_", "-").partition("-")[0].lower()
        if language in LANGUAGES:
            return language
    return "en"


def say(sentence: str, /, **values: Any) -> str:
    """The sentence in the present language, with the values where it says %(name)s. Begin with a literal: the catalogs are made of those."""
    words = catalog(language()).ugettext(sentence)
    return words % values if values else words


def say_n(one: str, many: str, number: int, /, **values: Any) -> str:
    """The same in singular or plural; %(number)s is there by itself."""
    words = catalog(language()).ungettext(one, many, number)
    return words % {"number": number, **values}


def say_later(sentence: str) -> str:
    """Marks a sentence for the catalogs that is said (by `say`) elsewhere."""
    return sentence


def capital(text: str) -> str:
    """The text as it begins a heading: Spanish weekdays and months are small within a sentence only."""
    return text[:1].upper() + text[1:]


def given_name(name: str) -> str:
    """How to address somebody by the name they typed, in the present language: Hungarians write the family name first."""
    words = name.split()
    if not words:
        return ""
    return words[-1] if language() == "hu" else words[0]


def in_a_row(names: Sequence[str], locale: Locale) -> str:
    """“Ana”, “Ana and Ben”, “Ana, Ben and Cleo”; in Spanish “Ana e Inés”."""
    if len(names) > 1 and locale.language == "es" and _SOUNDS_LIKE_Y.match(names[-1]):
        return f"{', '.join(names[:-1])} e {names[-1]}"
    return format_list(list(names), locale=locale)


@lru_cache(maxsize=len(LANGUAGES))
def catalog(tag: str) -> NullTranslations:
    """The texts of a language, loaded once."""
    if tag == "en":
        return NullTranslations()
    return Translations.load(CATALOGS, [tag])
