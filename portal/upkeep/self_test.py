"""Proof, at start and in `lockstep doctor`, that this database refuses what the promises say it refuses.

Everything is tried inside a savepoint that is rolled back; nothing stays.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, AppointmentResource, Booking, Claim, Seat
from portal.business.models import Resource, Service
from portal.database.engine import transaction

_LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)


class NotGuarded(Exception):
    """The database accepted a double booking. The portal must not run on it."""


class _Undo(Exception):
    """Ends the trial transaction, so that nothing of it stays."""


def self_test() -> list[str]:
    """What was proved, as sentences. Raises NotGuarded when a clash was not refused."""
    proved: list[str] = []

    def work(session: Session) -> None:
        first, second, resource_id = _two_appointments(session)
        claim = {"resource_id": resource_id, "quantum_no": 1, "appointment_id": first}
        session.execute(insert(Claim), [claim])
        _must_refuse(session, Claim, {**claim, "appointment_id": second}, "two claims of one quantum")
        proved.append("Two claims of one resource's quantum are refused.")
        if session.get_bind().dialect.name == "postgresql":
            _must_refuse(session, AppointmentResource, _member(second, resource_id), "two overlapping periods")
            proved.append("Two overlapping periods of one resource are refused.")
        _prove_seats(session, first, proved)
        raise _Undo

    try:
        transaction(work)
    except _Undo:
        return proved
    raise AssertionError("unreachable")


def _prove_seats(session: Session, appointment_id: int, proved: list[str]) -> None:
    guests = [Booking(public_id=f"self-test-{n}", appointment_id=appointment_id, status="held") for n in (1, 2)]
    session.add_all(guests)
    session.flush()
    seat = {"appointment_id": appointment_id, "seat_no": 1, "booking_id": guests[0].id}
    session.execute(insert(Seat), [seat])
    _must_refuse(session, Seat, {**seat, "booking_id": guests[1].id}, "two bookings on one seat")
    proved.append("Two bookings on one seat are refused.")


def _two_appointments(session: Session) -> tuple[int, int, int]:
    resource = Resource(slug="self-test", kind="equipment", name="Self-test", zone="UTC")
    service = Service(slug="self-test", name="Self-test", duration=30, step=30)
    session.add_all([resource, service])
    session.flush()
    span = {"start_at": _LONG_AGO, "end_at": _LONG_AGO + timedelta(minutes=30)}
    span |= {"claim_start_at": span["start_at"], "claim_end_at": span["end_at"]}
    first, second = (Appointment(service_id=service.id, **span) for _ in range(2))
    session.add_all([first, second])
    session.flush()
    session.execute(insert(AppointmentResource), [_member(first.id, resource.id)])
    return first.id, second.id, resource.id


def _member(appointment_id: int, resource_id: int) -> dict[str, object]:
    return {
        "appointment_id": appointment_id,
        "resource_id": resource_id,
        "claim_start_at": _LONG_AGO,
        "claim_end_at": _LONG_AGO + timedelta(minutes=30),
        "is_active": True,
    }


def _must_refuse(session: Session, table: type, row: dict[str, object], what: str) -> None:
    try:
        with session.begin_nested():
            session.execute(insert(table), [row])
    except IntegrityError:
        return
    raise NotGuarded(
        f"This database accepted {what}: its key is missing, so double bookings would be possible. "
        "Run `lockstep db upgrade`; if that does not help, restore from a backup."
    )
