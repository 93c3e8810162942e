"""Disconnecting an account: from the moment a person says so it plays no role any more, and then it is tidied up and forgotten.

`begin` takes away every role in one transaction, so nothing reads it, offers times by it, or writes bookings into it from then on. What needs
the network is the outbox's (topic `calendar.farewell`): take away the events to come if the person wanted that, end the push subscriptions, forget
the rows, give the grant back. Events that are over, or going on, always stay. Taking events away may take long, but never fails in silence:
the page shows what is left and why. Each event that went is noted by itself, so whoever is killed repeats only what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, EventLink
from portal.calendars.account import Account, account_of
from portal.calendars.models import BusyInterval, Calendar, Connection, RemoteObject
from portal.calendars.open import calendar_ref, kept_provider
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.errors import TryAgain
from portal.failpoints import reach
from portal.instance.ids import instance_ids
from portal.outbox import LeaseLost, OutboxEntry, Work
from portal.sync import ledger
from portal.sync.account import disconnecting
from portal.sync.event import shared
from portal.sync.event.desired import LinkView
from portal.sync.models import Conflict as OpenConflict
from portal.sync.models import Question
from portal.sync.publish.publish import view
from portal.sync.publish.write import delete_event
from portal.sync.push import subscriptions
from portal.sync.sentences import moment
from portal.sync.state.states import Paused, classify
from portal.sync.throttle import line_to
from providers.calendars.base import CalendarProvider, CalendarRef, EventMark
from providers.errors import Conflict, ProviderError, Temporary


def begin(session: Session, connection: Connection, *, take_away: bool, by: str, now: datetime) -> None:
    """Let the account play no role from this commit on, and record what is to be tidied up. Called with its resource's lock held."""
    ids = [calendar.id for calendar in connection.calendars]
    connection.leaving = True
    if connection.state == "paused":  # the pause was for bookings; a restored backup pauses it anew
        connection.state, connection.state_reason = "connected", ""
    for calendar in connection.calendars:
        calendar.is_busy_source = calendar.is_destination = False
        calendar.quarantine = calendar.meanwhile = None
        # A reading that is under way finds its lease gone, and writes nothing.
        calendar.read_lease_until = calendar.read_lease_token = None
    for table in (BusyInterval, RemoteObject):
        session.execute(delete(table).where(table.calendar_id.in_(ids)))
    _close_what_is_open(session, ids, now=now)
    outbox.record(session, disconnecting.TOPIC, f"connection:{connection.id}", take_away=take_away)
    what = "The events to come are taken out of it." if take_away else "Events written into it stay there."
    sentence = f"{by} disconnects the calendar account {disconnecting.name_of(connection)}. {what}"
    ledger.write(session, "disconnected", sentence, connection_id=connection.id)
    session.flush()


def farewell(work: Work) -> None:
    """Handler of `calendar.farewell`. Raises the most hopeful error of those that kept events from being taken away."""
    account = read_transaction(lambda session: _account(session, work.subject_id))
    if account is None:  # somebody was quicker
        return
    if work.payload.get("take_away"):
        _take_away(work, account)
    subscriptions.stop_all(account)
    reach("farewell.before_forget")
    disconnecting.give_back_grant(transaction(lambda session: _forget(session, work, account)))


def _close_what_is_open(session: Session, calendar_ids: list[int], *, now: datetime) -> None:
    """Nobody is to be asked about these calendars any more, and no link waits for them."""
    open_questions = (Question.calendar_id.in_(calendar_ids), Question.answered_at.is_(None))
    session.execute(update(Question).where(*open_questions).values(answered_at=now, answer="settled"))
    open_conflicts = (OpenConflict.calendar_id.in_(calendar_ids), OpenConflict.resolved_at.is_(None))
    session.execute(update(OpenConflict).where(*open_conflicts).values(resolved_at=now))
    links = update(EventLink).where(EventLink.calendar_id.in_(calendar_ids))
    calm = {"outside": "", "last_error": None}
    session.execute(links.where(EventLink.etag != "").values(state="done", **calm))
    session.execute(links.where(EventLink.etag == "").values(state="none", **calm))


def _account(session: Session, connection_id: int) -> Account | None:
    connection = session.get(Connection, connection_id)
    if connection is None or not connection.leaving:
        return None
    if connection.state == "paused":
        raise Paused("The account is paused.")
    return account_of(connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """One event to take away, as values. `is_shared`: it stays, for the same calendar is connected for somebody else who needs it."""

    link: LinkView
    appointment_id: int
    start_at: datetime
    calendar_id: int
    calendar_name: str
    ref: CalendarRef
    mark: EventMark
    is_being_written: bool
    is_shared: bool


def _take_away(work: Work, account: Account) -> None:
    """Every event to come, calendar by calendar: one that cannot be written keeps no other from its turn."""
    events = read_transaction(lambda session: _events(session, account.connection_id))
    errors: list[ProviderError] = []
    for calendar_id in dict.fromkeys(event.calendar_id for event in events):
        some = [event for event in events if event.calendar_id == calendar_id and not event.is_being_written]
        try:
            with line_to(account.connection_id), kept_provider(account) as provider:
                errors += _take_away_from(provider, some, work)
        except ProviderError as error:
            errors.append(error)
    if errors:
        worst = min(errors, key=lambda error: not isinstance(error, Temporary))
        transaction(lambda session: _note_trouble(session, account.connection_id, worst))
        raise worst
    if any(event.is_being_written for event in events):
        raise TryAgain("An event is just being written; it is taken away as soon as that has ended.")


def _take_away_from(provider: CalendarProvider, events: list[_Event], work: Work) -> list[ProviderError]:
    """Take these away, each noted at once. Gives the errors that concern one event alone; raises those that concern all."""
    errors: list[ProviderError] = []
    for event in events:
        try:
            if not event.is_shared:
                delete_event(provider, event.ref, event.mark, link=event.link, now=now_utc())
        except Conflict as error:
            errors.append(error)
            continue
        reach("farewell.after_delete")
        if not transaction(lambda session, event=event: _note_gone(session, event, work)):  # type: ignore[misc]
            raise LeaseLost
    return errors


def _events(session: Session, connection_id: int) -> list[_Event]:
    ids = instance_ids(session)
    order = (Calendar.id, Appointment.start_at, EventLink.id)
    rows = session.execute(
        disconnecting.links_to_come(select(EventLink, Appointment, Calendar), connection_id, now=now_utc()).order_by(
            *order
        )
    )
    written = _being_written(session)
    return [
        _Event(
            link=view(link),
            appointment_id=appointment.id,
            start_at=appointment.start_at,
            calendar_id=calendar.id,
            calendar_name=calendar.name,
            ref=calendar_ref(calendar),
            mark=EventMark(
                instance_id=ids.of(appointment.id), appointment_id=appointment.id, generation=link.generation
            ),
            is_being_written=f"appointment:{appointment.id}" in written,
            is_shared=shared.is_wanted_by_another(session, link),
        )
        for link, appointment, calendar in rows
    ]


def _being_written(session: Session) -> set[str]:
    """Subjects of publishes that are out just now: one that began before the farewell may still write, and its event must not be missed."""
    leased = (OutboxEntry.topic == "calendar.publish", OutboxEntry.state == "todo", OutboxEntry.lease_until > now_utc())
    return set(session.scalars(select(OutboxEntry.subject).where(*leased)))


def _note_gone(session: Session, event: _Event, work: Work) -> bool:
    if not outbox.renew(session, work.entry_id, work.lease_token, now=now_utc()):
        return False
    link = session.get(EventLink, event.link.id)
    if link is not None:
        link.etag = link.content_hash = link.sent_hash = link.outside = ""
        link.state, link.last_error = "none", None
        when = moment(session, event.start_at)
        sentence = f"The appointment of {when} was taken out of the calendar “{event.calendar_name}”, which is being disconnected."
        if event.is_shared:
            sentence = f"The appointment of {when} stays in the calendar “{event.calendar_name}”, which is connected for somebody else, too."
        about = {"calendar_id": event.calendar_id, "appointment_id": event.appointment_id}
        ledger.write(session, "farewell", sentence, **about)
    return True


def _note_trouble(session: Session, connection_id: int, error: ProviderError) -> None:
    """Shown on the page only: whoever disconnects looks there, and needs no mail."""
    trouble = classify(error).trouble
    if trouble in ("needs reauth", "misconfigured"):
        values = {"state": trouble, "state_since": now_utc(), "state_reason": str(error)}
        session.execute(update(Connection).where(Connection.id == connection_id, Connection.leaving).values(**values))


def _forget(session: Session, work: Work, account: Account) -> Account | None:
    """Delete the connection with its calendars. Gives it when its grant is to be given back. Raises LeaseLost."""
    if not outbox.renew(session, work.entry_id, work.lease_token, now=now_utc()):
        raise LeaseLost
    return disconnecting.forget(session, account.connection_id)
