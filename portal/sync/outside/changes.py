"""What people do to our events in their own calendar, and the rule that answers it.

A change is first noted at the event link, in the transaction that learns of it, with an outbox entry `calendar.outside`; the entry's handler,
`settle`, then follows the calendar's rule by one of the steps of `steps`. So a kill in between loses nothing, and no booking operation runs
inside of a pull's transaction. What the rule cannot do (the new time is taken) becomes a question to the staff. An error never cancels a booking.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, EventLink
from portal.calendars.models import Calendar
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.errors import PortalError, Refused, TryAgain
from portal.outbox import Work
from portal.sync import ledger
from portal.sync.outside import dragged
from portal.sync.outside.closing import close_questions
from portal.sync.outside.steps import Matter, ask, cancel, follow, matter_of_link, put_back
from portal.sync.sentences import moment
from providers.calendars.base import RemoteEvent

LONGEST_FOLLOWED = timedelta(hours=12)
"""An event that was made longer than this (all-day, say) is not followed unasked."""


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
    link.state = "done"
    if link.applied_version < session.get_one(Appointment, link.appointment_id).version:
        link.state = "waiting"  # who comes, or what may be told of them, has changed meanwhile
        outbox.record(session, "calendar.publish", f"appointment:{link.appointment_id}")
    close_questions(session, link.appointment_id, link.calendar_id, now=now, answer="undone")
    sentence = "The event stands at the booking's time again; nothing needs to be decided."
    ledger.write(session, "returned", sentence, calendar_id=link.calendar_id, appointment_id=link.appointment_id)


def settle(work: Work) -> None:
    """Handler of `calendar.outside`: follow the rule for `link:<id>`, if there still is something to settle. Raises TryAgain."""
    if not settle_link(work.subject_id, now=now_utc()):
        raise TryAgain("The other calendars are read first: perhaps the event was dragged into one of them.")


def settle_link(link_id: int, *, now: datetime) -> bool:
    """Follow the calendar's rule for one outside change. Twice is the same as once. False when it is too early for that."""
    matter = read_transaction(lambda session: matter_of_link(session, link_id))
    if matter is None or not matter.concerns_anybody:
        return True
    if matter.kind == "moved":
        _settle_moved(matter, now=now)
    elif matter.rule == "cancel" and not _is_surely_deleted(matter, now=now):
        return False
    else:
        _settle_removed(matter, now=now)
    return True


def _note(session: Session, link: EventLink, kind: str, sentence: str) -> None:
    if session.get_one(Calendar, link.calendar_id).connection.leaving:
        return  # it says nothing about bookings any more: we take its events away ourselves
    appointment = session.get_one(Appointment, link.appointment_id)
    link.outside, link.state, link.last_error = kind, "waiting", sentence
    # Publish leaves the event alone from now on, until the rule has decided or the appointment gets another time (which sets this to 0).
    link.wanted_version, link.applied_version = appointment.version, max(link.applied_version, 1)
    outbox.record(session, "calendar.outside", f"link:{link.id}")
    ledger.write(session, kind, sentence, calendar_id=link.calendar_id, appointment_id=link.appointment_id)


def _settle_moved(matter: Matter, *, now: datetime) -> None:
    if matter.rule == "put back":
        return put_back(matter, now=now)
    if matter.rule == "ask" or not _may_be_followed(matter, now=now):
        return ask(matter, "", now=now)
    try:
        return follow(matter, now=now)
    except Refused as refusal:
        return ask(matter, f" The booking could not follow: {refusal}", now=now)


def _settle_removed(matter: Matter, *, now: datetime) -> None:
    if matter.rule == "put back":
        return put_back(matter, now=now)
    other = read_transaction(lambda s: dragged.standing_in(s, uid=matter.uid, calendar_id=matter.calendar_id))
    if matter.rule == "ask" or other:
        return ask(matter, f" The event stands in the calendar “{other}” now." if other else "", now=now)
    try:
        return cancel(matter, by="calendar", now=now)
    except PortalError as refusal:
        return ask(matter, f" The booking could not be cancelled: {refusal}", now=now)


def _is_surely_deleted(matter: Matter, *, now: datetime) -> bool:
    """Not just dragged into another calendar: cancelling cannot be undone, so all of them are looked at before."""
    if matter.still_stands:
        return True
    return transaction(
        lambda session: dragged.has_looked_everywhere(
            session, calendar_id=matter.calendar_id, gone_at=matter.noted_at, now=now
        )
    )


def _may_be_followed(matter: Matter, *, now: datetime) -> bool:
    """Not into the past, and not when the event was blown up to a whole day."""
    if matter.start_at is None or matter.end_at is None or matter.start_at <= now:
        return False
    length = matter.end_at - matter.start_at
    return length == matter.length or timedelta(0) < length <= LONGEST_FOLLOWED
