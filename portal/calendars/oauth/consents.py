"""A consent under way: what we must remember while somebody is at a provider's page, and must find unchanged when it sends the browser back.

It waits in the browser's own session cookie, sealed, so a link made in one browser is worth nothing in another (a shared store would let a
stranger hang his account on ours). It names the user, and the resource or connection that it is for; it serves once, for ten minutes.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from flask import session

from portal.errors import Invalid
from portal.extensions import current_sealer

LIVES = timedelta(minutes=10)


class ConsentLost(Exception):
    """This browser has no such consent under way: it is over, was used, or was begun elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """`connection_id` is the connection to be refreshed; None for a new one. `verifier` is PKCE's secret."""

    user_id: int
    resource_id: int
    connection_id: int | None
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    expires_at: str


def begin(*, provider: str, user_id: int, resource_id: int, connection_id: int | None, now: datetime) -> Consent:
    """A new one, in place of any older one of this browser with that provider."""
    consent = Consent(
        user_id=user_id,
        resource_id=resource_id,
        connection_id=connection_id,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        expires_at=(now + LIVES).isoformat(),
    )
    session[_slot(provider)] = current_sealer().seal(json.dumps(asdict(consent)), place=_place(provider, user_id))
    return consent


def finish(state: str, *, provider: str, user_id: int, now: datetime) -> Consent:
    """The consent that this answer belongs to; it is used up by that. Raises ConsentLost.

    An answer that does not belong to it leaves it as it is, so that nobody can end it from outside.
    """
    try:
        consent = Consent(
            **json.loads(current_sealer().open(session.get(_slot(provider), ""), place=_place(provider, user_id)))
        )
    except (Invalid, ValueError, TypeError):  # none, another user's, or sealed with a key that is gone
        raise ConsentLost from None
    if not hmac.compare_digest(consent.state.encode(), state.encode()):
        raise ConsentLost
    session.pop(_slot(provider))
    if datetime.fromisoformat(consent.expires_at) <= now or consent.user_id != user_id:
        raise ConsentLost
    return consent


def _slot(provider: str) -> str:
    return f"{provider}_consent"


def _place(provider: str, user_id: int) -> str:
    return f"session/{user_id}/{_slot(provider)}"
