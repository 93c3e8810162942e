"""Reading one answer of a CalDAV server as it comes, so that none costs more memory than what is kept of it. Called by `wire`.

A multistatus becomes rows at once, an object its bytes, a refusal a few of them. What must not reach an XML parser is kept away from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import requests

from providers.calendars.caldav.xml import Multistatus, MultistatusReader
from providers.errors import BadAnswer

_REFUSAL_BYTES = 65_536
"""So much is kept of a refusal, which says why."""
_HEAD_BYTES = 4_096
"""So much is looked at before a parser sees any of it."""
_ODD_ENCODING = "The server's answer is in an encoding that we do not read."
_ENCODING = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)", re.IGNORECASE)
_BEFORE_ROOT = re.compile(rb"(?:\s|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_BOM = b"\xef\xbb\xbf"


class AnswerReading:
    """What becomes of one answer's body. `begin` is asked with its head and gives whoever takes the pieces."""

    def __init__(self) -> None:
        self._status = 0
        self._kind = ""
        self._kept = bytearray()
        self._rows: MultistatusReader | None = None

    def begin(self, answer: requests.Response) -> Callable[[bytes], None]:
        """Raises BadAnswer for a web page that pretends to be an answer."""
        self._status = answer.status_code
        self._kind = answer.headers.get("Content-Type", "").lower()
        if "html" in self._kind and self._status in (200, 207):
            raise BadAnswer("A web page came back instead of a calendar. Perhaps the address leads to a sign-in page.")
        if self._status == 207:
            return self._take_rows
        return self._kept.extend if self._status < 300 else self._take_refusal

    def refusal(self) -> bytes:
        """The body of a refusal, where it may be looked into; else nothing."""
        body = bytes(self._kept) if self._status >= 400 else b""
        if "html" in self._kind or len(body) >= _REFUSAL_BYTES:
            return b""
        start = body.removeprefix(_BOM).lstrip()
        if start.startswith(b"<"):
            _check_prolog(start)
            return body
        if _is_odd(start):
            raise BadAnswer(_ODD_ENCODING)
        return b"" if "xml" in self._kind else body

    def body(self) -> bytes:
        """The body as it came; empty for a multistatus."""
        return bytes(self._kept) if self._status != 207 else b""

    def multistatus(self) -> Multistatus | None:
        """What a multistatus says. Raises BadAnswer when it broke off."""
        if self._status != 207:
            return None
        if self._rows is None:
            self._look_at_head()
        return self._rows.end_of_answer() if self._rows else None

    def partial(self) -> Multistatus | None:
        """The whole responses of a multistatus that was not read to its end."""
        return self._rows.found if self._rows else None

    def _take_refusal(self, piece: bytes) -> None:
        self._kept += piece[: _REFUSAL_BYTES - len(self._kept)]

    def _take_rows(self, piece: bytes) -> None:
        if self._rows is not None:
            self._rows.feed(piece)
            return
        self._kept += piece
        if len(self._kept) >= _HEAD_BYTES:
            self._look_at_head()

    def _look_at_head(self) -> None:
        head = bytes(self._kept).removeprefix(_BOM).lstrip()
        self._kept.clear()
        if not head:
            return
        if _is_odd(head):
            raise BadAnswer(_ODD_ENCODING)
        if head.startswith(b"<"):
            _check_prolog(head)
        self._rows = MultistatusReader()
        self._rows.feed(head)


def _is_odd(start: bytes) -> bool:
    return b"\x00" in start[:4] or start[:2] in (b"\xff\xfe", b"\xfe\xff")


def _check_prolog(content: bytes) -> None:
    """Refuse a document type, under which entities could be declared, and encodings in which one could hide."""
    encoding = _ENCODING.match(content)
    if encoding and encoding[1].lower() not in (b"utf-8", b"us-ascii", b"iso-8859-1"):
        raise BadAnswer(_ODD_ENCODING)
    prolog = _BEFORE_ROOT.match(content)
    if content[prolog.end() if prolog else 0 :].startswith(b"<!D"):
        raise BadAnswer("The server's answer declares a document type. Such answers are not read.")
