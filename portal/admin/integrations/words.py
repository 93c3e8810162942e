"""Calendars and connections in plain words, for the integrations page and the admin's home. Pure."""

from __future__ import annotations

from datetime import datetime

from portal.language.lengths import words
from providers.kind import Consent, Kind
from providers.kinds import kind_of

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
_BADGES_BY_CONSENT = {"needs reauth": ("Needs a new sign-in", "bad")}
_SENTENCES_BY_CONSENT = {
    "degraded": "{server} does not answer properly at the moment. Nothing is lost: the portal keeps trying and catches up by itself.",
    "needs reauth": "{server} no longer lets the portal in. Bookings wait here until you sign in again, and are then written.",
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
_BOXES = {
    1: ("one permission", "It is needed", "tick the box"),
    2: ("two permissions", "Both are needed", "tick both boxes"),
}
_DENIED = {"access_denied": "You did not allow the portal to use your calendars."}


def state_badge(state: str, provider: str) -> tuple[str, str]:
    """A connection's state in two or three words, and the kind of badge for it."""
    own = {} if kind_of(provider).has_password else _BADGES_BY_CONSENT
    return own.get(state) or _BADGES[state]


def state_sentence(state: str, provider: str) -> str:
    """What the state means for bookings, and what to do; empty when all is well."""
    kind = kind_of(provider)
    own = {} if kind.has_password else _SENTENCES_BY_CONSENT
    return own[state].format(server=kind.server) if state in own else _SENTENCES[state]


def boxes(consent: Consent) -> tuple[str, str, str]:
    """How many permissions its page asks for, that all are needed, and what to do there."""
    count = len(consent.permissions)
    return _BOXES.get(count, (f"{count} permissions", "All are needed", "tick all boxes"))


def permissions(scopes: str, provider: str) -> str:
    """What an account with these scopes (separated by spaces) allows, as one sentence; empty where there are none, as with a password."""
    consent, granted = kind_of(provider).consent, scopes.split()
    allowed = [text for scope, text in consent.allows.items() if scope in granted] if consent else []
    return f"Allowed: to {', and to '.join(allowed)}." if allowed else ""


def push(*, is_live: bool, provider: str, poll_seconds: int) -> str:
    """How changes made in a calendar reach the portal, in a few words."""
    if is_live:
        return f"{kind_of(provider).label.partition(' ')[0]} tells of changes at once"
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


def advice(error: Exception | None, provider: str) -> str:
    """What to try when a server refused to be connected; follows the error's own sentence."""
    return next((sentence for kind, sentence in kind_of(provider).advice if isinstance(error, kind)), "")


def refusal(error: str, kind: Kind) -> str:
    """Why a provider sent somebody back without a permission, by its word for it."""
    own = kind.consent.refusals if kind.consent else {}
    return {**_DENIED, **own}.get(error, f"{kind.server} did not give the portal a permission.")


def _span(seconds: int) -> str:
    count, unit = (seconds, "second") if seconds % 60 else (seconds // 60, "minute")
    return dict(FRESHNESS).get(seconds) or f"{count} {unit}{'' if count == 1 else 's'}"
