"""What one look at a calendar needs to know: taken together in one transaction, and carried out of it as values. Called by `pull`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, AppointmentResource, EventLink
from portal.business.models import Resource, Service
from portal.calendars.account import Account, account_of
from portal.calendars.models import BusyInterval, Calendar, RemoteObject
from portal.calendars.open import calendar_ref
from portal.clock import now_utc
from portal.database.chunks import in_chunks
from portal.errors import NotFound
from portal.instance.ids import instance_ids
from portal.sync import leases
from portal.sync.actions import Situation, Tie
from portal.sync.event import shared
from portal.sync.event.stands import standing
from portal.sync.outside import unknown
from providers.calendars.base import CalendarRef, RemoteEvent, Span

BACK = timedelta(days=1)
THOUGHT = 150.0
"""Seconds for which a server may think about a listing once people know that it failed twice: a cold one needs minutes for a large calendar,
and would never come to an end if it were always left after ten seconds. It holds its own line alone meanwhile."""
AHEAD = timedelta(days=21)
"""The window reaches so far beyond the longest horizon: the nightly reconcile may fail for weeks before a day is missing."""
LEAST_HORIZON = timedelta(days=62)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one look at a calendar needs, read in one transaction and carried out of it."""

    calendar_id: int
    resource_id: int
    name: str
    lease: str
    account: Account
    ref: CalendarRef
    sync_token: str | None
    known: dict[str, str]
    rereads: frozenset[str]
    window: Span
    accepts_removals: bool
    is_asked: bool
    last_begun_at: datetime | None


def begin(session: Session, calendar_id: int, *, is_complete: bool, lease_for: timedelta) -> Reading | None:
    """Lease the calendar and gather what a look at it needs; None while somebody else reads it. Raises NotFound."""
    calendar = session.get(Calendar, calendar_id, with_for_update=True, populate_existing=True)
    if calendar is None or calendar.connection.leaving:
        raise NotFound("There is no such calendar, or its account is being disconnected.")
    now = now_utc()  # under the row's lock: whether a message came before or after this beginning must be certain
    last_begun_at = calendar.read_begun_at
    is_asked = calendar.asked_at is not None and (last_begun_at is None or calendar.asked_at >= last_begun_at)
    lease = leases.take_read(session, calendar_id, now=now, length=lease_for)
    if lease is None:
        return None
    rows = session.execute(
        select(RemoteObject.remote_id, RemoteObject.etag, RemoteObject.rolls).where(
            RemoteObject.calendar_id == calendar_id
        )
    ).all()
    accepts = bool(calendar.quarantine and calendar.quarantine.get("decision") == "accept")
    # In doubt all of it is read each time, for a change feed tells nothing of what only seemed to be gone, and is back.
    is_complete = is_complete or accepts or calendar.unsure_since is not None or is_in_doubt(calendar)
    email = session.get_one(Resource, calendar.resource_id).email
    return Reading(
        calendar_id=calendar_id,
        resource_id=calendar.resource_id,
        name=calendar.name,
        lease=lease,
        account=account_of(calendar.connection),
        ref=replace(
            calendar_ref(calendar, own_addresses=frozenset({email} if email else ())),
            silence_allowed=THOUGHT if calendar.failures >= 2 else 0.0,
        ),
        sync_token=None if is_complete else calendar.sync_token,
        known={row.remote_id: row.etag for row in rows},
        rereads=_to_read_again(session, calendar_id, rows) if is_complete else frozenset(),
        window=window_at(session, now),
        accepts_removals=accepts,
        is_asked=is_asked,
        last_begun_at=last_begun_at,
    )


def is_in_doubt(calendar: Calendar) -> bool:
    """It lacked too much at once, and nobody has decided yet."""
    return calendar.quarantine is not None and not calendar.quarantine.get("decision")


def _to_read_again(session: Session, calendar_id: int, rows: Sequence[Any]) -> frozenset[str]:
    """Objects whose text a complete reading must see: what rolls with the window, and marked ones that no link names."""
    linked = select(EventLink.remote_id).where(EventLink.calendar_id == calendar_id)
    orphans = session.scalars(
        select(RemoteObject.remote_id).where(
            RemoteObject.calendar_id == calendar_id, RemoteObject.is_ours, RemoteObject.remote_id.not_in(linked)
        )
    )
    return frozenset(row.remote_id for row in rows if row.rolls) | frozenset(orphans)


def window_at(session: Session, now: datetime) -> Span:
    """The time for which busy time is kept: from yesterday until well beyond the longest horizon."""
    horizon = session.scalar(select(func.max(Service.horizon)).where(Service.is_active)) or 0
    return now - BACK, now + max(timedelta(days=horizon), LEAST_HORIZON) + AHEAD


def situation_of(
    session: Session,
    calendar: Calendar,
    known: dict[str, str],
    window: Span,
    *,
    read_at: datetime,
    events: Iterable[RemoteEvent] = (),
) -> Situation:
    """Everything that the plan must know about these events, as it is in this transaction."""
    ids, now = instance_ids(session), now_utc()
    marked = {
        event.remote_id: event.mark.appointment_id
        for event in events
        if event.mark and event.mark.instance_id == ids.of(event.mark.appointment_id)
    }
    return Situation(
        known=known,
        ties=_ties(session, calendar.id, since=window[0]),
        instance_id=ids.first,
        later_ids=ids.later,
        window=window,
        read_at=read_at,
        token_at=calendar.sync_token_at,
        now=now,
        booked=_booked(session, calendar.resource_id, set(marked.values())),
        shared=shared.events_of_others(session, calendar, marked) | unknown.settled(session, calendar.id),
        is_comparing=calendar.unsure_since is not None,
        doubtful=unknown.doubtful(session, calendar.id),
        held=frozenset((calendar.quarantine or {}).get("remote_ids", ())),
        keeps_held=(calendar.quarantine or {}).get("decision") == "keep",
    )


def coming_ids(session: Session, situation: Situation, calendar_id: int) -> frozenset[str]:
    """The objects that take time which is not over, and our own events to come."""
    busy = select(BusyInterval.remote_id).where(
        BusyInterval.calendar_id == calendar_id, BusyInterval.end_at > situation.now
    )
    own = {tie.remote_id for tie in situation.ties if tie.end_at > situation.now}
    return frozenset(session.scalars(busy)) | own


def _booked(session: Session, resource_id: int, appointment_ids: Collection[int]) -> dict[int, Span]:
    """The times of those that stand and take this resource. Their events may be seen more than once: through a shared calendar, or as a copy."""
    found: dict[int, Span] = {}
    for ids in in_chunks(sorted(appointment_ids)):
        rows = session.execute(
            select(Appointment.id, Appointment.start_at, Appointment.end_at)
            .join(AppointmentResource, AppointmentResource.appointment_id == Appointment.id)
            .where(
                Appointment.id.in_(ids), standing(),
                AppointmentResource.resource_id == resource_id,
            )
        )  # fmt: skip
        found |= {row.id: (row.start_at, row.end_at) for row in rows}
    return found


def _ties(session: Session, calendar_id: int, *, since: datetime) -> tuple[Tie, ...]:
    """The links of appointments to come, and of those just over; what becomes of older events is nobody's concern."""
    rows = session.execute(
        select(EventLink, Appointment, standing())
        .join(Appointment, Appointment.id == EventLink.appointment_id)
        .where(EventLink.calendar_id == calendar_id, Appointment.end_at > since)
        .execution_options(populate_existing=True)
    )
    return tuple(_tie(link, appointment, is_wanted=bool(stands)) for link, appointment, stands in rows)


def _tie(link: EventLink, appointment: Appointment, *, is_wanted: bool) -> Tie:
    is_behind = link.applied_version < appointment.version and link.state in ("waiting", "done")
    return Tie(
        link_id=link.id,
        appointment_id=appointment.id,
        remote_id=link.remote_id,
        uid=link.uid,
        etag=link.etag,
        content_hash=link.content_hash,
        sent_hash=link.sent_hash,
        outside=link.outside,
        seen_start_at=link.start_at,
        seen_end_at=link.end_at,
        start_at=appointment.start_at,
        end_at=appointment.end_at,
        is_wanted=is_wanted,
        is_pending=is_behind and not link.outside,
        is_group=appointment.capacity > 1,
        touched_at=link.updated_at,
    )
