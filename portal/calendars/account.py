"""What it takes to sign in to a calendar account, sealed and unsealed; and the guard that no transaction waits for its server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portal.calendars.models import Connection
from portal.extensions import current_sealer, db

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Account:
    """What it takes to sign in, as values that outlive the transaction in which they were read."""

    connection_id: int
    provider: str
    account: Mapping[str, str]
    sealed_secret: str | None


def account_of(connection: Connection) -> Account:
    """The connection's credentials, still sealed."""
    return Account(connection.id, connection.provider, dict(connection.account), connection.sealed_secret)


def seal_secret(connection_id: int, secret: Mapping[str, str]) -> str:
    """The secret as it may be stored in this connection's row, and nowhere else."""
    return current_sealer().seal(json.dumps(dict(secret)), place=_place(connection_id))


def unseal_secret(account: Account) -> dict[str, str]:
    """The connection's secret; empty when it has none. Raises Invalid when it does not open."""
    if not account.sealed_secret:
        return {}
    opened: dict[str, str] = json.loads(
        current_sealer().open(account.sealed_secret, place=_place(account.connection_id))
    )
    return opened


def refuse_open_transaction() -> None:
    """Guard of the rule that no transaction waits for somebody else's server. Raises RuntimeError."""
    if db.session().in_transaction():
        raise RuntimeError("A calendar server may not be asked while a transaction is open.")


def _place(connection_id: int) -> str:
    return f"connection/{connection_id}/sealed_secret"
