"""What staff see of waitlists: queues, and times that can be offered by hand. Everything is fetched through the user's scope: admins
see all; staff see who waits for an appointment of theirs, for them, or for anyone of a service that they give. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.accounts.models import User
from portal.admin.moments import Moments
from portal.admin.scope import resource_ids_of
from portal.availability.model import Slot
from portal.booking.models import Appointment, AppointmentResource, Offer, WaitlistEntry
from portal.booking.time.full import find_appointment, seats_left
from portal.booking.time.queries import free_slots
from portal.business.models import Resource, Service, ServiceResource
from portal.errors import NotFound
from portal.intervals import Interval
from portal.language.dates import short_date
from portal.waitlist.allot import live_entries
from portal.waitlist.plan import window_of
from portal.waitlist.steps import LIVE

TIMES_SHOWN = 24


@dataclass(frozen=True, slots=True)
class Row:
    """One entry in its queue: `number` is its place among those who wait (0 while it has an offer), `wish` what it waits for in words."""

    entry: WaitlistEntry
    number: int
    wish: str
    offer: Offer | None


@dataclass(frozen=True, slots=True)
class Queue:
    """Who waits for one appointment; or, without one, for days of the service. `left` counts free seats of the appointment."""

    service: Service
    appointment: Appointment | None
    left: int
    rows: list[Row]

    @property
    def key(self) -> str:
        """Names the queue within its page."""
        return str(self.appointment.id) if self.appointment else "days"


@dataclass(frozen=True, slots=True)
class ServiceQueues:
    """All queues of one service, those of appointments by time, that of days last."""

    service: Service
    queues: list[Queue]

    @property
    def waiting(self) -> int:
        return sum(row.offer is None for queue in self.queues for row in queue.rows)

    @property
    def offered(self) -> int:
        return sum(row.offer is not None for queue in self.queues for row in queue.rows)


def has_waitlists(session: Session) -> bool:
    """Whether some service has a waitlist, or somebody waits still: whether there is anything to link to."""
    has_one = select(Service.id).where(Service.has_waitlist, Service.is_active).limit(1)
    waits = select(WaitlistEntry.id).where(WaitlistEntry.status.in_(LIVE)).limit(1)
    return session.scalar(has_one) is not None or session.scalar(waits) is not None


def has_fixed_dates(session: Session) -> bool:
    """Whether any service has dates that staff set, so that the page about them is of use."""
    return session.scalar(select(Service.id).where(Service.timing == "fixed", Service.is_active).limit(1)) is not None


def list_queues(session: Session, user: User, at: Moments) -> list[ServiceQueues]:
    """The services with a waitlist (or somebody in one) that this user sees, each with its queues."""
    waits = select(WaitlistEntry.service_id).where(WaitlistEntry.status.in_(LIVE))
    services = session.scalars(
        select(Service)
        .where(or_(and_(Service.has_waitlist, Service.is_active), Service.id.in_(waits)), gives(user))
        .order_by(Service.position, Service.id)
    )
    return [queues_of(session, user, service, at) for service in services]


def queues_of(session: Session, user: User, service: Service, at: Moments) -> ServiceQueues:
    """The queues of one service, as far as this user sees them; the places are those among all."""
    entries = live_entries(session, service.id)
    seen = set(
        session.scalars(select(WaitlistEntry.id).where(WaitlistEntry.service_id == service.id, sees_entry(user)))
    )
    appointments = _appointments(session, service, entries)
    groups: dict[int | None, list[WaitlistEntry]] = {}
    for entry in entries:
        appointment = appointments.get(entry.id)
        groups.setdefault(appointment.id if appointment else None, []).append(entry)
    by_id = {appointment.id: appointment for appointment in appointments.values()}
    queues = [_queue(session, service, by_id.get(key or 0), rows, at, seen=seen) for key, rows in groups.items()]
    return ServiceQueues(service, sorted((queue for queue in queues if queue.rows), key=_by_time))


def queue_of_appointment(session: Session, user: User, appointment: Appointment, at: Moments) -> Queue:
    """Who waits for this appointment, for the appointment's own page."""
    found = queues_of(session, user, appointment.service, at).queues
    empty = Queue(appointment.service, appointment, seats_left(session, appointment), [])
    return next(
        (queue for queue in found if queue.appointment is not None and queue.appointment.id == appointment.id), empty
    )


def find_service(session: Session, user: User, slug: str) -> Service:
    """Raises NotFound for one that is not there or not this user's."""
    service = session.scalar(select(Service).where(Service.slug == slug, gives(user)))
    if service is None:
        raise NotFound("There is no such service.")
    return service


def find_entry(session: Session, user: User, entry_id: int) -> WaitlistEntry:
    """Raises NotFound for one that is not there or not this user's; ended ones are found."""
    entry = session.scalar(select(WaitlistEntry).where(WaitlistEntry.id == entry_id, sees_entry(user)))
    if entry is None:
        raise NotFound("There is no such entry in a waitlist.")
    return entry


def appointment_of(session: Session, entry: WaitlistEntry) -> Appointment | None:
    """The appointment that an entry waits for, as it stands now."""
    return _appointments(session, entry.service, [entry]).get(entry.id)


def count_before(session: Session, entry: WaitlistEntry, appointment: Appointment | None) -> int:
    """How many would be passed by if this entry were offered something now."""
    same = select(WaitlistEntry).where(
        WaitlistEntry.service_id == entry.service_id,
        WaitlistEntry.status == "waiting",
        or_(
            WaitlistEntry.joined_at < entry.joined_at,
            and_(WaitlistEntry.joined_at == entry.joined_at, WaitlistEntry.id < entry.id),
        ),
    )
    before = list(session.scalars(same))
    places = _appointments(session, entry.service, before)
    wanted = appointment.id if appointment else None
    return sum((places[each.id].id if each.id in places else None) == wanted for each in before)


def own_person(user: User, service: Service) -> int | None:
    """Who gives what this user offers by hand: themselves, where one can choose who gives the service. None: as the service says."""
    return None if user.is_admin or service.assignment != "choose" else user.resource_id


def times_to_offer(session: Session, user: User, entry: WaitlistEntry, at: Moments) -> list[Slot]:
    """The free times that this user can offer to an entry that waits for days: those wished for; where none is free, the next ones."""
    service = entry.service
    ids = resource_ids_of(user)
    reach = Interval(at.now, at.now + timedelta(days=service.horizon))
    wished = window_of(entry.wish, entry.wish_on, zone=at.zone)
    for window in (wished, reach):
        if window is None:
            continue
        slots = free_slots(
            session,
            service,
            window=Interval(max(window.start, reach.start), max(window.end, reach.start)),
            now=at.now,
            resource_id=entry.resource_id or own_person(user, service),
            party_size=entry.party_size,
        )
        mine = [slot for slot in slots if ids is None or set(ids) & {*slot.choices, *slot.also}]
        if mine:
            return mine[:TIMES_SHOWN]
    return []


def describe_wish(session: Session, entry: WaitlistEntry, at: Moments) -> str:
    """ "Thu 3 Dec, with Ana": what one entry waits for."""
    return _wish_in_words(entry, _names(session, [entry]), at)


def _appointments(session: Session, service: Service, entries: Iterable[WaitlistEntry]) -> dict[int, Appointment]:
    """By entry: the fixed appointment that it waits for, or the one that stands at its start now."""
    entries = [entry for entry in entries if entry.wish == "appointment"]
    ids = {entry.appointment_id for entry in entries if entry.appointment_id is not None}
    fixed = {row.id: row for row in session.scalars(select(Appointment).where(Appointment.id.in_(ids))) if row.is_fixed}
    found = {}
    for entry in entries:
        appointment = fixed.get(entry.appointment_id or 0)
        if appointment is None and entry.start_at is not None:
            appointment = find_appointment(session, service, entry.start_at)
        if appointment is not None:
            found[entry.id] = appointment
    return found


def _queue(
    session: Session,
    service: Service,
    appointment: Appointment | None,
    entries: Sequence[WaitlistEntry],
    at: Moments,
    *,
    seen: Collection[int],
) -> Queue:
    offers = _open_offers(session, [entry.id for entry in entries])
    names = _names(session, entries)
    rows, number = [], 0
    for entry in entries:
        offer = offers.get(entry.id)
        number += offer is None
        if entry.id in seen:
            rows.append(Row(entry, 0 if offer else number, _wish_in_words(entry, names, at), offer))
    return Queue(service, appointment, seats_left(session, appointment) if appointment else 0, rows)


def _wish_in_words(entry: WaitlistEntry, names: dict[int, str], at: Moments) -> str:
    if entry.start_at is not None:
        what = at.moment(entry.start_at)
    elif entry.wish_on is None:
        what = "Any day"
    else:
        monday = entry.wish_on - timedelta(days=entry.wish_on.weekday())
        on = entry.wish_on if entry.wish == "day" else monday
        what = f"{'' if entry.wish == 'day' else 'Week of '}{short_date(on, at.locale)}"
    person = names.get(entry.resource_id or 0, "")
    return f"{what}, with {person}" if person else what


def _open_offers(session: Session, entry_ids: Sequence[int]) -> dict[int, Offer]:
    offers = session.scalars(select(Offer).where(Offer.entry_id.in_(entry_ids), Offer.state == "open"))
    return {offer.entry_id: offer for offer in offers}


def _names(session: Session, entries: Sequence[WaitlistEntry]) -> dict[int, str]:
    ids = {entry.resource_id for entry in entries if entry.resource_id is not None}
    return dict(session.execute(select(Resource.id, Resource.name).where(Resource.id.in_(ids))).tuples().all())


def _by_time(queue: Queue) -> tuple[bool, datetime | None]:
    return (queue.appointment is None, queue.appointment.start_at if queue.appointment else None)


def gives(user: User) -> ColumnElement[bool]:
    """Services that this user gives, or sees because they see everything."""
    ids = resource_ids_of(user)
    if ids is None:
        return true()
    return Service.id.in_(select(ServiceResource.service_id).where(ServiceResource.resource_id.in_(ids)))


def sees_entry(user: User) -> ColumnElement[bool]:
    """Entries that are this user's business."""
    ids = resource_ids_of(user)
    if ids is None:
        return true()
    gives = WaitlistEntry.service_id.in_(select(ServiceResource.service_id).where(ServiceResource.resource_id.in_(ids)))
    is_wanted = or_(WaitlistEntry.resource_id.is_(None), WaitlistEntry.resource_id.in_(ids))
    return and_(gives, is_wanted, takes_time(user, WaitlistEntry.appointment_id))


def takes_time(user: User, appointment_id: InstrumentedAttribute[int | None]) -> ColumnElement[bool]:
    """No appointment at all, or one that takes this user's time."""
    ids = resource_ids_of(user)
    if ids is None:
        return true()
    taken = select(AppointmentResource.appointment_id).where(AppointmentResource.resource_id.in_(ids))
    return or_(appointment_id.is_(None), appointment_id.in_(taken))
