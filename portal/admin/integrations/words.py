"""Calendars and connections in plain words, for the integrations page and the admin's home. Pure."""

from __future__ import annotations

from datetime import datetime

from portal.language.lengths import words
from providers.errors import AccessRevoked, BadAnswer, Misconfigured, PermissionMissing, Temporary

_BADGES = {
    "connected": ("Connected", "ok"),
    "degraded": ("Not answering", "warn"),
    "needs reauth": ("Needs a new password", "bad"),
    "misconfigured": ("Needs attention", "bad"),
    "paused": ("Paused", "idle"),
}
_SENTENCES = {
    "connected": "",
    "degraded": "The server does not answer properly at the moment. Nothing is lost: the portal keeps trying and catches up by itself.",
    "needs reauth": "The server no longer accepts the stored password. Bookings wait here until you enter a new one, and are then written.",
    "misconfigured": "The calendar is not where it was, or may not be used. Bookings wait here until that is put right.",
    "paused": "Somebody paused this account: it is neither read nor written. Bookings wait here until it is resumed.",
}
_GOOGLE_BADGES = {"needs reauth": ("Needs a new sign-in", "bad")}
_GOOGLE_SENTENCES = {
    "degraded": "Google does not answer properly at the moment. Nothing is lost: the portal keeps trying and catches up by itself.",
    "needs reauth": "Google no longer lets the portal in. Bookings wait here until you sign in again, and are then written.",
}
FRESHNESS = (
    (300, "5 minutes"),
    (600, "10 minutes"),
    (1800, "half an hour"),
    (3600, "1 hour"),
    (21600, "6 hours"),
    (86400, "1 day"),
)

_MOVED = {"follow": "the booking moves too", "ask": "we are asked", "put back": "the event is put back"}
_DELETED = {"ask": "we are asked", "cancel": "the booking is cancelled", "put back": "the event is put back"}
_UNREADABLE = {
    "pending": "bookings wait for confirmation",
    "stop": "no times are offered",
    "keep": "times are offered as last known",
}
_PRIVACY = {
    "busy only": "only that the time is taken",
    "initials": "the service, and customers by their initials",
    "full": "the service, and customers with all that they wrote",
}
SERVERS = {"google": "Google"}
"""Who accepts a sign-in; for all others it is “the server”."""
PROVIDERS = {"caldav": "CalDAV", "google": "Google Calendar", "microsoft": "Microsoft 365", "memory": "Test calendar"}


def state_badge(state: str, provider: str) -> tuple[str, str]:
    """A connection's state in two or three words, and the kind of badge for it."""
    return (_GOOGLE_BADGES.get(state) if provider == "google" else None) or _BADGES[state]


def state_sentence(state: str, provider: str) -> str:
    """What the state means for bookings, and what to do; empty when all is well."""
    return (_GOOGLE_SENTENCES.get(state) if provider == "google" else None) or _SENTENCES[state]


def permissions(scopes: str) -> str:
    """What an account with these scopes (separated by spaces) allows, as one sentence; empty where there are none, as with a password."""
    granted = scopes.split()
    allowed = [text for scope, text in _SCOPES.items() if scope in granted]
    return f"Allowed: to {', and to '.join(allowed)}." if allowed else ""


def push(*, is_live: bool, provider: str, poll_seconds: int) -> str:
    """How changes made in a calendar reach the portal, in a few words."""
    if is_live:
        return f"{PROVIDERS.get(provider, provider).partition(' ')[0]} tells of changes at once"
    return f"Looked at every {poll_seconds} seconds"


def ago(instant: datetime | None, now: datetime, *, never: str = "never") -> str:
    """“8 seconds ago”, “just now”, “never”."""
    if instant is None:
        return never
    age = now - instant
    return "just now" if age.total_seconds() < 2 else f"{words(age)} ago"


def counted(count: int, one: str, many: str) -> str:
    """“1 booking”, “3 bookings”."""
    return f"{count} {one if count == 1 else many}"


def roles(*, is_busy_source: bool, is_destination: bool) -> str:
    """What the calendar is used for, as half a sentence."""
    parts = []
    if is_busy_source:
        parts.append("closes times that are taken")
    if is_destination:
        parts.append("receives bookings")
    return " and ".join(parts) or "not used at present"


def rules(
    *,
    is_busy_source: bool,
    is_destination: bool,
    when_moved: str,
    when_deleted: str,
    when_unreadable: str,
    freshness: int,
    privacy: str,
) -> list[str]:
    """The calendar's rules, a sentence each, as far as they can apply to it."""
    told = []
    if is_destination:
        told += [
            f"Events tell {_PRIVACY[privacy]}.",
            f"If somebody moves a booking's event, {_MOVED[when_moved]}.",
            f"If somebody deletes it, {_DELETED[when_deleted]}.",
        ]
    if is_busy_source:
        told.append(f"If the calendar cannot be read for {_span(freshness)}, {_UNREADABLE[when_unreadable]}.")
    return told


def freshness_choices(present: int) -> list[tuple[int, str]]:
    """(seconds, words) to choose from; a seed file may have set what is not in the usual list."""
    return sorted({*FRESHNESS, (present, _span(present))})


def proof(name: str, busy_count: int | None) -> str:
    """What connecting found in a calendar, as proof that it was read."""
    if busy_count is None:
        return f"“{name}” is slow to answer; it counts as soon as it has been read once."
    if busy_count == 0:
        return f"“{name}” can be read; nothing is busy in it for the next two months."
    return f"“{name}” can be read: {busy_count} busy {'time' if busy_count == 1 else 'times'} in the next two months."


def advice(error: Exception | None, *, provider: str = "caldav") -> str:
    """What to try when a server refused to be connected; follows the error's own sentence."""
    for kind, sentence in _GOOGLE_ADVICE if provider == "google" else _ADVICE:
        if isinstance(error, kind):
            return sentence
    return ""


def google_refusal(error: str) -> str:
    """Why Google sent somebody back without a permission, by its word for it."""
    return _GOOGLE_REFUSALS.get(error, "Google did not give the portal a permission.")


_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (
        AccessRevoked,
        "Apple, Fastmail and most others want an app password made for this purpose, not the account's own.",
    ),
    (
        PermissionMissing,
        "The account was accepted, but may not see calendars. Its owner or administrator can allow that.",
    ),
    (Misconfigured, "Please compare the address with the hints below; a calendar's own address works too."),
    (Temporary, "The address may be mistyped, or the server is down just now. Nothing was stored; please try again."),
    (
        BadAnswer,
        "Something answers at this address, but it does not speak CalDAV. Please compare it with the hints below.",
    ),
)
_GOOGLE_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (AccessRevoked, "Nothing was stored; please begin connecting again."),
    (
        PermissionMissing,
        "This calendar may belong to somebody else who shares it only in part. Leave it out, or ask its owner.",
    ),
    (Misconfigured, "Nothing was stored."),
    (Temporary, "Nothing was stored; please try again in a minute."),
    (BadAnswer, "Nothing was stored; please try again in a minute."),
)
_GOOGLE_REFUSALS = {
    "access_denied": "You did not allow the portal to use your calendars.",
    "admin_policy_enforced": "The administrator of this Google account does not allow the portal to use its calendars.",
    "org_internal": "The portal's Google project is only for accounts of its own organisation. Please use one of those.",
    "disallowed_useragent": "Google does not let people sign in from this browser. Please use another one.",
}
GOOGLE_PERMISSIONS = {
    "https://www.googleapis.com/auth/calendar.events": (
        "View and edit events on all your calendars",
        "Without it the portal can neither see when you are busy nor enter bookings into your calendar.",
    ),
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly": (
        "See the list of Google calendars you’re subscribed to",
        "Without it you could not choose which of your calendars count, and which one receives bookings.",
    ),
}
"""Scope -> what Google's page calls it, and what the portal needs it for."""
_SCOPES = {
    "https://www.googleapis.com/auth/calendar": "use and change everything in the calendars",
    "https://www.googleapis.com/auth/calendar.events": "see and change events",
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly": "see the list of calendars",
    "https://www.googleapis.com/auth/calendar.calendarlist": "see and change the list of calendars",
    "https://www.googleapis.com/auth/calendar.readonly": "read the calendars",
}


def _span(seconds: int) -> str:
    count, unit = (seconds, "second") if seconds % 60 else (seconds // 60, "minute")
    return dict(FRESHNESS).get(seconds) or f"{count} {unit}{'' if count == 1 else 's'}"
