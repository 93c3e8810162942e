"""The contract that every calendar provider fulfils; `tests/providers/contract.py` is its test suite. Pure.

Words: a *calendar* is one collection at the provider, named by an opaque `remote_id`. A *remote event* is one
object in it (a whole recurring series is one object for CalDAV). An *etag* is an opaque version of an object;
a *sync token* an opaque place in the calendar's change feed. All instants are aware and in UTC.

Every method may raise the errors of `providers.errors`, and nothing else. No method sleeps or retries by
itself (one retry of a doubtful write excepted, see `put`), and all keep to the time limits of the HTTP
session they were given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

Span: TypeAlias = tuple[datetime, datetime]
"""Half-open `[start, end)`, aware UTC instants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCalendar:
    """One calendar as the provider lists it."""

    remote_id: str
    name: str
    zone: str | None = None
    is_writable: bool = True
    is_primary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarRef:
    """What a provider needs to know to read one calendar.

    `zone` is for floating and all-day times: the calendar's own (`RemoteCalendar.zone`) where it names one, else that
    of the person or room. `own_addresses` (in the form of `own_addresses.plain`) tell which ATTENDEE is the owner,
    so that declined invitations do not block.
    """

    remote_id: str
    zone: str
    own_addresses: frozenset[str] = frozenset()
    silence_allowed: float = 0.0
    """Seconds for which the server may think about a listing beyond the usual: it answers, and failed over that before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMark:
    """Our own name on a remote event, so that it is recognised whatever else happens to it."""

    instance_id: str
    appointment_id: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDraft:
    """An event as we want it to stand in the calendar.

    It never holds attendees: the portal mails the customer, and no server may do it a second time.
    """

    uid: str
    mark: EventMark
    summary: str
    description: str = ""
    location: str = ""
    url: str = ""
    start_at: datetime
    end_at: datetime
    zone: str
    sequence: int = 0
    wants_meeting: bool = False
    """Ask the provider for a link to a video meeting, where it makes such (Google Meet); elsewhere it is ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteEvent:
    """One object of a calendar, translated.

    `busy` is the time it takes inside the window that was asked for, by the rules in `providers.calendars.ical.mapping`;
    sorted, may overlap; always empty for an object that carries our own mark, of which `taken` says the same: people copy such
    objects, mark and all, and make series of them. `start_at`/`end_at` are those
    of the (first) event itself and None when unreadable. `problem` is a sentence for people when the object,
    or a part of it, could not be read as meant; what could be read still counts. `is_cancelled` is an event
    that stands there but is called off.
    """

    remote_id: str
    etag: str
    uid: str = ""
    mark: EventMark | None = None
    summary: str = ""
    start_at: datetime | None = None
    end_at: datetime | None = None
    sequence: int = 0
    is_recurring: bool = False
    is_cancelled: bool = False
    busy: tuple[Span, ...] = ()
    taken: tuple[Span, ...] | None = None
    content_hash: str = ""
    problem: str | None = None
    meeting_url: str = ""
    is_private: bool = False
    """Its owner marked it as private or confidential: nobody is told its title."""
    description: str = ""
    """The text of an event with our mark, where a reading tells it (at Google it does not). Strangers' texts are not read."""
    fingerprint: str = ""
    """Another one whenever the object's text is another; empty where the etag tells as much."""
    is_unread: bool = False
    """It stands there, but could not be had, or only in part: what is known of its time goes on counting, else the part that came. `problem`
    says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBatch:
    """What changed in a calendar since a sync token, or all of it.

    With `is_complete` the batch accounts for every object: known objects that stand neither in `upserts` nor
    in `unchanged` are gone (mark and sweep). Without it, only `removals` are gone; they are explicit
    tombstones. A removal may name an object that was never known. `next_token` is None where the server has
    no change feed, and where something could not be had: then all is listed again the next time.
    With `is_windowed` each occurrence of a series is an object of its own, named `<series>_<original time>`, and a complete batch accounts
    only for what touches the window: that an object is missing whose time is over says nothing.
    """

    upserts: tuple[RemoteEvent, ...] = ()
    unchanged: frozenset[str] = frozenset()
    removals: tuple[str, ...] = ()
    next_token: str | None = None
    is_complete: bool = False
    is_windowed: bool = False
    own_addresses: frozenset[str] | None = None
    """By which addresses the server knows the account's own person; None where it was not asked, or does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof of a write: what now stands at the provider, as read back where the server did not say."""

    remote_id: str
    etag: str
    content_hash: str
    meeting_url: str = ""
    """The link of the video meeting, where one was asked for and is made already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A push subscription as the provider granted it."""

    subscription_id: str
    resource_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a provider can do for a calendar, as far as it is known without asking twice."""

    has_change_feed: bool = True
    has_push: bool = False
    can_write: bool = True
    details: Mapping[str, str] = field(default_factory=dict)


class AccessTokens(Protocol):
    """Where a provider with OAuth gets its access tokens from. The portal keeps them; no provider ever sees a refresh token."""

    def current(self) -> str:
        """A token believed to be good for some time yet. Raises AccessRevoked, Misconfigured, Temporary."""

    def renew(self, rejected: str) -> str:
        """Another one, because the server did not accept `rejected` (HTTP 401). The same errors."""


class CalendarProvider(Protocol):
    """One signed-in account at one provider. Not shared between threads; `close()` ends its connections."""

    def list_calendars(self) -> list[RemoteCalendar]:
        """All calendars of the account that can hold events. Proves that the credentials work."""

    def changes(
        self,
        calendar: CalendarRef,
        sync_token: str | None,
        *,
        window: Span,
        known: Mapping[str, str],
    ) -> ChangeBatch:
        """What changed since `sync_token`; everything when it is None.

        `known` maps remote ids to the etags that the caller holds: an object listed with the same etag is not fetched
        again but named in `unchanged`. Busy time is expanded within `window` only; to roll the window on, ask for
        everything and leave out of `known` what repeats, so that it comes again with its new occurrences. An
        object that never touched the window need not be told. Raises SyncTokenExpired.
        """

    def get(self, calendar: CalendarRef, remote_id: str, *, window: Span) -> RemoteEvent:
        """One object as it stands now. Raises Gone."""

    def remote_id_for(self, calendar: CalendarRef, uid: str) -> str:
        """The remote id that an event with this UID gets; derived, so that a repeat meets its own work."""

    def put(self, calendar: CalendarRef, draft: EventDraft, *, remote_id: str, if_match: str | None) -> Receipt:
        """Make the object equal `draft`.

        `if_match` None creates: when something already stands there and is ours (by the mark of the same appointment,
        or by our UID where the server dropped the mark), it is made equal to the draft whatever it says now. With an
        etag it changes that version only. Raises Conflict when a foreign object or another version stands there,
        Gone when an object to change is not there. The receipt's remote id counts: a server may choose another. A write
        whose answer was lost is read back before this returns or raises Temporary.
        """

    def delete(self, calendar: CalendarRef, remote_id: str, *, if_match: str | None) -> None:
        """Remove the object; one that is already gone is success. Raises Conflict on another version."""

    def busy(self, calendar: CalendarRef, window: Span) -> list[tuple[str, Span]]:
        """The last look: (remote id, busy time) of all that takes time in a short window now.

        Our own marks are left out. One request, made for speed.
        """

    def subscribe(
        self, calendar: CalendarRef, *, address: str, subscription_id: str, secret: str
    ) -> Subscription | None:
        """Ask for pushes; None where the provider has none."""

    def unsubscribe(self, subscription: Subscription) -> None:
        """End pushes, best effort."""

    def capabilities(self, calendar: CalendarRef) -> Capabilities:
        """What works here."""

    def close(self) -> None:
        """End all connections."""
