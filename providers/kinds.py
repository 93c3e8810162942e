"""One record for each kind of calendar provider: the only place that knows them all, and what differs between them. Pure.

A new provider is a record here and the class that it names. Called by all of the portal that has to do with connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from providers.errors import AccessRevoked, BadAnswer, Misconfigured, PermissionMissing, Temporary
from providers.kind import ADVICE_BY_CONSENT, Consent, EarlyEnd, Kind, OpenAccount, Push, Settings

if TYPE_CHECKING:
    from providers.calendars.base import AccessTokens, CalendarProvider

CALDAV = Kind(
    name="caldav",
    label="CalDAV",
    opens="providers.calendars.caldav.calendars:open_account",
    may_be_seeded=True,
    advice=(
        (
            AccessRevoked,
            "Apple, Fastmail and most others want an app password made for this purpose, not the account's own.",
        ),
        (
            PermissionMissing,
            "The account was accepted, but may not see calendars. Its owner or administrator can allow that.",
        ),
        (Misconfigured, "Please compare the address with the hints below; a calendar's own address works too."),
        (
            Temporary,
            "The address may be mistyped, or the server is down just now. Nothing was stored; please try again.",
        ),
        (
            BadAnswer,
            "Something answers at this address, but it does not speak CalDAV. Please compare it with the hints below.",
        ),
    ),
)
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/calendar"
GOOGLE = Kind(
    name="google",
    label="Google Calendar",
    opens="providers.calendars.google.calendars:open_account",
    server="Google",
    consent=Consent(
        module="providers.calendars.google.oauth",
        settings=Settings(
            client_id="GOOGLE_CLIENT_ID",
            client_secret="GOOGLE_CLIENT_SECRET",
            api_url="GOOGLE_API_URL",
            auth_url="GOOGLE_AUTH_URL",
            token_url="GOOGLE_TOKEN_URL",
            revoke_url="GOOGLE_REVOKE_URL",
        ),
        permissions={
            f"{_GOOGLE_SCOPE}.events": (
                "View and edit events on all your calendars",
                "Without it the portal can neither see when you are busy nor enter bookings into your calendar.",
            ),
            f"{_GOOGLE_SCOPE}.calendarlist.readonly": (
                "See the list of Google calendars you’re subscribed to",
                "Without it you could not choose which of your calendars count, and which one receives bookings.",
            ),
        },
        allows={
            _GOOGLE_SCOPE: "use and change everything in the calendars",
            f"{_GOOGLE_SCOPE}.events": "see and change events",
            f"{_GOOGLE_SCOPE}.calendarlist.readonly": "see the list of calendars",
            f"{_GOOGLE_SCOPE}.calendarlist": "see and change the list of calendars",
            f"{_GOOGLE_SCOPE}.readonly": "read the calendars",
        },
        refusals={
            "admin_policy_enforced": "The administrator of this Google account does not allow the portal to use its calendars.",
            "org_internal": "The portal's Google project is only for accounts of its own organisation. Please use one of those.",
            "disallowed_useragent": "Google does not let people sign in from this browser. Please use another one.",
        },
        early_end=EarlyEnd(
            shortest=timedelta(days=6),
            longest=timedelta(days=8),
            sentence=(
                "Google ended the permission seven days after it was given. It does so to all of them while the consent screen of the portal's "
                "Google project stands on “Testing”: whoever runs the portal has to publish it there. Then refresh the connection once more."
            ),
        ),
    ),
    push=Push(name="Google", hook="google", reads="providers.calendars.google.messages:read_message"),
    makes_meetings=True,
    meeting_name="Google Meet",
    advice=ADVICE_BY_CONSENT,
    stand_in="providers.standins.google",
)
MEMORY = Kind(  # for tests; it pushes as Google does
    name="memory",
    label="Test calendar",
    opens="providers.calendars.memory:open_account",
    push=Push(name="The provider", hook="google", reads="providers.calendars.google.messages:read_message"),
    makes_meetings=True,
    has_worldwide_ids=False,
    asks_network=False,
    advice=CALDAV.advice,
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in (CALDAV, GOOGLE, MEMORY)}


def kind_of(name: str) -> Kind:
    """The record; for a name that nobody knows (any more) one with nothing but this name, whose accounts cannot be opened."""
    return KINDS.get(name) or Kind(name=name, label=name, opens="")


def by_consent() -> list[Kind]:
    """Kinds whose owners consent at the provider's own page."""
    return [kind for kind in KINDS.values() if kind.consent]


def meeting_makers() -> list[str]:
    """Names of the kinds whose calendars make a link to a video meeting when a draft asks for one."""
    return [kind.name for kind in KINDS.values() if kind.makes_meetings]


def pushing() -> list[str]:
    """Names of the kinds that tell of changes."""
    return [kind.name for kind in KINDS.values() if kind.push]


def hooks() -> dict[str, Push]:
    """Hook -> who reads what comes there."""
    return {push.hook: push for push in [kind.push for kind in KINDS.values()] if push}


def open_calendar_provider(
    kind: str,
    *,
    account: Mapping[str, str],
    secret: Mapping[str, str],
    http_session: Any,
    tokens: AccessTokens | None = None,
    api_url: str = "",
) -> CalendarProvider:
    """A provider for one account (see `OpenAccount`). Raises Misconfigured for a kind that does not exist, or is opened without its tokens."""
    record = kind_of(kind)
    if not record.opens or (record.consent and tokens is None):
        raise Misconfigured(f"There is no calendar provider of the kind “{kind}”.")
    opened: OpenAccount = resolve_name(record.opens)
    return opened(account=account, secret=secret, http_session=http_session, tokens=tokens, api_url=api_url)
