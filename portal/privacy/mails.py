"""Forgetting mails: their rows, and the files in which they are kept while no mail server is set.

A mail is forgotten with the booking or entry it tells of, whoever read it, for it names the customer. Mails about several (questions and
conflicts to staff) are found by what they say. Beside that every mail goes when it is half a year old: it is a copy of what was
sent, and nobody is told old news again by then.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from portal.booking.models import Booking, WaitlistEntry
from portal.customers.queries import is_of
from portal.database.engine import transaction
from portal.extensions import current_settings
from portal.notifications.models import Mail

KEPT = timedelta(days=180)
BATCH = 200
SHORTEST_NAME = 3
"""A shorter name stands by chance in too many other words to be looked for."""
_STAMP = re.compile(r"\.?(\d{8}T\d{6})\d{3}-")
_ABOUT_SEVERAL = re.compile(r"-(question|conflict)-[0-9a-f]{8}\.eml")


def forget_mails(
    session: Session, *, booking_ids: Collection[int], entry_ids: Collection[int], email: str = ""
) -> None:
    """Delete the mails about these bookings and entries, and those to this address. The files go first: a crash leaves rows to find them by."""
    whose: list[ColumnElement[bool]] = [Mail.booking_id.in_(booking_ids), Mail.entry_id.in_(entry_ids)]
    if email:
        whose.append(is_of(Mail.recipient, email))
    rows = session.execute(select(Mail.id, Mail.message_id).where(or_(*whose)).with_for_update()).all()
    _remove_files(row.message_id for row in rows)
    session.execute(delete(Mail).where(Mail.id.in_([row.id for row in rows])))


def mail_ids(session: Session, *, booking_ids: Collection[int], entry_ids: Collection[int]) -> list[int]:
    """The mails about these bookings and entries."""
    return list(
        session.scalars(select(Mail.id).where(or_(Mail.booking_id.in_(booking_ids), Mail.entry_id.in_(entry_ids))))
    )


def forget_mentions(session: Session, words: Collection[str]) -> None:
    """Blank the subjects of mails to others that name somebody, and remove the kept files that do. `words` are their names and addresses."""
    wanted = [word for word in words if len(word) >= SHORTEST_NAME]
    for word in wanted:
        for column in (Mail.subject, Mail.last_error):
            mentions = or_(
                column.contains(word, autoescape=True), func.lower(column).contains(word.lower(), autoescape=True)
            )
            blank = "" if column is Mail.subject else None
            session.execute(
                update(Mail).where(mentions).values({column: blank}).execution_options(synchronize_session=False)
            )
    for path in _folder().glob("*.eml"):
        if _ABOUT_SEVERAL.search(path.name) and _mentions(path, wanted):
            path.unlink(missing_ok=True)


def forget_old_mails(*, older_than: timedelta, now: datetime) -> int:
    """Delete the mails that were written longer ago, a batch at a time; gives how many."""
    count = 0
    while gone := transaction(lambda session: _forget_batch(session, before=now - older_than)):
        count += gone
    for path in _folder().glob("*.eml"):  # of rows that are gone by other ways
        if (written_at := _written_at(path)) is not None and written_at < now - older_than:
            path.unlink(missing_ok=True)
    return count


def _forget_batch(session: Session, *, before: datetime) -> int:
    rows = session.execute(
        select(Mail.id, Mail.message_id).where(Mail.created_at < before).order_by(Mail.id).limit(BATCH)
    ).all()
    _remove_files(row.message_id for row in rows)
    session.execute(delete(Mail).where(Mail.id.in_([row.id for row in rows])))
    return len(rows)


def _remove_files(message_ids: Iterable[str]) -> None:
    """By the digest that ends each name, so that files are found whose names were not noted any more; drafts of a crash (.name.pid) too."""
    digests = {hashlib.sha256(message_id.encode()).hexdigest()[:8] for message_id in message_ids}
    if not digests or not _folder().is_dir():
        return
    for path in _folder().iterdir():
        found = re.search(r"-([0-9a-f]{8})\.eml(?:\.\d+)?$", path.name)
        if found and found[1] in digests:
            path.unlink(missing_ok=True)


def _mentions(path: Path, words: Collection[str]) -> bool:
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    body = message.get_body(("plain",))
    text = f"{message['Subject']} {body.get_content() if body else ''}".casefold()
    return any(word.casefold() in text for word in words)


def _written_at(path: Path) -> datetime | None:
    found = _STAMP.match(path.name)
    return datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if found else None


def _folder() -> Path:
    folder: Path = current_settings().data / "mail"
    return folder


def mails_of(session: Session, email: str, *, limit: int | None = None) -> list[Mail]:
    """The mails to an address, and those about its bookings and entries to others, the latest first."""
    statement = select(Mail).where(about(email)).order_by(Mail.created_at.desc(), Mail.id.desc())
    return list(session.scalars(statement.limit(limit)))


def about(email: str) -> ColumnElement[bool]:
    """The mails that tell of a customer."""
    bookings = select(Booking.id).where(is_of(Booking.customer_email, email))
    entries = select(WaitlistEntry.id).where(is_of(WaitlistEntry.customer_email, email))
    return or_(is_of(Mail.recipient, email), Mail.booking_id.in_(bookings), Mail.entry_id.in_(entries))
