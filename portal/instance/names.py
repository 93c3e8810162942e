"""Which instance id names what. After a restore (or in a copy) numbers go on from where the backup stopped, while the same numbers were given
to others since. So a new id is taken then, and whatever is older keeps the one under which the world knows it. Pure.

Remote ids, UIDs and marks of events follow the appointment's number, Message-IDs of mails about bookings the time of their outbox entry. What is
derived from random numbers keeps the first id for ever: no restore gives such a number twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class InstanceIds:
    """`first` is the business's; `later` are rows of `Instance.ids`, oldest first: `id`, `since` when, and `after` which appointment it names."""

    first: str
    later: Sequence[Mapping[str, Any]] = ()

    @property
    def current(self) -> str:
        """What names new things."""
        return str(self.later[-1]["id"]) if self.later else self.first

    def of(self, appointment_id: int) -> str:
        """What names this appointment in calendars."""
        fitting = (str(row["id"]) for row in reversed(self.later) if appointment_id > int(row["after"]))
        return next(fitting, self.first)

    def at(self, moment: datetime) -> str:
        """What names what was recorded then."""
        fitting = (str(row["id"]) for row in reversed(self.later) if moment >= datetime.fromisoformat(row["since"]))
        return next(fitting, self.first)

    def knows(self, instance_id: str) -> bool:
        """Whether it is ours, today's or an earlier one."""
        return instance_id == self.first or any(row["id"] == instance_id for row in self.later)
