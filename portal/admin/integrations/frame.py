"""What all integrations pages share: their blueprint, and whose accounts and calendars a user may touch. What is not theirs is not found."""

from __future__ import annotations

from flask import Blueprint
from flask_login import current_user
from sqlalchemy import select

from portal.admin.integrations.consent import let_forms_lead_to_providers
from portal.business.models import Resource
from portal.calendars.models import Calendar, Connection
from portal.errors import NotFound
from portal.extensions import db
from portal.web import access

bp = Blueprint("integrations", __name__, url_prefix="/admin/integrations")
bp.after_request(let_forms_lead_to_providers)


def own_resources() -> list[Resource]:
    """The resources whose calendars this user looks after."""
    rows = db.session.scalars(select(Resource).where(Resource.is_active).order_by(Resource.position, Resource.id))
    return [row for row in rows if access.sees(current_user, row.id)]


def resource_of(resource_id: int) -> Resource:
    """The resource of an account that was found already."""
    return db.session.get_one(Resource, resource_id)


def find_connection(connection_id: int) -> Connection:
    """Raises NotFound for one that is not there or not this user's."""
    connection = db.session.get(Connection, connection_id)
    if connection is None or not access.sees(current_user, connection.resource_id):
        raise NotFound("There is no such account.")
    return connection


def find_calendar(calendar_id: int) -> Calendar:
    """Raises NotFound for one that is not there or not this user's."""
    calendar = db.session.get(Calendar, calendar_id)
    if calendar is None or not access.sees(current_user, calendar.resource_id):
        raise NotFound("There is no such calendar.")
    return calendar


def who() -> str:
    """The signed-in person, as the ledger names them."""
    return str(current_user.name or current_user.email)
