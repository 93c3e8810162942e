"""The calendars of a seed file: found among the connected ones, or proven readable and connected.

Two steps, since no transaction may wait for somebody else's server: `prove_calendars` asks the servers about what is new or has another
password, `apply_calendars` writes, inside the transaction of the whole file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.business.models import Resource
from portal.business.seed_values import SeedCalendar, SeedFile
from portal.calendars.access import account_of, open_with, seal_secret, unseal_secret
from portal.calendars.models import Calendar, Connection
from portal.clock import now_utc
from portal.db import read_transaction
from portal.errors import Invalid
from providers.calendars.base import RemoteCalendar
from providers.errors import ProviderError

BUDGET = 20.0
"""Seconds that one request to a calendar server may take here."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A calendar of the file, the one in the database if there is one, and what its server said if it was asked."""

    slug: str
    wanted: SeedCalendar
    calendar_id: int | None
    remote: RemoteCalendar | None


def prove_calendars(file: SeedFile, *, name: str) -> list[Proof]:
    """Every calendar of the file, the new and changed ones proven. Raises Invalid with the line of one that does not work."""
    proofs: list[Proof] = []
    problems: list[str] = []
    for resource in file.resources:
        for wanted in resource.calendars:
            calendar_id, is_known = read_transaction(lambda session, r=resource, w=wanted: _find(session, r.slug, w))  # type: ignore[misc]
            try:
                remote = None if is_known else _ask(wanted)
            except (ProviderError, Invalid) as error:
                problems.append(f"{name}, line {wanted.line}: {error}")
                continue
            proofs.append(Proof(resource.slug, wanted, calendar_id, remote))
    if problems:
        raise Invalid("\n".join(problems))
    return proofs


def apply_calendars(session: Session, proofs: Sequence[Proof], ids: Mapping[str, int], changes: list[str]) -> None:
    """Connect what is new, and change what differs."""
    from portal.business.seed import set_values

    for proof in proofs:
        label = f"calendar {proof.wanted.url} of {proof.slug}"
        values = _values(proof.wanted)
        if proof.calendar_id is None:
            _connect(session, proof, ids[proof.slug], values)
            changes.append(f"{label}: connected")
            continue
        calendar = session.get_one(Calendar, proof.calendar_id)
        set_values(calendar, label, values, changes)
        if proof.remote is not None:
            _renew(calendar, proof.wanted)
            changes.append(f"{label}: new password")


def _find(session: Session, slug: str, wanted: SeedCalendar) -> tuple[int | None, bool]:
    """The calendar's id, if it is connected for this resource, and whether it is with the same password."""
    statement = (
        select(Calendar)
        .join(Connection, Calendar.connection_id == Connection.id)
        .join(Resource, Resource.id == Calendar.resource_id)
        .where(Resource.slug == slug, Connection.provider == wanted.provider)
    )
    for calendar in session.scalars(statement):
        same_user = calendar.connection.account.get("username") == wanted.username
        if same_user and canonical(calendar.remote_id) == canonical(wanted.url):
            secret = unseal_secret(account_of(calendar.connection))
            return calendar.id, secret.get("password") == wanted.password
    return None, False


def _ask(wanted: SeedCalendar) -> RemoteCalendar:
    """What the server says of the calendar at this address. Raises ProviderError, Invalid when another thing stands there."""
    account = {"url": wanted.url, "username": wanted.username}
    provider = open_with(wanted.provider, account, {"password": wanted.password}, budget=BUDGET)
    try:
        found = {canonical(remote.remote_id): remote for remote in provider.list_calendars()}
    finally:
        provider.close()
    remote = found.get(canonical(wanted.url))
    if remote is None:
        known = ", ".join(sorted(found)) or "none"
        raise Invalid(f"{wanted.url} is no calendar. Calendars of this account: {known}.")
    if "destination" in wanted.roles and not remote.is_writable:
        raise Invalid(f"{wanted.url} may only be read, so it cannot be a destination.")
    return remote


def canonical(url: str) -> str:
    """The same address for the same collection: host in lower case, a slash at the end."""
    parts = urlsplit(url)
    path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), path, "", ""))


def _values(wanted: SeedCalendar) -> dict[str, object]:
    return {
        "is_busy_source": "busy" in wanted.roles,
        "is_destination": "destination" in wanted.roles,
        "when_moved": wanted.when_moved,
        "when_deleted": wanted.when_deleted,
        "when_unreadable": wanted.when_unreadable,
        "freshness": wanted.freshness,
    }


def _connect(session: Session, proof: Proof, resource_id: int, values: Mapping[str, object]) -> None:
    wanted, remote = proof.wanted, proof.remote
    assert remote is not None, "a new calendar was proven"
    connection = Connection(
        resource_id=resource_id,
        provider=wanted.provider,
        account={"url": wanted.url, "username": wanted.username},
    )
    session.add(connection)
    session.flush()
    connection.sealed_secret = seal_secret(connection.id, {"password": wanted.password})
    zone = remote.zone or session.get_one(Resource, resource_id).zone
    calendar = Calendar(resource_id=resource_id, remote_id=remote.remote_id, name=remote.name, zone=zone, **values)
    connection.calendars.append(calendar)


def _renew(calendar: Calendar, wanted: SeedCalendar) -> None:
    connection = calendar.connection
    connection.sealed_secret = seal_secret(connection.id, {"password": wanted.password})
    connection.state, connection.state_since, connection.state_reason = "connected", now_utc(), ""
    calendar.next_read_at = now_utc()
