"""The last look before a booking: ask calendars that were not read just now about this one window. Never inside a transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from portal.booking import statements
from portal.booking.statements import rows
from portal.calendars.last_look import look
from portal.extensions import db
from portal.intervals import Interval

RECENT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the look found: busy time by resource id, and the calendars that answered."""

    busy: Mapping[int, Sequence[Interval]] = field(default_factory=dict)
    calendars: frozenset[int] = frozenset()


NOTHING_SEEN = Seen()


def look_ahead(resource_ids: Iterable[int], window: Interval, *, now: datetime) -> Seen:
    """Ask the busy sources last read over 30 s ago; all together within 1.5 s. A calendar that does not answer is left to its rule."""
    session: Session = db.session()
    ids = list(resource_ids)
    unread = rows(session, statements.not_read_since(), ids=ids, moment=now - RECENT)
    asked = {calendar_id for (calendar_id,) in unread}
    session.rollback()  # the read is over: nothing stays open while outside servers think
    if not asked:
        return NOTHING_SEEN
    answer = look(ids, window, now=now)
    busy: dict[int, list[Interval]] = defaultdict(list)
    for found in answer.busy:
        busy[found.resource_id].append(found.interval)
    return Seen(busy=busy, calendars=frozenset(asked - set(answer.unreadable)))
