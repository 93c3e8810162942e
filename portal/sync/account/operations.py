"""What a person asks of a connected account or calendar: a new password, a pause, its end, read or write it now, other rules, a decision about a
doubtful read.

Each function is one transaction and is called by the integrations page. (Connecting: `portal.calendars.connect`.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import doorbell
from portal.booking.approval import settle_pending
from portal.calendars.account import Account, account_of
from portal.calendars.connect import BUDGET, renew
from portal.calendars.models import Calendar, Connection
from portal.calendars.open import open_with
from portal.calendars.rewrite import rewrite_calendar
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction, write_transaction
from portal.errors import NotAllowedNow, NotFound
from portal.instance.standing import require_adopted
from portal.sync import ledger
from portal.sync.account import disconnect as farewell
from portal.sync.account import disconnecting
from portal.sync.pull.ask import request_pull
from portal.sync.state import catch_up_note, states
from providers.kinds import kind_of


def read_now(connection_id: int, *, now: datetime) -> None:
    """Have all calendars of the account read at once. Raises NotAllowedNow while it is paused."""

    require_adopted()

    def work(session: Session) -> list[int]:
        connection = _get(session, connection_id)
        if connection.state == "paused":
            raise NotAllowedNow("This account is paused. Please resume it first.")
        return [calendar.id for calendar in connection.calendars]

    catch_up(read_transaction(work), now=now)


def catch_up(calendar_ids: Collection[int], *, now: datetime) -> None:
    """Have these calendars read, and what waits for them written, as soon as the worker can: a person asked for it. Best effort."""
    if calendar_ids:
        request_pull(calendar_ids, now=now, is_urgent=True)
        doorbell.ring()


def try_again(connection_id: int, *, now: datetime) -> int:
    """Let everything that waits for this account, or is stuck, be tried at once; gives the number of appointments."""

    require_adopted()

    def work(session: Session) -> int:
        _get(session, connection_id)
        return states.release(session, connection_id, now=now)

    released = transaction(work)
    doorbell.ring()
    return released


def set_rules(calendar_id: int, rules: Mapping[str, Any], *, is_busy_source: bool, by: str) -> None:
    """Change how a calendar is treated: `rules` are columns. What has happened already is not judged anew; but with another privacy setting all its
    events to come are written anew."""

    def work(session: Session) -> None:
        calendar = _calendar(session, calendar_id)
        wanted = {**rules, "is_busy_source": is_busy_source}
        changed = {name for name, value in wanted.items() if getattr(calendar, name) != value}
        if not changed:
            return
        for name in changed:
            setattr(calendar, name, wanted[name])
        if "privacy" in changed:
            rewrite_calendar(session, calendar_id)
        ledger.write(
            session,
            "rules",
            f"{by} changed the rules of the calendar “{calendar.name}”.",
            calendar_id=calendar_id,
            **wanted,
        )

    transaction(work)
    doorbell.ring()


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
        catch_up([calendar_id], now=now)


def refresh_connection(connection_id: int, *, password: str) -> None:
    """A new password for the same account; every calendar, link and rule stays. What waited goes out at once.

    Raises NotFound, and the errors of `providers.errors` when the server does not accept it: nothing is changed then.
    """
    require_adopted()
    account = read_transaction(lambda session: account_of(_get(session, connection_id)))
    opened = open_with(account.provider, account.account, {"password": password}, budget=BUDGET)
    try:
        opened.list_calendars()
    finally:
        opened.close()

    def work(session: Session) -> None:
        connection = _get(session, connection_id)
        renew(session, connection, password)
        states.note_mended(session, connection, now=now_utc())

    transaction(work)


def pause_connection(connection_id: int) -> None:
    """Neither read nor write it until it is resumed. Its freshness runs out meanwhile, as its rule says. Raises NotFound."""
    transaction(lambda session: states.set_state(session, _get(session, connection_id), "paused", "", now=now_utc()))


def resume_connection(connection_id: int) -> None:
    """Read and write it again, starting now. Raises NotFound."""
    require_adopted()
    transaction(lambda session: states.note_mended(session, _get(session, connection_id), now=now_utc()))


def dismiss_meanwhile(calendar_id: int) -> None:
    """Somebody has read what changed while the calendar was away. Raises NotFound."""
    transaction(lambda session: catch_up_note.dismiss(_calendar(session, calendar_id)))


def disconnect(connection_id: int, *, take_away: bool, by: str, now: datetime) -> bool:
    """Give the account no role any more, then forget it. True when that is done already, False when the worker has something to tidy up.

    With `take_away` the events of bookings to come are taken out of its calendars; those that are over always stay. Twice is once.
    """

    require_adopted()

    def work(session: Session) -> bool:
        connection = session.get(Connection, connection_id, with_for_update=True)
        if connection is None or connection.leaving:
            return connection is None
        has_work = take_away and disconnecting.events_to_come(session, connection_id, now=now) > 0
        farewell.begin(session, connection, take_away=has_work, by=by, now=now)
        if has_work or kind_of(connection.provider).consent:  # its permission and its pushes are to be given back
            return False
        disconnecting.give_up(session, connection, by=by)
        return True

    resource_id = read_transaction(lambda session: _resource_id(session, connection_id))
    is_done = write_transaction([resource_id] if resource_id else [], work)
    if resource_id:
        settle_pending(resource_id, now=now)  # what waited only for this calendar
    doorbell.ring()
    return is_done


def disconnect_anyway(connection_id: int, *, by: str, now: datetime) -> None:
    """End a disconnection that does not get on: what was not taken away stays where it is. Raises NotAllowedNow while there is hope."""

    require_adopted()

    def work(session: Session) -> Account | None:
        connection = session.get(Connection, connection_id, with_for_update=True)
        parting = disconnecting.parting_of(session, connection, now=now) if connection else None
        if connection is None or parting is None:
            raise NotFound("This account is not being disconnected.")
        if not parting.may_force:
            raise NotAllowedNow("The portal is still taking the events away. Please let it try for a day.")
        return disconnecting.give_up(session, connection, by=by)

    disconnecting.give_back_grant(transaction(work))


def finish_disconnecting(connection_id: int) -> None:
    """Have the tidying up tried at once. Raises NotFound."""

    require_adopted()

    def work(session: Session) -> None:
        connection = session.get(Connection, connection_id, with_for_update=True)
        if connection is None or not connection.leaving:
            raise NotFound("This account is not being disconnected.")
        disconnecting.try_again(session, connection)

    transaction(work)
    doorbell.ring()


def _resource_id(session: Session, connection_id: int) -> int | None:
    return session.scalar(select(Connection.resource_id).where(Connection.id == connection_id))


def _get(session: Session, connection_id: int) -> Connection:
    """Raises NotFound, also for one that is being disconnected: nothing but that can be done with it."""
    connection = session.scalar(select(Connection).where(Connection.id == connection_id).with_for_update())
    if connection is None or connection.leaving:
        raise NotFound("There is no such account, or it is being disconnected.")
    return connection


def _calendar(session: Session, calendar_id: int) -> Calendar:
    calendar = session.scalar(select(Calendar).where(Calendar.id == calendar_id).with_for_update())
    if calendar is None or calendar.connection.leaving:
        raise NotFound("There is no such calendar, or its account is being disconnected.")
    return calendar
