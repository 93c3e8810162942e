"""Google's push messages: headers only (calendar/api/guides/push). Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from providers.kind import Headers, PushMessage

_IS_CHANGE = {"sync": False, "exists": True, "not_exists": True}


def read_message(headers: Headers) -> PushMessage:
    """What a message says. The first one of a channel says `sync`, and tells of no change."""
    return PushMessage(
        subscription_id=headers.get("X-Goog-Channel-ID", ""),
        secret=headers.get("X-Goog-Channel-Token", ""),
        resource_id=headers.get("X-Goog-Resource-ID", "")[:300],
        is_change=_IS_CHANGE.get(headers.get("X-Goog-Resource-State", "")),
        expires_at=_instant(headers.get("X-Goog-Channel-Expiration", "")),
    )


def _instant(text: str) -> datetime | None:
    """An HTTP date, which is always GMT. What cannot be read is not known."""
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC)
    except ValueError:
        return None
