"""Reads what owners and admins should know of a worker's clock. Called by `bookings`."""

from __future__ import annotations

from sqlalchemy.orm import Session

from portal.notifications.compose.facts import ClockNews, Facts
from portal.notifications.compose.news import Silence
from portal.notifications.gather.history import event_key, read_history
from portal.notifications.gather.people import admins
from portal.notifications.gather.sources import business_of, house_of, silent
from portal.outbox import Work
from portal.sync import clock_doubts


def clock_news(session: Session, work: Work) -> list[Facts | Silence]:
    """That the clock is in doubt, if it still is."""
    reasons = clock_doubts.doubts(session)
    if not reasons or read_history(session, work).has_later:
        return silent(work, "the clock is believed again")
    business = business_of(session)
    return [
        ClockNews(
            message_key=event_key(business.instance_id, work, person.email),
            house=house_of(business),
            recipient=person,
            reason=reasons[0],
        )
        for person in admins(session, business)
    ]
