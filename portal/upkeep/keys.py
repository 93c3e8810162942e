"""Everything that is stored encrypted, and the change of the key. A new sealed column must be named here (a test looks for forgotten ones).

Called by `lockstep keys rotate` and `lockstep doctor`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, inspect, select, tuple_
from sqlalchemy.orm import Session

from portal.accounts.models import PasswordReset
from portal.accounts.resets import place_of
from portal.booking.models import Booking, WaitlistEntry
from portal.calendars import titles
from portal.calendars.models import Calendar, Connection, ConnectionDraft, RemoteObject, UnknownBooking
from portal.config import Settings
from portal.customers.models import Erasure, MailedCode
from portal.database.engine import transaction
from portal.errors import Invalid
from portal.extensions import current_sealer
from portal.security import Sealer, load_sealer, new_encryption_key

BATCH = 500


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column with sealed texts; `place` gives what each is bound to."""

    model: Any
    column: str
    place: Callable[[Any], str]


SEALED = (
    Sealed(Connection, "sealed_secret", lambda row: f"connection/{row.id}/sealed_secret"),
    Sealed(Calendar, "sealed_meanwhile", lambda row: titles.note_place(row.id)),
    Sealed(RemoteObject, "sealed_summary", lambda row: titles.title_place(row.calendar_id, row.remote_id)),
    Sealed(
        UnknownBooking, "sealed_summary", lambda row: titles.unknown_place(row.calendar_id, row.remote_id, "summary")
    ),
    Sealed(
        UnknownBooking,
        "sealed_description",
        lambda row: titles.unknown_place(row.calendar_id, row.remote_id, "description"),
    ),
    Sealed(Booking, "sealed_manage_token", lambda row: f"booking/{row.public_id}/manage_token"),
    Sealed(WaitlistEntry, "sealed_token", lambda row: f"waitlist/{row.public_id}/token"),
    Sealed(MailedCode, "sealed_code", lambda row: f"code/{row.public_id}/code"),
    Sealed(PasswordReset, "sealed_token", lambda row: place_of(row.token_hash)),
    Sealed(Erasure, "sealed_email", lambda row: f"erasure/{row.id}/email"),
)
SHORT_LIVED = (ConnectionDraft,)
"""Sealed too, but thrown away at a change of keys: somebody is typing at that very minute, and types again."""


def rotate(settings: Settings) -> int:
    """Seal everything with a new key, and forget the old one; gives how many texts. The portal must not run meanwhile.

    With ENCRYPTION_KEYS in the environment its first key is the new one. Else the key file gets a new one: first both keys, so that a
    crash leaves nothing that does not open, and only the new one when all is written. Raises Invalid when something does not open.
    """
    if settings.encryption_keys:
        return _seal_again(load_sealer(settings))
    path = settings.data / "keys" / "encryption"
    old = path.read_text(encoding="ascii").strip()
    new = new_encryption_key()
    _write(path, f"{new},{old}")
    count = _seal_again(load_sealer(settings))
    _write(path, new)
    return count


def unreadable(session: Session, *, sealer: Sealer | None = None) -> list[str]:
    """A sentence for each connection whose secret does not open, and one for all bookings together."""
    opener = sealer or current_sealer()
    sentences = []
    for sealed in SEALED:
        broken = [_key(row) for row in _rows(session, sealed) if not _opens(opener, sealed, row)]
        if broken:
            table = sealed.model.__tablename__
            first = "/".join(str(part) for part in broken[0])
            sentences.append(
                f"{len(broken)} of the sealed texts in {table} do not open (first: {first}). ENCRYPTION_KEYS lacks a key."
            )
    return sentences


def _seal_again(sealer: Sealer) -> int:
    def work(session: Session) -> int:
        for model in SHORT_LIVED:
            session.execute(delete(model))
        return sum(_seal_column(session, sealer, sealed) for sealed in SEALED)

    return transaction(work)


def _seal_column(session: Session, sealer: Sealer, sealed: Sealed) -> int:
    count = 0
    for row in _rows(session, sealed):
        text = getattr(row, sealed.column)
        if not sealer.is_current(text):
            place = sealed.place(row)
            setattr(row, sealed.column, sealer.seal(sealer.open(text, place=place), place=place))
            count += 1
    return count


def _rows(session: Session, sealed: Sealed) -> Iterator[Any]:
    """All rows with a sealed text, a batch at a time."""
    column = getattr(sealed.model, sealed.column)
    keys = inspect(sealed.model).primary_key
    statement = select(sealed.model).where(column.is_not(None), column != "").order_by(*keys).limit(BATCH)
    rows = session.scalars(statement).all()
    while rows:
        yield from rows
        rows = session.scalars(statement.where(tuple_(*keys) > tuple_(*_key(rows[-1])))).all()


def _key(row: Any) -> tuple[Any, ...]:
    identity: tuple[Any, ...] = inspect(row).identity
    return identity


def _opens(sealer: Sealer, sealed: Sealed, row: Any) -> bool:
    try:
        sealer.open(getattr(row, sealed.column), place=sealed.place(row))
    except (Invalid, ValueError):
        return False
    return True


def _write(path: Path, text: str) -> None:
    """Replace the file in one step."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
