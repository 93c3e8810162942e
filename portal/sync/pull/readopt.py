"""Our own events in a calendar that was connected anew: they are taken up again instead of being written a second time.

Disconnecting forgets the event links, but leaves events where they are. Their ids derive from instance, appointment and generation, so
each event tells by its mark which appointment it is, and by its UID that it is the very one that we wrote, and no copy made by hand.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, EventLink
from portal.calendars.models import Calendar
from portal.clock import now_utc
from portal.instance.ids import instance_ids
from portal.instance.names import InstanceIds
from portal.sync import ledger
from portal.sync.event import meeting
from portal.sync.event.desired import derived_uid
from portal.sync.event.stands import stands
from providers.calendars.base import RemoteEvent


def take_up(session: Session, calendar: Calendar, events: Iterable[RemoteEvent]) -> int:
    """Link those of these events that stand for bookings to come and have no link here; gives their number.

    They count as waiting, and publish makes them what the booking is now: it may have moved while nobody was connected.
    """
    marked = [event for event in events if event.mark is not None and not event.is_cancelled]
    if not marked or not calendar.is_destination:
        return 0
    ids = instance_ids(session)
    ours = [event for event in marked if is_the_very_one(event, ids)]
    # Of several generations the newest is the living one; of two with one UID, the one that stands where we put it.
    best = {event.mark.appointment_id: event for event in sorted(ours, key=_rank) if event.mark is not None}
    links = [link for event in best.values() if (link := _link(session, calendar, event))]
    session.add_all(links)
    session.flush()
    if links:
        what = "An event" if len(links) == 1 else f"{len(links)} events"
        sentence = f"{what} of earlier bookings were found in “{calendar.name}” and belong to them again."
        ledger.write(session, "readopted", sentence, calendar_id=calendar.id, connection_id=calendar.connection_id)
    return len(links)


def is_the_very_one(event: RemoteEvent, ids: InstanceIds) -> bool:
    """Whether we wrote this very event, for an appointment that this database knows by that name."""
    mark = event.mark
    return mark is not None and mark.instance_id == ids.of(mark.appointment_id) and has_our_uid(event)


def has_our_uid(event: RemoteEvent) -> bool:
    """Whether its UID is the one that its mark gives it: no copy made by hand."""
    mark = event.mark
    return mark is not None and event.uid == derived_uid(mark.instance_id, mark.appointment_id, mark.generation)


def _rank(event: RemoteEvent) -> tuple[int, bool]:
    return (event.mark.generation if event.mark else 0, event.uid in event.remote_id)


def _link(session: Session, calendar: Calendar, event: RemoteEvent) -> EventLink | None:
    """None when there is nothing to link: the booking is over or elsewhere, or its event is known here."""
    assert event.mark is not None
    appointment = session.get(Appointment, event.mark.appointment_id)
    if appointment is None or not stands(appointment) or appointment.end_at <= now_utc():
        return None
    if calendar.resource_id not in {row.resource_id for row in appointment.resources}:
        return None
    known = select(EventLink.id).where(EventLink.appointment_id == appointment.id, EventLink.calendar_id == calendar.id)
    if session.scalar(known) is not None:
        return None
    appointment.generation = max(appointment.generation, event.mark.generation)
    return EventLink(
        appointment_id=appointment.id,
        calendar_id=calendar.id,
        generation=event.mark.generation,
        uid=event.uid,
        remote_id=event.remote_id,
        etag=event.etag,
        content_hash=event.content_hash,
        sent_hash=event.content_hash,
        start_at=event.start_at,
        end_at=event.end_at,
        sequence=event.sequence,
        meeting_url=meeting.proper(event.meeting_url),
        wanted_version=appointment.version,
        applied_version=0,
        state="waiting",
    )
