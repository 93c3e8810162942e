"""Which appointments stand in the calendars: those that somebody's booking is confirmed in, those that took place with somebody, and
fixed ones, booked or not, until they are called off. Of a pending booking alone staff learn otherwise: it may still be refused.

Asked by everything in sync that writes, reads or compares events.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, or_

from portal.booking.models import Appointment, Booking

ATTENDED = ("completed", "no_show")


def stands(appointment: Appointment) -> bool:
    """Whether an event must stand for it."""
    if appointment.called_off_at is not None:
        return False
    statuses = {booking.status for booking in appointment.bookings}
    is_expected = appointment.is_active and (appointment.is_fixed or "confirmed" in statuses)
    return is_expected or not statuses.isdisjoint(ATTENDED)


def standing() -> ColumnElement[bool]:
    """The same as a condition on `Appointment`."""
    is_expected = and_(Appointment.is_active, or_(Appointment.is_fixed, _has(("confirmed",))))
    return and_(Appointment.called_off_at.is_(None), or_(is_expected, _has(ATTENDED)))


def _has(statuses: tuple[str, ...]) -> ColumnElement[bool]:
    return exists().where(Booking.appointment_id == Appointment.id, Booking.status.in_(statuses))
