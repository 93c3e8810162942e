"""What a remote event means, as one short hash: the same for every way in which a server may write it down. Pure.

Servers reorder parameters, fold lines anew and change etags without changing anything, so versions are
compared by meaning. Called by the mappings of all providers; the portal only ever compares the hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from providers.calendars.base import EventDraft, EventMark


def content_hash(
    *,
    uid: str,
    start_at: datetime | None,
    end_at: datetime | None,
    is_cancelled: bool,
    is_transparent: bool,
    summary: str,
    sequence: int,
    recurrence: Iterable[str] = (),
) -> str:
    """32 hex digits over the meaning of an event; `recurrence` holds what makes it a series, in any order."""
    parts = [
        uid,
        start_at.isoformat() if start_at else "",
        end_at.isoformat() if end_at else "",
        "cancelled" if is_cancelled else "stands",
        "free" if is_transparent else "busy",
        " ".join(summary.split()),
        str(sequence),
        *sorted(recurrence),
    ]
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def draft_hash(draft: EventDraft) -> str:
    """The hash that a remote event has which equals this draft."""
    return content_hash(
        uid=draft.uid,
        start_at=draft.start_at,
        end_at=draft.end_at,
        is_cancelled=False,
        is_transparent=False,
        summary=draft.summary,
        sequence=draft.sequence,
    )


def is_same_appointment(mark: EventMark | None, other: EventMark) -> bool:
    """True when both marks name one appointment of one portal, of whatever generation."""
    return mark is not None and (mark.instance_id, mark.appointment_id) == (
        other.instance_id,
        other.appointment_id,
    )
