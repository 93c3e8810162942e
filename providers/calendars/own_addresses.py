"""Whose an ATTENDEE is: addresses as calendars spell them, brought to one form. Pure.

A server may name a person by e-mail address, by the path of a principal, or by a UUID (RFC 6638 section 2.4.1); and a program may write any of them.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit


def plain(address: str) -> str:
    """The one form: an address without `mailto:`, a path without its host and last slash; all in small letters."""
    text = address.strip().strip('"').lower()
    if text.startswith("mailto:"):
        return unquote(text.removeprefix("mailto:").partition("?")[0]).strip()
    if text.startswith(("http://", "https://", "/")):
        return unquote(urlsplit(text).path).rstrip("/")
    return text
