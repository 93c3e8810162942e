"""From a connection's row to an open provider: unseals the secret, and hands the provider the one guarded HTTP session.

No transaction may be open while a provider is used; opening one here checks that. Called by sync, the last look and connecting.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from portal.calendars.account import Account, account_of, refuse_open_transaction, unseal_secret
from portal.calendars.models import Calendar, Connection
from portal.calendars.oauth.client import api_url
from portal.calendars.oauth.tokens import GivenTokens, StoredTokens
from portal.errors import Invalid
from portal.extensions import current_settings
from portal.instance.standing import require_ours
from portal.security import token_hash
from providers.calendars.base import AccessTokens, CalendarProvider, CalendarRef
from providers.calendars.own_addresses import plain
from providers.errors import Misconfigured
from providers.kinds import kind_of, open_calendar_provider

if TYPE_CHECKING:
    pass

KEPT_PER_THREAD = 4


def open_provider(connection: Connection | Account, *, budget: float | None = None) -> CalendarProvider:
    """A provider signed in with the connection's credentials; the caller closes it.

    `budget` limits its requests to so many seconds all together. The network is not touched yet. Raises Misconfigured for an unknown kind,
    or when the stored secret does not open.
    """
    account = connection if isinstance(connection, Account) else account_of(connection)
    if kind_of(account.provider).consent:
        tokens = StoredTokens(account, is_hurried=budget is not None)
        return _opened(account.provider, account.account, {}, budget=budget, tokens=tokens)
    try:
        secret = unseal_secret(account)
    except Invalid as error:
        raise Misconfigured(str(error)) from error
    return open_with(account.provider, account.account, secret, budget=budget)


def open_with(
    kind: str, account: Mapping[str, str], secret: Mapping[str, str], *, budget: float | None = None
) -> CalendarProvider:
    """A provider for credentials that are not stored (yet)."""
    if kind_of(kind).consent:
        return _opened(kind, account, {}, budget=budget, tokens=GivenTokens(kind_of(kind), secret))
    return _opened(kind, account, secret, budget=budget)


@contextmanager
def provider_of(connection: Connection | Account, *, budget: float | None = None) -> Iterator[CalendarProvider]:
    """An open provider for the length of a `with`. Raises RuntimeError when a transaction is open: nobody else may have to wait for it."""
    account = connection if isinstance(connection, Account) else account_of(connection)
    refuse_open_transaction()
    provider = open_provider(account, budget=budget)
    try:
        yield provider
    finally:
        provider.close()


@contextmanager
def kept_provider(account: Account) -> Iterator[CalendarProvider]:
    """Like `provider_of`, for the worker: this thread keeps the provider open, and its HTTP connections with it, until it fails."""
    refuse_open_transaction()
    require_ours()
    kept = _kept_in_this_thread()
    key = (account.connection_id, _lasting(account), json.dumps(dict(account.account), sort_keys=True))
    provider = kept.pop(key, None) or open_provider(account)
    try:
        yield provider
    except BaseException:
        provider.close()
        raise
    kept[key] = provider  # the newest stands last
    while len(kept) > KEPT_PER_THREAD:
        kept.pop(next(iter(kept))).close()


def calendar_ref(calendar: Calendar, *, own_addresses: frozenset[str] = frozenset()) -> CalendarRef:
    """What the provider needs to know of a calendar. The account's name counts as an own address when it is one, and those by which its
    server knows it do."""
    username = str(calendar.connection.account.get("username", "")).lower()
    addresses = {plain(address) for address in own_addresses} | ({username} if "@" in username else set())
    addresses |= set(calendar.connection.account.get("addresses", ()))
    return CalendarRef(remote_id=calendar.remote_id, zone=calendar.zone, own_addresses=frozenset(addresses))


_threads = threading.local()


def _kept_in_this_thread() -> dict[tuple[int, str | None, str], CalendarProvider]:
    if not hasattr(_threads, "kept"):
        _threads.kept = {}
    kept: dict[tuple[int, str | None, str], CalendarProvider] = _threads.kept
    return kept


def _lasting(account: Account) -> str | None:
    """What of the secret tells whether an open provider still has the right one: a new access token every hour is no reason to begin anew."""
    if kind_of(account.provider).has_password:
        return account.sealed_secret
    try:
        return token_hash(unseal_secret(account).get("refresh_token", ""))
    except Invalid as error:
        raise Misconfigured(str(error)) from error


def _opened(
    kind: str,
    account: Mapping[str, str],
    secret: Mapping[str, str],
    *,
    budget: float | None,
    tokens: AccessTokens | None = None,
) -> CalendarProvider:
    require_ours()
    settings = current_settings()
    record = kind_of(kind)
    session = _http_session(budget) if record.asks_network else None
    return open_calendar_provider(
        kind,
        account=account,
        secret=secret,
        http_session=session,
        tokens=tokens,
        api_url=api_url(settings, record),
    )


def _http_session(budget: float | None) -> Any:
    from portal.outbound.session import guarded_session

    settings = current_settings()
    session = guarded_session(allow=settings.outbound_allow)
    if budget is not None:
        limit = session.budget(budget)
        limit.__enter__()
        session.kept_budget = limit  # type: ignore[attr-defined]  # it would end when collected, so it lives as long as the session
    return session
