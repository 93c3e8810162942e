"""What the API answers, as plain values. No domain decision is made here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from flask import current_app
from sqlalchemy import Select, bindparam, select

from portal.availability.explain import Reason, ReasonCode
from portal.availability.model import Slot
from portal.booking.invitation.meetings import meeting_of
from portal.booking.models import Appointment, AppointmentResource, Booking
from portal.booking.statements import rows
from portal.booking.time.outside_events import Over, standing_over
from portal.booking.time.queries import sync_state
from portal.business.fields.base import Fields, declared
from portal.business.fields.business import ResourceFields
from portal.business.fields.service import QuestionFields, ServiceFields
from portal.business.models import Resource, Service
from portal.errors import NotFound
from portal.extensions import db
from portal.sync.models import Question
from portal.sync.state.overview import CalendarFacts
from portal.upkeep.vitals import Vitals
from portal.web.shown.bookings import parts_of
from portal.web.shown.versions import fingerprint

# Without a token nobody learns who is busy when: these codes are told as one.
_PRIVATE = frozenset(
    {
        ReasonCode.TAKEN, ReasonCode.BUFFER_TAKEN, ReasonCode.UNKNOWN, ReasonCode.NO_COMBINATION, ReasonCode.FULL,
        ReasonCode.DAY_FULL, ReasonCode.WEEK_FULL,
    }
)  # fmt: skip
_PUBLIC_SENTENCES = {
    ReasonCode.PARTY_TOO_LARGE: "The party is too large for this service.",
    ReasonCode.OUTSIDE_WINDOW: "This instant lies outside the time that was asked about.",
    ReasonCode.PAST: "This instant is over.",
    ReasonCode.TOO_SOON: "This is too soon: the service needs more notice.",
    ReasonCode.TOO_FAR: "This is too far ahead: it cannot be booked yet.",
    ReasonCode.NO_RESOURCE: "Nobody gives this service at present.",
    ReasonCode.DAY_CLOSED: "Closed on this day.",
    ReasonCode.NOT_WORKING: "Outside working hours.",
    ReasonCode.ENDS_AFTER_HOURS: "It would end after working hours.",
    ReasonCode.NOT_A_START: "Appointments do not start at this minute.",
    ReasonCode.NO_APPOINTMENT: "No appointment of this service begins then.",
    ReasonCode.NOT_CHOSEN: "Somebody else gives the appointment that begins then.",
}


def service(row: Service, resources: Iterable[Resource]) -> dict[str, Any]:
    """What is declared public of it, its questions, and who gives it."""
    return {
        **_public(row, ServiceFields),
        "questions": [_public(question, QuestionFields) for question in row.questions],
        "resources": [_public(resource, ResourceFields) for resource in resources],
    }


def _public(row: Any, declaration: type[Fields]) -> dict[str, Any]:
    return {name: kind.tell(getattr(row, name)) for name, kind in declared(declaration).items() if kind.is_public}


def booking(public_id: str) -> dict[str, Any]:
    """A booking for whoever holds a token. The manage link is a right of its own, told only to who books. Raises NotFound."""
    session = db.session()
    found = rows(session, _booking(), public_id=public_id)
    if not found:
        raise NotFound("There is no booking with this id.")
    row = found[0]
    members = session.connection().execute(_slugs(), {"appointment_id": row.appointment_id}).all()
    return {
        "id": row.public_id,
        "status": row.status,
        "pending_reason": row.pending_reason or None,
        "service": row.slug,
        "start_at": show_instant(row.start_at),
        "end_at": show_instant(row.end_at),
        "resources": [each.slug for each in members],
        "party_size": row.party_size,
        "customer": {"name": row.customer_name, "email": row.customer_email, "phone": row.customer_phone},
        "answers": row.answers,
        "meeting_url": _meeting_url(row),
        "outside_events": show_events(_outside_events(row)),
        "created_at": show_instant(row.created_at),
        "version": fingerprint(parts_of(row, row, resource_ids=[each.id for each in members])),
        "sync": _sync(session, row.appointment_id),
    }


def show_instant(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def show_optional(instant: datetime | None) -> str | None:
    return show_instant(instant) if instant else None


def show_events(events: Iterable[Over]) -> list[dict[str, Any]]:
    """Outside events over a time; `calendar` is None for one that only a last look has found. Titles are their calendars' own affair."""
    return [
        {
            "start_at": show_instant(event.start_at),
            "end_at": show_instant(event.end_at),
            "calendar": event.calendar or None,
        }
        for event in events
    ]


def show_slots(slots: Iterable[Slot], slugs: Mapping[int, str]) -> list[dict[str, Any]]:
    """Slots as the API tells them. `slugs` names the main resources by id."""
    return [
        {
            "start_at": show_instant(slot.interval.start),
            "end_at": show_instant(slot.interval.end),
            "resources": [slugs[i] for i in slot.choices if i in slugs],
            "seats_left": slot.seats_left,
        }
        for slot in slots
    ]


def manage_url(token: str) -> str:
    """The customer's own link, on the portal's public address whatever host the request came through."""
    return f"{current_app.extensions['settings'].url}/b/{token}"


def reasons(found: Iterable[Reason], slugs: Mapping[int, str], *, in_full: bool) -> list[dict[str, Any]]:
    """Why a time is not offered. Without a token only in general words, each once."""
    if in_full:
        return [
            {"code": str(reason.code), "sentence": reason.sentence, "resource": slugs.get(reason.resource_id or 0)}
            for reason in found
        ]
    told: dict[str, str] = {}
    for reason in found:
        is_private = reason.code in _PRIVATE or reason.code not in _PUBLIC_SENTENCES
        code = "taken" if is_private else str(reason.code)
        told[code] = "This time is not free." if is_private else _PUBLIC_SENTENCES[reason.code]
    return [{"code": code, "sentence": sentence, "resource": None} for code, sentence in told.items()]


def _sync(session: Any, appointment_id: int) -> dict[str, Any]:
    """What is stuck waits for a person, and `reason` says why: also where somebody took the event out of the calendar, or moved it there."""
    kind = session.scalar(
        select(Question.kind).where(Question.appointment_id == appointment_id, Question.answered_at.is_(None)).limit(1)
    )
    if kind is not None:
        what = "taken out of the calendar" if kind == "deleted" else "moved in the calendar"
        return {
            "state": "stuck",
            "reason": f"Its event was {what} by somebody; staff are asked what is to become of the booking.",
        }
    return {"state": sync_state(session, appointment_id)}


def calendar(facts: CalendarFacts) -> dict[str, Any]:
    row, connection = facts.calendar, facts.connection
    return {
        "id": row.id,
        "name": row.name,
        "resource": facts.resource.slug,
        "provider": connection.provider,
        "account": connection.account.get("username", ""),
        "state": connection.state,
        "state_since": show_instant(connection.state_since),
        "state_reason": connection.state_reason,
        "is_busy_source": row.is_busy_source,
        "is_destination": row.is_destination,
        "last_read_at": show_optional(row.last_read_at),
        "last_written_at": show_optional(row.last_written_at),
        "waiting_writes": facts.waiting,
        "stuck_writes": facts.stuck,
        "unreadable_objects": row.unreadable_objects,
        "is_quarantined": row.quarantine is not None,
    }


def health(vitals: Vitals) -> dict[str, Any]:
    """Numbers only; `problems` are sentences for people."""
    return {
        "status": "attention" if vitals.problems or vitals.not_adopted or _needs_a_person(vitals) else "ok",
        "problems": [*vitals.problems, *([vitals.not_adopted] if vitals.not_adopted else [])],
        "worker_silent_seconds": _seconds(vitals.worker_seen),
        "outbox": {
            "waiting": vitals.outbox.get("todo", 0),
            "stuck": vitals.outbox.get("stuck", 0),
            "oldest_due_seconds": _seconds(vitals.outbox_age),
            "oldest_waiting_seconds": _seconds(vitals.outbox_waiting),
        },
        "connections": vitals.connections,
        "open_questions": vitals.open_questions,
        "open_conflicts": vitals.open_conflicts,
        "quarantined_calendars": vitals.quarantined_calendars,
    }


@cache
def _booking() -> Select[Any]:
    """Columns and no objects: every booking over the API is told this way."""
    return (
        select(
            Booking.public_id,
            Booking.appointment_id,
            Booking.status,
            Booking.pending_reason,
            Booking.party_size,
            Booking.customer_name,
            Booking.customer_email,
            Booking.customer_phone,
            Booking.answers,
            Booking.created_at,
            Appointment.start_at,
            Appointment.end_at,
            Service.slug,
            Service.meeting,
        )
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .join(Service, Service.id == Appointment.service_id)
        .where(Booking.public_id == bindparam("public_id"), Booking.status != "held")
    )


def _outside_events(row: Any) -> list[Over]:
    """What stands over a booking that waits for a yes; over others it is a conflict, which staff are told of."""
    if row.status != "pending":
        return []
    return standing_over(db.session(), [row.appointment_id]).get(row.appointment_id, [])


def _meeting_url(row: Any) -> str | None:
    """The link for who has a confirmed place; None while it is not made yet."""
    if row.status in ("pending", "cancelled"):
        return None
    return meeting_of(db.session(), row.appointment_id, kind=row.meeting).url or None


@cache
def _slugs() -> Select[int, str]:
    """Built once: every booking over the API asks it."""
    return (
        select(Resource.id, Resource.slug)
        .join(AppointmentResource, AppointmentResource.resource_id == Resource.id)
        .where(AppointmentResource.appointment_id == bindparam("appointment_id"))
        .order_by(AppointmentResource.list_no, Resource.position, Resource.id)
    )


def _seconds(age: timedelta | None) -> int | None:
    return None if age is None else int(age.total_seconds())


def _needs_a_person(vitals: Vitals) -> bool:
    not_well = sum(number for state, number in vitals.connections.items() if state not in ("connected", "paused"))
    return bool(not_well or vitals.outbox.get("stuck") or vitals.quarantined_calendars or vitals.open_questions)
