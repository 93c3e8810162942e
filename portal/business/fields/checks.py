"""What some texts must be like. Pure. Each rule gives the code of what is wrong, or None; `sentences` has the words."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from portal.language.email_address import is_address

RESERVED_SLUGS = frozenset({
    "admin", "api", "b", "embed", "healthz", "hooks", "language", "metrics", "mine", "readyz", "robots-txt", "setup", "static", "u", "w",
})  # fmt: skip
"""First parts of addresses that are the portal's own: a service of that name could not be reached."""
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_QUESTION_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Z]{2})?")
_URL = re.compile(r"https?://[^\s/@]+(?:/\S*)?")


def slug(text: str) -> str | None:
    return None if _SLUG.fullmatch(text) else "slug"


def service_slug(text: str) -> str | None:
    return "reserved" if text in RESERVED_SLUGS else slug(text)


def question_name(text: str) -> str | None:
    return None if _QUESTION_NAME.fullmatch(text) else "question_name"


def language(text: str) -> str | None:
    return None if _LANGUAGE.fullmatch(text) else "language"


def url(text: str) -> str | None:
    return None if _URL.fullmatch(text) else "url"


def email(text: str) -> str | None:
    return None if is_address(text) else "email"


def zone(text: str) -> str | None:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # unknown, not a name at all, a folder
        return "zone"
    return None
