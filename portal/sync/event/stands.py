"""Which appointments stand in the calendars: those that somebody's booking is confirmed in, those that took place with somebody, and
fixed ones, booked or not, until they are called off. Of a pending booking alone staff learn otherwise: it may still be refused.

Asked by everything in sync that writes, reads or compares events.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, or_

from portal.booking.models import PRESENT, Appointment, Booking


def stands(appointment: Appointment) -> bool:
    """Whether an event must stand for it."""
    if not appointment.is_active or appointment.called_off_at is not None:
        return False
    return appointment.is_fixed or any(booking.status in PRESENT for booking in appointment.bookings)


def standing() -> ColumnElement[bool]:
    """The same as a condition on `Appointment`."""
    has_somebody = exists().where(Booking.appointment_id == Appointment.id, Booking.status.in_(PRESENT))
    return and_(Appointment.is_active, Appointment.called_off_at.is_(None), or_(Appointment.is_fixed, has_somebody))
