"""Calendars on a CalDAV server (iCloud, Fastmail, Nextcloud, Radicale, Xandikos, Cyrus and others).

Fulfils `providers.calendars.base.CalendarProvider`. A calendar's remote id is its whole address, an event's remote id the path of its object:
so events keep their ids when a server moves to another host. Protocol: RFC 4791, RFC 6578, RFC 6764.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from providers.calendars.base import (
    CalendarRef,
    Capabilities,
    ChangeBatch,
    EventDraft,
    Receipt,
    RemoteCalendar,
    RemoteEvent,
    Span,
    Subscription,
)
from providers.calendars.caldav.changes import read_busy, read_changes
from providers.calendars.caldav.discovery import find_calendars, look_at_calendar
from providers.calendars.caldav.objects import read_object, told
from providers.calendars.caldav.wire import DavWire
from providers.calendars.caldav.writes import delete_event, path_for, put_event


def open_account(
    *, account: Mapping[str, str], secret: Mapping[str, str], http_session: Any, **_unused: Any
) -> CalDavCalendars:
    """See `providers.kind.OpenAccount`."""
    return CalDavCalendars(
        url=account["url"], username=account["username"], password=secret["password"], http_session=http_session
    )


class CalDavCalendars:
    """One signed-in account on one server. Not shared between threads.

    `url` may lead to the server, the principal, the home of the calendars or one calendar. Every request goes through
    `http_session`, with redirects off; `clock` gives the DTSTAMP of what is written. Raises Misconfigured at once for
    what is no address.
    """

    def __init__(
        self,
        *,
        url: str,
        username: str,
        password: str,
        http_session: Any,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._wire = DavWire(url=url, username=username, password=password, http_session=http_session)
        self._clock = clock

    def list_calendars(self) -> list[RemoteCalendar]:
        """All calendars of the account that can hold events; first the one whose own address was given, if it was."""
        return find_calendars(self._wire)

    def changes(
        self, calendar: CalendarRef, sync_token: str | None, *, window: Span, known: Mapping[str, str]
    ) -> ChangeBatch:
        """See the contract. Of a large calendar, only what touches `window` is fetched when there is no token."""
        return read_changes(self._wire, calendar, sync_token, window=window, known=known)

    def get(self, calendar: CalendarRef, remote_id: str, *, window: Span) -> RemoteEvent:
        """One object as it stands now. Raises Gone."""
        text, etag = read_object(self._wire, calendar, remote_id)
        return told(text, remote_id, etag, calendar=calendar, window=window, zone=calendar.zone)

    def remote_id_for(self, calendar: CalendarRef, uid: str) -> str:
        """The path of the object; the UID is its name where that makes a safe one."""
        return path_for(calendar, uid)

    def put(self, calendar: CalendarRef, draft: EventDraft, *, remote_id: str, if_match: str | None) -> Receipt:
        """See the contract. The receipt's remote id differs from the one asked for when the server chose another."""
        return put_event(self._wire, calendar, draft, path=remote_id, if_match=if_match, now=self._clock())

    def delete(self, calendar: CalendarRef, remote_id: str, *, if_match: str | None) -> None:
        """See the contract."""
        delete_event(self._wire, calendar, remote_id, if_match)

    def busy(self, calendar: CalendarRef, window: Span) -> list[tuple[str, Span]]:
        """The last look: one request, expanded here, so that it judges exactly as a pull does."""
        return [(event.remote_id, span) for event in read_busy(self._wire, calendar, window) for span in event.busy]

    def subscribe(
        self, calendar: CalendarRef, *, address: str, subscription_id: str, secret: str
    ) -> Subscription | None:
        """CalDAV has no push that servers agree on: polling does."""
        return None

    def unsubscribe(self, subscription: Subscription) -> None:
        """Nothing to end."""

    def capabilities(self, calendar: CalendarRef) -> Capabilities:
        """What the server says of this calendar. Raises Misconfigured when it is gone."""
        state = look_at_calendar(self._wire, calendar.remote_id)
        return Capabilities(
            has_change_feed=state.has_sync,
            can_write=state.is_writable,
            details={"zone": state.zone} if state.zone else {},
        )

    def close(self) -> None:
        """End all connections, the session's too."""
        self._wire.close()
