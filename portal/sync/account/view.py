"""Everything that the integrations page shows of the connected accounts, account by account. Reads only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.business.models import Resource
from portal.calendars.models import Connection
from portal.sync.account.catch_up_card import Card, card_of
from portal.sync.account.disconnecting import Parting, parting_of
from portal.sync.push.state import PushState, push_states
from portal.sync.state.overview import CalendarFacts, list_calendars


@dataclass(frozen=True, slots=True)
class CalendarView:
    """One calendar: how it does, how changes reach us, and what changed while it was away, if that is news."""

    facts: CalendarFacts
    push: PushState
    card: Card | None


@dataclass(frozen=True, slots=True)
class AccountView:
    """One connection. While it is being disconnected (`parting`) it has no calendars to show any more."""

    connection: Connection
    resource: Resource
    calendars: tuple[CalendarView, ...]
    parting: Parting | None = None

    @property
    def waiting(self) -> int:
        return sum(view.facts.waiting for view in self.calendars)

    @property
    def stuck(self) -> int:
        return sum(view.facts.stuck for view in self.calendars)

    @property
    def is_busy(self) -> bool:
        """Something is going on that a person waits for: a first reading, writes after a refresh, a farewell."""
        parting = self.parting
        if parting is not None:
            return not parting.may_force
        if self.connection.state != "connected":
            return False
        is_catching_up = any(view.card and view.card.until is None for view in self.calendars)
        return is_catching_up or any(view.facts.calendar.last_read_at is None for view in self.calendars)


def list_accounts(
    session: Session, *, resource_ids: Collection[int], now: datetime, titles_of: Collection[int] = ()
) -> list[AccountView]:
    """The accounts of these resources, by resource; those that are being disconnected stand among them. Events are named for the resources in
    `titles_of` alone."""
    by_connection: dict[int, list[CalendarFacts]] = {}
    for facts in list_calendars(session, resource_ids=resource_ids, titles_of=titles_of):
        by_connection.setdefault(facts.connection.id, []).append(facts)
    pushes = push_states(session, [f.calendar for some in by_connection.values() for f in some], now=now)
    rows = session.execute(
        select(Connection, Resource)
        .join(Resource, Resource.id == Connection.resource_id)
        .where(Connection.resource_id.in_(resource_ids))
        .order_by(Resource.position, Resource.id, Connection.id)
    ).all()
    return [
        AccountView(
            connection,
            resource,
            tuple(
                CalendarView(
                    facts,
                    pushes[facts.calendar.id],
                    card_of(session, facts.calendar, now=now, with_titles=facts.resource.id in titles_of),
                )
                for facts in by_connection.get(connection.id, ())
            ),
            parting_of(session, connection, now=now),
        )
        for connection, resource in rows
    ]
