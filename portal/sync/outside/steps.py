"""The steps that settle what a person did to an event of ours: follow it, put it back, end the appointment, or ask the staff.

`changes` takes one by the calendar's rule, `questions` by the answer that staff gave. Each may be taken again after a kill in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.fixed.dates import call_off, move_appointment
from portal.booking.models import STANDING, Appointment, Booking, EventLink
from portal.booking.operations import cancel_booking
from portal.booking.rules import By
from portal.calendars.models import BusyInterval, Calendar
from portal.database.engine import write_transaction
from portal.sync import ledger
from portal.sync.models import Question
from portal.sync.outside import conflicts
from portal.sync.outside.closing import close_questions
from portal.sync.sentences import moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """One unsettled outside change, as values. `start_at`/`end_at` are where the event stands now, `version` and `applied_version` the
    appointment's and the event's, `booking_ids` those of the bookings that can still be cancelled."""

    link_id: int
    appointment_id: int
    calendar_id: int
    resource_id: int
    kind: str
    rule: str
    start_at: datetime | None
    end_at: datetime | None
    uid: str
    remote_id: str
    still_stands: bool
    noted_at: datetime
    length: timedelta
    version: int
    applied_version: int
    capacity: int
    is_fixed: bool
    booking_ids: tuple[int, ...]

    @property
    def concerns_anybody(self) -> bool:
        """A fixed appointment stands until staff call it off, whether somebody comes or not."""
        return self.is_fixed or bool(self.booking_ids)


def matter_of(session: Session, appointment_id: int, calendar_id: int) -> Matter | None:
    """The unsettled outside change of this appointment in this calendar, if there is one."""
    link_id = session.scalar(
        select(EventLink.id).where(EventLink.appointment_id == appointment_id, EventLink.calendar_id == calendar_id)
    )
    return matter_of_link(session, link_id) if link_id is not None else None


def matter_of_link(session: Session, link_id: int) -> Matter | None:
    """The unsettled outside change at this link, if there is one."""
    link = session.get(EventLink, link_id)
    if link is None or not link.outside:
        return None
    calendar = session.get_one(Calendar, link.calendar_id)
    appointment = session.get_one(Appointment, link.appointment_id)
    bookings = session.scalars(
        select(Booking.id)
        .where(Booking.appointment_id == appointment.id, Booking.status.in_(STANDING))
        .order_by(Booking.id)
    )
    return Matter(
        link_id=link.id,
        appointment_id=appointment.id,
        calendar_id=calendar.id,
        resource_id=calendar.resource_id,
        kind=link.outside,
        rule=_rule(calendar, link),
        start_at=link.start_at,
        end_at=link.end_at,
        uid=link.uid,
        remote_id=link.remote_id,
        still_stands=bool(link.etag),
        noted_at=link.updated_at,
        length=appointment.end_at - appointment.start_at,
        version=appointment.version,
        applied_version=link.applied_version,
        capacity=appointment.capacity,
        is_fixed=appointment.is_fixed and appointment.is_active and appointment.called_off_at is None,
        booking_ids=tuple(bookings),
    )


def _rule(calendar: Calendar, link: EventLink) -> str:
    """What was found when the calendar was compared after a restore was done elsewhere: nothing is put back or cancelled unasked."""
    rule = calendar.when_moved if link.outside == "moved" else calendar.when_deleted
    is_from_elsewhere = calendar.compared_at is not None and link.updated_at <= calendar.compared_at
    return "ask" if is_from_elsewhere and rule != "follow" else rule


def follow(matter: Matter, *, now: datetime, over: bool = False) -> None:
    """Give the appointment the time at which its event stands, with everybody in it. `over` says that staff want it over another event, too.

    Raises SlotTaken or another Refused when that cannot be, OutsideEvent where another event stands there.
    """
    assert matter.start_at is not None
    move_appointment(
        matter.appointment_id, matter.start_at, end_at=matter.end_at, by="calendar", now=now, keep_event=True, over=over
    )

    def work(session: Session) -> None:
        link = session.get(EventLink, matter.link_id)
        appointment = session.get(Appointment, matter.appointment_id)
        if link is None or appointment is None or (link.start_at, link.end_at) != (matter.start_at, matter.end_at):
            return
        _clear(session, link, matter, now=now)
        owes_words = _owes_words(matter, appointment)
        link.wanted_version = appointment.version
        link.applied_version, link.state = (0, "waiting") if owes_words else (appointment.version, "done")
        outbox.record(session, "calendar.publish", f"appointment:{appointment.id}")  # other calendars must follow too
        when = moment(session, appointment.start_at)
        _tell(session, "followed", f"The appointment follows its event in the calendar to {when}.", matter)

    write_transaction([matter.resource_id], work)


def put_back(matter: Matter, *, now: datetime) -> None:
    """Have the event written at the appointment's time again; under a new identity when it was deleted."""

    def work(session: Session) -> None:
        link = session.get(EventLink, matter.link_id)
        if link is None:
            return
        _clear(session, link, matter, now=now)
        link.applied_version, link.state = 0, "waiting"
        if not link.etag:
            link.state = "none"  # a create after this takes the next generation
        outbox.record(session, "calendar.publish", f"appointment:{matter.appointment_id}")
        _tell(session, "put back", "The event is put back to where the appointment stands.", matter)

    write_transaction([matter.resource_id], work)


def cancel(matter: Matter, *, by: By, now: datetime) -> None:
    """End the appointment: all its bookings are cancelled, each customer is told, and a fixed one is called off."""
    if matter.is_fixed:
        call_off(matter.appointment_id, by=by, now=now)
    else:
        for booking_id in matter.booking_ids:
            cancel_booking(booking_id, by=by, now=now)

    def work(session: Session) -> None:
        close_questions(session, matter.appointment_id, matter.calendar_id, now=now, answer="cancel")
        what = "appointment was called off" if matter.is_fixed else "booking was cancelled"
        _tell(session, "cancelled", f"The {what}, since its event was deleted in the calendar.", matter)

    write_transaction([matter.resource_id], work)


def ask(matter: Matter, why: str, *, now: datetime) -> None:
    """Ask the staff. One open question per event: asked again, it only learns the present time; `why` is what speaks against the rule."""

    def work(session: Session) -> None:
        kind = "moved" if matter.kind == "moved" else "deleted"
        sentence = _sentence(session, matter) + why
        question = session.scalar(
            select(Question).where(
                Question.appointment_id == matter.appointment_id,
                Question.calendar_id == matter.calendar_id,
                Question.answered_at.is_(None),
            )
        )
        if question is not None:
            if (question.kind, question.start_at, question.end_at) != (kind, matter.start_at, matter.end_at):
                question.kind, question.sentence = kind, sentence
                question.start_at, question.end_at = matter.start_at, matter.end_at
            return
        question = Question(
            kind=kind, appointment_id=matter.appointment_id, calendar_id=matter.calendar_id,
            start_at=matter.start_at, end_at=matter.end_at, sentence=sentence, asked_at=now,
        )  # fmt: skip
        session.add(question)
        session.flush()
        outbox.record(session, "notify.staff", f"question:{question.id}", news="question", state="open")
        _tell(session, "asked", sentence, matter)

    write_transaction([matter.resource_id], work)


def _sentence(session: Session, matter: Matter) -> str:
    appointment = session.get_one(Appointment, matter.appointment_id)
    calendar = session.get_one(Calendar, matter.calendar_id)
    event = f"The event of “{appointment.service.name}”, {moment(session, appointment.start_at)},"
    if matter.kind == "moved" and matter.start_at:
        return f"{event} was moved to {moment(session, matter.start_at)} in the calendar “{calendar.name}”."
    what = "called off" if matter.still_stands else "deleted"
    return f"{event} was {what} in the calendar “{calendar.name}”. {_what_stands(matter)}"


def _what_stands(matter: Matter) -> str:
    if not matter.is_fixed:
        return "The booking stands." if len(matter.booking_ids) == 1 else "Its bookings stand."
    number = len(matter.booking_ids)
    return f"The appointment stands, with {number or 'no'} booking{'' if number == 1 else 's'}."


def _owes_words(matter: Matter, appointment: Appointment) -> bool:
    """Whether the text of the event is to be written after its time was followed: it waited for that, or who comes may have changed meanwhile.

    A move of one booking raises the version by one; more than that says that something else has happened, too.
    """
    was_behind = matter.applied_version < matter.version
    return was_behind or appointment.capacity > 1 or appointment.version > matter.version + 1


def _clear(session: Session, link: EventLink, matter: Matter, *, now: datetime) -> None:
    link.outside, link.last_error = "", None
    session.execute(
        delete(BusyInterval).where(
            BusyInterval.calendar_id == matter.calendar_id, BusyInterval.remote_id == matter.remote_id
        )
    )
    conflicts.end_with_object(session, matter.calendar_id, matter.remote_id, now=now)
    close_questions(session, matter.appointment_id, matter.calendar_id, now=now)


def _tell(session: Session, kind: str, sentence: str, matter: Matter) -> None:
    ledger.write(session, kind, sentence, calendar_id=matter.calendar_id, appointment_id=matter.appointment_id)
