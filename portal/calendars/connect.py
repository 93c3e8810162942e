"""Connecting calendars: look what an account holds, prove that each chosen calendar can be read, and store it with its secret sealed.

Called by the integrations page, `lockstep connect` and the seed. The servers are asked first, with no transaction open; a calendar counts as
stale until its first pull, which is queued at once, so connecting is not done before the first full reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.business.models import Resource
from portal.calendars.account import seal_secret
from portal.calendars.models import Calendar, Connection
from portal.calendars.open import open_with
from portal.calendars.rewrite import rewrite_calendar
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.errors import Invalid, NotFound
from portal.extensions import db
from providers.calendars.base import CalendarRef, RemoteCalendar
from providers.errors import Temporary
from providers.kinds import CALDAV

BUDGET = 15.0
"""Seconds that a person who connects an account waits for its server, all requests together."""
PROOF_WINDOW = timedelta(days=62)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenCalendar:
    """A calendar of the account that is to be used, with its roles and rules."""

    remote_id: str
    name: str = ""
    zone: str = ""
    is_busy_source: bool = True
    is_destination: bool = False
    rules: Mapping[str, Any] = field(default_factory=dict)
    """Columns of `calendar` (`portal.business.fields.business.CalendarRules`); one that is left out has its default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """What came about. `busy_counts` maps remote ids to the busy times found in the next two months, or None where the server was slow."""

    id: int
    calendar_ids: tuple[int, ...]
    busy_counts: Mapping[str, int | None]


def list_remote(url: str, username: str, password: str, *, provider: str = CALDAV.name) -> list[RemoteCalendar]:
    """`list_calendars` for an account with a password, found from whatever address was typed."""
    return list_calendars(provider, {"url": url, "username": username}, {"password": password})


def list_calendars(provider: str, account: Mapping[str, str], secret: Mapping[str, str]) -> list[RemoteCalendar]:
    """The calendars of an account that is not stored yet. Raises the errors of `providers.errors`."""
    db.session.rollback()  # whoever waits for a server holds no transaction
    opened = open_with(provider, account, secret, budget=BUDGET)
    try:
        return opened.list_calendars()
    finally:
        opened.close()


def connect_caldav(
    *,
    resource_id: int,
    url: str,
    username: str,
    password: str,
    chosen: Sequence[ChosenCalendar],
    provider: str = CALDAV.name,
) -> Connected:
    """`connect_account` for an account with a password."""
    account = {"url": url, "username": username}
    return connect_account(
        resource_id=resource_id, provider=provider, account=account, secret={"password": password}, chosen=chosen
    )


def connect_account(
    *,
    resource_id: int,
    provider: str,
    account: Mapping[str, str],
    secret: Mapping[str, str],
    chosen: Sequence[ChosenCalendar],
) -> Connected:
    """Prove each chosen calendar readable, then store them; their first pull is due at once.

    A calendar that is too slow for a proof is connected all the same: it counts as unreadable until its first pull. Raises Invalid when
    nothing was chosen or it is connected already, NotFound for the resource, and the errors of `providers.errors`.
    """
    if not chosen:
        raise Invalid(
            "Please choose at least one calendar.", fields={"calendars": "Please choose at least one calendar."}
        )
    zone = read_transaction(lambda session: _zone(session, resource_id))
    read_transaction(lambda session: _refuse_connected(session, resource_id, account, chosen))
    counts = prove(provider, account, secret, chosen, zone=zone)
    return transaction(lambda session: store(session, resource_id, provider, account, secret, chosen, zone, counts))


def unseen(calendars: Sequence[Calendar], found: Sequence[RemoteCalendar]) -> list[str]:
    """Names of the calendars that another account cannot use as they are used now: it does not see them, or may not write into them."""
    writable = {calendar.remote_id: calendar.is_writable for calendar in found}
    return [
        one.name
        for one in calendars
        if one.remote_id not in writable or (one.is_destination and not writable[one.remote_id])
    ]


def renew(session: Session, connection: Connection, password: str) -> None:
    """Store another password in the caller's transaction, and have its calendars read with it at once.

    The connection's state follows by itself: the first reading that succeeds mends it, and lets everything go that waited.
    """
    connection.sealed_secret = seal_secret(connection.id, {"password": password})
    for calendar in connection.calendars:
        calendar.failures, calendar.next_read_at = 0, now_utc()


def _zone(session: Session, resource_id: int) -> str:
    resource = session.get(Resource, resource_id)
    if resource is None:
        raise NotFound("There is no such resource.")
    return resource.zone


def _refuse_connected(
    session: Session, resource_id: int, account: Mapping[str, str], chosen: Sequence[ChosenCalendar]
) -> None:
    rows = session.execute(
        select(Connection.leaving, Connection.account)
        .join(Calendar, Calendar.connection_id == Connection.id)
        .where(
            Calendar.resource_id == resource_id,
            Calendar.remote_id.in_([one.remote_id for one in chosen]),
        )
    )
    same = [leaving for leaving, stored in rows if is_same_account(stored, account)]
    if any(same):  # its events are just being taken away, and would be mistaken for those of the new connection
        raise Invalid("This calendar is just being disconnected. Please connect it again when that has ended.")
    if same:
        raise Invalid("This calendar is connected already. Refresh the connection if its sign-in has changed.")


def is_same_account(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """By the provider's lasting id where there is one: the address of a Google account may change."""
    if one.get("subject") and other.get("subject"):
        return one["subject"] == other["subject"]
    return one.get("username") == other.get("username")


def prove(
    provider: str, account: Mapping[str, str], secret: Mapping[str, str], chosen: Sequence[ChosenCalendar], *, zone: str
) -> dict[str, int | None]:
    """Remote id -> number of busy times found, None where the server was slow. Raises the errors of `providers.errors`."""
    now = now_utc()
    opened = open_with(provider, account, secret, budget=BUDGET)
    counts: dict[str, int | None] = {}
    try:
        for one in chosen:
            ref = CalendarRef(remote_id=one.remote_id, zone=one.zone or zone)
            try:
                counts[one.remote_id] = len(opened.busy(ref, (now, now + PROOF_WINDOW)))
            except Temporary:
                if not counts:  # nothing has answered at all: that is no proof of the account
                    raise
                counts[one.remote_id] = None
    finally:
        opened.close()
    return counts


def store(
    session: Session,
    resource_id: int,
    provider: str,
    account: Mapping[str, str],
    secret: Mapping[str, str],
    chosen: Sequence[ChosenCalendar],
    zone: str,
    counts: Mapping[str, int | None],
) -> Connected:
    """Write down what was proven, in the caller's transaction. The ledger tells of it with the first reading."""
    connection = Connection(resource_id=resource_id, provider=provider, account=dict(account))
    connection.calendars = [_calendar(one, resource_id, zone, now=now_utc()) for one in chosen]
    session.add(connection)
    session.flush()
    connection.sealed_secret = seal_secret(connection.id, secret)
    for calendar in connection.calendars:
        if calendar.is_destination and _is_connected_already(session, calendar):
            rewrite_calendar(
                session, calendar.id
            )  # the stricter of their privacy settings counts for all events from now on
    ids = tuple(calendar.id for calendar in connection.calendars)
    return Connected(id=connection.id, calendar_ids=ids, busy_counts=dict(counts))


def _is_connected_already(session: Session, calendar: Calendar) -> bool:
    others = select(Calendar.id).where(Calendar.remote_id == calendar.remote_id, Calendar.id != calendar.id)
    return session.scalar(others.limit(1)) is not None


def _calendar(one: ChosenCalendar, resource_id: int, zone: str, *, now: datetime) -> Calendar:
    return Calendar(
        resource_id=resource_id,
        remote_id=one.remote_id,
        name=one.name or one.remote_id.rstrip("/").rpartition("/")[2],
        zone=one.zone or zone,
        is_busy_source=one.is_busy_source,
        is_destination=one.is_destination,
        next_read_at=now,
        **one.rules,
    )
