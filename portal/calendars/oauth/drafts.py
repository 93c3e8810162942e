"""The half-made connection between the two steps of connecting: kept on the server for a quarter of an hour, for one user.

With it an outbox entry is written that removes it when that time is over: no secret waits for somebody who went away.

It holds what the first step proved: the account, its secret (a password, or tokens), the calendars found. The second step chooses among
these, or, for the refresh of a connection with another account, confirms it.

Why not in the page: a secret, even sealed, would then lie in the browser's history and cache, and could be sent again long after. Why not
in the session cookie: a hundred calendars do not fit into 4 kB. So it waits in a row, encrypted with that row's place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal import outbox
from portal.calendars.models import ConnectionDraft
from portal.database.engine import transaction
from portal.errors import Invalid, NotFound, NotYet
from portal.extensions import current_sealer
from providers.calendars.base import RemoteCalendar

LIVES = timedelta(minutes=15)
TOPIC = "calendar.draft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A draft as plain values; `secret` is open again. Never put one into a page or a log.

    `account` and `secret` are as in `Connection`; `connection_id` is the connection to be refreshed with it, None for a new one.
    """

    draft_id: int
    resource_id: int
    provider: str
    account: Mapping[str, str]
    secret: Mapping[str, str] = field(repr=False)
    found: tuple[RemoteCalendar, ...]
    connection_id: int | None = None


def keep(
    *,
    user_id: int,
    resource_id: int,
    provider: str,
    account: Mapping[str, str],
    secret: Mapping[str, str],
    found: Sequence[RemoteCalendar],
    now: datetime,
    connection_id: int | None = None,
) -> int:
    """Keep what the first step proved; gives the draft's number. The user's older drafts end: they can be used no more."""
    listed = [asdict(calendar) for calendar in found]

    def work(session: Session) -> int:
        older = (ConnectionDraft.user_id == user_id, ConnectionDraft.expires_at > now)
        session.execute(update(ConnectionDraft).where(*older).values(expires_at=now))
        row = ConnectionDraft(
            user_id=user_id,
            resource_id=resource_id,
            connection_id=connection_id,
            provider=provider,
            account=dict(account),
            found=listed,
            expires_at=now + LIVES,
        )
        session.add(row)
        session.flush()
        row.sealed_secret = current_sealer().seal(json.dumps(dict(secret)), place=_place(row.id))
        outbox.record(session, TOPIC, f"draft:{row.id}", not_before=row.expires_at)
        return row.id

    return transaction(work)


def find(session: Session, *, user_id: int, draft_id: int, now: datetime) -> Draft:
    """Raises NotFound for one that is another user's, unknown or too old: the same for all three."""
    row = session.scalar(
        select(ConnectionDraft).where(
            ConnectionDraft.id == draft_id, ConnectionDraft.user_id == user_id, ConnectionDraft.expires_at > now
        )
    )
    if row is None:
        raise NotFound("This step is over, because some time has passed. Please begin connecting again.")
    return _opened(row)


def take_expired(session: Session, draft_id: int, *, now: datetime) -> Draft | None:
    """Remove a draft whose time is over, in the caller's transaction, and give it; None when there is nothing left of it. Raises NotYet."""
    row = session.get(ConnectionDraft, draft_id, with_for_update=True)
    if row is None:
        return None
    if row.expires_at > now:
        raise NotYet("Somebody may still use it.", after=60)
    session.delete(row)
    try:
        return _opened(row)
    except Invalid:  # sealed with a key that is gone
        return None


def drop(draft_id: int) -> None:
    """The draft has served, or is not wanted any more."""
    transaction(lambda session: session.execute(delete(ConnectionDraft).where(ConnectionDraft.id == draft_id)))


def _opened(row: ConnectionDraft) -> Draft:
    return Draft(
        draft_id=row.id,
        resource_id=row.resource_id,
        provider=row.provider,
        account=dict(row.account),
        secret=json.loads(current_sealer().open(row.sealed_secret, place=_place(row.id))),
        found=tuple(RemoteCalendar(**calendar) for calendar in row.found),
        connection_id=row.connection_id,
    )


def _place(draft_id: int) -> str:
    return f"connection_draft/{draft_id}/sealed_secret"
