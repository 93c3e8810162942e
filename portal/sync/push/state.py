"""What push is worth just now, known without asking anybody: whether a calendar's provider tells us of changes, until when, and if not, why.

Read by pulls (a calendar with live push is polled more rarely), by the integrations page, and by whoever keeps the subscriptions. Also the
place where a message is noted at its calendar. Polling is complete without any of this.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.calendars.models import Calendar, PushSubscription
from portal.calendars.oauth.client import api_url
from portal.config import Settings
from portal.database.chunks import in_chunks
from portal.extensions import current_settings
from portal.sync import due
from providers.kinds import kind_of

CONFIRMED_WITHIN = timedelta(minutes=2)
"""A provider sends its first message at once. What has not come by then, does not reach us."""
REFUSED_PAUSE = timedelta(minutes=15)
UNHEARD_PAUSE = timedelta(hours=1)
EARLY = timedelta(seconds=10)
"""A message may come so long before the change that it tells of can be seen."""
UNKNOWN_LIFE = timedelta(days=2)
"""Taken for the life of a subscription whose end we were never told, because the provider's answer was lost."""
_NOT_PUBLIC = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".home", ".intranet")


@dataclass(frozen=True, slots=True, kw_only=True)
class PushState:
    """For the page. `reason` is a sentence about what is not so; empty while push is live (then `until` says until when)."""

    is_live: bool
    until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to be done about a calendar's subscriptions: open a new one, end these (they are stopped afterwards), forget those."""

    opens: bool = False
    ends: tuple[int, ...] = ()
    drops: tuple[int, ...] = ()

    @property
    def is_idle(self) -> bool:
        return not (self.opens or self.ends or self.drops)


def push_address(settings: Settings, provider: str) -> str:
    """Where this kind of provider may send its messages: a public https address, as providers demand. Empty when there is none.

    A stand-in for the provider on this very machine reaches this portal whatever its address.
    """
    kind = kind_of(provider)
    if kind.push is None:
        return ""
    is_stand_in = _is_loopback(urlsplit(api_url(settings, kind)).hostname or "")
    if is_stand_in or (settings.is_https and _is_public(urlsplit(settings.url).hostname or "")):
        return f"{settings.url}/hooks/{kind.push.hook}"
    return ""


def address_tag(address: str) -> str:
    """How subscription ids begin that were opened for this address: after a move of the portal the old ones are of no use."""
    return hashlib.sha256(address.encode()).hexdigest()[:8]


def is_live(session: Session, calendar_id: int, *, now: datetime) -> bool:
    """True while messages about this calendar are known to reach us."""
    return any(_is_heard(row, now=now) for row in rows_of(session, [calendar_id]))


def push_state(session: Session, calendar: Calendar, *, now: datetime) -> PushState:
    """The state of push for one calendar; one small query."""
    return push_states(session, [calendar], now=now)[calendar.id]


def push_states(session: Session, calendars: Collection[Calendar], *, now: datetime) -> dict[int, PushState]:
    """The same for many, by id, in one query."""
    rows = rows_of(session, [calendar.id for calendar in calendars])
    return {
        calendar.id: _state(calendar, [row for row in rows if row.calendar_id == calendar.id], now=now)
        for calendar in calendars
    }


def next_step(rows: Sequence[PushSubscription], *, address: str, refreshed_at: datetime | None, now: datetime) -> Step:
    """What to do about one calendar's subscriptions. `address` empty: none is wanted.

    A new one takes over at half of the old one's life, and the old one is ended only when the new one's first message has come.
    """
    over = [row for row in rows if row.ended_at is None and row.expires_at is not None and row.expires_at <= now]
    current = [row for row in rows if row.ended_at is None and row not in over]
    notes = [row for row in current if row.problem is not None]
    standing = [row for row in current if row.problem is None]
    if not address:
        return Step(ends=_ids(standing), drops=_ids(over + notes))
    newest = max(current, key=_age, default=None)
    heard = max((row for row in standing if _is_heard(row, now=now)), key=_age, default=None)
    opens = newest is None or _needs_successor(newest, address=address, refreshed_at=refreshed_at, now=now)
    deaf = [row for row in standing if opens and not _is_heard(row, now=now)]
    replaced = [row for row in standing if row in deaf or (heard and _age(row) < _age(heard))]
    drops = over + [row for row in notes if opens or row is not newest]
    return Step(opens=opens, ends=_ids(replaced), drops=_ids(drops))


def note_change(session: Session, calendar_id: int, *, now: datetime) -> bool:
    """Note that the provider told of a change, and have the calendar read soon. False when a reading to come will show it anyway.

    In a write transaction, holding the calendar's row: so it is certain which came first, this message or a reading's beginning.
    """
    calendar = session.get(Calendar, calendar_id, with_for_update=True, populate_existing=True)
    if calendar is None or will_be_read(calendar.notified_at, calendar.read_begun_at):
        return False
    begun = calendar.read_begun_at
    calendar.notified_at = now if begun is None else max(now, begun + timedelta(microseconds=1))
    if calendar.failures == 0:  # one in trouble keeps its pauses
        calendar.next_read_at = min(calendar.next_read_at, due.after_notice(begun, now=now))
    return True


def note_silence(session: Session, calendar: Calendar, last_begun_at: datetime | None, *, now: datetime) -> None:
    """A reading found changes. If nobody told of any since the last one began, push has to prove itself: providers forget subscriptions.

    The message may be on its way, so this is only a doubt; what is still silent after two minutes counts as deaf.
    """
    told_at = calendar.notified_at
    if last_begun_at is None or (told_at is not None and told_at > last_begun_at - EARLY):
        return
    for row in rows_of(session, [calendar.id]):
        if _is_heard(row, now=now) and row.doubted_at is None:
            row.doubted_at = now


def will_be_read(notified_at: datetime | None, begun_at: datetime | None) -> bool:
    """True when a message was noted already since the last reading began: the next one, which is certain to come, shows this change too."""
    return notified_at is not None and (begun_at is None or notified_at > begun_at)


def rows_of(session: Session, calendar_ids: Collection[int]) -> list[PushSubscription]:
    """The subscriptions of these calendars, fresh from the database."""
    found = list[PushSubscription]()
    for ids in in_chunks(sorted(calendar_ids)):
        some = select(PushSubscription).where(PushSubscription.calendar_id.in_(ids))
        found += session.scalars(some.order_by(PushSubscription.id).execution_options(populate_existing=True))
    return found


def _needs_successor(row: PushSubscription, *, address: str, refreshed_at: datetime | None, now: datetime) -> bool:
    is_outdated = not row.subscription_id.startswith(address_tag(address))
    if is_outdated or (refreshed_at is not None and row.created_at < refreshed_at):
        return True
    if row.problem is not None:
        return now >= row.created_at + REFUSED_PAUSE
    if not _is_heard(row, now=now):
        was_granted = bool(row.resource_id)
        return now >= row.created_at + (UNHEARD_PAUSE if was_granted else CONFIRMED_WITHIN)
    life = row.expires_at - row.created_at if row.expires_at else UNKNOWN_LIFE
    return now >= row.created_at + life / 2


def _state(calendar: Calendar, rows: Sequence[PushSubscription], *, now: datetime) -> PushState:
    settings = current_settings()
    provider, looks = calendar.connection.provider, f"It is looked at every {settings.poll_seconds} seconds."
    push = kind_of(provider).push
    if push is None:
        return PushState(is_live=False, reason=f"Calendars of this kind do not tell of changes. {looks}")
    if calendar.connection.state not in ("connected", "degraded"):
        return PushState(is_live=False, reason="Nothing is asked of an account that is paused or does not work.")
    heard = [row for row in rows if _is_heard(row, now=now)]
    if heard:
        ends = [row.expires_at for row in heard if row.expires_at]
        return PushState(is_live=True, until=max(ends, default=None))
    if not push_address(settings, provider):
        lacks = "This portal has no public https address, which is needed for messages about changes."
        return PushState(is_live=False, reason=f"{lacks} {looks}")
    return PushState(is_live=False, reason=f"{_why_not(rows, push.name, now=now)} {looks}")


def _why_not(rows: Sequence[PushSubscription], name: str, *, now: datetime) -> str:
    newest = max((row for row in rows if row.ended_at is None), key=_age, default=None)
    is_new = newest is None or newest.created_at + CONFIRMED_WITHIN > now
    if newest is None or (is_new and newest.problem is None and newest.doubted_at is None):
        return f"{name} has not yet begun to tell of changes."
    if newest.problem is not None:
        return f"{name} does not tell of changes: {newest.problem}"
    return f"{name}'s messages do not arrive. Is the portal's address reachable from outside, with a valid certificate?"


def _is_heard(row: PushSubscription, *, now: datetime) -> bool:
    is_standing = row.ended_at is None and row.problem is None and row.confirmed_at is not None
    is_deaf = row.doubted_at is not None and row.doubted_at + CONFIRMED_WITHIN <= now
    return is_standing and not is_deaf and (row.expires_at is None or row.expires_at > now)


def _age(row: PushSubscription) -> tuple[datetime, int]:
    return row.created_at, row.id


def _ids(rows: Sequence[PushSubscription]) -> tuple[int, ...]:
    return tuple(row.id for row in rows)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_public(host: str) -> bool:
    """By its spelling alone: nothing is resolved. A name without a dot is known in a house, not to the world."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host.strip(".") and not host.rstrip(".").endswith(_NOT_PUBLIC)
