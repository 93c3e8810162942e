"""The worker is killed while it disconnects an account; its successor takes away what is left, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from portal.booking.models import Booking
from portal.calendars.account import account_of
from portal.calendars.models import Connection
from portal.calendars.open import calendar_ref, provider_of
from portal.clock import now_utc
from portal.extensions import db
from portal.sync.account import operations
from providers.calendars.base import RemoteEvent
from tests.faults.house import House, until
from tests.operations.sync.conftest import at, rows
from tests.support.google_server import GoogleServer

POINTS = [
    ("farewell.after_delete", "sqlite_house"),
    ("farewell.after_delete", "postgres_house"),
    ("farewell.before_forget", "sqlite_house"),
    ("farewell.after_delete", "google_house"),
    ("farewell.before_forget", "google_house"),
]


@pytest.fixture
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    """The house that the test's parameter names."""
    found: House = request.getfixturevalue(request.param)
    with found.app.app_context():
        found.furnish()
        yield found
        db.session.remove()


@pytest.mark.parametrize(("point", "house"), POINTS, indirect=["house"])
def test_a_kill_in_the_middle_of_a_farewell(point: str, house: House):
    for days in (2, 3, 4):
        house.booked(at(days, 10))
    house.person.add_event("Dentist", at(2, 14), at(2, 15))
    look = Look(house)
    operations.disconnect(house.connection().id, take_away=True, by="Ana", now=now_utc())

    with house.worker(failpoint=point) as victim:
        until(victim.dies, what=f"the worker to die at {point}")
    left = len([event for event in look.events() if event.mark])
    assert left == (2 if point == "farewell.after_delete" else 0)
    assert len(rows(Connection)) == 1
    house.let_leases_end()
    with house.worker() as successor:
        until(lambda: rows(Connection) == [], what="the account to be forgotten")
        until(house.is_settled, what="the outbox to be empty")
        assert successor.stop() == 0
    assert look.titles_in_the_end() == ["Dentist"]
    assert [booking.status for booking in rows(Booking)] == ["confirmed"] * 3


class Look:
    """Looks into the calendar as long as the sign-in lasts, also when its connection plays no role any more."""

    def __init__(self, house: House) -> None:
        self._server, calendar = house.server, house.calendar()
        self._account, self._ref = account_of(calendar.connection), calendar_ref(calendar)
        db.session.rollback()

    def events(self) -> list[RemoteEvent]:
        db.session.rollback()
        with provider_of(self._account) as provider:
            batch = provider.changes(self._ref, None, window=(at(-30, 0), at(90, 0)), known={})
        return list(batch.upserts)

    def titles_in_the_end(self) -> list[str]:
        """With the permission given back, only the stand-in itself can tell what stands in a Google calendar."""
        if not isinstance(self._server, GoogleServer):
            return [event.summary for event in self.events()]
        email = self._account.account["username"]
        assert not self._server.account(email).grant_state()["granted"]
        return [event["summary"] for event in self._server.account(email).events(email)]
