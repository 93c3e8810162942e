"""Reads the code that was asked for, while it is good. Called by `portal.notifications.deliver`."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from portal.customers.codes import LIVES, code_of
from portal.customers.models import MailedCode
from portal.notifications.compose.facts import CodeNews, Facts, Person
from portal.notifications.compose.news import Silence
from portal.notifications.gather.history import event_key
from portal.notifications.gather.sources import business_of, house_of, row_of, silent
from portal.outbox import Work


def for_code(session: Session, work: Work, *, now: datetime) -> list[Facts | Silence]:
    """The mail with the code of `code:<id>`; none when nothing is stored about the address, or the code is not good any more."""
    row = row_of(session, work, MailedCode)
    code = code_of(row, now=now) if row is not None else ""
    if row is None or not code:
        is_over = row is not None and row.expires_at <= now and row.sealed_code is not None
        return silent(work, Silence("no code is to be sent", is_too_late=is_over))
    business = business_of(session)
    return [
        CodeNews(
            message_key=event_key(business.instance_id, work, row.email),
            house=house_of(business),
            recipient=Person(name="", email=row.email, zone="", language=row.language),
            code=code,
            minutes=LIVES // timedelta(minutes=1),
        )
    ]
