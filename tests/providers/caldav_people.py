"""A person at work in a CalDAV calendar with another program: plain requests, no code of ours."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from tests.providers.servers import CalDavServer

_TIME = re.compile(r"^(DTSTART|DTEND)([^:\r\n]*):(\S+)\r?$", re.MULTILINE)


class CalDavPerson:
    """Works in one calendar of one user. Remote ids are paths."""

    def __init__(self, server: CalDavServer, calendar_url: str, user: str | None = None) -> None:
        self.server = server
        self.calendar_url = calendar_url
        self.user = user

    def add_event(self, summary: str, start_at: datetime, end_at: datetime, *, remote_id: str | None = None) -> str:
        uid = uuid.uuid4().hex
        body = f"UID:{uid}\nDTSTART:{_utc(start_at)}\nDTEND:{_utc(end_at)}\nSUMMARY:{summary}"
        return self.add_object(vcalendar(body), name=f"{uid}.ics", remote_id=remote_id)

    def add_object(self, text: str, *, name: str | None = None, remote_id: str | None = None) -> str:
        """Any text as an object; gives its path."""
        path = remote_id or urlsplit(self.calendar_url).path + (name or f"{uuid.uuid4().hex}.ics")
        answer = self.ask("PUT", path, body=text, headers={"Content-Type": "text/calendar; charset=utf-8"})
        assert answer.status_code in (201, 204), (answer.status_code, answer.text)
        return path

    def move_event(self, remote_id: str, start_at: datetime) -> None:
        """Drag it to another time, keeping its length and all that the program does not know."""
        text = re.sub(r"\r?\n[ \t]", "", self.text(remote_id))
        inside = text[text.index("BEGIN:VEVENT") :]
        times = {name: _instant(value) for name, parameters, value in _TIME.findall(inside) if "TZID" not in parameters}
        length = times["DTEND"] - times["DTSTART"] if times.keys() == {"DTSTART", "DTEND"} else timedelta(hours=1)
        wanted = {"DTSTART": start_at, "DTEND": start_at + length}
        moved = _TIME.sub(lambda match: f"{match[1]}:{_utc(wanted[match[1]])}", inside)
        self.add_object(text[: text.index("BEGIN:VEVENT")] + moved, remote_id=remote_id)

    def remove_event(self, remote_id: str) -> None:
        assert self.ask("DELETE", remote_id).status_code in (200, 204)

    def text(self, remote_id: str) -> str:
        """What the server holds."""
        answer = self.ask("GET", remote_id)
        assert answer.status_code == 200, answer.status_code
        return answer.content.decode()

    def ask(self, method: str, path: str, *, body: str = "", headers: dict[str, str] | None = None):  # type: ignore[no-untyped-def]
        parts = urlsplit(self.calendar_url)
        url = f"{parts.scheme}://{parts.netloc}{path}"
        return self.server.ask(method, url, body=body, user=self.user, headers=headers)


def vcalendar(*events: str, head: str = "") -> str:
    """Events, given by their lines, as a whole object."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//A Person//EN", *head.strip().splitlines()]
    for event in events:
        lines += ["BEGIN:VEVENT", "DTSTAMP:20260101T000000Z", *event.strip().splitlines(), "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _instant(value: str) -> datetime:
    return datetime.strptime(value.rstrip("Z"), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
