"""Objects that programs wrote badly, through a real server to the busy time: one of each kind, and never time that is free though it is taken.

What Radicale itself refuses to store is put into its answers on the way, as servers do that check nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from xml.sax.saxutils import escape

import pytest

from portal.outbound.session import guarded_session
from providers.calendars.base import CalendarRef, RemoteEvent, Span
from providers.calendars.caldav.calendars import CalDavCalendars
from tests.providers.caldav_people import CalDavPerson, vcalendar
from tests.providers.servers import RadicaleServer
from tests.providers.stand_in import Answer, Asked, StandIn

WINDOW: Span = (datetime(2027, 5, 1, tzinfo=UTC), datetime(2027, 8, 1, tzinfo=UTC))
HOUR = "\nDURATION:PT1H"
PLACEHOLDER = "DTSTART:20200101T000000Z"
ZONE = """\
BEGIN:VTIMEZONE
TZID:{}
BEGIN:STANDARD
DTSTART:20071104T020000
RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:20070311T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
END:DAYLIGHT
END:VTIMEZONE"""
CHANGED = "{}\nEND:VEVENT\nBEGIN:VEVENT\nUID:odd\nDTSTAMP:20260101T000000Z\n{}"


class Kind(NamedTuple):
    """One object, and the instants in June 2027 at which it takes time."""

    body: str
    taken: list[str]
    head: str = ""
    mark: str = ""
    line_end: str = "\r\n"
    cut: str = ""


KINDS = {
    "a zone of Exchange": Kind("DTSTART;TZID=tzone://Microsoft/Utc:20270601T090000" + HOUR, ["01T09"]),
    "the same in quotes": Kind('DTSTART;TZID="tzone://Microsoft/Utc":20270601T090000' + HOUR, ["01T09"]),
    "a numbered zone": Kind("DTSTART;TZID=Eastern Standard Time 1:20270601T090000" + HOUR, ["01T13"]),
    "a zone as Outlook shows it": Kind("DTSTART;TZID=Pacific Time (US & Canada):20270601T090000" + HOUR, ["01T16"]),
    "a zone in small letters": Kind("DTSTART;TZID=america/new_york:20270601T090000" + HOUR, ["01T13"]),
    "the zone of the file": Kind("DTSTART:20270601T090000" + HOUR, ["01T13"], "X-WR-TIMEZONE:Eastern Standard Time"),
    "a zone with rules of its own": Kind("DTSTART;TZID=EST:20270601T090000" + HOUR, ["01T13"], ZONE.format("EST")),
    "a zone spelt twice": Kind(
        'DTSTART;TZID="My zone, here":20270601T090000' + HOUR, ["01T13"], ZONE.format("My zone\\, here")
    ),
    "days that end in UTC": Kind(
        "DTSTART;VALUE=DATE:20270615\nRRULE:FREQ=DAILY;UNTIL=20270616T220000Z", ["15T12", "16T12", "17T12"]
    ),
    "a day that ends before it": Kind(
        "DTSTART;VALUE=DATE:20270612\nRRULE:FREQ=YEARLY;UNTIL=20270611T220000Z", ["12T12"]
    ),
    "taken out and changed": Kind(
        CHANGED.format(
            "DTSTART;TZID=Europe/Berlin:20270610T220000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2\nEXDATE:20270611T200000Z",
            "RECURRENCE-ID;TZID=Europe/Berlin:20270611T220000\nDTSTART;TZID=Europe/Berlin:20270611T120000" + HOUR,
        ),
        ["10T20", "11T10"],
    ),
    "changed on a day": Kind(
        CHANGED.format(
            "DTSTART;TZID=America/New_York:20270617T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2",
            "RECURRENCE-ID;VALUE=DATE:20270618\nDTSTART;TZID=America/New_York:20270618T150000" + HOUR,
        ),
        ["17T13", "18T19"],
    ),
    "a further date": Kind(
        "DTSTART;TZID=America/New_York:20270617T090000\nDURATION:PT1H\nRDATE:20270618T090000", ["17T13", "18T13"]
    ),
    "an hour 24": Kind(
        "DTSTART;TZID=Europe/Berlin:20270601T220000\nDTEND;TZID=Europe/Berlin:20270601T240000", ["01T20", "01T21"]
    ),
    "a length of zeros": Kind("DTSTART:20270601T090000Z\nDURATION:P0Y0M0DT1H0M0S", ["01T09"]),
    "a length without T": Kind("DTSTART:20270601T090000Z\nDURATION:P1H", ["01T09"]),
    "a length without unit": Kind("DTSTART:20270601T090000Z\nDURATION:PT3600", ["01T09"]),
    "two ends": Kind("DTSTART:20270601T090000Z\nDTEND:20270601T090000Z\nDURATION:PT1H", ["01T09"]),
    "an end that is none": Kind("DTSTART:20270601T090000Z\nDTEND:soon", ["01T09"]),
    "a rule of RFC 7529": Kind(
        "DTSTART:20270601T090000Z\nDURATION:PT1H\nRRULE:RSCALE=GREGORIAN;FREQ=WEEKLY;COUNT=2", ["01T09", "08T09"]
    ),
    "an empty part": Kind(
        "DTSTART:20270601T090000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;BYDAY=;COUNT=2", ["01T09", "08T09"]
    ),
    "a blank in a rule": Kind(
        "DTSTART:20270601T090000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY; COUNT=2", ["01T09", "08T09"]
    ),
    "Exchange's own state": Kind(
        "DTSTART:20270601T090000Z\nDURATION:PT1H\nX-MICROSOFT-CDO-BUSYSTATUS:OOF\nX-MICROSOFT-CDO-INTENDEDSTATUS:FREE",
        ["01T09"],
    ),
    "a byte order mark": Kind("DTSTART:20270601T090000Z" + HOUR, ["01T09"], mark="\ufeff"),
    "lines ended twice": Kind("DTSTART:20270601T090000Z\nDURATION:P\n T1H", ["01T09"], line_end="\r\r\n"),
    "no end of the calendar": Kind("DTSTART:20270601T090000Z" + HOUR, ["01T09"], cut="END:VCALENDAR"),
    "no end of the event": Kind("DTSTART:20270601T090000Z" + HOUR, ["01T09"], cut="END:VEVENT"),
    "grouped lines": Kind("item1.DTSTART:20270601T090000Z\nitem1.DURATION:PT1H", ["01T09"]),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RemoteEvent]]:
    with RadicaleServer(tmp_path_factory.mktemp("odd"), users={"ana": "secret"}) as server:
        calendar = CalendarRef(remote_id=server.make_calendar("ana", "odd"), zone="Europe/Berlin")
        person, refused = CalDavPerson(server, calendar.remote_id), {}
        for number, kind in enumerate(KINDS.values()):
            if not put(person, number, text_of(number, kind)):
                refused[f"odd-{number}"] = text_of(number, kind)
                assert put(person, number, vcalendar(f"UID:odd-{number}\n{PLACEHOLDER}"))
        with StandIn(server.port) as front:
            front.spoil = lambda asked, answer: with_objects(asked, answer, refused)
            session = guarded_session(allow=[f"127.0.0.1:{front.port}"])
            provider = CalDavCalendars(url=front.url, username="ana", password="secret", http_session=session)
            there = CalendarRef(remote_id=front.url + calendar.remote_id.removeprefix(server.url), zone="Europe/Berlin")
            batch = provider.changes(there, None, window=WINDOW, known={})
            yield {event.uid: event for event in batch.upserts}


def text_of(number: int, kind: Kind) -> str:
    body = kind.body.replace("UID:odd\n", f"UID:odd-{number}\n")
    text = kind.mark + vcalendar(f"UID:odd-{number}\nSUMMARY:x\n{body}", head=kind.head).replace("\r\n", kind.line_end)
    return text.partition(kind.cut)[0] if kind.cut else text


def put(person: CalDavPerson, number: int, text: str) -> bool:
    path = f"/ana/odd/odd-{number}.ics"
    return bool(
        person.ask("PUT", path, body=text, headers={"Content-Type": "text/calendar; charset=utf-8"}).status_code == 201
    )


def with_objects(asked: Asked, answer: Answer, refused: dict[str, str]) -> Answer:
    """The answer as a server would give it that takes whatever it is given."""

    def put_in(match: re.Match[str]) -> str:
        uid = re.search(r"UID:(odd-\d+)", match[2])
        odd = refused.get(uid[1]) if uid and PLACEHOLDER in match[2] else None
        return f"{match[1]}{escape(odd, {chr(13): '&#13;'})}{match[3]}" if odd else match[0]

    if asked.method == "GET" and (name := re.search(r"odd-\d+", asked.path)) and name[0] in refused:
        return Answer(answer.status, answer.headers, refused[name[0]].encode())
    body = re.sub(r"(<C:calendar-data>)(.*?)(</C:calendar-data>)", put_in, answer.body.decode(), flags=re.DOTALL)
    return Answer(answer.status, answer.headers, body.encode())


@pytest.mark.parametrize("number", range(len(KINDS)), ids=list(KINDS))
def test_time_that_is_taken_is_never_free(found: dict[str, RemoteEvent], number: int) -> None:
    kind, event = list(KINDS.values())[number], found[f"odd-{number}"]
    for instant in kind.taken:
        at = datetime.strptime(f"202706{instant}", "%Y%m%dT%H").replace(tzinfo=UTC)
        assert any(start <= at and at + timedelta(hours=1) <= end for start, end in event.busy), (
            event.busy,
            event.problem,
        )
