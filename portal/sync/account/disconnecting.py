"""Accounts that are being disconnected: what is left to do, shown on the integrations page, and forgetting them. The work is done by `disconnect`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, EventLink
from portal.calendars.account import Account, account_of, unseal_secret
from portal.calendars.models import Calendar, Connection
from portal.calendars.oauth import grants
from portal.clock import now_utc
from portal.errors import Invalid
from portal.outbox import OutboxEntry
from portal.sync import ledger

TOPIC = "calendar.farewell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """How far a disconnection has come. `may_force`: trying alone has not helped, so a person may let the events stay where they are."""

    takes_away: bool
    remaining: int
    trouble: str
    may_force: bool


def parting_of(session: Session, connection: Connection, *, now: datetime) -> Parting | None:
    """None while the account is in use."""
    if not connection.leaving:
        return None
    entry = session.scalar(
        select(OutboxEntry)
        .where(OutboxEntry.topic == TOPIC, OutboxEntry.subject == _subject(connection.id))
        .order_by(OutboxEntry.id.desc())
        .limit(1)
    )
    needs_a_person = connection.state in ("needs reauth", "misconfigured")
    return Parting(
        takes_away=bool(entry and entry.payload.get("take_away")),
        remaining=events_to_come(session, connection.id, now=now),
        trouble=(entry.last_error or "") if entry else "",
        may_force=entry is None or needs_a_person or entry.state != "todo" or is_old(entry, now=now),
    )


def hanging(session: Session, *, resource_ids: Collection[int] | None, now: datetime) -> list[str]:
    """The names of the accounts (of these resources) whose disconnection waits for a person."""
    leaving = select(Connection).where(Connection.leaving).order_by(Connection.id)
    if resource_ids is not None:
        leaving = leaving.where(Connection.resource_id.in_(resource_ids))
    partings = [(row, parting_of(session, row, now=now)) for row in session.scalars(leaving)]
    return [name_of(row) for row, parting in partings if parting and parting.may_force]


def is_old(entry: OutboxEntry, *, now: datetime) -> bool:
    """It was tried for a day."""
    return now - entry.created_at >= outbox.STUCK_AFTER


def events_to_come(session: Session, connection_id: int, *, now: datetime) -> int:
    """How many events of ours are known to stand in the account's calendars for appointments to come."""
    standing = links_to_come(select(func.count(EventLink.id)), connection_id, now=now).where(EventLink.etag != "")
    return session.scalar(standing) or 0


def video_calls(session: Session, connection_id: int, *, now: datetime) -> int:
    """How many of them carry the link of a video call."""
    carrying = links_to_come(select(func.count(EventLink.id)), connection_id, now=now).where(
        EventLink.etag != "", EventLink.meeting_url != ""
    )
    return session.scalar(carrying) or 0


def links_to_come(statement: Select, connection_id: int, *, now: datetime) -> Select:  # type: ignore[type-arg]
    """The statement, over the links of appointments to come whose event stands in the account, or may stand there unknown to us."""
    return (
        statement.select_from(EventLink)
        .join(Appointment, Appointment.id == EventLink.appointment_id)
        .join(Calendar, Calendar.id == EventLink.calendar_id)
        .where(
            Calendar.connection_id == connection_id,
            Appointment.start_at > now,
            or_(EventLink.etag != "", EventLink.sent_hash != ""),
        )
    )


def try_again(session: Session, connection: Connection) -> None:
    """Have the farewell tried at once, also one that was given up. Each further failure is shown again."""
    connection.state, connection.state_reason = "connected", ""  # a person has looked at it
    entry = update(OutboxEntry).where(
        OutboxEntry.topic == TOPIC,
        OutboxEntry.subject == _subject(connection.id),
        OutboxEntry.state.in_(("todo", "stuck")),
        OutboxEntry.lease_token.is_(None),
    )
    values = {"state": "todo", "next_at": now_utc()}
    session.execute(entry.values(**values).execution_options(synchronize_session=False))


def give_up(session: Session, connection: Connection, *, by: str) -> Account | None:
    """Forget the account as it is; what was not taken away stays in its calendars. Gives what `forget` gives."""
    entries = update(OutboxEntry).where(
        OutboxEntry.topic == TOPIC,
        OutboxEntry.subject == _subject(connection.id),
        OutboxEntry.state.in_(("todo", "stuck")),
    )
    # Without its token, a worker that is busy with it right now has lost the right to note anything.
    values = {"state": "dropped", "finished_at": now_utc(), "lease_until": None, "lease_token": None}
    session.execute(entries.values(**values).execution_options(synchronize_session=False))
    return forget(
        session, connection.id, sentence=f"{by} disconnected the calendar account {name_of(connection)} as it was."
    )


def forget(session: Session, connection_id: int, *, sentence: str = "") -> Account | None:
    """Delete the account, its calendars and what was read from them. Twice is once.

    Gives the account with its newest secret when nothing else lives by its grant: then that is to be given back.
    """
    # All are locked, so that of two which leave at the same time the later one sees that it is the last.
    accounts = {row.id: row for row in session.scalars(select(Connection).order_by(Connection.id).with_for_update())}
    connection = accounts.get(connection_id)
    if connection is None:
        return None
    name, account = name_of(connection), account_of(connection)
    session.delete(connection)
    session.flush()
    subject = account.account.get("subject")  # an account with a password has none, and nothing to give back
    is_last = bool(subject) and not grants.is_used(session, account.provider, subject)
    ledger.write(
        session,
        "disconnected",
        sentence or f"The calendar account {name} is disconnected, and its sign-in is deleted.",
        connection_id=connection_id,
    )
    return account if is_last else None


def give_back_grant(account: Account | None) -> None:
    """Best effort: its owner can end the permission in the account's own settings, too. No transaction may be open."""
    if account is None:
        return
    try:
        secret = unseal_secret(account)
    except Invalid:  # it does not open any more: then there is nothing to give back
        return
    grants.give_back(account.provider, secret)


def name_of(connection: Connection) -> str:
    """What people know the account by."""
    return str(connection.account.get("username") or connection.account.get("url") or connection.id)


def _subject(connection_id: int) -> str:
    return f"connection:{connection_id}"
