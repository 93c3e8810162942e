"""The contract against Radicale, a real server on a loopback port, and what is peculiar to it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from providers.calendars.base import CalendarRef
from providers.errors import AccessRevoked, OwnerMustAct, SyncTokenExpired
from tests.providers.caldav_contract import CalDavContract, open_caldav
from tests.providers.caldav_people import CalDavPerson
from tests.providers.contract import HOUR, NINE, by_id, read
from tests.providers.servers import RadicaleServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadicaleServer]:
    with RadicaleServer(tmp_path_factory.mktemp("radicale"), users={"ana": "secret", "ben": "word"}) as running:
        yield running


class TestRadicale(CalDavContract):
    """The contract."""


def test_a_wrong_password_is_revoked_access(server: RadicaleServer) -> None:
    server.users["ana"], right = "wrong", server.users["ana"]
    try:
        with pytest.raises(AccessRevoked, match="app password"):
            open_caldav(server).list_calendars()
    finally:
        server.users["ana"] = right


def test_another_persons_calendar_may_not_be_written(server: RadicaleServer) -> None:
    url = server.make_calendar("ben", "private")
    with pytest.raises(OwnerMustAct):
        read(open_caldav(server, user="ana"), CalendarRef(remote_id=url, zone="UTC"))


def test_a_token_really_expires_and_a_whole_reading_finds_what_was_deleted(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with RadicaleServer(tmp_path_factory.mktemp("forgetful"), max_sync_token_age=2) as server:
        url = server.make_calendar("ana", "bookings")
        calendar, person, provider = (
            CalendarRef(remote_id=url, zone="UTC"),
            CalDavPerson(server, url),
            open_caldav(server),
        )
        kept, gone = (person.add_event(name, NINE, NINE + HOUR) for name in ("Kept", "Gone"))
        first = read(provider, calendar)
        known = {path: event.etag for path, event in by_id(first).items()}
        time.sleep(3.2)
        person.remove_event(gone)
        read(provider, calendar)
        person.add_event("Later", NINE + HOUR, NINE + 2 * HOUR)
        read(provider, calendar)
        with pytest.raises(SyncTokenExpired):
            read(provider, calendar, first.next_token, known)
        again = read(provider, calendar, None, known)
        assert (again.is_complete, again.unchanged) == (True, {kept})
        assert gone not in by_id(again)


def test_a_server_started_again_is_read_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = RadicaleServer(tmp_path_factory.mktemp("restarted")).start()
    url = server.make_calendar("ana", "bookings")
    calendar, person, provider = CalendarRef(remote_id=url, zone="UTC"), CalDavPerson(server, url), open_caldav(server)
    token = read(provider, calendar).next_token
    server.stop()
    server.start()
    added = person.add_event("After", NINE, NINE + HOUR)
    assert by_id(read(provider, calendar, token)).keys() == {added}
    server.stop()
