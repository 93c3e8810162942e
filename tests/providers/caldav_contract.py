"""What every CalDAV server must make possible beyond the common contract. Plugged into each server's test file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from portal.outbound.session import guarded_session
from providers.calendars.base import CalendarRef, RemoteEvent
from providers.calendars.caldav import changes
from providers.calendars.caldav.calendars import CalDavCalendars
from providers.errors import Conflict, Misconfigured
from tests.providers.caldav_people import CalDavPerson, vcalendar
from tests.providers.contract import HOUR, NINE, CalendarContract, by_id, draft, read
from tests.providers.servers import CalDavServer


def open_caldav(server: CalDavServer, url: str | None = None, user: str | None = None) -> CalDavCalendars:
    """The provider as the portal opens it, on the guarded session, with the test's server allowed."""
    name, password = server.credentials(user)
    session = guarded_session(allow=[f"127.0.0.1:{server.port}"])
    return CalDavCalendars(url=url or server.url, username=name, password=password, http_session=session)


class CalDavContract(CalendarContract):
    """Subclasses live in a module with a `server` fixture (one for the module) and name its provider's address."""

    @pytest.fixture
    def calendar_url(self, server: CalDavServer, request: pytest.FixtureRequest) -> Iterator[str]:
        url = server.make_calendar(server.username, f"c{abs(hash(request.node.nodeid)):x}")
        yield url
        server.ask("DELETE", url)

    @pytest.fixture
    def calendar(self, calendar_url: str) -> CalendarRef:
        return CalendarRef(
            remote_id=calendar_url, zone="Europe/Madrid", own_addresses=frozenset({"ana@studio.example"})
        )

    @pytest.fixture
    def provider(self, server: CalDavServer, calendar_url: str) -> Iterator[CalDavCalendars]:
        provider = open_caldav(server)
        yield provider
        provider.close()

    @pytest.fixture
    def person(self, server: CalDavServer, calendar_url: str) -> CalDavPerson:
        return CalDavPerson(server, calendar_url)

    # Finding calendars

    def test_the_calendars_own_address_leads_to_it(self, server: CalDavServer, calendar: CalendarRef) -> None:
        for typed in (calendar.remote_id, calendar.remote_id.rstrip("/")):
            provider = open_caldav(server, typed)
            assert provider.list_calendars()[0].remote_id == calendar.remote_id
            provider.close()

    def test_the_home_and_the_well_known_address_lead_to_it(self, server: CalDavServer, calendar: CalendarRef) -> None:
        home = calendar.remote_id.rstrip("/").rpartition("/")[0] + "/"
        for typed in (home, server.url + ".well-known/caldav", server.url):
            provider = open_caldav(server, typed)
            assert calendar.remote_id in [listed.remote_id for listed in provider.list_calendars()]
            provider.close()

    def test_an_address_beside_it_is_misconfigured_when_read(
        self, provider: CalDavCalendars, person: CalDavPerson
    ) -> None:
        path = person.add_event("An event is no calendar", NINE, NINE + HOUR)
        parts = urlsplit(person.calendar_url)
        with pytest.raises(Misconfigured):
            read(provider, CalendarRef(remote_id=f"{parts.scheme}://{parts.netloc}{path}/", zone="UTC"))

    def test_it_says_what_works(self, provider: CalDavCalendars, calendar: CalendarRef) -> None:
        able = provider.capabilities(calendar)
        assert (able.has_change_feed, able.has_push, able.can_write) == (True, False, True)

    # Reading

    def test_a_series_takes_each_of_its_times(
        self, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
    ) -> None:
        rule = "DTSTART;TZID=Europe/Madrid:20100301T100000\nDTEND;TZID=Europe/Madrid:20100301T110000\nRRULE:FREQ=WEEKLY"
        path = person.add_object(vcalendar(f"UID:choir\nSUMMARY:Choir\n{rule}"), name="choir.ics")
        event = by_id(read(provider, calendar))[path]
        assert event.is_recurring
        assert len(event.busy) == 13
        # Ten in the morning in Madrid, before and after the change of 28 March.
        assert {start.hour for start, _ in event.busy} == {9, 8}

    def test_one_occurrence_changed_shows_in_the_delta(
        self, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
    ) -> None:
        master = "UID:s\nDTSTART:20270301T090000Z\nDTEND:20270301T100000Z\nRRULE:FREQ=DAILY;COUNT=3"
        moved = "UID:s\nRECURRENCE-ID:20270302T090000Z\nDTSTART:20270302T150000Z\nDTEND:20270302T160000Z"
        person.add_object(vcalendar(master), name="s.ics")
        first = read(provider, calendar)
        person.add_object(vcalendar(master, moved), name="s.ics")
        (event,) = read(provider, calendar, first.next_token).upserts
        assert [start.hour for start, _ in event.busy] == [9, 15, 9]

    def test_an_all_day_event_takes_the_local_day(
        self, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
    ) -> None:
        person.add_object(vcalendar("UID:d\nDTSTART;VALUE=DATE:20270328\nDTEND;VALUE=DATE:20270329"), name="d.ics")
        (event,) = read(provider, calendar).upserts
        ((start, end),) = event.busy
        assert (start, end - start) == (datetime(2027, 3, 27, 23, tzinfo=UTC), timedelta(hours=23))
        # Half past midnight in Madrid is still the day before in UTC; the last look must see it all the same.
        looked = provider.busy(calendar, (start + HOUR / 2, start + HOUR))
        assert [span for _, span in looked] == [(start + HOUR / 2, start + HOUR)]

    def test_tasks_in_the_calendar_are_no_trouble(
        self, server: CalDavServer, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
    ) -> None:
        task = vcalendar("UID:t\nSUMMARY:Buy milk\nDUE:20270301T100000Z").replace("VEVENT", "VTODO")
        person.add_object(task, name="t.ics")
        person.add_event("Dentist", NINE, NINE + HOUR)
        batch = read(provider, calendar)
        assert [event.problem for event in batch.upserts] == [None] * len(batch.upserts)
        assert [span for event in batch.upserts for span in event.busy] == [(NINE, NINE + HOUR)]

    def test_a_declined_invitation_takes_no_time(
        self, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
    ) -> None:
        invitation = (
            "UID:i\nDTSTART:20270301T090000Z\nDTEND:20270301T100000Z\nORGANIZER:mailto:boss@example.org\n"
            "ATTENDEE;PARTSTAT=DECLINED:mailto:Ana@Studio.example"
        )
        person.add_object(vcalendar(invitation), name="i.ics")
        (event,) = read(provider, calendar).upserts
        assert (event.busy, event.problem) == ((), None)

    def test_of_a_large_calendar_only_what_can_matter_is_fetched(
        self,
        provider: CalDavCalendars,
        calendar: CalendarRef,
        person: CalDavPerson,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(changes, "LONG_FETCH_SECONDS", 0)
        monkeypatch.setattr(changes, "SAMPLE", 5)
        old = [
            person.add_event(f"Old {n}", NINE - timedelta(days=900 - n), NINE - timedelta(days=900 - n) + HOUR)
            for n in range(20)
        ]
        new = person.add_event("New", NINE, NINE + HOUR)
        first = read(provider, calendar)
        fetched = by_id(first).keys()
        assert new in fetched
        assert len(fetched) <= 6
        never = [path for path in old if path not in fetched]
        # What was never fetched still has its say later: moved into the window, known and unchanged, or removed.
        person.move_event(never[0], NINE + 3 * HOUR)
        person.remove_event(never[1])
        then = read(provider, calendar, first.next_token)
        assert by_id(then)[never[0]].busy == ((NINE + 3 * HOUR, NINE + 4 * HOUR),)
        assert then.removals == (never[1],)
        again = read(provider, calendar, None, {never[2]: "other", new: by_id(first)[new].etag})
        assert by_id(again).keys() >= {never[0], never[2]}
        assert again.unchanged == {new}

    # Writing

    def test_the_stored_copy_invites_nobody(
        self, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
    ) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        text = person.text(remote_id)
        assert not [word for word in ("ATTENDEE", "ORGANIZER", "METHOD") if word in text]
        assert "X-LOCKSTEP:test/1/1" in text
        assert "URL:https://book.example/b/abc" in text.replace("URL;VALUE=URI:", "URL:")

    def test_our_uid_under_another_name_is_ours_when_it_bears_our_mark(
        self, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
    ) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        text = person.text(remote_id)
        person.remove_event(remote_id)
        elsewhere = person.add_object(text, name="elsewhere.ics")
        receipt = provider.put(calendar, draft(sequence=1), remote_id=remote_id, if_match=None)
        assert receipt.remote_id == elsewhere
        assert [event.sequence for event in read(provider, calendar).upserts] == [1]

    def test_new_words_are_written_though_a_person_coloured_the_event(
        self, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
    ) -> None:
        """It means the same as before to whoever compares, but other people come."""
        remote_id = provider.remote_id_for(calendar, draft().uid)
        receipt = provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        coloured = person.text(remote_id).replace("END:VEVENT", "COLOR:teal\r\nEND:VEVENT")
        person.add_object(coloured, remote_id=remote_id)
        words = "Zoë and Kim come."
        provider.put(calendar, draft(description=words), remote_id=remote_id, if_match=receipt.etag)
        assert words in person.text(remote_id)

    def test_our_uid_on_a_strangers_event_is_a_conflict(
        self, provider: CalDavCalendars, calendar: CalendarRef, person: CalDavPerson
    ) -> None:
        body = f"UID:{draft().uid}\nDTSTART:20270301T090000Z\nDTEND:20270301T100000Z\nSUMMARY:Imported"
        stranger = person.add_object(vcalendar(body), name="imported.ics")
        remote_id = provider.remote_id_for(calendar, draft().uid)
        with pytest.raises(Conflict) as caught:
            provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        assert isinstance(caught.value.current, RemoteEvent)
        assert caught.value.current.remote_id == stranger
        assert "Imported" in person.text(stranger)
