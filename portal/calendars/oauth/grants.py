"""Giving a permission back to its provider when the portal has no more use for it. Best effort: its owner can end it in the account's settings, too.

Called when a consent is refused or not used, when a connection goes over to another account, and when the last connection of an account
is disconnected.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.calendars.account import refuse_open_transaction
from portal.calendars.models import Connection, ConnectionDraft
from portal.calendars.oauth import drafts
from portal.calendars.oauth.client import oauth_client
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.extensions import current_settings
from portal.instance.standing import require_ours
from portal.outbound.session import guarded_session
from portal.outbox import Work
from providers.errors import ProviderError
from providers.kinds import kind_of

BUDGET = 5.0
log = structlog.get_logger()


def is_used(session: Session, provider: str, subject: str | None) -> bool:
    """Whether anything of this account is connected, or just being connected: giving back one token ends the whole grant, and with it
    the tokens of all."""
    connected = select(Connection.account).where(Connection.provider == provider)
    coming = select(ConnectionDraft.account).where(
        ConnectionDraft.provider == provider, ConnectionDraft.expires_at > now_utc()
    )
    accounts = [*session.scalars(connected), *session.scalars(coming)]
    return any(account.get("subject") == subject for account in accounts)


def give_back(provider: str, secret: Mapping[str, str]) -> bool:
    """End the grant that these tokens belong to. Never raises for what goes wrong there; True when it ended. No transaction may be open."""
    refuse_open_transaction()
    kind, token = kind_of(provider), secret.get("refresh_token") or secret.get("access_token")
    if not token or kind.consent is None:
        return False
    settings = current_settings()
    try:
        require_ours()
        with guarded_session(allow=settings.outbound_allow) as session, session.budget(BUDGET):
            kind.consent.sign_in().revoke(oauth_client(settings, kind), session, token=token)
    except ProviderError as error:
        log.info("grant not given back", reason=str(error))
        return False
    return True


def forget_draft(work: Work) -> None:
    """Handler of `calendar.draft`: somebody began to connect an account and went away. Its secret is deleted, its permission given back."""
    left = transaction(lambda session: drafts.take_expired(session, work.subject_id, now=now_utc()))
    if left is None or kind_of(left.provider).consent is None:
        return
    subject = left.account.get("subject")
    if not read_transaction(lambda session: is_used(session, left.provider, subject)):
        give_back(left.provider, left.secret)
