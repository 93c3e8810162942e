"""Whether this installation is the one that adopted its calendars, mails and reminders. Asked before anything leaves the portal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from portal.database.engine import read_transaction
from portal.errors import NotAllowedNow
from portal.instance.identity import differences, identity_here
from portal.instance.models import Instance
from providers.errors import OwnerMustAct

RESTORED = "restored"
_WHY = {
    RESTORED: "It was restored from a backup",
    "database": "Its database is not the one that was adopted: it is a copy",
    "machine": "It stands on another machine than the one that adopted it",
    "address": "Its address is not the one under which it was adopted",
}


class NotAdopted(OwnerMustAct):
    """Nothing may leave this installation before somebody adopts what came to it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`differences` name the facts that speak against it; with none, everything is ours. `adopted_at` and `_by` are of who adopted it last."""

    differences: tuple[str, ...] = ()
    noticed_at: datetime | None = None
    restored_from: str = ""
    adopted_at: datetime | None = None

    @property
    def is_ours(self) -> bool:
        return not self.differences

    @property
    def why(self) -> str:
        """The first reason, as a sentence; empty when all is ours."""
        if self.is_ours:
            return ""
        if self.differences[0] == RESTORED and self.restored_from:
            return f"It was restored from a backup of {self.restored_from}."
        return f"{_WHY[self.differences[0]]}."

    @property
    def sentence(self) -> str:
        """What is the matter, what it means, and what to do; empty when all is ours."""
        if self.is_ours:
            return ""
        return (
            f"This portal is not adopted yet. {self.why} So nothing leaves it: calendars are neither read nor written, nobody is mailed or "
            "reminded. Bookings are taken by the rule for calendars that cannot be read. If it is to go on in the other's place, adopt it: "
            "under Today, or with `lockstep adopt`."
        )


def standing(session: Session) -> Standing:
    """As the database has it now. A database that nobody has adopted yet is ours: the first start does that."""
    row = session.get(Instance, 1, populate_existing=True)
    if row is None:
        return Standing()
    found = differences(row.identity, identity_here()) if row.identity else (RESTORED,)
    return Standing(found, row.noticed_at, row.restored_from, row.adopted_at)


def is_ours() -> bool:
    """For callers that hold no transaction."""
    return read_transaction(lambda session: standing(session).is_ours)


def require_ours() -> None:
    """The guard before anything goes outside; no transaction may be open. Raises NotAdopted, which makes outbox entries wait."""
    found = read_transaction(standing)
    if not found.is_ours:
        raise NotAdopted(found.sentence)


def require_adopted() -> None:
    """The same for what a person asks for. Raises NotAllowedNow."""
    found = read_transaction(standing)
    if not found.is_ours:
        raise NotAllowedNow(found.sentence)
