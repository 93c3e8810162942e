"""Calendars of one Google account. Fulfils `providers.calendars.base.CalendarProvider`.

A calendar's remote id is Google's (the account's address for its primary one), an event's remote id Google's too: for our own
derived from the UID. Protocol: Google Calendar API v3, by the discovery document that comes with google-api-python-client.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from providers.calendars.base import (
    AccessTokens,
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
from providers.calendars.google.changes import read_busy, read_changes
from providers.calendars.google.draft import event_id
from providers.calendars.google.errors import Declined, NotFound, Unclear, calendar_missing
from providers.calendars.google.mapping import is_zone
from providers.calendars.google.objects import WRITERS, look_at_calendar, read_object, told
from providers.calendars.google.pace import Pace
from providers.calendars.google.wire import GoogleWire, Json
from providers.calendars.google.writes import delete_event, put_event
from providers.errors import Misconfigured

PUSH_FOR = timedelta(days=7)
"""How long pushes are asked for; Google may grant less."""


class GoogleCalendars:
    """One Google account that was allowed by its owner. Not shared between threads.

    `account_name` is the account's address: all providers of one account in this process share its pace (`pace`), unless
    `pace` gives another. `api_url` is the root of the API. Every request goes through `http_session`. Nothing is asked yet.
    """

    def __init__(
        self,
        *,
        tokens: AccessTokens,
        account_name: str,
        api_url: str,
        http_session: Any,
        pace: Pace | None = None,
    ) -> None:
        self._wire = GoogleWire(
            tokens=tokens, account_name=account_name, api_url=api_url, http_session=http_session, pace=pace
        )

    def list_calendars(self) -> list[RemoteCalendar]:
        """The calendars of which events can be seen, the account's own first, under the names that its owner gave them."""
        pages = self._wire.pages("calendarList.list", maxResults=250, minAccessRole="reader")
        entries = [entry for page in pages for entry in page.get("items") or ()]
        listed = [_listed(entry) for entry in entries if _holds_events(entry)]
        return sorted(listed, key=lambda calendar: not calendar.is_primary)

    def changes(
        self, calendar: CalendarRef, sync_token: str | None, *, window: Span, known: Mapping[str, str]
    ) -> ChangeBatch:
        """See the contract. Each occurrence of a series is an object of its own."""
        return read_changes(self._wire, calendar, sync_token, window=window, known=known)

    def get(self, calendar: CalendarRef, remote_id: str, *, window: Span) -> RemoteEvent:
        """One event as it stands now. Raises Gone; Misconfigured when it is the calendar that is not there."""
        return told(read_object(self._wire, calendar, remote_id), calendar, window=window)

    def remote_id_for(self, calendar: CalendarRef, uid: str) -> str:
        """The UID itself where Google takes it for an id, else one derived from it."""
        return event_id(uid)

    def put(self, calendar: CalendarRef, draft: EventDraft, *, remote_id: str, if_match: str | None) -> Receipt:
        """See the contract. Where no meeting can be had, the event stands without one."""
        return put_event(self._wire, calendar, draft, remote_id=remote_id, if_match=if_match)

    def delete(self, calendar: CalendarRef, remote_id: str, *, if_match: str | None) -> None:
        """See the contract. Raises Misconfigured when it is the calendar that is not there."""
        delete_event(self._wire, calendar, remote_id, if_match)

    def busy(self, calendar: CalendarRef, window: Span) -> list[tuple[str, Span]]:
        """The last look: the events themselves and not Google's free/busy, so that it judges exactly as a pull does."""
        return [(event.remote_id, span) for event in read_busy(self._wire, calendar, window) for span in event.busy]

    def subscribe(
        self, calendar: CalendarRef, *, address: str, subscription_id: str, secret: str
    ) -> Subscription | None:
        """Ask for pushes to `address`, which must be HTTPS; None for a calendar that sends none, such as one of holidays."""
        channel = {
            "id": subscription_id,
            "type": "web_hook",
            "address": address,
            "token": secret,
            "params": {"ttl": str(int(PUSH_FOR.total_seconds()))},
        }
        try:
            granted = self._wire.send("events.watch", calendarId=calendar.remote_id, body=channel)
        except NotFound:
            raise calendar_missing() from None
        except Declined as refusal:
            if "pushNotSupportedForRequestedResource" in refusal.reasons:
                return None
            raise
        return _subscription(granted)

    def unsubscribe(self, subscription: Subscription) -> None:
        """End pushes. A channel that Google does not know (any more) is success."""
        body = {"id": subscription.subscription_id, "resourceId": subscription.resource_id}
        try:
            self._wire.send("channels.stop", body=body)
        except NotFound:
            return

    def capabilities(self, calendar: CalendarRef) -> Capabilities:
        """What the account may do in this calendar. Raises Misconfigured when it is not there."""
        state = look_at_calendar(self._wire, calendar)
        return Capabilities(
            has_push=True, can_write=state.is_writable, details={"zone": state.zone} if state.zone else {}
        )

    def close(self) -> None:
        """End all connections, the session's too."""
        self._wire.close()


def open_account(
    *,
    account: Mapping[str, str],
    secret: Mapping[str, str],
    http_session: Any,
    tokens: AccessTokens | None,
    api_url: str,
) -> GoogleCalendars:
    """See `providers.kind.OpenAccount`. The secret stays with whoever gives the tokens."""
    if tokens is None:
        raise Misconfigured("A Google account is opened with tokens.")
    username = account.get("username", "")
    return GoogleCalendars(tokens=tokens, account_name=username, api_url=api_url, http_session=http_session)


def _holds_events(entry: object) -> bool:
    if not isinstance(entry, dict) or not entry.get("id") or entry.get("deleted"):
        return False
    return entry.get("accessRole") in (*WRITERS, "reader")


def _listed(entry: Json) -> RemoteCalendar:
    zone = entry.get("timeZone")
    return RemoteCalendar(
        remote_id=entry["id"],
        name=str(entry.get("summaryOverride") or entry.get("summary") or entry["id"]),
        zone=zone if is_zone(zone) else None,
        is_writable=entry["accessRole"] in WRITERS,
        is_primary=entry.get("primary") is True,
    )


def _subscription(granted: Json) -> Subscription:
    """What was granted. Without it the pushes could neither be renewed in time nor stopped."""
    try:
        expires_at = datetime.fromtimestamp(int(granted["expiration"]) / 1000, UTC)
        return Subscription(
            subscription_id=str(granted["id"]), resource_id=str(granted["resourceId"]), expires_at=expires_at
        )
    except (KeyError, ValueError, TypeError, OverflowError, OSError) as error:
        raise Unclear("Google does not say for how long it sends notices.") from error
