"""User name and password as they go to a server. Called by `wire`.

Basic authentication says nothing of letters beyond ASCII; UTF-8 is what is wanted today (RFC 7617), and older servers read ISO 8859-1.
"""

from __future__ import annotations

import re
import unicodedata

from requests.auth import HTTPBasicAuth

from providers.errors import Misconfigured

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class SignIn:
    """One user name with its password. Raises Misconfigured, with a sentence, for what no server could be told."""

    def __init__(self, username: str, password: str) -> None:
        for text, what in ((username, "user name"), (password, "password")):
            if _CONTROLS.search(text) or not _is_text(text):
                raise Misconfigured(
                    f"The {what} holds a character that cannot be typed, such as a line break or a tab. Please type it anew."
                )
        if ":" in username:
            raise Misconfigured("A user name must not hold a colon: servers take what follows for the password.")
        self._username, self._password = (unicodedata.normalize("NFC", text) for text in (username, password))
        self._has_tried_latin = False

    def basic(self) -> HTTPBasicAuth:
        """In UTF-8."""
        return self._encoded("utf-8")

    def latin(self) -> HTTPBasicAuth | None:
        """In ISO 8859-1, given out once; None where that is the same, or has no such letters."""
        if self._has_tried_latin or (self._username + self._password).isascii():
            return None
        self._has_tried_latin = True
        try:
            return self._encoded("iso-8859-1")
        except UnicodeEncodeError:
            return None

    def _encoded(self, charset: str) -> HTTPBasicAuth:
        return HTTPBasicAuth(self._username.encode(charset), self._password.encode(charset))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
