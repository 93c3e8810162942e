"""Reads what somebody should know whose address has as many bookings of a service as it may have. Called by `portal.notifications.deliver`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from portal.booking.models import Booking
from portal.booking.time.limits import to_come_of
from portal.notifications.compose.facts import Facts, LimitNews
from portal.notifications.compose.news import Silence
from portal.notifications.gather.bookings import customer_of, manage_url_of
from portal.notifications.gather.history import event_key
from portal.notifications.gather.sources import business_of, house_of, row_of, silent
from portal.outbox import Work


def for_limit(session: Session, work: Work, *, now: datetime) -> list[Facts | Silence]:
    """The mail to the address of `booking:<id>`; none when the limit is not reached any more, or is gone."""
    booking = row_of(session, work, Booking)
    if booking is None or not booking.customer_email:
        return silent(work, "there is nobody to tell")
    service = booking.appointment.service
    standing = session.scalars(to_come_of(booking.customer_email, service_id=service.id, now=now)).all()
    if service.per_customer is None or not standing:
        return silent(work, "nothing stands in the way any more")
    business = business_of(session)
    return [
        LimitNews(
            message_key=event_key(business.instance_id, work, booking.customer_email),
            house=house_of(business),
            recipient=customer_of(booking),
            service=service.name,
            limit=service.per_customer,
            wanted_at=datetime.fromisoformat(str(work.payload["wanted_at"])),
            standing=tuple(
                (each.appointment.start_at, each.appointment.end_at, manage_url_of(each)) for each in standing
            ),
        )
    ]
