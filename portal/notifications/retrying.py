"""Another try of what is stuck or waits in the outbox, because a person asks for it: by `lockstep outbox retry` and from the page of mails.

The entry begins anew: its turn is now, its failures are forgotten, and it is tried as long as a new one. A mail that a server has refused is handed
to it once more. What is being done at this moment is left alone.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from portal.database.engine import transaction
from portal.errors import NotFound
from portal.notifications.models import Mail
from portal.outbox import MAILS, STUCK_AFTER, OutboxEntry


def retry(entry_ids: Collection[int], *, now: datetime) -> list[int]:
    """Try these again; gives their ids. Raises NotFound, and changes nothing, when one is not there to be tried: done, or never there."""

    def work(session: Session) -> list[int]:
        found = _begin_anew(session, and_(OutboxEntry.id.in_(entry_ids), _may_be_tried()), now)
        missing = sorted(set(entry_ids) - set(found))
        if missing:
            raise NotFound(
                f"Nothing was changed, for these entries are not stuck and do not wait: {', '.join(map(str, missing))}. "
                "`lockstep outbox` lists what can be tried again."
            )
        return found

    return transaction(work)


def retry_all(*, now: datetime, mails_only: bool = False) -> list[int]:
    """Try everything again that is stuck, or failed and waits for its next turn; gives the ids."""
    has_failed = and_(OutboxEntry.state == "todo", OutboxEntry.last_error.is_not(None))
    which = or_(OutboxEntry.state == "stuck", has_failed)
    if mails_only:
        which = and_(which, OutboxEntry.topic.startswith(MAILS))
    return transaction(lambda session: _begin_anew(session, which, now))


def _may_be_tried() -> ColumnElement[bool]:
    """A mail that was given up may be asked for again; what newer news took the place of will find that out."""
    was_given_up = and_(OutboxEntry.state == "dropped", OutboxEntry.topic.startswith(MAILS))
    return or_(OutboxEntry.state.in_(("todo", "stuck")), was_given_up)


def _begin_anew(session: Session, which: ColumnElement[bool], now: datetime) -> list[int]:
    ids = list(session.scalars(select(OutboxEntry.id).where(which).order_by(OutboxEntry.id)))
    if not ids:
        return []
    is_free = or_(OutboxEntry.lease_until.is_(None), OutboxEntry.lease_until < now)
    fresh = {"state": "todo", "next_at": now, "attempts": 0, "give_up_at": now + STUCK_AFTER, "finished_at": None}
    entries = update(OutboxEntry).where(OutboxEntry.id.in_(ids), is_free).values(**fresh)
    mails = (
        update(Mail)
        .where(Mail.outbox_id.in_(ids), Mail.state == "failed", Mail.bounced_at.is_(None))
        .values(state="sending", given_up="", given_up_at=None)
    )
    for statement in (entries, mails):
        session.execute(statement.execution_options(synchronize_session=False))
    return ids
