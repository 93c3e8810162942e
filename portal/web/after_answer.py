"""What a page sets going once its answer is out: what became free is offered, calendars that were not read lately are read. Best effort,
never awaited: the worker finds both by itself."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from flask import Flask, Response, current_app
from sqlalchemy import Select, or_, select
from sqlalchemy.exc import SQLAlchemyError

from portal import doorbell
from portal.booking.models import Appointment, Booking
from portal.business.models import Service, ServiceResource
from portal.calendars.models import Calendar
from portal.clock import now_utc
from portal.extensions import db
from portal.sync.pull.ask import request_pull
from portal.waitlist.allot import look_quietly

RECENT = timedelta(seconds=30)
log = structlog.get_logger()


def seats_freed(booking_id: int, *, cause: str) -> None:
    """Ring after a booking was cancelled, refused or moved; and look at its service's waitlist at once, before a page shows as free to
    everybody what somebody waits for. The outbox asks for the same look, so nothing here need succeed."""
    try:
        service_id = db.session.scalar(_with_waitlist(booking_id))
        db.session.rollback()
    except SQLAlchemyError as error:
        log.warning("a waitlist was not looked at now, but will be", reason=type(error).__name__)
        service_id = None
    if service_id is not None:
        look_quietly(service_id, cause=cause, now=now_utc())
    doorbell.ring()


def pull_when_stale(response: Response, service_id: int, *, now: datetime) -> None:
    """After this answer has gone out, ask for a read of the service's calendars that were last read over 30 s ago."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    response.call_on_close(lambda: _request_pull(app, service_id, now))


def _request_pull(app: Flask, service_id: int, now: datetime) -> None:
    with app.app_context():
        try:
            stale = list(db.session.scalars(_stale_calendars(service_id, now)))
            db.session.rollback()
            if stale:
                request_pull(stale, now=now)
        except SQLAlchemyError as error:  # the page is out already, and the worker reads by itself
            log.warning("no pull requested", reason=type(error).__name__)


def _with_waitlist(booking_id: int) -> Select[int]:
    return (
        select(Service.id)
        .join(Appointment, Appointment.service_id == Service.id)
        .join(Booking, Booking.appointment_id == Appointment.id)
        .where(Booking.id == booking_id, Service.has_waitlist)
    )


def _stale_calendars(service_id: int, now: datetime) -> Select[int]:
    members = select(ServiceResource.resource_id).where(ServiceResource.service_id == service_id)
    return select(Calendar.id).where(
        Calendar.resource_id.in_(members),
        Calendar.is_busy_source,
        Calendar.next_read_at > now,  # otherwise its turn has come anyway
        or_(Calendar.last_read_at.is_(None), Calendar.last_read_at < now - RECENT),
    )
