"""What was recorded about a subject before and after an entry, and who was told of it. Reads the outbox and the table of mails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.instance.names import InstanceIds
from portal.notifications.compose.messages import message_key
from portal.notifications.compose.news import News
from portal.notifications.models import Mail
from portal.outbox import OutboxEntry, Work, work_of


@dataclass(frozen=True, slots=True)
class History:
    """The entries with the same subject and topic before and after the present one, oldest first."""

    earlier: tuple[Work, ...]
    later: tuple[Work, ...]

    @property
    def has_later(self) -> bool:
        return bool(self.later)


def read_history(session: Session, work: Work) -> History:
    """Everything recorded so far. Newer entries count in whatever state: what they tell is newer."""
    rows = session.scalars(
        select(OutboxEntry)
        .where(OutboxEntry.subject == work.subject, OutboxEntry.topic == work.topic, OutboxEntry.id != work.entry_id)
        .order_by(OutboxEntry.id)
    ).all()
    return History(
        earlier=tuple(work_of(row) for row in rows if row.id < work.entry_id),
        later=tuple(work_of(row) for row in rows if row.id > work.entry_id),
    )


def booking_key(ids: InstanceIds, work: Work, recipient: str) -> str:
    """Names the mail about one step of a booking's life to one person; each step has its own news and SEQUENCE."""
    news, sequence = str(work.payload["news"]), int(work.payload["sequence"])
    return message_key(
        ids.at(work.created_at), f"{work.topic} {work.subject}", news=news, sequence=sequence, recipient=recipient
    )


def reminder_key(ids: InstanceIds, work: Work, recipient: str) -> str:
    """Names the mail about one lead before one start to one person, however often it was queued."""
    sequence = f"{work.payload['lead']} {work.payload['start_at']}"
    return message_key(
        ids.at(work.created_at), f"{work.topic} {work.subject}", news="reminder", sequence=sequence, recipient=recipient
    )


def event_key(instance_id: str, work: Work, recipient: str) -> str:
    """Names the mail about one entry that is not about a booking; the same state may come again, so the entry itself counts."""
    sequence = f"{work.entry_id} {work.created_at.isoformat()}"
    news = str(work.payload.get("news", ""))
    return message_key(instance_id, f"{work.topic} {work.subject}", news=news, sequence=sequence, recipient=recipient)


def booking_news(session: Session, works: Iterable[Work], *, ids: InstanceIds, recipient: str) -> list[News]:
    """The entries as news, each with whether this person was told."""
    keyed = [(work, booking_key(ids, work, recipient)) for work in works]
    told = _told(session, [key for _, key in keyed])
    return [_news(work.payload, was_told=key in told) for work, key in keyed]


def connection_states(
    session: Session, works: Iterable[Work], *, instance_id: str, recipient: str
) -> list[tuple[str, bool]]:
    """The states that a connection went through, each with whether this person was told."""
    keyed = [(work, event_key(instance_id, work, recipient)) for work in works]
    told = _told(session, [key for _, key in keyed])
    return [(str(work.payload.get("state", "")), key in told) for work, key in keyed]


def _told(session: Session, keys: list[str]) -> set[str]:
    """A mail that was being sent when the process died may have arrived, so it counts."""
    if not keys:
        return set()
    return set(
        session.scalars(select(Mail.message_id).where(Mail.message_id.in_(keys), Mail.state.in_(("sending", "sent"))))
    )


def _news(payload: Mapping[str, Any], *, was_told: bool) -> News:
    previous = payload.get("previous_start_at")
    return News(
        news=str(payload["news"]),
        by=str(payload.get("by", "customer")),
        reason=str(payload.get("reason") or ""),
        previous_start_at=datetime.fromisoformat(previous) if previous else None,
        was_told=was_told,
    )
