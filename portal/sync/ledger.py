"""The ledger: an append-only story of what sync did, one human sentence a line, in the transaction of what it tells.

Lines are sealed later, in batches: each seal hashes the line together with the seal before it, so a line that is altered, removed
or slipped in afterwards breaks the chain from there on. Sealing apart keeps writers from queueing for the end of the chain.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.sync.models import LedgerLine

BATCH = 1000


def write(
    session: Session,
    kind: str,
    sentence: str,
    *,
    connection_id: int | None = None,
    calendar_id: int | None = None,
    appointment_id: int | None = None,
    **details: Any,
) -> None:
    """Add a line in the caller's transaction. `kind` is one word for programs (published, moved, state ...); never a secret."""
    session.add(
        LedgerLine(
            kind=kind,
            sentence=sentence,
            connection_id=connection_id,
            calendar_id=calendar_id,
            appointment_id=appointment_id,
            details=details,
        )
    )


def seal_lines(session: Session, *, limit: int = BATCH) -> int:
    """Chain the oldest unsealed lines, in order of their ids; returns how many. One caller at a time."""
    last = session.execute(
        select(LedgerLine.seal_no, LedgerLine.seal).order_by(LedgerLine.seal_no.desc().nulls_last()).limit(1)
    ).first()
    number, seal = (last.seal_no or 0, last.seal or "") if last else (0, "")
    lines = session.scalars(select(LedgerLine).where(LedgerLine.seal_no.is_(None)).order_by(LedgerLine.id).limit(limit))
    count = 0
    for line in lines.all():
        number, count = number + 1, count + 1
        seal = _seal(line, number=number, previous=seal)
        line.seal_no, line.seal = number, seal
    return count


def verify(session: Session) -> LedgerLine | None:
    """The first line that does not fit the chain, or None when every sealed line does."""
    number, seal = 0, ""
    while True:
        lines = session.scalars(
            select(LedgerLine).where(LedgerLine.seal_no > number).order_by(LedgerLine.seal_no).limit(BATCH)
        ).all()
        if not lines:
            return None
        for line in lines:
            number += 1
            seal = _seal(line, number=number, previous=seal)
            if (line.seal_no, line.seal) != (number, seal):
                return line
        session.expire_all()  # a long story need not be held in memory


def unsealed(session: Session) -> int:
    """How many lines wait for their seal."""
    return session.scalar(select(func.count()).select_from(LedgerLine).where(LedgerLine.seal_no.is_(None))) or 0


def _seal(line: LedgerLine, *, number: int, previous: str) -> str:
    told = [
        previous, number, line.id, line.at.astimezone(UTC).isoformat(), line.kind, line.sentence,
        line.connection_id, line.calendar_id, line.appointment_id, line.details,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
