"""The card “what changed while it was away”: a calendar's note (`portal.sync.state.catch_up_note`) joined with what has become of it since. Reads
only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, selectinload

from portal.booking.models import Appointment, Booking, EventLink
from portal.calendars.models import Calendar, RemoteObject
from portal.sync.models import Conflict, Question
from portal.sync.state.catch_up_note import KEPT, NAMED

Outcome = Literal["asked", "cancelled", "followed", "settling", "kept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A foreign event: its next time, where it stood before if it was moved, and how many times it has in all."""

    summary: str
    start_at: datetime
    end_at: datetime
    from_at: datetime | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Changes:
    """All of one kind: the number, and the first few."""

    count: int = 0
    first: tuple[Change, ...] = ()

    @property
    def more(self) -> int:
        return self.count - len(self.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnChange:
    """What was done to the event of an appointment of ours: moved (`to_at`) or deleted; and what the calendar's rule has made of it. A class has
    no `booking_id`, and nobody is named (`who`)."""

    appointment_id: int
    booking_id: int | None
    who: str
    service: str
    from_at: datetime
    to_at: datetime | None
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """`until` is None while the calendar is still to be read. `waited` bookings were not in the calendar at the refresh."""

    since: datetime
    until: datetime | None
    new: Changes
    moved: Changes
    gone: Changes
    ours: tuple[OwnChange, ...]
    more_of_ours: int
    clashing: Changes
    waited: int
    written: int
    stuck: int

    @property
    def is_quiet(self) -> bool:
        """It was read, and nothing has changed."""
        kinds = (self.new, self.moved, self.gone, self.clashing)
        return self.until is not None and not self.ours and not any(kind.count for kind in kinds)


def card_of(session: Session, calendar: Calendar, *, now: datetime, with_titles: bool) -> Card | None:
    """None where there is nothing to tell, or it was read, or it is a week old."""
    note = calendar.meanwhile
    if not note or datetime.fromisoformat(note["refreshed_at"]) < now - KEPT:
        return None
    states = _states(session, calendar.id, note["waited"])
    ours = note.get("ours", {"count": 0, "first": []})
    return Card(
        since=datetime.fromisoformat(note["since"]),
        until=datetime.fromisoformat(note["at"]) if note["at"] else None,
        new=_changes(note.get("new"), with_titles=with_titles),
        moved=_changes(note.get("moved"), with_titles=with_titles),
        gone=_changes(note.get("gone"), with_titles=with_titles),
        ours=tuple(_own_changes(session, calendar.id, ours["first"])),
        more_of_ours=ours["count"] - len(ours["first"]),
        clashing=_clashes(session, calendar.id, with_titles=with_titles),
        waited=len(note["waited"]),
        written=sum(states.get(i) in ("done", "none") for i in note["waited"]),
        stuck=sum(state == "stuck" for state in states.values()),
    )


def _changes(rows: Mapping[str, Any] | None, *, with_titles: bool) -> Changes:
    if not rows:
        return Changes()
    return Changes(rows["count"], tuple(_change(row, with_titles=with_titles) for row in rows["first"]))


def _change(row: Mapping[str, Any], *, with_titles: bool) -> Change:
    return Change(
        summary=row["summary"] if with_titles else "",
        start_at=datetime.fromisoformat(row["start"]),
        end_at=datetime.fromisoformat(row["end"]),
        from_at=datetime.fromisoformat(row["from"]) if "from" in row else None,
        times=row["times"],
    )


def _states(session: Session, calendar_id: int, appointment_ids: Sequence[int]) -> dict[int, str]:
    """Appointment -> the state of its link. A version behind the booking counts as waiting."""
    if not appointment_ids:
        return {}
    rows = session.execute(
        select(EventLink.appointment_id, EventLink.state, EventLink.applied_version, Appointment.version)
        .join(Appointment, Appointment.id == EventLink.appointment_id)
        .where(EventLink.calendar_id == calendar_id, EventLink.appointment_id.in_(appointment_ids))
    )
    return {
        row.appointment_id: "waiting" if row.state == "done" and row.applied_version < row.version else row.state
        for row in rows
    }


def _own_changes(session: Session, calendar_id: int, rows: Sequence[Mapping[str, Any]]) -> list[OwnChange]:
    ids = [row["appointment_id"] for row in rows]
    if not ids:
        return []
    appointments = {
        one.id: one
        for one in session.scalars(
            select(Appointment)
            .where(Appointment.id.in_(ids))
            .options(selectinload(Appointment.bookings), selectinload(Appointment.service))
        )
    }
    asked = set(
        session.scalars(
            select(Question.appointment_id).where(
                Question.calendar_id == calendar_id, Question.appointment_id.in_(ids), Question.answered_at.is_(None)
            )
        )
    )
    unsettled = set(
        session.scalars(
            select(EventLink.appointment_id).where(
                EventLink.calendar_id == calendar_id, EventLink.appointment_id.in_(ids), EventLink.outside != ""
            )
        )
    )
    return [
        _own_change(row, appointments[row["appointment_id"]], asked=asked, unsettled=unsettled)
        for row in rows
        if row["appointment_id"] in appointments
    ]


def _own_change(row: Mapping[str, Any], appointment: Appointment, *, asked: set[int], unsettled: set[int]) -> OwnChange:
    to_at = datetime.fromisoformat(row["to"]) if row["to"] else None
    booking = _only(appointment)
    return OwnChange(
        appointment_id=appointment.id,
        booking_id=booking.id if booking else None,
        who=booking.customer_name if booking else "",
        service=appointment.service.name,
        from_at=datetime.fromisoformat(row["from"]),
        to_at=to_at,
        outcome=_outcome(appointment, to_at, asked=asked, unsettled=unsettled),
    )


def _only(appointment: Appointment) -> Booking | None:
    """The booking that names it, where an appointment is one person's affair: one that stands before one that is cancelled."""
    if appointment.is_fixed or appointment.capacity > 1:
        return None
    known = [booking for booking in appointment.bookings if booking.status != "held"]
    return min(known, key=lambda booking: (booking.status == "cancelled", -booking.id), default=None)


def _outcome(appointment: Appointment, to_at: datetime | None, *, asked: set[int], unsettled: set[int]) -> Outcome:
    if not appointment.is_active:
        return "cancelled"
    if appointment.id in asked:
        return "asked"
    if to_at is not None and appointment.start_at == to_at:
        return "followed"
    return "settling" if appointment.id in unsettled else "kept"


def _clashes(session: Session, calendar_id: int, *, with_titles: bool) -> Changes:
    """Events of this calendar that stand over a booking now."""
    open_ones = and_(Conflict.calendar_id == calendar_id, Conflict.resolved_at.is_(None))
    count = session.scalar(select(func.count(Conflict.id)).where(open_ones)) or 0
    if not count:
        return Changes()
    known = and_(RemoteObject.calendar_id == Conflict.calendar_id, RemoteObject.remote_id == Conflict.remote_id)
    rows = session.execute(
        select(Conflict.start_at, Conflict.end_at, RemoteObject)
        .outerjoin(RemoteObject, known)
        .where(open_ones)
        .order_by(Conflict.start_at, Conflict.id)
        .limit(NAMED)
    )
    first = tuple(
        Change(summary=row.summary if row and with_titles else "", start_at=start, end_at=end)
        for start, end, row in rows
    )
    return Changes(count, first)
