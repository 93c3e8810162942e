"""Bookings that the backup does not know: events with our mark that no appointment of this database stands behind.

After a restore (or in a copy) the calendars hold what was booked since. Readings find those events by their marks and note them (`note`); their
time is taken, as that of any event is. A person decides: a booking is made from the event (`take_up`), its time stays closed (`keep`), or it is
taken out of the calendar (`remove`). So it goes with a group that is known, and whose event tells that others joined it since.

One booking may stand in several calendars, and one calendar may be connected for several people: the answer holds for all of its events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, AppointmentResource, EventLink
from portal.booking.taking_up import Person, Wanted, take_up_in
from portal.calendars import titles
from portal.calendars.account import Account, account_of
from portal.calendars.models import BusyInterval, Calendar, UnknownBooking
from portal.calendars.open import calendar_ref, kept_provider
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction, write_transaction
from portal.errors import NotAllowedNow, NotFound, NotYet
from portal.instance.ids import instance_ids
from portal.instance.names import InstanceIds
from portal.outbox import Work
from portal.sync import ledger
from portal.sync.event.desired import derived_uid
from portal.sync.event.stands import stands
from portal.sync.outside import conflicts
from portal.sync.outside.conflicts import forget_object
from portal.sync.sentences import moment
from portal.sync.throttle import line_to
from providers.calendars.base import CalendarRef, EventMark, RemoteEvent
from providers.errors import Gone

TOPIC = "calendar.unknown"
LONGEST = 4000
"""So much of an event's text is kept while it is asked about."""
OPEN = UnknownBooking.answered_at.is_(None)
SETTLED = ("taken up", "remove")
"""Answers after which the event takes no time any more: it only waits to be taken away."""


def note(
    session: Session, calendar: Calendar, events: Iterable[RemoteEvent], *, changed: frozenset[str], now: datetime
) -> None:
    """Note those of these events that the database does not know, in the reading's transaction. `changed` are events of known groups."""
    ids = instance_ids(session)
    marked = [event for event in events if event.mark is not None]
    noted = {row.remote_id: row for row in session.scalars(_of_calendar(calendar.id))} if marked else {}
    for event in marked:
        row = noted.get(event.remote_id)
        may_be_newer = calendar.unsure_since is not None or (row is not None and row.answered_at is None)
        if event.remote_id in changed or _is_unknown(session, calendar, event, ids, may_be_newer=may_be_newer, now=now):
            _store(session, calendar, event, row, now=now)
        elif row is not None and row.answered_at is None and not _is_group(session, row):
            _close(row, "gone", user_id=None, now=now)


def note_gone(session: Session, calendar_id: int, remote_ids: Sequence[str], *, now: datetime) -> None:
    """Their events are not there any more: somebody took them away."""
    rows = session.scalars(_of_calendar(calendar_id).where(OPEN)) if remote_ids else ()
    for row in rows:
        if row.remote_id in remote_ids:
            _close(row, "gone", user_id=None, now=now)


def end_those_over(session: Session, *, now: datetime) -> None:
    """What is over concerns nobody any more."""
    for row in session.scalars(select(UnknownBooking).where(OPEN, UnknownBooking.end_at <= now)):
        _close(row, "over", user_id=None, now=now)


def doubtful(session: Session, calendar_id: int) -> frozenset[str]:
    """Events of known groups that may have more people than are known here."""
    known = (UnknownBooking.calendar_id == calendar_id, UnknownBooking.appointment_id.is_not(None))
    shut = OPEN | (UnknownBooking.answer == "keep")
    return frozenset(session.scalars(select(UnknownBooking.remote_id).where(*known, shut)))


def untouchable(calendar_id: int) -> Select[str]:
    """Events that are asked about, or stay because somebody wanted that: no error and no tidying up takes them away."""
    mine = UnknownBooking.calendar_id == calendar_id
    return select(UnknownBooking.remote_id).where(mine, OPEN | (UnknownBooking.answer == "keep"))


def settled(session: Session, calendar_id: int) -> frozenset[str]:
    """Events that are about to be taken away: their time is free, or a booking's own."""
    rows = select(UnknownBooking.remote_id).where(
        UnknownBooking.calendar_id == calendar_id,
        UnknownBooking.answer.in_(SETTLED),
        UnknownBooking.appointment_id.is_(None) | (UnknownBooking.answer == "taken up"),
    )
    return frozenset(session.scalars(rows))


def keep(unknown_id: int, *, user_id: int | None, now: datetime) -> None:
    """The event stays, and its time stays closed. Raises NotAllowedNow when it is answered already."""

    def work(session: Session) -> None:
        for row in _together(session, unknown_id):
            _close(row, "keep", user_id=user_id, now=now)

    transaction(work)


def remove(unknown_id: int, *, user_id: int | None, now: datetime) -> None:
    """The event is taken away and its time is free; that of a known group is written as it is known here. Raises NotAllowedNow."""

    def work(session: Session) -> None:
        for row in _together(session, unknown_id):
            _close(row, "remove", user_id=user_id, now=now)
            _free(session, row, now=now)
            row.appointment_id = row.appointment_id if _stands(session, row.appointment_id) else None
            if row.appointment_id is None:
                outbox.record(session, TOPIC, f"unknown:{row.id}")
            else:
                _write_anew(session, row.appointment_id)

    ids = read_transaction(lambda session: _resources(session, unknown_id))
    write_transaction(ids, work)


def take_up(unknown_id: int, wanted: Wanted, people: Sequence[Person], *, user_id: int | None, now: datetime) -> int:
    """Bookings made from the event, whose place the appointment's own event takes; returns the appointment's id.

    Raises NotAllowedNow, Invalid (fields), SlotTaken when the time is another booking's by now.
    """

    def work(session: Session) -> int:
        rows = _together(session, unknown_id)
        for row in rows:
            _free(session, row, now=now)
        known = next((row.appointment_id for row in rows if row.appointment_id), None)
        if known is not None and not _stands(session, known):
            raise NotAllowedNow("It is known here as a request that waits for its answer. Please approve that.")
        appointment_id = take_up_in(session, wanted, people, appointment_id=known, now=now)
        for row in rows:
            _close(row, "taken up", user_id=user_id, now=now)
            if known is None:
                row.appointment_id = appointment_id
                outbox.record(session, TOPIC, f"unknown:{row.id}")
        if known is not None:
            _write_anew(session, known)
        return appointment_id

    ids = {*read_transaction(lambda session: _resources(session, unknown_id)), *wanted.resource_ids}
    return write_transaction(ids, work)


def take_up_request(appointment_id: int, *, now: datetime) -> None:
    """A request was approved whose event stands already: that becomes its own, or gives way to it, and nothing is asked any more."""
    mine = (UnknownBooking.appointment_id == appointment_id, OPEN | (UnknownBooking.answer == "keep"))

    def work(session: Session) -> None:
        for row in session.scalars(select(UnknownBooking).where(*mine).with_for_update()):
            _free(session, row, now=now)
            _close(row, "taken up", user_id=None, now=now)
            outbox.record(session, TOPIC, f"unknown:{row.id}")

    if read_transaction(lambda session: session.scalar(select(UnknownBooking.id).where(*mine).limit(1))):
        transaction(work)


def clear_away(work: Work) -> None:
    """Handler of `calendar.unknown`: take the event away, once the one that replaces it stands. Raises NotYet and the errors of providers."""
    found = read_transaction(lambda session: _to_clear(session, work.subject_id))
    if found is None:
        return
    account, ref, remote_id, calendar_id, resource_id = found
    now = now_utc()
    with line_to(account.connection_id), kept_provider(account) as provider:
        try:
            event = provider.get(ref, remote_id, window=(now, now))
            if event.mark is not None:
                provider.delete(ref, remote_id, if_match=event.etag)
        except Gone:
            pass  # which was wanted
    write_transaction([resource_id], lambda session: forget_object(session, calendar_id, remote_id))


def count_open(session: Session, resource_ids: Iterable[int] | None = None) -> int:
    """How many wait for an answer; of these resources, or of all."""
    return len({(row.instance_id, row.appointment_no) for row in open_rows(session, resource_ids)})


def open_rows(session: Session, resource_ids: Iterable[int] | None = None) -> list[UnknownBooking]:
    """Those that wait for an answer, by time. One booking may have several."""
    rows = select(UnknownBooking).join(Calendar, Calendar.id == UnknownBooking.calendar_id).where(OPEN)
    if resource_ids is not None:
        rows = rows.where(Calendar.resource_id.in_(list(resource_ids)))
    return list(session.scalars(rows.order_by(UnknownBooking.start_at, UnknownBooking.id)))


def _is_unknown(
    session: Session, calendar: Calendar, event: RemoteEvent, ids: InstanceIds, *, may_be_newer: bool, now: datetime
) -> bool:
    """`may_be_newer`: the event may tell of what became of its booking since the backup, as of a request that was approved."""
    mark = event.mark
    if mark is None or not ids.knows(mark.instance_id) or event.is_cancelled:
        return False
    if event.start_at is None or event.end_at is None or event.end_at <= now:
        return False
    if event.uid != derived_uid(mark.instance_id, mark.appointment_id, mark.generation):
        return False  # a copy that somebody made
    is_named_so = mark.instance_id == ids.of(mark.appointment_id)
    appointment = session.get(Appointment, mark.appointment_id) if is_named_so else None
    if appointment is None:
        return True
    return may_be_newer and not stands(appointment) and not _is_linked(session, calendar.id, event.remote_id)


def _is_linked(session: Session, calendar_id: int, remote_id: str) -> bool:
    """Whether a booking has its event there, or is about to take it away."""
    here = (EventLink.calendar_id == calendar_id, EventLink.remote_id == remote_id, EventLink.state != "none")
    return session.scalar(select(EventLink.id).where(*here).limit(1)) is not None


def _is_group(session: Session, row: UnknownBooking) -> bool:
    known = session.get(Appointment, row.appointment_id) if row.appointment_id else None
    return known is not None and known.capacity > 1


def _stands(session: Session, appointment_id: int | None) -> bool:
    appointment = session.get(Appointment, appointment_id) if appointment_id else None
    return appointment is not None and stands(appointment)


def _of_calendar(calendar_id: int) -> Select[UnknownBooking]:
    return select(UnknownBooking).where(UnknownBooking.calendar_id == calendar_id)


def _store(
    session: Session, calendar: Calendar, event: RemoteEvent, row: UnknownBooking | None, *, now: datetime
) -> None:
    assert event.mark is not None
    assert event.start_at is not None
    assert event.end_at is not None
    is_new = row is None
    row = row or UnknownBooking(calendar_id=calendar.id, remote_id=event.remote_id, found_at=now)
    may_be_told = (
        is_new or row.answer == "gone" or bool(row.sealed_summary)
    )  # else it was emptied for somebody's erasure
    if row.answer == "gone":  # it is back
        row.answered_at, row.answer = None, ""
    row.instance_id, row.appointment_no = event.mark.instance_id, event.mark.appointment_id
    row.start_at, row.end_at = event.start_at, event.end_at
    if row.answered_at is None and may_be_told:
        row.tell(_clean(event.summary, titles.LONGEST), _clean(event.description, LONGEST))
    if row.answer != "taken up":
        row.appointment_id = _known(session, event.mark)
    session.add(row)
    if is_new:
        sentence = f"In “{calendar.name}” stands a booking of {moment(session, event.start_at)} that is not known here. Somebody must decide."
        ledger.write(session, "unknown", sentence, calendar_id=calendar.id, connection_id=calendar.connection_id)


def _clean(text: str, longest: int) -> str:
    """What PostgreSQL stores: no NUL, no half characters."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:longest]


def _known(session: Session, mark: EventMark) -> int | None:
    """The group that others may have joined since, or the request that may have been approved since."""
    is_named_so = instance_ids(session).of(mark.appointment_id) == mark.instance_id
    known = session.get(Appointment, mark.appointment_id) if is_named_so else None
    is_asked = known is not None and any(booking.status == "pending" for booking in known.bookings)
    return known.id if known is not None and (is_asked or stands(known)) else None


def _close(row: UnknownBooking, answer: str, *, user_id: int | None, now: datetime) -> None:
    """What its event told of a customer is not kept any longer than it is asked about."""
    row.answer, row.answered_at, row.answered_by = answer, now, user_id
    row.tell("")


def _together(session: Session, unknown_id: int) -> list[UnknownBooking]:
    """The rows of all calendars in which this booking stands, locked."""
    row = session.get(UnknownBooking, unknown_id)
    if row is None:
        raise NotFound("There is no such booking.")
    same = (UnknownBooking.instance_id == row.instance_id, UnknownBooking.appointment_no == row.appointment_no)
    rows = list(session.scalars(select(UnknownBooking).where(*same, OPEN).with_for_update()))
    if not rows:
        raise NotAllowedNow("This was decided already. Nothing was changed.")
    return rows


def _resources(session: Session, unknown_id: int) -> list[int]:
    row = session.get(UnknownBooking, unknown_id)
    if row is None:
        raise NotFound("There is no such booking.")
    same = (UnknownBooking.instance_id == row.instance_id, UnknownBooking.appointment_no == row.appointment_no)
    rows = select(Calendar.resource_id).join(UnknownBooking, UnknownBooking.calendar_id == Calendar.id).where(*same)
    ids = set(session.scalars(rows))
    taken = select(AppointmentResource.resource_id).where(AppointmentResource.appointment_id == row.appointment_id)
    return sorted(ids | set(session.scalars(taken)))


def _free(session: Session, row: UnknownBooking, *, now: datetime) -> None:
    here = (BusyInterval.calendar_id == row.calendar_id, BusyInterval.remote_id == row.remote_id)
    session.execute(delete(BusyInterval).where(*here))
    conflicts.end_with_object(session, row.calendar_id, row.remote_id, now=now)


def _write_anew(session: Session, appointment_id: int) -> None:
    links = update(EventLink).where(EventLink.appointment_id == appointment_id, EventLink.state == "done")
    session.execute(links.values(applied_version=0, state="waiting").execution_options(synchronize_session=False))
    outbox.record(session, "calendar.publish", f"appointment:{appointment_id}")


def _to_clear(session: Session, unknown_id: int) -> tuple[Account, CalendarRef, str, int, int] | None:
    row = session.get(UnknownBooking, unknown_id)
    calendar = session.get(Calendar, row.calendar_id) if row is not None else None
    if row is None or calendar is None or row.answer not in SETTLED or calendar.connection.leaving:
        return None
    if _is_linked(session, row.calendar_id, row.remote_id):
        return None  # it is a booking's own by now
    if row.appointment_id is not None:
        link = session.scalar(
            select(EventLink).where(
                EventLink.appointment_id == row.appointment_id, EventLink.calendar_id == row.calendar_id
            )
        )
        appointment = session.get(Appointment, row.appointment_id)
        takes = appointment is not None and calendar.resource_id in {each.resource_id for each in appointment.resources}
        must_stand = takes and calendar.is_destination and appointment is not None and stands(appointment)
        if must_stand and (link is None or not link.etag):
            raise NotYet("The booking's own event is written first.", after=5.0)
    return account_of(calendar.connection), calendar_ref(calendar), row.remote_id, calendar.id, calendar.resource_id
