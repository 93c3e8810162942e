"""An admin's own words for mails: read, kept, taken back. Called by the page that edits them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import Invalid, NotFound
from portal.language.names import can_be_seen
from portal.language.say import LANGUAGES
from portal.notifications.compose.own_words import KINDS, placeholders_of, unknown_placeholders
from portal.notifications.models import MailText

LONGEST = {"subject": 200, "body": 5000}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """For which mails a text stands: one kind, one language, one service or (None) all."""

    kind: str
    language: str
    service_id: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.language not in LANGUAGES:
            raise NotFound("There is no such mail.")


def find_text(session: Session, place: Place) -> MailText | None:
    """The admin's own words, if there are any."""
    return session.scalar(_at(place))


def list_texts(session: Session) -> dict[Place, MailText]:
    """All of them."""
    rows = session.scalars(select(MailText).order_by(MailText.id))
    return {Place(kind=row.kind, language=row.language, service_id=row.service_id): row for row in rows}


def check_text(subject: str, body: str, *, kind: str) -> tuple[str, str]:
    """The words as they are kept. Raises Invalid with a sentence per field: too long, or placeholders that nobody knows, by name."""
    typed = {"subject": " ".join(_tidy(subject).split()), "body": _tidy(body).strip()}
    typed = {name: text if can_be_seen(text) else "" for name, text in typed.items()}
    problems = {name: _problem(text, LONGEST[name], kind) for name, text in typed.items()}
    fields = {name: problem for name, problem in problems.items() if problem}
    if fields:
        raise Invalid("The text is not kept yet: something in it does not fit.", fields=fields)
    return typed["subject"], typed["body"]


def save_text(place: Place, subject: str, body: str) -> bool:
    """Keep these words; with neither subject nor text it is the portal's own again. True when there are own words now. Raises Invalid."""
    subject, body = check_text(subject, body, kind=place.kind)

    def work(session: Session) -> bool:
        row = session.scalar(_at(place).with_for_update())
        if not subject and not body:
            if row is not None:
                session.delete(row)
            return False
        if row is None:
            row = MailText(kind=place.kind, language=place.language, service_id=place.service_id)
            session.add(row)
        if (row.subject, row.body) != (subject, body):
            row.subject, row.body, row.updated_at = subject, body, now_utc()
        return True

    return transaction(work)


def reset_text(place: Place) -> None:
    """Back to the portal's own words."""
    save_text(place, "", "")


def _at(place: Place) -> Select[MailText]:
    return select(MailText).where(
        MailText.kind == place.kind, MailText.language == place.language, MailText.service_id == place.service_id
    )


def _tidy(text: str) -> str:
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _problem(text: str, longest: int, kind: str) -> str:
    if len(text) > longest:
        return f"Please use at most {longest} characters; these are {len(text)}."
    unknown = [f"{{{name}}}" for name in unknown_placeholders(text, kind)]
    if not unknown:
        return ""
    known = ", ".join(f"{{{name}}}" for name in placeholders_of(kind))
    return f"Nothing is known by the name of {', '.join(unknown)} in this mail. You can use {known}."
