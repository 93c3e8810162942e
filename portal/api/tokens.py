"""Bearer tokens. The API never looks at cookies, so no other site can use a signed-in person's browser against it."""

from __future__ import annotations

from flask import current_app, g, request
from sqlalchemy import update

from portal.accounts import access
from portal.accounts.models import ApiToken
from portal.accounts.queries import api_token_of
from portal.clock import now_utc
from portal.db import transaction
from portal.errors import PortalError
from portal.extensions import db
from portal.security import token_hash

REMEMBERED = 5.0
"""Seconds for which a good token is not looked up again; one that was revoked works for that long at most."""

MOST_REMEMBERED = 1000


class NoToken(PortalError):
    """No bearer token, or one that is not valid."""

    code = "token_needed"
    http_status = 401


def require_token() -> None:
    """The API's guard, in front of all that is not public (`portal.accounts.access`). Raises NoToken."""
    if not has_token():
        raise NoToken("This needs a token: send “Authorization: Bearer …” with one made by `lockstep token add NAME`.")


def has_token() -> bool:
    """Whether this request carries a valid token; asked for at most once a request."""
    if "has_api_token" not in g:
        g.has_api_token = _is_valid(_sent_token())
    valid: bool = g.has_api_token
    return valid


def _sent_token() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip()[:200] if scheme.lower() == "bearer" else ""


def _is_valid(token: str) -> bool:
    if not token:
        return False
    remembered: dict[str, float] = current_app.extensions.setdefault("api_tokens", {})
    digest, clock = token_hash(token), now_utc().timestamp()
    if 0.0 < remembered.get(digest, 0.0) - clock <= REMEMBERED:  # the upper end for a clock that was set back
        return True
    row = api_token_of(db.session(), token)
    if row is None:
        remembered.pop(digest, None)
        return False
    _note_use(row.id)
    if len(remembered) >= MOST_REMEMBERED:
        remembered.clear()
    remembered[digest] = clock + REMEMBERED
    return True


def _note_use(token_id: int) -> None:
    """When a token was last used, to the minute: enough to find the ones that nobody needs."""
    now = now_utc()
    row = db.session.get(ApiToken, token_id)
    if row is not None and (row.last_used_at is None or (now - row.last_used_at).total_seconds() > 60):
        statement = update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=now)
        transaction(lambda session: session.execute(statement))


access.guards["api"] = require_token
