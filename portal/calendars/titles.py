"""The titles of outside events: whose business they are, and how they are stored. They tell of people's lives, so they are sealed like credentials.

Of an event of our own no title is kept, for the booking says more; of a private or confidential one neither.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from portal.errors import Invalid
from portal.extensions import current_sealer

if TYPE_CHECKING:
    pass

LONGEST = 300


def title_place(calendar_id: int, remote_id: str) -> str:
    """What a sealed title is bound to."""
    return f"remote_object/{calendar_id}/{remote_id}/summary"


def unknown_place(calendar_id: int, remote_id: str, column: str) -> str:
    """What the sealed `summary` or `description` of a booking that is not known here is bound to."""
    return f"unknown_booking/{calendar_id}/{remote_id}/{column}"


def note_place(calendar_id: int) -> str:
    """What a sealed note of what changed meanwhile is bound to."""
    return f"calendar/{calendar_id}/meanwhile"


def seal_title(calendar_id: int, remote_id: str, title: str) -> str:
    """As it may be stored; empty when there is none."""
    return current_sealer().seal(title[:LONGEST], place=title_place(calendar_id, remote_id)) if title else ""


def open_title(calendar_id: int, remote_id: str, sealed: str | None) -> str:
    """The title; empty when there is none, or it does not open (`lockstep doctor` says so)."""
    return _opened(sealed, title_place(calendar_id, remote_id))


def seal_unknown(calendar_id: int, remote_id: str, column: str, text: str) -> str:
    """As it may be stored; empty when there is none."""
    return current_sealer().seal(text, place=unknown_place(calendar_id, remote_id, column)) if text else ""


def open_unknown(calendar_id: int, remote_id: str, column: str, sealed: str | None) -> str:
    """The text; empty when there is none, or it does not open."""
    return _opened(sealed, unknown_place(calendar_id, remote_id, column))


def seal_note(calendar_id: int, note: dict[str, Any] | None) -> str | None:
    """As it may be stored."""
    return None if note is None else current_sealer().seal(json.dumps(note), place=note_place(calendar_id))


def open_note(calendar_id: int, sealed: str | None) -> dict[str, Any] | None:
    """The note, or None when there is none, or it does not open."""
    text = _opened(sealed, note_place(calendar_id))
    note: dict[str, Any] | None = json.loads(text) if text else None
    return note


def _opened(sealed: str | None, place: str) -> str:
    if not sealed:
        return ""
    try:
        return current_sealer().open(sealed, place=place)
    except (Invalid, ValueError):
        return ""
