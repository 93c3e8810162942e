"""Whose things a user of the staff pages sees: admins see all, staff what belongs to the resource they are."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.orm import InstrumentedAttribute

from portal.accounts.models import User
from portal.booking.models import AppointmentResource


def resource_ids_of(user: User) -> list[int] | None:
    """Whose things this user sees; None is everybody's."""
    if user.is_admin:
        return None
    return [user.resource_id] if user.resource_id is not None else []


def appointment_scope(user: User, appointment_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Whether an appointment is the user's to see."""
    ids = resource_ids_of(user)
    if ids is None:
        return true()
    return appointment_id.in_(
        select(AppointmentResource.appointment_id).where(AppointmentResource.resource_id.in_(ids))
    )
