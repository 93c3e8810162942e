"""Adopting: what an installation does when it finds that its data came from another one, and what a person then lets it do.

Every start asks (`settle`). The first start of all adopts by itself. One that finds itself to be a copy, and a restore, stand back
(`stand_back`): from then on new things get new ids, calendars count as unreadable until they have been compared, and nothing leaves
(`portal.instance.standing` guards that). `adopt` ends it. What waited to be mailed when the data were copied is the other installation's, which
has sent it or not: it is dropped, as after every restore. What was booked here since is told.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, true, update
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, Booking
from portal.calendars.models import Calendar, Connection, ConnectionDraft, PushSubscription
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.errors import NotAllowedNow
from portal.instance.identity import identity_here
from portal.instance.models import Instance
from portal.instance.standing import RESTORED, Standing, standing
from portal.notifications.models import Reminder
from portal.outbox import OutboxEntry
from portal.sync import ledger

DROPPED = "It waited to be mailed when the data came here from another installation, which has sent it or not."


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What adopting will do, in numbers."""

    mails: int
    reminders: int
    own_mails: int
    calendars: int
    paused: int


def settle() -> Standing:
    """At every start: adopt a database that nobody has adopted yet, or find out that this one is another's."""
    return read_transaction(standing) if read_transaction(_is_settled) else transaction(_settle)


def stand_back(session: Session, *, now: datetime, restored_from: str = "") -> None:
    """Note that what stands in this database belongs to another installation, which may have gone on since. Twice is once.

    `restored_from` is when the backup was made that was just put in: then nobody has adopted it, not even the installation that made it.
    """
    row = _row(session)
    if restored_from:
        row.identity, row.restored_from = {}, restored_from
    elif row.noticed == identity_here():
        return
    row.noticed, row.noticed_at = identity_here(), now
    row.ids = [*(row.ids or []), _new_id(session, now=now)]
    session.execute(
        update(Calendar)
        .values(
            unsure_since=now, last_read_at=None, sync_token=None, next_read_at=now, read_lease_until=None,
            read_lease_token=None,
        )
        .execution_options(synchronize_session=False)
    )  # fmt: skip


def forecast(session: Session, *, now: datetime) -> Forecast:
    """What `adopt` would do now."""
    since = standing(session).noticed_at
    waiting = (OutboxEntry.state == "todo", OutboxEntry.topic.startswith("notify."))
    return Forecast(
        mails=_count(session, OutboxEntry.id, *waiting, _before(since)),
        own_mails=_count(session, OutboxEntry.id, *waiting, ~_before(since)) if since else 0,
        reminders=len(_missed_reminders(session, since, now=now)),
        calendars=_count(session, Calendar.id),
        paused=_count(session, Connection.id, Connection.state == "paused", Connection.leaving.is_(False)),
    )


def adopt(*, by: str, now: datetime) -> Forecast:
    """From now on this installation is the one that reads, writes, mails and reminds. Raises NotAllowedNow when it is already."""

    def work(session: Session) -> Forecast:
        if standing(session).is_ours:
            raise NotAllowedNow("This portal is adopted already. Nothing was changed.")
        stand_back(session, now=now)
        done, row = forecast(session, now=now), _row(session)
        _drop_what_was_waiting(session, row.noticed_at, now=now)
        row.identity, row.adopted_at, row.adopted_by = identity_here(), now, by
        row.noticed = row.noticed_at = None
        row.restored_from = ""
        session.execute(update(Calendar).values(next_read_at=now).execution_options(synchronize_session=False))
        sentence = f"{by} adopted the portal: calendars, mails and reminders are this installation's from now on."
        ledger.write(session, "adopted", sentence)
        return done

    return transaction(work)


def _is_settled(session: Session) -> bool:
    """Whether a start has nothing to write down."""
    row, here = session.get(Instance, 1, populate_existing=True), identity_here()
    return row is not None and (row.noticed == here or here.items() <= row.identity.items())


def _settle(session: Session) -> Standing:
    here, now = identity_here(), now_utc()
    row = session.get(Instance, 1, populate_existing=True)
    if row is None:
        session.add(Instance(id=1, identity=here, adopted_at=now, adopted_by="its first start"))
        return Standing(adopted_at=now)
    found = standing(session)
    if found.is_ours:
        if here.keys() - row.identity.keys():
            row.identity = {**here, **row.identity}  # what could not be known before: an address, say
    elif found.differences != (RESTORED,):
        stand_back(session, now=now)
    return standing(session)


def _row(session: Session) -> Instance:
    row = session.get(Instance, 1, populate_existing=True)
    if row is None:
        row = Instance(id=1, identity={})
        session.add(row)
    return row


def _new_id(session: Session, *, now: datetime) -> dict[str, Any]:
    """What names whatever is numbered from here on. A hold is no appointment yet: the other installation may have given its number again."""
    is_real = Appointment.is_fixed | Appointment.bookings.any(Booking.status != "held")
    highest = session.scalar(select(func.max(Appointment.id)).where(is_real)) or 0
    return {"id": secrets.token_hex(8), "after": highest, "since": now.isoformat()}


def _drop_what_was_waiting(session: Session, since: datetime | None, *, now: datetime) -> None:
    """Mails and reminders of the time before; and what would end rights at a provider that the other installation may be using."""
    waiting = update(OutboxEntry).where(OutboxEntry.state == "todo", _before(since))
    dropped = {"state": "dropped", "last_error": DROPPED, "finished_at": now, "lease_until": None, "lease_token": None}
    for topic in ("notify.", "calendar.draft", "calendar.push"):
        session.execute(
            waiting.where(OutboxEntry.topic.startswith(topic))
            .values(**dropped)
            .execution_options(synchronize_session=False)
        )
    session.execute(update(OutboxEntry).where(OutboxEntry.state == "todo").values(lease_until=None, lease_token=None))
    missed = _missed_reminders(session, since, now=now)
    session.execute(update(Reminder).where(Reminder.id.in_(missed)).values(state="dropped"))
    session.execute(update(Connection).values(token_lease=None, token_lease_until=None))
    session.execute(delete(PushSubscription))
    session.execute(delete(ConnectionDraft))


def _missed_reminders(session: Session, since: datetime | None, *, now: datetime) -> list[int]:
    """Those that came due meanwhile, of bookings that the other installation knew."""
    statement = (
        select(Reminder.id)
        .join(Booking, Booking.id == Reminder.booking_id)
        .where(Reminder.state == "waiting", Reminder.due_at <= now, Booking.created_at < (since or now))
    )
    return list(session.scalars(statement))


def _before(since: datetime | None) -> ColumnElement[bool]:
    return OutboxEntry.created_at < since if since is not None else true()


def _count(session: Session, column: object, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count(column)).where(*conditions)) or 0  # type: ignore[arg-type]
