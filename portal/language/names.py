"""What people and things are called. Pure; every place where a name is typed reads it here: forms, the API, seed files.

A name must have something to see, for others call people by it and look for it in lists; and it may do nothing to the text around it. All
scripts and emoji are welcome, with the joiners that they are written with.
"""

from __future__ import annotations

import unicodedata

from portal.errors import Invalid
from portal.language.say import say

LONGEST = 200
_JOINERS = "\u200c\u200d"
_SPACES = "\t\n\v\f\r\x85\u2028\u2029\u2800"
"""Become a space; the last one is a Braille cell without a dot."""
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufffc\U00016fe4\U0001d159")
"""Nothing to see either, though Unicode counts them among letters, marks and symbols."""
_SEEN_CONTROLS = frozenset("\u06dd\u070f\u08e2\U000110bd\U000110cd") | frozenset(
    map(chr, (*range(0x600, 0x606), 0x890, 0x891))
)
"""Called format controls, and yet drawn: the signs of Arabic, Syriac and Kaithi that stand around numbers."""
_BLACK_FLAG, _TAGS, _END_TAG = "\U0001f3f4", range(0xE0020, 0xE007F), "\U000e007f"
_ALONE = ("LATIN", "GREEK", "CYRILLIC")
"""Scripts in which joiners do nothing, except to make two names that look the same."""


def read_name(text: str, *, longest: int = LONGEST) -> str:
    """The name as it is kept: composed (NFC), in one line, without what cannot be seen and what turns text around. Empty when nothing was typed.

    Raises Invalid, with a sentence, for control characters, for a name that has nothing to see, and for one that is too long.
    """
    if any(_is_control(sign) for sign in text):
        raise Invalid(say("There is a character in it that cannot be shown. Please type it again."))
    signs = unicodedata.normalize("NFC", text)
    name = " ".join("".join(_kept(signs)).split())
    if not can_be_seen(name):
        if text.strip():
            raise Invalid(say("Please write it with letters that can be seen."))
        return ""
    if len(name) > longest:
        raise Invalid(say("Please use at most %(number)s characters.", number=longest))
    return unicodedata.normalize("NFC", name)


def can_be_seen(text: str) -> bool:
    """Whether there is anything to see in it: what is typed without that is as good as nothing, be it an answer or a subject."""
    return any(_is_seen(sign) for sign in text)


def has_hidden_signs(text: str) -> bool:
    """Whether there are signs in it that nobody sees: an e-mail address has none."""
    return any(
        unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Cn") or sign in _FILLERS or sign == "\u2800" for sign in text
    )


def _kept(signs: str) -> list[str]:
    kept: list[str] = []
    flag_ends = -1
    for place, sign in enumerate(signs):
        if sign == _BLACK_FLAG:
            flag_ends = _end_of_flag(signs, place)
        if place <= flag_ends or _is_kept(sign, before=kept[-1] if kept else " ", after=signs[place + 1 : place + 2]):
            kept.append(" " if sign in _SPACES else sign)
    return kept


def _is_kept(sign: str, *, before: str, after: str) -> bool:
    if sign in _FILLERS or _is_nothing(sign):
        return False
    if sign in _JOINERS:
        return _joins(before) and bool(after) and _joins(after)
    if unicodedata.category(sign).startswith("M"):  # marks and variation selectors, which change the sign before them
        return not before.isspace()
    return unicodedata.category(sign) != "Cf" or sign in _SEEN_CONTROLS


def _joins(sign: str) -> bool:
    """Whether a joiner beside it can be of use: in the scripts that have them, and between emoji."""
    if unicodedata.category(sign)[0] not in "LMS" or sign in _FILLERS:
        return False
    return sign > "\u02ff" and not unicodedata.name(sign, "").startswith(_ALONE)


def _end_of_flag(signs: str, place: int) -> int:
    """Where the tags end that make the flag of Scotland or another part of a country of a black flag; `place` when there are none."""
    end = place + 1
    while end < len(signs) and ord(signs[end]) in _TAGS:
        end += 1
    return end if end > place + 1 and signs[end : end + 1] == _END_TAG else place


def _is_control(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cs") and sign not in _SPACES


def _is_nothing(sign: str) -> bool:
    """Numbers that are no characters at all, and those that Unicode keeps for signs without a shape."""
    number = ord(sign)
    no_character = number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF
    no_shape = unicodedata.category(sign) == "Cn" and (
        number in (0x2065, *range(0xFFF0, 0xFFF9)) or 0xE0000 <= number <= 0xE0FFF
    )
    return no_character or no_shape


def _is_seen(sign: str) -> bool:
    return (
        not sign.isspace() and unicodedata.category(sign)[0] in "LNPS" and sign not in _FILLERS and sign not in _SPACES
    ) or sign in _SEEN_CONTROLS
