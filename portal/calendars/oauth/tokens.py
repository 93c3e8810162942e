"""Access tokens of stored connections: kept sealed in the connection's row, fetched anew by one process at a time.

Two processes that used one refresh token at once could both lose it, where the server gives a new one with each use. So whoever fetches
holds a lease in the row, and the others wait for what comes of it; no transaction is open meanwhile. What was fetched is committed before
it is used, and only over the refresh token that it came from: a person who signed in again meanwhile is not undone.

Made by `portal.calendars.open.open_provider`; the providers ask. Works in threads without an app context, for the last look asks in such.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from flask import Flask, current_app, has_app_context
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from portal.calendars.account import Account, account_of, refuse_open_transaction, seal_secret, unseal_secret
from portal.calendars.models import Connection
from portal.calendars.oauth.client import consent_of, oauth_client
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.errors import Invalid
from portal.extensions import current_settings
from portal.failpoints import reach
from portal.instance.standing import require_ours
from portal.outbound.session import guarded_session
from providers.errors import AccessRevoked, BadAnswer, Misconfigured, ProviderError, Temporary
from providers.kind import Grant, Kind, Tokens
from providers.kinds import kind_of

T = TypeVar("T")
EARLY = timedelta(minutes=5)
"""So long before the end of a token the worker fetches the next, so that no visitor's last look ever waits for one."""
LAST = timedelta(seconds=10)
"""A token with less than this to live is not used any more."""
LEASE = timedelta(seconds=30)
"""Longer than a request may take: so nobody fetches twice unless a process died."""
BUDGET = 10.0
PATIENCE = 12.0
"""Seconds to wait for what another process is fetching."""
PAUSE = timedelta(seconds=30)
"""After a token could not be renewed early, before that is tried again."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What the row holds, opened. `granted_at` is when a person last consented."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime
    renew_at: datetime
    granted_at: datetime | None

    def is_alive(self, now: datetime) -> bool:
        return now < self.expires_at - LAST


def as_secret(tokens: Tokens | Grant, *, granted_at: datetime | None, now: datetime) -> dict[str, str]:
    """Tokens as a connection's secret, to be sealed. Renewed five minutes before the end; short-lived ones in their last quarter."""
    renew_at = tokens.expires_at - min(EARLY, (tokens.expires_at - now) / 4)
    texts = {
        "refresh_token": tokens.refresh_token,
        "access_token": tokens.access_token,
        "expires_at": tokens.expires_at.isoformat(),
        "renew_at": renew_at.isoformat(),
    }
    return {**texts, "granted_at": granted_at.isoformat()} if granted_at else texts


class GivenTokens:
    """The access token of a connection that is just being made: good for an hour, and never renewed."""

    def __init__(self, kind: Kind, secret: Mapping[str, str]) -> None:
        self._server = kind.server
        self._token = secret["access_token"]

    def current(self) -> str:
        return self._token

    def renew(self, rejected: str) -> str:
        raise AccessRevoked(f"{self._server} does not accept this sign-in any more. Please begin connecting again.")


class StoredTokens:
    """Fulfils `providers.calendars.base.AccessTokens` for a stored connection.

    `is_hurried` is for people who wait: they use what is still valid, and leave it to the worker to renew in good time.
    Raises Misconfigured when the secret does not open.
    """

    def __init__(self, account: Account, *, is_hurried: bool = False) -> None:
        self._app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        self._account = account
        self._kind = kind_of(account.provider)
        self._is_hurried = is_hurried
        self._kept = _opened(account)
        self._pause_until: datetime | None = None

    def current(self) -> str:
        """A token that lives for some time yet. Raises AccessRevoked, Misconfigured, Temporary."""
        now = now_utc()
        if self._kept.is_alive(now):
            if self._is_hurried or now < self._kept.renew_at or (self._pause_until and now < self._pause_until):
                return self._kept.access_token
            return self._renewed_early(now)
        return self._newer_than(self._kept.access_token)

    def renew(self, rejected: str) -> str:
        """Another token than the one that the server did not accept. Raises AccessRevoked, Misconfigured, Temporary."""
        return self._newer_than(rejected)

    def _renewed_early(self, now: datetime) -> str:
        """The next token; the present one, while that still lives, when somebody is at it already or the sign-in is out of order."""
        try:
            return self._newer_than(self._kept.access_token, is_urgent=False)
        except Temporary as error:
            self._pause_until = now + max(PAUSE, timedelta(seconds=error.retry_after or 0.0))
            return self._kept.access_token

    def _newer_than(self, used: str, *, is_urgent: bool = True) -> str:
        """Whatever living token the row holds that is not `used`; if there is none, it is fetched, by us or by whoever is at it."""
        if has_app_context():
            refuse_open_transaction()
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            row = self._in_app(lambda: read_transaction(self._read))
            if row.secret.access_token != used and row.secret.is_alive(now_utc()):
                self._kept = row.secret
                return row.secret.access_token
            lease = self._lease(row)
            if lease:
                self._kept = self._fetch(row.secret, lease)
                return self._kept.access_token
            if not is_urgent:
                return used
            time.sleep(0.1)
        raise Temporary(f"The portal is still waiting for {self._kind.server} to renew its access.", retry_after=5.0)

    def _read(self, session: Session) -> _Row:
        connection = session.get(Connection, self._account.connection_id)
        if connection is None:
            raise Misconfigured("This account is not connected any more.")
        return _Row(connection.sealed_secret, connection.token_lease_until, _opened(account_of(connection)))

    def _lease(self, row: _Row) -> str | None:
        """Our lease on fetching the next token, or None while another has it, or when the row has moved on since it was read."""
        now = now_utc()
        if row.leased_until is not None and row.leased_until >= now:
            return None
        mine = secrets.token_hex(16)
        is_free = or_(Connection.token_lease_until.is_(None), Connection.token_lease_until < now)
        take = (
            update(Connection)
            .where(Connection.id == self._account.connection_id, is_free, Connection.sealed_secret == row.sealed)
            .values(token_lease=mine, token_lease_until=now + LEASE)
            .execution_options(synchronize_session=False)
        )
        count = self._in_app(lambda: transaction(lambda session: session.execute(take).rowcount))  # type: ignore[attr-defined]
        return mine if count == 1 else None

    def _fetch(self, used: Secret, lease: str) -> Secret:
        """What the row holds after asking for a new token: ours, or what came about meanwhile."""
        try:
            tokens = self._in_app(lambda: _ask(self._kind, used.refresh_token))
        except ProviderError as error:
            stored = self._in_app(lambda: transaction(lambda session: self._give_back(session, lease)))
            if stored.refresh_token != used.refresh_token:  # a person signed in meanwhile: what we used counts no more
                return stored
            raise _plainly(error, self._kind, used) from None
        reach("tokens.after_answer")
        stored = self._in_app(lambda: transaction(lambda session: self._store(session, tokens, used, lease)))
        reach("tokens.after_commit")
        return stored

    def _store(self, session: Session, tokens: Tokens, used: Secret, lease: str) -> Secret:
        connection = self._locked(session)
        stored = _opened(account_of(connection))
        if stored.refresh_token == used.refresh_token:
            secret = as_secret(tokens, granted_at=used.granted_at, now=now_utc())
            connection.sealed_secret = seal_secret(connection.id, secret)
            stored = _parsed(secret)
        _end_lease(connection, lease)
        return stored

    def _give_back(self, session: Session, lease: str) -> Secret:
        connection = self._locked(session)
        _end_lease(connection, lease)
        return _opened(account_of(connection))

    def _locked(self, session: Session) -> Connection:
        connection = session.scalar(
            select(Connection).where(Connection.id == self._account.connection_id).with_for_update()
        )
        if connection is None:
            raise Misconfigured("This account is not connected any more.")
        return connection

    def _in_app(self, work: Callable[[], T]) -> T:
        """`work()` with a database session of its own, whatever thread this is."""
        with self._app.app_context():
            return work()


@dataclass(frozen=True, slots=True)
class _Row:
    sealed: str | None
    leased_until: datetime | None
    secret: Secret


def _end_lease(connection: Connection, lease: str) -> None:
    if connection.token_lease == lease:
        connection.token_lease = connection.token_lease_until = None


def _ask(kind: Kind, refresh_token: str) -> Tokens:
    require_ours()  # a copy that fetched new tokens could end those of the original
    settings, sign_in = current_settings(), consent_of(kind).sign_in()
    with guarded_session(allow=settings.outbound_allow) as session, session.budget(BUDGET):
        return sign_in.refresh(oauth_client(settings, kind), session, refresh_token=refresh_token, now=now_utc())


def _opened(account: Account) -> Secret:
    try:
        return _parsed(unseal_secret(account))
    except Invalid as error:
        raise Misconfigured(str(error)) from None


def _parsed(secret: Mapping[str, str]) -> Secret:
    try:
        expires_at, granted_at = datetime.fromisoformat(secret["expires_at"]), secret.get("granted_at")
        renew_at = secret.get("renew_at")
        return Secret(
            secret["access_token"],
            secret["refresh_token"],
            expires_at,
            datetime.fromisoformat(renew_at) if renew_at else expires_at - EARLY,
            datetime.fromisoformat(granted_at) if granted_at else None,
        )
    except (KeyError, ValueError, json.JSONDecodeError):
        raise Misconfigured(
            "The stored sign-in of this account is not complete. Please refresh the connection."
        ) from None


def _plainly(error: ProviderError, kind: Kind, used: Secret) -> ProviderError:
    """The error, with the one cause that its age gives away."""
    if isinstance(error, BadAnswer):
        return Temporary(str(error))
    early = consent_of(kind).early_end
    if not (isinstance(error, AccessRevoked) and used.granted_at and early):
        return error
    is_early = early.shortest <= now_utc() - used.granted_at <= early.longest
    return AccessRevoked(early.sentence) if is_early else error
