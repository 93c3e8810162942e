"""A person signed in again for a connection with tokens: new tokens, the same calendars. Called by the pages of
`portal.admin.integrations.consent`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.calendars.account import seal_secret
from portal.calendars.connect import is_same_account
from portal.calendars.models import Connection
from portal.database.engine import transaction
from portal.errors import NotFound
from portal.sync import ledger
from portal.sync.account.operations import catch_up
from portal.sync.state import states


def renew_consent(
    connection_id: int, *, account: Mapping[str, str], secret: Mapping[str, str], by: str, now: datetime
) -> None:
    """Use these tokens from now on; every calendar, link and rule stays. What waited is read and written at once.

    The caller has made sure that `account` is the one of the connection, or that a person wants the other one and that it sees
    the connection's calendars. Raises NotFound.
    """

    def work(session: Session) -> list[int]:
        connection = session.scalar(select(Connection).where(Connection.id == connection_id).with_for_update())
        if connection is None or connection.leaving:
            raise NotFound("There is no such account, or it is being disconnected.")
        if not is_same_account(connection.account, account):
            _go_over(session, connection, account, by=by)
        connection.account = dict(account)
        connection.sealed_secret = seal_secret(connection.id, secret)
        connection.refreshed_at = now
        states.note_mended(session, connection, now=now)
        return [calendar.id for calendar in connection.calendars]

    catch_up(transaction(work), now=now)


def _go_over(session: Session, connection: Connection, account: Mapping[str, str], *, by: str) -> None:
    """Another account: what the old one had been told of the change feed means nothing to it, so everything is read anew."""
    for calendar in connection.calendars:
        calendar.sync_token = calendar.sync_token_at = None
    sentence = f"{by} let the account {account['username']} take the place of {connection.account.get('username')}; the calendars stay."
    ledger.write(session, "account", sentence, connection_id=connection.id)
