"""What an error at a calendar means for what follows, and the state that each connection is in.

`classify` is the one place that judges errors; drain, pull and publish follow its decision. A connection's state is the worst of its
calendars' troubles: one that works again while its neighbour does not must not make the state flicker. Every change is a line in
the ledger and news for the staff, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import AppointmentResource, EventLink
from portal.calendars.models import Calendar, Connection
from portal.errors import TryAgain
from portal.instance.standing import NotAdopted
from portal.outbox import OutboxEntry
from portal.sync import ledger
from portal.sync.state import catch_up_note
from providers.errors import (
    AccessRevoked,
    BadAnswer,
    Conflict,
    Misconfigured,
    OwnerMustAct,
    PermissionMissing,
    QuotaUsedUp,
    Temporary,
    Throttled,
)
from providers.messaging.base import DeliveryRefused

DEGRADED_AFTER = timedelta(seconds=60)
DEGRADED_TRIES = 3
SEVERITY = ("", "degraded", "misconfigured", "needs reauth")
_ADVICE = {
    "connected": "is read and written again",
    "degraded": "cannot be reached at the moment",
    "needs reauth": "no longer accepts the stored sign-in",
    "misconfigured": "is not where it was, or may not be read",
    "paused": "is paused",
}


class Paused(OwnerMustAct):
    """A person paused the connection; what is to be written waits."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do after an error.

    ``retry``  try again by itself, after `retry_after` seconds when the server said so
    ``wait``   trying alone is of no use: wait until the connection works again
    ``stuck``  this very thing will not work: show it, and let a person act
    `trouble` is what the error says about the whole connection; empty when it says nothing. `is_throttled`: the account asked too much, so
    only time tells whether that is a trouble. `is_lasting`: it will not be over soon, so people are told at once.
    """

    kind: Literal["retry", "wait", "stuck"]
    reason: str
    trouble: str = ""
    retry_after: float | None = None
    is_throttled: bool = False
    is_lasting: bool = False


def classify(error: BaseException) -> Decision:
    """The decision about any error of a provider, of mail delivery, or of our own."""
    reason = str(error) or type(error).__name__
    if isinstance(error, AccessRevoked):
        return Decision("wait", reason, "needs reauth")
    if isinstance(error, PermissionMissing):
        return Decision("stuck", reason, "misconfigured")
    if isinstance(error, Paused | NotAdopted):
        return Decision("wait", reason)
    if isinstance(error, Misconfigured | OwnerMustAct):
        return Decision("wait", reason, "misconfigured")
    if isinstance(error, Conflict | DeliveryRefused):
        return Decision("stuck", reason)
    if isinstance(error, BadAnswer):
        return Decision("stuck", reason, "degraded")
    if isinstance(error, Throttled):
        is_lasting = isinstance(error, QuotaUsedUp)
        return Decision("retry", reason, "degraded", error.retry_after, is_throttled=True, is_lasting=is_lasting)
    if isinstance(error, Temporary):
        return Decision("retry", reason, "degraded", error.retry_after)
    if isinstance(error, TryAgain):
        return Decision("retry", reason)
    return Decision("retry", reason)


def note_success(session: Session, calendar: Calendar, *, now: datetime) -> bool:
    """The calendar was read. True when it, or its connection, was in trouble before: then waiting work may go out at once."""
    was_in_trouble = bool(calendar.failures or calendar.connection.state not in ("connected", "paused"))
    if calendar.failures or calendar.failing_since or calendar.trouble or calendar.last_error:
        calendar.failures, calendar.failing_since, calendar.trouble, calendar.last_error = 0, None, "", None
    if calendar.connection.state == "needs reauth":
        for sibling in calendar.connection.calendars:  # the sign-in is shared, so it works for all of them
            if sibling.trouble == "needs reauth":
                sibling.trouble = ""
    _settle_state(session, calendar.connection, now=now)
    return was_in_trouble


def note_failure(
    session: Session,
    calendar: Calendar,
    decision: Decision,
    *,
    now: datetime,
    begun_at: datetime | None = None,
    next_at: datetime | None = None,
) -> None:
    """A read failed. A passing failure becomes the state `degraded` only when it lasts.

    It lasts from the beginning of the first call that failed (`begun_at`), and people know within a minute from then. So where the next
    reading, at `next_at`, would come to its end only later, this one decides: a server that hangs lets each wait.
    """
    calendar.failures += 1
    calendar.failing_since = calendar.failing_since or begun_at or now
    calendar.last_error = decision.reason
    lasts = _known_at(now, begun_at, next_at, decision) - calendar.failing_since >= DEGRADED_AFTER
    lasts = lasts or (calendar.failures >= DEGRADED_TRIES and not decision.is_throttled)
    trouble = decision.trouble or "degraded"
    if trouble != "degraded" or lasts or decision.is_lasting:
        calendar.trouble = trouble
    _settle_state(session, calendar.connection, now=now)


def note_doubt(session: Session, calendar_id: int, *, begun_at: datetime, now: datetime) -> None:
    """A write found the server silent or out of order: look at once, for people are to know within a minute of this first call."""
    calendar = session.get(Calendar, calendar_id)
    if calendar is None or calendar.failing_since is not None:
        return
    calendar.failing_since = begun_at
    calendar.next_read_at = min(calendar.next_read_at, now)


def note_refusal(session: Session, calendar_id: int, decision: Decision, *, now: datetime) -> None:
    """A write was refused for a reason that lies with the owner, or for hours. What the next read would find out is noted at once."""
    calendar = session.get(Calendar, calendar_id)
    is_certain = decision.kind == "wait" or decision.is_lasting
    if calendar is None or not is_certain or not decision.trouble:
        return
    shares_it = decision.trouble == "needs reauth" or decision.is_lasting
    for concerned in calendar.connection.calendars if shares_it else [calendar]:
        concerned.trouble = _worst((concerned.trouble, decision.trouble))
        concerned.last_error = decision.reason
        concerned.failing_since = concerned.failing_since or now
    _settle_state(session, calendar.connection, now=now)


def note_mended(session: Session, connection: Connection, *, now: datetime) -> None:
    """A person did something about it (a new password, an end of the pause): forget the trouble, read and write again at once.

    What waits, and what the first reading then finds changed, is told on the integrations page (`meanwhile`).
    """
    catch_up_note.await_reading(session, connection, now=now)
    for calendar in connection.calendars:
        calendar.failures, calendar.failing_since, calendar.trouble, calendar.last_error = 0, None, "", None
        calendar.next_read_at = calendar.asked_at = now
    set_state(session, connection, "connected", "", now=now)
    release(session, connection.id, now=now)


def release(session: Session, connection_id: int, *, now: datetime) -> int:
    """Let everything go out at once that waits for this connection; returns how many appointments that concerns."""
    calendars = select(Calendar.id).where(Calendar.connection_id == connection_id)
    behind = set(
        session.scalars(
            select(EventLink.appointment_id).where(
                EventLink.calendar_id.in_(calendars), EventLink.state.in_(("waiting", "stuck")), EventLink.outside == ""
            )
        )
    )
    behind |= _waiting_without_link(session, connection_id, now=now)
    for appointment_id in behind:
        outbox.hasten(session, "calendar.publish", f"appointment:{appointment_id}", now=now)
    return len(behind)


def release_refused(session: Session, *, now: datetime) -> int:
    """Let everything that is stuck in calendars which can be reached be tried once more; returns how many appointments that concerns."""
    stuck = set(
        session.scalars(
            select(EventLink.appointment_id)
            .join(Calendar, Calendar.id == EventLink.calendar_id)
            .join(Connection, Connection.id == Calendar.connection_id)
            .where(EventLink.state == "stuck", Connection.state == "connected")
        )
    )
    for appointment_id in stuck:
        outbox.hasten(session, "calendar.publish", f"appointment:{appointment_id}", now=now)
    return len(stuck)


def _waiting_without_link(session: Session, connection_id: int, *, now: datetime) -> set[int]:
    """Appointments of the connection's resources whose publish was put off before it came to anything."""
    put_off = session.scalars(
        select(OutboxEntry.subject).where(
            OutboxEntry.topic == "calendar.publish", OutboxEntry.state == "todo", OutboxEntry.next_at > now
        )
    )
    ids = {int(subject.partition(":")[2]) for subject in put_off}
    resources = select(Calendar.resource_id).where(Calendar.connection_id == connection_id)
    concerned = select(AppointmentResource.appointment_id).where(
        AppointmentResource.resource_id.in_(resources), AppointmentResource.appointment_id.in_(ids)
    )
    return set(session.scalars(concerned)) if ids else set()


def set_state(session: Session, connection: Connection, state: str, reason: str, *, now: datetime) -> None:
    """Change the state, tell the ledger and the staff. The same state with another reason is no news."""
    if connection.state == state:
        if connection.state_reason != reason:
            connection.state_reason = reason
        return
    connection.state, connection.state_since, connection.state_reason = state, now, reason
    ledger.write(
        session,
        "state",
        f"The calendar account {_name(connection)} {_ADVICE[state]}{': ' + reason if reason else '.'}",
        connection_id=connection.id,
        state=state,
    )
    outbox.record(
        session, "notify.staff", f"connection:{connection.id}", news="connection", state=state, reason=reason,
        since=now.isoformat(),
    )  # fmt: skip


def _known_at(now: datetime, begun_at: datetime | None, next_at: datetime | None, decision: Decision) -> datetime:
    """When the next failure would be known, if it takes as long as this one. The rest that a throttled account wants is no failure."""
    if begun_at is None or next_at is None or decision.is_throttled:
        return now
    return next_at + (now - begun_at)


def _settle_state(session: Session, connection: Connection, *, now: datetime) -> None:
    if connection.state == "paused":
        return
    worst = _worst(calendar.trouble for calendar in connection.calendars)
    reasons = [calendar.last_error or "" for calendar in connection.calendars if worst and calendar.trouble == worst]
    set_state(session, connection, worst or "connected", reasons[0] if reasons else "", now=now)


def _worst(troubles: Iterable[str]) -> str:
    return max(troubles, key=SEVERITY.index, default="")


def _name(connection: Connection) -> str:
    return str(connection.account.get("username") or connection.account.get("url") or connection.id)
