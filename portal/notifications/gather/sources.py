"""What all gathering of facts begins with: the row that an entry is about, the business that writes, and the end of it when nobody is told."""

from __future__ import annotations

from typing import TypeVar

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session, object_session

from portal.accounts.models import User
from portal.business.models import Business
from portal.extensions import current_settings
from portal.language.say import known_language
from portal.notifications.compose.facts import Facts, House, OwnWords, Person
from portal.notifications.compose.news import Silence
from portal.notifications.compose.wording import tag_for
from portal.notifications.models import MailText
from portal.outbox import Work

log = structlog.get_logger()
Row = TypeVar("Row")


def house_of(business: Business) -> House:
    """Who writes; links lead to the portal's public address, and answers to a person."""
    return House(
        name=business.name,
        zone=business.zone,
        language=business.language,
        url=current_settings().url,
        email=business.email or _email_of_owner(business),
    )


def business_of(session: Session) -> Business:
    """The one business of this instance."""
    return session.scalars(select(Business)).one()


def row_of(session: Session, work: Work, model: type[Row]) -> Row | None:
    """The row that "booking:12" names."""
    return session.get(model, work.subject_id)


def own_words(session: Session, kind: str, *, service_id: int, reader: Person, business: Business) -> OwnWords:
    """The admin's own words for this reader: those of the service before those of all services, subject and text apart."""
    language = known_language(tag_for(reader.language, business.language))
    texts = session.scalars(
        select(MailText).where(
            MailText.kind == kind,
            MailText.language == language,
            (MailText.service_id == service_id) | MailText.service_id.is_(None),
        )
    ).all()
    ordered = sorted(texts, key=lambda text: text.service_id is None)
    return OwnWords(
        subject=next((text.subject for text in ordered if text.subject.strip()), ""),
        body=next((text.body for text in ordered if text.body.strip()), ""),
    )


def _email_of_owner(business: Business) -> str:
    """Of the first owner who may sign in."""
    session = object_session(business)
    owner = select(User.email).where(User.role == "owner", User.is_enabled).order_by(User.id).limit(1)
    return (session.scalar(owner) if session is not None else None) or ""


def silent(work: Work, why: str | Silence) -> list[Facts | Silence]:
    """No mail, and why, for whoever reads the log."""
    silence = why if isinstance(why, Silence) else Silence(why)
    about = {"subject": work.subject, "news": work.payload.get("news")}
    log.info("no mail", entry_id=work.entry_id, reason=silence.reason, **about)
    return [silence]
