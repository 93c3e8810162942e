"""Reads the link to a new password that was asked for, while it is good. Called by `portal.notifications.deliver`."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from portal.accounts.models import PasswordReset
from portal.accounts.resets import LIVES, token_of
from portal.notifications.compose.facts import Facts, Person, ResetNews
from portal.notifications.compose.news import Silence
from portal.notifications.gather.history import event_key
from portal.notifications.gather.sources import business_of, house_of, row_of, silent
from portal.outbox import Work


def for_reset(session: Session, work: Work, *, now: datetime) -> list[Facts | Silence]:
    """The mail with the link of `reset:<id>`; none when there is no such user, or the link is not good any more."""
    row = row_of(session, work, PasswordReset)
    found = token_of(row, now=now) if row is not None else None
    if found is None:
        is_over = row is not None and row.expires_at <= now and row.used_at is None
        return silent(work, Silence("no link is to be sent", is_too_late=is_over))
    user, token = found
    business = business_of(session)
    house = house_of(business)
    return [
        ResetNews(
            message_key=event_key(business.instance_id, work, user.email),
            house=house,
            recipient=Person(name=user.name, email=user.email, zone=business.zone, language=business.language),
            link=f"{house.url}/admin/new-password/{token}",
            minutes=LIVES // timedelta(minutes=1),
        )
    ]
