"""Bearer tokens. The API never looks at cookies, so no other site can use a signed-in person's browser against it.

What a token may do stands in its scopes; each operation that is not public asks for one of them (`NEEDED`). A token is looked up at every
request, so one that was revoked ends at once, in all processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import g, request
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from portal.accounts.models import ApiToken
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import PortalError
from portal.extensions import db
from portal.security import token_hash
from portal.web import access

NEEDED = {
    "api.book": "book",
    "api.booking": "read-bookings",
    "api.cancel": "administer",
    "api.approve": "administer",
    "api.refuse": "administer",
    "api.move": "administer",
    "api.calendars": "administer",
    "api.health": "administer",
}
"""Operation -> the scope that it asks for; one that is forgotten here asks for the last. Staff's answers count as administering."""

NOTED_EVERY = timedelta(minutes=1)


class NoToken(PortalError):
    """No bearer token, or one that is not valid (any more)."""

    code = "token_needed"
    http_status = 401


class ScopeMissing(PortalError):
    """The token is good, but not for this; `scope` is what it lacks."""

    code = "scope_missing"
    http_status = 403

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"This token may not do this: it lacks the scope “{scope}”. Scopes are given when a token is made."
        )
        self.scope = scope


@dataclass(frozen=True, slots=True)
class Bearer:
    """The token of a request. `ended` says why it is no good any more; empty while it is."""

    token_id: int
    scopes: tuple[str, ...]
    made_at: datetime
    ended: str = ""


def require_token() -> None:
    """The API's guard, in front of all that is not public (`portal.web.access`). Raises NoToken and ScopeMissing."""
    bearer = current_bearer()
    if bearer is None:
        raise NoToken("This needs a token: send “Authorization: Bearer …” with one made by `lockstep token add NAME`.")
    if bearer.ended:
        raise NoToken(f"This token {bearer.ended}. Ask whoever looks after this portal for a new one.")
    scope = NEEDED.get(request.endpoint or "", "administer")
    if scope not in bearer.scopes:
        raise ScopeMissing(scope)


def current_bearer() -> Bearer | None:
    """The token that this request carries, good or not; looked up at most once a request. None when there is none."""
    if "api_bearer" not in g:
        g.api_bearer = _find(_sent_token())
    bearer: Bearer | None = g.api_bearer
    return bearer


def reads_in_full() -> bool:
    """Whether this request may have public answers in full and without limit: with a token that reads availability."""
    bearer = current_bearer()
    return bearer is not None and not bearer.ended and "read-availability" in bearer.scopes


def _sent_token() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip()[:200] if scheme.lower() == "bearer" else ""


def _find(token: str) -> Bearer | None:
    if not token:
        return None
    row = db.session.scalar(select(ApiToken).where(ApiToken.token_hash == token_hash(token)))
    if row is None:
        return None
    now = now_utc()
    if row.state(now) == "good":
        bearer = Bearer(row.id, tuple(row.scopes), row.created_at)
        _note_use(row, now)
        return bearer
    ended = "was revoked" if row.state(now) == "revoked" else "has expired"
    return Bearer(row.id, (), row.created_at, ended)


def _note_use(row: ApiToken, now: datetime) -> None:
    """When a token was last used, to the minute: enough to find the ones that nobody needs."""
    if row.last_used_at is not None and row.last_used_at > now - NOTED_EVERY:
        return
    is_old = or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at <= now - NOTED_EVERY)
    statement = update(ApiToken).where(ApiToken.id == row.id, is_old).values(last_used_at=now)

    def work(session: Session) -> Any:
        return session.execute(statement.execution_options(synchronize_session=False))

    transaction(work)


access.guards["api"] = require_token
