"""What a person does to a connected account or calendar: pause, resume, give a new password, change a rule, decide about a doubtful read.

Each function is one transaction, writes a line into the ledger, and is called by the integrations page. Mappings are never touched here:
a new password leaves all calendars, links and rules as they are.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import wake
from portal.calendars import access
from portal.calendars.forms import Rules
from portal.calendars.models import Calendar, Connection
from portal.db import read_transaction, transaction
from portal.errors import NotAllowedNow, NotFound
from portal.sync import ledger, states


def pause(connection_id: int, *, by: str, now: datetime) -> None:
    """Neither read nor write this account until it is resumed. Twice is the same as once."""

    def work(session: Session) -> None:
        states.set_state(session, _get(session, connection_id), "paused", f"Paused by {by}.", now=now)

    transaction(work)


def resume(connection_id: int, *, now: datetime) -> None:
    """Use a paused account again, and catch up at once. Nothing happens to one that is not paused."""

    def work(session: Session) -> list[int]:
        connection = _get(session, connection_id)
        if connection.state != "paused":
            return []
        states.set_state(session, connection, "connected", "", now=now)
        states.release(session, connection_id, now=now)
        return [calendar.id for calendar in connection.calendars]

    _read_and_write_soon(transaction(work), now=now)


def read_now(connection_id: int, *, now: datetime) -> None:
    """Have all calendars of the account read at once. Raises NotAllowedNow while it is paused."""

    def work(session: Session) -> list[int]:
        connection = _get(session, connection_id)
        if connection.state == "paused":
            raise NotAllowedNow("This account is paused. Please resume it first.")
        return [calendar.id for calendar in connection.calendars]

    _read_and_write_soon(read_transaction(work), now=now)


def try_again(connection_id: int, *, now: datetime) -> int:
    """Let everything that waits for this account, or is stuck, be tried at once; gives the number of appointments."""

    def work(session: Session) -> int:
        _get(session, connection_id)
        return states.release(session, connection_id, now=now)

    released = transaction(work)
    wake.ring()
    return released


def refresh(connection_id: int, password: str, *, by: str, now: datetime) -> list[str]:
    """Take a new password for the same account, once the server has accepted it. Every mapping stays.

    Gives the names of our calendars that the server no longer lists. Raises the errors of `providers.errors`; nothing is changed then.
    """
    from portal.calendars import connect  # nor what speaks to calendar servers

    url, username = read_transaction(lambda session: _address(_get(session, connection_id)))
    listed = {calendar.remote_id for calendar in connect.list_remote(url, username, password)}

    def work(session: Session) -> tuple[list[int], list[str]]:
        connection = _get(session, connection_id)
        connection.sealed_secret = access.seal_secret(connection_id, {"password": password})
        _forget_trouble(connection, listed)
        if connection.state != "paused":
            states.set_state(session, connection, "connected", "", now=now)
        states.release(session, connection_id, now=now)
        sentence = f"{by} gave a new password for the account {connection.account.get('username', '')}."
        ledger.write(session, "refreshed", sentence, connection_id=connection_id)
        gone = [calendar.name for calendar in connection.calendars if calendar.remote_id not in listed]
        return [calendar.id for calendar in connection.calendars], gone

    calendar_ids, gone = transaction(work)
    _read_and_write_soon(calendar_ids, now=now)
    return gone


def set_rules(calendar_id: int, rules: Rules, *, is_busy_source: bool, by: str) -> None:
    """Change how a calendar is treated. What has happened already is not judged anew."""

    def work(session: Session) -> None:
        calendar = _calendar(session, calendar_id)
        calendar.when_moved, calendar.when_deleted = rules.when_moved, rules.when_deleted
        calendar.when_unreadable, calendar.freshness = rules.when_unreadable, rules.freshness
        calendar.is_busy_source = is_busy_source
        details = {
            "when_moved": rules.when_moved, "when_deleted": rules.when_deleted,
            "when_unreadable": rules.when_unreadable, "freshness": rules.freshness, "is_busy_source": is_busy_source,
        }  # fmt: skip
        ledger.write(
            session,
            "rules",
            f"{by} changed the rules of the calendar “{calendar.name}”.",
            calendar_id=calendar_id,
            **details,
        )

    transaction(work)


def decide_quarantine(calendar_id: int, *, accept: bool, by: str, now: datetime) -> None:
    """Let a doubtful read count, or keep what is known. The next read acts on it. Raises NotAllowedNow when nothing is in doubt any more."""

    def work(session: Session) -> None:
        calendar = _calendar(session, calendar_id)
        if calendar.quarantine is None:
            raise NotAllowedNow("The doubt about this calendar is over already. Nothing was changed.")
        calendar.quarantine = {**calendar.quarantine, "decision": "accept" if accept else "keep"}
        said = (
            "that the read counts: the events are gone"
            if accept
            else "to keep the events that the read no longer showed"
        )
        ledger.write(
            session, "quarantine", f"{by} decided for the calendar “{calendar.name}” {said}.", calendar_id=calendar_id
        )

    transaction(work)
    if accept:
        _read_and_write_soon([calendar_id], now=now)


def _read_and_write_soon(calendar_ids: Collection[int], *, now: datetime) -> None:
    from portal import jobs  # not at the top: pages need not load RQ

    if calendar_ids:
        jobs.request_pull(calendar_ids, now=now)
        jobs.ring()


def _forget_trouble(connection: Connection, listed: Collection[str]) -> None:
    """The sign-in is good again; a calendar that the server no longer lists keeps its own trouble."""
    for calendar in connection.calendars:
        if calendar.remote_id in listed or calendar.trouble == "needs reauth":
            calendar.trouble, calendar.failures, calendar.failing_since, calendar.last_error = "", 0, None, None


def _address(connection: Connection) -> tuple[str, str]:
    return str(connection.account.get("url", "")), str(connection.account.get("username", ""))


def _get(session: Session, connection_id: int) -> Connection:
    connection = session.scalar(select(Connection).where(Connection.id == connection_id).with_for_update())
    if connection is None:
        raise NotFound("There is no such account.")
    return connection


def _calendar(session: Session, calendar_id: int) -> Calendar:
    calendar = session.scalar(select(Calendar).where(Calendar.id == calendar_id).with_for_update())
    if calendar is None:
        raise NotFound("There is no such calendar.")
    return calendar
