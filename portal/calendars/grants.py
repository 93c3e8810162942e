"""Giving a permission back to Google when the portal has no more use for it. Best effort: its owner can end it in the account's settings, too.

Called when a consent is refused, when a connection goes over to another account, and when the last connection of an account is disconnected.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.calendars.access import refuse_open_transaction
from portal.calendars.google_client import google_client
from portal.calendars.models import Connection
from portal.outbound import guarded_session
from providers.errors import ProviderError

BUDGET = 5.0
log = structlog.get_logger()


def is_used(session: Session, subject: str | None) -> bool:
    """Whether any connection belongs to this Google account: giving back one token ends the whole grant, with the tokens of all of them."""
    accounts = session.scalars(select(Connection.account).where(Connection.provider == "google"))
    return any(account.get("subject") == subject for account in accounts)


def give_back(secret: Mapping[str, str]) -> bool:
    """End the grant that these tokens belong to. Never raises for what goes wrong at Google; True when it ended. No transaction may be open."""
    from providers.calendars import google_oauth

    refuse_open_transaction()
    token = secret.get("refresh_token") or secret.get("access_token")
    if not token:
        return False
    settings = current_app.extensions["settings"]
    try:
        with guarded_session(allow=settings.outbound_allow) as session, session.budget(BUDGET):
            google_oauth.revoke(google_client(settings), session, token=token)
    except ProviderError as error:
        log.info("grant not given back", reason=str(error))
        return False
    return True
