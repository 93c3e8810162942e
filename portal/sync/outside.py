"""What people do to our events in their own calendar, and the rule that answers it.

A change is first noted at the event link, in the transaction that learns of it, with an outbox entry `calendar.outside`; the entry's handler,
`settle`, then follows the calendar's rule. So a kill in between loses nothing, and no booking operation runs inside of a pull's transaction.
What the rule cannot do (the new time is taken) becomes a question to the staff. An error never cancels a booking.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import STANDING, Appointment, Booking, EventLink
from portal.calendars.models import BusyInterval, Calendar
from portal.clock import now_utc
from portal.db import read_transaction, transaction, write_transaction
from portal.errors import PortalError, Refused, TryAgain
from portal.outbox import Work
from portal.sync import conflicts, elsewhere, ledger
from portal.sync.models import Question
from portal.sync.receipts import close_questions
from portal.sync.sentences import moment
from providers.calendars.base import RemoteEvent

LONGEST_FOLLOWED = timedelta(hours=12)
"""An event that was made longer than this (all-day, say) is not followed unasked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """One unsettled outside change, as values. `start_at`/`end_at` are where the event stands now."""

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
    booking_ids: tuple[int, ...]


def note_moved(session: Session, link: EventLink, event: RemoteEvent) -> None:
    """A person moved the event: note where it stands, and let the rule decide. Publish leaves it alone until then."""
    link.remote_id, link.etag = event.remote_id, event.etag
    # What we wrote once is no echo any more, should it come back.
    link.content_hash = link.sent_hash = event.content_hash
    link.start_at, link.end_at = event.start_at, event.end_at
    when = moment(session, event.start_at) if event.start_at else "another time"
    _note(session, link, "moved", f"In the calendar the event was moved to {when}.")


def note_removed(session: Session, link: EventLink, *, event: RemoteEvent | None, is_overtaken: bool = False) -> None:
    """A person deleted the event, or called it off (then `event` still stands).

    `is_overtaken`: the booking has been moved since, so the event will be written anew, and nobody needs to be asked.
    """
    link.etag, link.content_hash = (event.etag, event.content_hash) if event else ("", "")
    if is_overtaken:
        link.outside = "removed"
        return
    _note(
        session,
        link,
        "removed",
        "The event was deleted in the calendar." if event is None else "The event was called off in the calendar.",
    )


def end(session: Session, link: EventLink, *, now: datetime) -> None:
    """The event stands at the booking's time again: nothing is open any more."""
    link.outside, link.last_error = "", None
    link.state = "done" if link.applied_version >= link.wanted_version else "waiting"
    close_questions(session, link.appointment_id, link.calendar_id, now=now, answer="undone")
    sentence = "The event stands at the booking's time again; nothing needs to be decided."
    ledger.write(session, "returned", sentence, calendar_id=link.calendar_id, appointment_id=link.appointment_id)


def settle(work: Work) -> None:
    """Handler of `calendar.outside`: follow the rule for `link:<id>`, if there still is something to settle. Raises TryAgain."""
    if not settle_link(work.subject_id, now=now_utc()):
        raise TryAgain("The other calendars are read first: perhaps the event was dragged into one of them.")


def settle_link(link_id: int, *, now: datetime) -> bool:
    """Follow the calendar's rule for one outside change. Twice is the same as once. False when it is too early for that."""
    matter = read_transaction(lambda session: _matter(session, link_id))
    if matter is None or not matter.booking_ids:
        return True
    if matter.kind == "moved":
        _settle_moved(matter, now=now)
    elif matter.rule == "cancel" and not _is_surely_deleted(matter, now=now):
        return False
    else:
        _settle_removed(matter, now=now)
    return True


def follow(matter: Matter, *, now: datetime) -> None:
    """Give the appointment the time at which its event stands. Raises SlotTaken or another Refused when that cannot be."""
    from portal.booking.operations import move_booking

    assert matter.start_at is not None
    move_booking(matter.booking_ids[0], matter.start_at, by="calendar", now=now, end_at=matter.end_at, keep_event=True)

    def work(session: Session) -> None:
        link = session.get(EventLink, matter.link_id)
        appointment = session.get(Appointment, matter.appointment_id)
        if link is None or appointment is None or (link.start_at, link.end_at) != (matter.start_at, matter.end_at):
            return
        _clear(session, link, matter, now=now)
        link.wanted_version = link.applied_version = appointment.version
        link.state = "done"
        outbox.record(session, "calendar.publish", f"appointment:{appointment.id}")  # other calendars must follow too
        when = moment(session, appointment.start_at)
        _tell(session, "followed", f"The booking follows its event in the calendar to {when}.", matter)

    write_transaction([matter.resource_id], work)


def put_back(matter: Matter, *, now: datetime) -> None:
    """Have the event written at the booking's time again; under a new identity when it was deleted."""

    def work(session: Session) -> None:
        link = session.get(EventLink, matter.link_id)
        if link is None:
            return
        _clear(session, link, matter, now=now)
        link.applied_version, link.state = 0, "waiting"
        if not link.etag:
            link.state = "none"  # a create after this takes the next generation
        outbox.record(session, "calendar.publish", f"appointment:{matter.appointment_id}")
        _tell(session, "put back", "The event is put back to where the booking stands.", matter)

    write_transaction([matter.resource_id], work)


def cancel(matter: Matter, *, by: str, now: datetime) -> None:
    """Cancel all bookings of the appointment; each customer is told."""
    from portal.booking.operations import cancel_booking

    for booking_id in matter.booking_ids:
        cancel_booking(booking_id, by=by, now=now)  # type: ignore[arg-type]

    def work(session: Session) -> None:
        close_questions(session, matter.appointment_id, matter.calendar_id, now=now, answer="cancel")
        _tell(session, "cancelled", "The booking was cancelled, since its event was deleted in the calendar.", matter)

    write_transaction([matter.resource_id], work)


def matter_of(session: Session, appointment_id: int, calendar_id: int) -> Matter | None:
    """The unsettled outside change of this appointment in this calendar, if there is one."""
    link_id = session.scalar(
        select(EventLink.id).where(EventLink.appointment_id == appointment_id, EventLink.calendar_id == calendar_id)
    )
    return _matter(session, link_id) if link_id is not None else None


def _note(session: Session, link: EventLink, kind: str, sentence: str) -> None:
    if session.get_one(Calendar, link.calendar_id).connection.leaving:
        return  # it says nothing about bookings any more: we take its events away ourselves
    appointment = session.get_one(Appointment, link.appointment_id)
    link.outside, link.state, link.last_error = kind, "waiting", sentence
    # The rule decides over the appointment as it is at this moment; a later change of the booking counts more.
    link.wanted_version = link.applied_version = appointment.version
    outbox.record(session, "calendar.outside", f"link:{link.id}")
    ledger.write(session, kind, sentence, calendar_id=link.calendar_id, appointment_id=link.appointment_id)


def _matter(session: Session, link_id: int) -> Matter | None:
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
        rule=calendar.when_moved if link.outside == "moved" else calendar.when_deleted,
        start_at=link.start_at,
        end_at=link.end_at,
        uid=link.uid,
        remote_id=link.remote_id,
        still_stands=bool(link.etag),
        noted_at=link.updated_at,
        length=appointment.end_at - appointment.start_at,
        booking_ids=tuple(bookings),
    )


def _settle_moved(matter: Matter, *, now: datetime) -> None:
    if matter.rule == "put back":
        return put_back(matter, now=now)
    if matter.rule == "ask" or not _may_be_followed(matter, now=now):
        return _ask(matter, "", now=now)
    try:
        return follow(matter, now=now)
    except Refused as refusal:
        return _ask(matter, f" The booking could not follow: {refusal}", now=now)


def _settle_removed(matter: Matter, *, now: datetime) -> None:
    if matter.rule == "put back":
        return put_back(matter, now=now)
    other = read_transaction(lambda s: elsewhere.standing_in(s, uid=matter.uid, calendar_id=matter.calendar_id))
    if matter.rule == "ask" or other:
        return _ask(matter, f" The event stands in the calendar “{other}” now." if other else "", now=now)
    try:
        return cancel(matter, by="calendar", now=now)
    except PortalError as refusal:
        return _ask(matter, f" The booking could not be cancelled: {refusal}", now=now)


def _is_surely_deleted(matter: Matter, *, now: datetime) -> bool:
    """Not just dragged into another calendar: cancelling cannot be undone, so all of them are looked at before."""
    if matter.still_stands:
        return True
    return transaction(
        lambda session: elsewhere.has_looked_everywhere(
            session, calendar_id=matter.calendar_id, gone_at=matter.noted_at, now=now
        )
    )


def _may_be_followed(matter: Matter, *, now: datetime) -> bool:
    """Not into the past, and not when the event was blown up to a whole day."""
    if matter.start_at is None or matter.end_at is None or matter.start_at <= now:
        return False
    length = matter.end_at - matter.start_at
    return length == matter.length or timedelta(0) < length <= LONGEST_FOLLOWED


def _ask(matter: Matter, why: str, *, now: datetime) -> None:
    """One open question per event: asked again, it only learns the present time."""

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
    booked = moment(session, appointment.start_at)
    if matter.kind == "moved" and matter.start_at:
        return (
            f"The event of {booked} was moved to {moment(session, matter.start_at)} in the calendar “{calendar.name}”."
        )
    what = "called off" if matter.still_stands else "deleted"
    return f"The event of {booked} was {what} in the calendar “{calendar.name}”. The booking stands."


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
