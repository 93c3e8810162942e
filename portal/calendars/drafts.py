"""The half-made connection between the two steps of connecting: kept on the server for a quarter of an hour, for one user.

Why not in the page: a password, even sealed, would then lie in the browser's history and cache, and could be sent again long after. Why not
in the session cookie: a hundred calendars do not fit into 4 kB. So it waits in a row, encrypted with that row's place.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.calendars.models import ConnectionDraft
from portal.db import transaction
from portal.errors import NotFound
from portal.security import Sealer
from providers.calendars.base import RemoteCalendar

LIVES = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft as plain values; `password` is open again. Never put one into a page or a log."""

    draft_id: int
    resource_id: int
    url: str
    username: str
    password: str
    found: tuple[RemoteCalendar, ...]


def keep(
    *,
    user_id: int,
    resource_id: int,
    url: str,
    username: str,
    password: str,
    found: Sequence[RemoteCalendar],
    now: datetime,
) -> int:
    """Keep what the first step proved; gives the draft's number. The user's older drafts end."""
    listed = [_to_json(calendar) for calendar in found]

    def work(session: Session) -> int:
        session.execute(
            delete(ConnectionDraft).where((ConnectionDraft.user_id == user_id) | (ConnectionDraft.expires_at <= now))
        )
        row = ConnectionDraft(
            user_id=user_id, resource_id=resource_id, url=url, username=username, found=listed, expires_at=now + LIVES
        )
        session.add(row)
        session.flush()
        row.sealed_secret = _sealer().seal(json.dumps({"password": password}), place=_place(row.id))
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
    secret = json.loads(_sealer().open(row.sealed_secret, place=_place(row.id)))
    found = tuple(RemoteCalendar(**calendar) for calendar in row.found)
    return Draft(row.id, row.resource_id, row.url, row.username, secret["password"], found)


def drop(draft_id: int) -> None:
    """The draft has served, or is not wanted any more."""
    transaction(lambda session: session.execute(delete(ConnectionDraft).where(ConnectionDraft.id == draft_id)))


def _to_json(calendar: RemoteCalendar) -> dict[str, Any]:
    return {
        "remote_id": calendar.remote_id,
        "name": calendar.name,
        "zone": calendar.zone,
        "is_writable": calendar.is_writable,
    }


def _place(draft_id: int) -> str:
    return f"connection_draft/{draft_id}/sealed_secret"


def _sealer() -> Sealer:
    sealer: Sealer = current_app.extensions["sealer"]
    return sealer
