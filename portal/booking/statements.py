"""The statements that every page and booking sends, each built once: putting them together anew took two thirds of the time of asking.

Most read plain columns of plain tables, and `rows` sends them with their values; those that load a service or a booking are for the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Integer,
    Select,
    String,
    Table,
    and_,
    bindparam,
    case,
    cast,
    exists,
    literal_column,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session, joinedload

from portal.booking.holds import has_expired
from portal.booking.models import ACTIVE, Appointment, AppointmentResource, Booking, EventLink
from portal.business.models import (
    Business,
    DateOverride,
    Resource,
    Service,
    ServiceQuestion,
    ServiceResource,
    WeeklyHours,
)
from portal.calendars.models import BusyInterval, Calendar, Connection, UnknownBooking
from portal.outbox import OutboxEntry


def rows(session: Session, statement: Select[Any] | CompoundSelect[Any], **values: object) -> Sequence[Any]:
    """The rows of a statement, as plain tuples with names."""
    return session.connection().execute(statement, values).all()


@cache
def needs() -> Select[Any]:
    need, resource = _table(ServiceResource).c, _table(Resource).c
    return (
        select(need.list_no, need.resource_id, resource.is_active)
        .where(resource.id == need.resource_id, need.service_id == bindparam("service_id"))
        .order_by(need.list_no, need.position, need.id)
    )


@cache
def questions() -> Select[Any]:
    """What a service asks on its form, in order."""
    question = _table(ServiceQuestion).c
    return (
        select(question.name, question.label, question.kind, question.is_required, question.choices)
        .where(question.service_id == bindparam("service_id"))
        .order_by(question.position, question.id)
    )


@cache
def timetable_facts() -> CompoundSelect[Any]:
    """All that is set about the time of a service's resources, in one statement: (kind, a, b, c, d, text).

    kind 1: list_no, resource_id, position, is_active (0 or 1), zone      2: resource_id, weekday, starts, ends
    kind 3: resource_id, starts, ends (both None: closed), -, date        4: -, -, -, -, zone of the business
    """
    need, resource, business = _table(ServiceResource).c, _table(Resource).c, _table(Business).c
    hours, override = _table(WeeklyHours).c, _table(DateOverride).c
    ids = select(need.resource_id).where(need.service_id == bindparam("service_id"))
    nothing = cast(null(), Integer)
    return union_all(
        select(
            literal_column("1").label("kind"),
            need.list_no.label("a"),
            need.resource_id.label("b"),
            need.position.label("c"),
            case((resource.is_active, 1), else_=0).label("d"),
            resource.zone.label("text"),
        ).where(resource.id == need.resource_id, need.service_id == bindparam("service_id")),
        select(
            literal_column("2"), hours.resource_id, hours.weekday, hours.starts, hours.ends, cast(null(), String)
        ).where(hours.resource_id.in_(ids)),
        select(
            literal_column("3"),
            override.resource_id,
            override.starts,
            override.ends,
            nothing,
            cast(override.on_date, String),
        ).where(override.resource_id.in_(ids), override.on_date.between(bindparam("first_on"), bindparam("last_on"))),
        select(literal_column("4"), nothing, nothing, nothing, nothing, business.zone),
    )


@cache
def sources() -> Select[Any]:
    """The calendars that must be readable. After a restore those that bookings are written into count too, and *keep offering* is no answer:
    what was booked since the backup may stand there, and that is known."""
    calendar = _table(Calendar).c
    is_unsure = calendar.unsure_since.is_not(None)
    rule = case((and_(is_unsure, calendar.when_unreadable == "keep"), "pending"), else_=calendar.when_unreadable)
    counts = or_(calendar.is_busy_source, and_(is_unsure, calendar.is_destination))
    return select(
        calendar.id, calendar.resource_id, rule.label("when_unreadable"), calendar.freshness, calendar.last_read_at
    ).where(calendar.resource_id.in_(_ids()), counts)


@cache
def only_expired() -> Select[Any]:
    booking, other, appointment = _table(Booking).c, _table(Booking).alias().c, _table(Appointment).c
    has_others = exists().where(
        other.appointment_id == booking.appointment_id,
        other.status.in_(ACTIVE),
        ~has_expired(other),
    )
    return select(booking.appointment_id).where(
        has_expired(booking),
        appointment.id == booking.appointment_id,
        ~appointment.is_fixed,
        ~has_others,
    )


@cache
def others() -> Select[Any]:
    booking = _table(Booking).c
    return select(booking.id).where(
        booking.appointment_id == bindparam("appointment_id"),
        booking.status.in_(ACTIVE),
        booking.id != bindparam("booking_id"),
    )


@cache
def taken() -> Select[Any]:
    taken = _table(AppointmentResource).c
    return select(taken.resource_id, taken.claim_start_at, taken.claim_end_at, taken.appointment_id).where(
        taken.resource_id.in_(_ids()),
        taken.is_active,
        taken.claim_end_at > bindparam("start"),
        taken.claim_start_at < bindparam("end"),
    )


@cache
def outside() -> Select[Any]:
    """Time that events take; in calendars that only receive bookings, events of bookings that are not known here."""
    busy, calendar, unknown = _table(BusyInterval).c, _table(Calendar).c, _table(UnknownBooking).c
    is_unknown = exists().where(unknown.calendar_id == busy.calendar_id, unknown.remote_id == busy.remote_id)
    return select(busy.resource_id, busy.start_at, busy.end_at).where(
        calendar.id == busy.calendar_id,
        or_(calendar.is_busy_source, is_unknown),
        busy.resource_id.in_(_ids()),
        busy.end_at > bindparam("start"),
        busy.start_at < bindparam("end"),
    )


@cache
def service_by_slug() -> Select[Service]:
    return select(Service).where(Service.slug == bindparam("slug"), Service.is_active)


@cache
def chosen() -> Select[Any]:
    resource = _table(Resource).c
    return select(resource.id).where(resource.slug == bindparam("slug"), resource.id.in_(_ids()))


@cache
def has_key() -> Select[Any]:
    booking = _table(Booking).c
    return select(booking.id).where(booking.idempotency_key == bindparam("key"))


@cache
def booking_by_public_id() -> Select[Booking]:
    return _with_appointment().where(Booking.public_id == bindparam("public_id"), Booking.status != "held")


@cache
def booking_by_hold() -> Select[Booking]:
    return _with_appointment().where(Booking.hold_hash == bindparam("hash"))


@cache
def booking_by_manage_token() -> Select[Booking]:
    return _with_appointment().where(Booking.manage_hash == bindparam("hash"))


@cache
def link_states() -> Select[Any]:
    link = _table(EventLink).c
    return select(link.state).where(link.appointment_id == bindparam("appointment_id"))


@cache
def destinations() -> Select[Any]:
    """The calendars that are to show an appointment, while there still is something to show."""
    member, calendar, appointment = _table(AppointmentResource).c, _table(Calendar).c, _table(Appointment).c
    return select(calendar.id).where(
        member.resource_id == calendar.resource_id,
        member.appointment_id == bindparam("appointment_id"),
        appointment.id == member.appointment_id,
        appointment.is_active,
        calendar.is_destination,
    )


@cache
def still_to_write() -> Select[Any]:
    entry = _table(OutboxEntry).c
    return select(entry.id).where(
        entry.subject == bindparam("subject"), entry.topic == "calendar.publish", entry.state == "todo"
    )


@cache
def meetings() -> Select[Any]:
    """The calendars of an appointment's resources, the main resource's first, with what is known of its event there."""
    member, calendar = _table(AppointmentResource).c, _table(Calendar).c
    connection, link = _table(Connection).c, _table(EventLink).c
    places = (
        _table(AppointmentResource)
        .join(_table(Calendar), calendar.resource_id == member.resource_id)
        .join(_table(Connection), connection.id == calendar.connection_id)
        .outerjoin(
            _table(EventLink),
            and_(link.calendar_id == calendar.id, link.appointment_id == member.appointment_id),
        )
    )
    return (
        select(
            calendar.id,
            calendar.is_destination,
            connection.provider,
            connection.leaving,
            connection.state.label("connection_state"),
            link.meeting_url,
            link.etag,
            link.state,
            link.outside,
            link.updated_at,
        )
        .select_from(places)
        .where(member.appointment_id == bindparam("appointment_id"))
        .order_by(member.list_no, member.resource_id, calendar.id)
    )


@cache
def not_read_since() -> Select[Any]:
    """Busy sources whose last read began before `moment`."""
    calendar = _table(Calendar).c
    return select(calendar.id).where(
        calendar.resource_id.in_(_ids()),
        calendar.is_busy_source,
        or_(calendar.last_read_at.is_(None), calendar.last_read_at < bindparam("moment")),
    )


@cache
def expired_holds() -> Select[Any]:
    """(booking id, appointment id) of the holds on these resources whose time is over.

    Their rows are locked: one that is confirmed or prolonged in this very moment would else lose its seats to whoever deletes it.
    """
    booking, member = _table(Booking).c, _table(AppointmentResource).c
    return (
        select(booking.id, booking.appointment_id)
        .where(
            has_expired(booking),
            booking.appointment_id.in_(select(member.appointment_id).where(member.resource_id.in_(_ids()))),
        )
        .order_by(booking.id)
        .with_for_update(of=_table(Booking))
    )


def _with_appointment() -> Select[Booking]:
    return select(Booking).options(joinedload(Booking.appointment).joinedload(Appointment.service))


def _table(model: type) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def _ids() -> Any:
    return bindparam("ids", expanding=True)
