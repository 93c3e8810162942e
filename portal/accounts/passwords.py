"""Passwords: how they are stored, how one is checked in the same time whether or not there is such a user, and which are too weak.

Argon2id with OWASP's smallest good parameters (19 MiB, 2 passes, 1 lane): a web process with four threads must not grow by 256 MB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 12
LONGEST = 200
FEWEST_DIFFERENT = 6
_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$Z8nK/4rxckVV/Pk9hKOBdg$dJ4iwUEOWeCamaF51ukewvGMJeNue/+xAjpcoGnz+MM"
"""The hash of a random text that nobody knows, with today's parameters: written down, lest the first wrong try of a process take longer."""

# What people choose when twelve characters are asked for, without digits, signs and the usual swaps of letters. Compared after the
# same reduction, also when repeated: "P4ssword-2026!" and "passwordpassword" are both "password".
_COMMON = """
password passwort passwordadmin adminpassword mypassword yourpassword newpassword defaultpassword contrasena motdepasse
admin administrator root superuser user guest test testing tester demo sample example default changeme changeit
changethis letmein letmeinplease openthedoor opensesame welcome welcomehome hello helloworld hellohello iloveyou
iloveyousomuch ilovemyself trustno trustnoone whatever whateverworks nothing secret topsecret supersecret verysecret
private qwerty qwertyuiop qwertyuiopasdfghjkl qwertz qwertzuiop azerty azertyuiop asdfghjkl asdfgh zxcvbnm zxcvbn
qazwsxedc qazwsxedcrfv qweasdzxc onetwothree onetwothreefour abc abcd abcdef abcdefgh abcdefghijkl abcdefghijklm
sunshine princess football baseball basketball superman batman spiderman pokemon starwars harrypotter manchesterunited
liverpoolfc realmadrid barcelona monkey dragon master shadow michael jennifer jordan charlie computer internet samsung
iphone google facebook youtube microsoft windows linux correcthorsebatterystaple correcthorse maytheforcebewithyou
tobeornottobe rememberme forgetme forgotten ihatepasswords thisismypassword thispassword mysecret mysecretpassword
passphrase mypassphrase login loginlogin access accessgranted enter entering please pleaseletmein spring summer autumn
winter january february march april june july august september october november december monday tuesday wednesday
thursday friday saturday sunday company business office calendar booking bookings appointment appointments lockstep
"""
COMMON = frozenset(_COMMON.split())
_SWAPS = str.maketrans("@4301!$5798", "aaeoiisstbb")


def hash_password(password: str) -> str:
    """What is stored."""
    return _hasher.hash(password)


def fits(password: str, stored: str | None) -> bool:
    """Whether `password` is the one stored. With None (no such user, none chosen yet) it works as long, and says no."""
    try:
        return _hasher.verify(stored or NOBODYS, password[:LONGEST]) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """True when it was stored with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def weakness(password: str, *, about: Iterable[str] = ()) -> str | None:
    """Why this password will not do, as a sentence; None when it will. `about` holds the person's name, e-mail and business."""
    if len(password) < SHORTEST:
        return f"Please use at least {SHORTEST} characters. A few words in a row are easy to remember."
    if len(password) > LONGEST:
        return f"Please use at most {LONGEST} characters."
    if len(set(password.lower())) < FEWEST_DIFFERENT:
        return "This has too few different characters. A few words in a row are easier to remember, and safer."
    if password.isdecimal():
        return "Digits alone are tried quickly. Please add a few words."
    if is_common(password):
        return "This is one of the first passwords that anybody would try. A few words that do not belong together are better."
    if _is_about(password, about):
        return "Please choose something that is not made of your name, your e-mail address or the name of the business."
    return None


def is_common(password: str) -> bool:
    """Whether it is a common word, decorated or repeated, or only runs along the digits or the alphabet."""
    return any(core in COMMON or _once(core) in COMMON for core in _cores(password)) or _is_a_run(password.lower())


def _cores(password: str) -> tuple[str, str]:
    """Its letters alone, as they are and with the usual swaps (4 for a, 0 for o) undone; digits and signs at the end are decoration."""
    text = password.lower()
    stem = re.sub(r"[\d\W_]+$", "", text)
    return _letters(text), _letters(stem.translate(_SWAPS))


def _letters(text: str) -> str:
    return re.sub(r"[\W\d_]", "", text)


def _once(core: str) -> str:
    match = re.fullmatch(r"(.{3,}?)\1+", core)
    return match.group(1) if match else core


def _is_a_run(text: str) -> bool:
    """At least three quarters of the neighbours follow one another: 123456789012, abcdefghijkl."""
    steps = sum(1 for a, b in pairwise(text) if abs(ord(b) - ord(a)) <= 1 or a + b in ("90", "09"))
    return steps * 4 >= (len(text) - 1) * 3


def _is_about(password: str, about: Iterable[str]) -> bool:
    """Whether more than half of its letters are the person's own words."""
    rest = letters = _letters(password.lower())
    for word in sorted(_words(about), key=len, reverse=True):
        rest = rest.replace(word, "")
    return bool(letters) and len(rest) * 2 < len(letters)


def _words(about: Iterable[str]) -> set[str]:
    return {word for text in about for word in re.split(r"[\W\d_]+", text.lower()) if len(word) >= 3}
