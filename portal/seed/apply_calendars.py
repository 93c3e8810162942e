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
from portal.calendars.account import account_of, unseal_secret
from portal.calendars.connect import ChosenCalendar, list_remote, prove, renew, store
from portal.calendars.models import Calendar, Connection
from portal.calendars.rewrite import rewrite_calendar
from portal.database.engine import read_transaction
from portal.errors import Invalid
from portal.seed.changes import set_values
from portal.seed.values import SeedCalendar, SeedFile
from providers.calendars.base import RemoteCalendar
from providers.errors import ProviderError


@dataclass(frozen=True, slots=True)
class Proof:
    """A calendar of the file, the one in the database if there is one, and what its server said if it was asked."""

    slug: str
    wanted: SeedCalendar
    calendar_id: int | None
    remote: RemoteCalendar | None
    busy_count: int | None


def prove_calendars(file: SeedFile, *, name: str) -> list[Proof]:
    """Every calendar of the file, the new and changed ones proven. Raises Invalid with the line of one that does not work."""
    proofs: list[Proof] = []
    problems: list[str] = []
    for resource in file.resources:
        for wanted in resource.calendars:
            try:
                calendar_id, is_known = read_transaction(
                    lambda session, r=resource, w=wanted: _find(session, r.slug, w)  # type: ignore[misc]
                )
                remote = None if is_known else _ask(wanted)
                count = _count(wanted, remote) if remote and calendar_id is None else None
            except (ProviderError, Invalid) as error:
                problems.append(f"{name}, line {wanted.line}: {error}")
                continue
            proofs.append(Proof(resource.slug, wanted, calendar_id, remote, count))
    if problems:
        raise Invalid("\n".join(problems))
    return proofs


def apply_calendars(session: Session, proofs: Sequence[Proof], ids: Mapping[str, int], changes: list[str]) -> None:
    """Connect what is new, and change what differs."""
    for proof in proofs:
        label = f"calendar {proof.wanted.url} of {proof.slug}"
        if proof.calendar_id is None:
            _connect(session, proof, ids[proof.slug])
            found = "" if proof.busy_count is None else f", {proof.busy_count} busy times found"
            changes.append(f"{label}: connected{found}")
            continue
        calendar = session.get_one(Calendar, proof.calendar_id)
        if calendar.privacy != proof.wanted.rules["privacy"]:
            rewrite_calendar(session, calendar.id)
        set_values(calendar, label, {**proof.wanted.roles, **proof.wanted.rules}, changes)
        if proof.remote is not None:
            renew(session, calendar.connection, proof.wanted.password)
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
            if calendar.connection.leaving:
                raise Invalid(f"{wanted.url} is just being disconnected. Seed it again when that has ended.")
            secret = unseal_secret(account_of(calendar.connection))
            return calendar.id, secret.get("password") == wanted.password
    return None, False


def _ask(wanted: SeedCalendar) -> RemoteCalendar:
    """What the server says of the calendar at this address. Raises ProviderError, Invalid when another thing stands there."""
    listed = list_remote(wanted.url, wanted.username, wanted.password, provider=wanted.provider)
    found = {canonical(remote.remote_id): remote for remote in listed}
    remote = found.get(canonical(wanted.url))
    if remote is None:
        known = ", ".join(sorted(found)) or "none"
        raise Invalid(f"{wanted.url} is no calendar. Calendars of this account: {known}.")
    if wanted.roles["is_destination"] and not remote.is_writable:
        raise Invalid(f"{wanted.url} may only be read, so it cannot be a destination.")
    return remote


def _count(wanted: SeedCalendar, remote: RemoteCalendar) -> int | None:
    """How many busy times it holds: the proof that it can be read."""
    chosen = _chosen(wanted, remote)
    zone = chosen.zone or "UTC"
    return prove(wanted.provider, _account(wanted), _secret(wanted), [chosen], zone=zone)[remote.remote_id]


def canonical(url: str) -> str:
    """The same address for the same collection: host in lower case, a slash at the end."""
    parts = urlsplit(url)
    path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), path, "", ""))


def _connect(session: Session, proof: Proof, resource_id: int) -> None:
    wanted, remote = proof.wanted, proof.remote
    assert remote is not None, "a new calendar was proven"
    zone = session.get_one(Resource, resource_id).zone
    counts = {remote.remote_id: proof.busy_count}
    store(
        session,
        resource_id,
        wanted.provider,
        _account(wanted),
        _secret(wanted),
        [_chosen(wanted, remote)],
        zone,
        counts,
    )


def _chosen(wanted: SeedCalendar, remote: RemoteCalendar) -> ChosenCalendar:
    return ChosenCalendar(
        remote_id=remote.remote_id, name=remote.name, zone=remote.zone or "", rules=wanted.rules, **wanted.roles
    )


def _account(wanted: SeedCalendar) -> dict[str, str]:
    return {"url": wanted.url, "username": wanted.username}


def _secret(wanted: SeedCalendar) -> dict[str, str]:
    return {"password": wanted.password}
