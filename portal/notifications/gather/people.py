"""Who among the staff is written to. Read in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.booking.models import Appointment
from portal.business.models import Business, Resource
from portal.notifications.compose.facts import Person
from portal.notifications.compose.wording import known_zone


def people_of(session: Session, resources: Sequence[Resource], business: Business) -> list[Person]:
    """Whoever stands behind these resources; where none has an address, the owners and admins: somebody must know."""
    found = [
        Person(name=resource.name, email=resource.email, zone=known_zone(resource.zone, business.zone))
        for resource in resources
        if resource.email
    ]
    return distinct(found) or admins(session, business)


def admins(session: Session, business: Business) -> list[Person]:
    """The owners and admins who may sign in."""
    users = session.scalars(select(User).where(User.role.in_(("owner", "admin")), User.is_enabled).order_by(User.id))
    return [Person(name=user.name, email=user.email, zone=known_zone(business.zone)) for user in users]


def resources_of(session: Session, appointment: Appointment) -> list[Resource]:
    """What the appointment takes, in its order."""
    ids = [row.resource_id for row in appointment.resources]
    rows = {row.id: row for row in session.scalars(select(Resource).where(Resource.id.in_(ids)))}
    return [rows[i] for i in ids]


def distinct(people: Iterable[Person]) -> list[Person]:
    """One of each address, the first one met."""
    return list({person.email.lower(): person for person in reversed(list(people))}.values())[::-1]
