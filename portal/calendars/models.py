"""Tables of connections, calendars, and what is known of the remote events in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.calendars import titles
from portal.clock import now_utc
from portal.database.engine import Instant
from portal.extensions import Model

CONNECTION_STATES = ("connected", "degraded", "needs reauth", "misconfigured", "paused")


class Connection(Model):
    """Credentials at a calendar provider, for one resource. `sealed_secret` is encrypted with this row's place as associated data."""

    __tablename__ = "connection"
    id: Mapped[int] = mapped_column(primary_key=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), index=True)
    provider: Mapped[str] = mapped_column(String(16))
    account: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What may be shown: for CalDAV `url` and `username`; for Google `username` (the address), `subject` (the account's lasting id), `scopes`."""
    sealed_secret: Mapped[str | None] = mapped_column(Text)
    token_lease_until: Mapped[datetime | None] = mapped_column(Instant)
    token_lease: Mapped[str | None] = mapped_column(String(32))
    """Who is fetching new tokens just now: only one may, for the old refresh token may end with its use."""
    refreshed_at: Mapped[datetime | None] = mapped_column(Instant)
    """When a person last refreshed the connection; the first reading of each calendar after it tells what changed meanwhile."""
    leaving: Mapped[bool] = mapped_column(default=False)
    """It is being disconnected: neither read nor offered any more, only tidied up."""
    state: Mapped[str] = mapped_column(String(16), default="connected")
    state_since: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    state_reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    calendars: Mapped[list[Calendar]] = relationship(
        back_populates="connection", cascade="all, delete-orphan", order_by="Calendar.id"
    )
    __table_args__ = (
        CheckConstraint("state IN ('connected', 'degraded', 'needs reauth', 'misconfigured', 'paused')", name="state"),
    )


class Calendar(Model):
    """One chosen calendar of a connection, its roles, its rules, and how far it has been read."""

    __tablename__ = "calendar"
    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connection.id", ondelete="CASCADE"), index=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), index=True)
    remote_id: Mapped[str] = mapped_column(String(1000))
    name: Mapped[str] = mapped_column(String(300), default="")
    zone: Mapped[str] = mapped_column(String(64))
    is_busy_source: Mapped[bool] = mapped_column(default=True)
    is_destination: Mapped[bool] = mapped_column(default=False)
    when_moved: Mapped[str] = mapped_column(String(8), default="follow")
    when_deleted: Mapped[str] = mapped_column(String(8), default="ask")
    when_unreadable: Mapped[str] = mapped_column(String(8), default="pending")
    privacy: Mapped[str] = mapped_column(String(12), default="initials")
    """What events tell of customers: "busy only" (not even the service), "initials", or "full" (names and how to reach them)."""
    unsure_since: Mapped[datetime | None] = mapped_column(Instant)
    """Since a restore or a copy, until it has been read completely: what stands there may have been booked elsewhere. It counts as unreadable
    meanwhile, busy source or not, and nothing is written into it."""
    compared_at: Mapped[datetime | None] = mapped_column(Instant)
    """When that reading was. What it found changed happened elsewhere, and is asked about whatever the rules say."""
    freshness: Mapped[int] = mapped_column(default=600)
    """Seconds after the last good read beyond which `when_unreadable` applies."""
    sync_token: Mapped[str | None] = mapped_column(Text)
    sync_token_at: Mapped[datetime | None] = mapped_column(Instant)
    """The start of the read that gave the token: what was written since, the feed may not have told of yet."""
    last_read_at: Mapped[datetime | None] = mapped_column(Instant)
    """The start of the last successful read: nothing that happened before it is unknown."""
    last_complete_read_at: Mapped[datetime | None] = mapped_column(Instant)
    last_written_at: Mapped[datetime | None] = mapped_column(Instant)
    next_read_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    notified_at: Mapped[datetime | None] = mapped_column(Instant)
    """When the provider last said that something changed. What began to be read before, may lack it."""
    asked_at: Mapped[datetime | None] = mapped_column(Instant)
    """When a person last asked for a reading: that one is tried though the provider wants to be left alone."""
    read_begun_at: Mapped[datetime | None] = mapped_column(Instant)
    """The start of the newest reading, whether it came to an end or not."""
    sealed_meanwhile: Mapped[str | None] = mapped_column(Text)
    """What the first reading after a refresh of the connection found changed; see `portal.sync.state.catch_up_note`. Names events, so it is
    sealed."""
    read_lease_until: Mapped[datetime | None] = mapped_column(Instant)
    read_lease_token: Mapped[str | None] = mapped_column(String(32))
    failures: Mapped[int] = mapped_column(default=0)
    """Failed reads in a row."""
    failing_since: Mapped[datetime | None] = mapped_column(Instant)
    trouble: Mapped[str] = mapped_column(String(16), default="")
    """The state that this calendar alone would give its connection; empty when it is well."""
    last_error: Mapped[str | None] = mapped_column(Text)
    unreadable_objects: Mapped[int] = mapped_column(default=0)
    quarantine: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Set when a read would remove too much at once: what it would remove, since when; waits for a person."""
    connection: Mapped[Connection] = relationship(back_populates="calendars")

    @property
    def meanwhile(self) -> dict[str, Any] | None:
        """The note in `sealed_meanwhile`."""
        return titles.open_note(self.id, self.sealed_meanwhile)

    @meanwhile.setter
    def meanwhile(self, note: dict[str, Any] | None) -> None:
        self.sealed_meanwhile = titles.seal_note(self.id, note)

    __table_args__ = (
        UniqueConstraint("connection_id", "remote_id"),
        CheckConstraint("when_moved IN ('follow', 'ask', 'put back')", name="when_moved"),
        CheckConstraint("when_deleted IN ('ask', 'cancel', 'put back')", name="when_deleted"),
        CheckConstraint("when_unreadable IN ('stop', 'keep', 'pending')", name="when_unreadable"),
        CheckConstraint("privacy IN ('busy only', 'initials', 'full')", name="privacy"),
    )


class ConnectionDraft(Model):
    """A connection between its first step (the credentials were proved) and its second (calendars are chosen). Bound to one user, for
    some minutes. The password waits here, encrypted, so that it never travels in a page, not even sealed."""

    __tablename__ = "connection_draft"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id", ondelete="CASCADE"))
    connection_id: Mapped[int | None] = mapped_column(ForeignKey("connection.id", ondelete="CASCADE"))
    """The connection that is to be refreshed with it; None for a new one."""
    provider: Mapped[str] = mapped_column(String(16))
    account: Mapped[dict[str, Any]] = mapped_column(JSON)
    """As in `Connection`."""
    sealed_secret: Mapped[str] = mapped_column(Text, default="")
    found: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    """The calendars that the server listed: remote_id, name, zone, is_writable."""
    expires_at: Mapped[datetime] = mapped_column(Instant)


class PushSubscription(Model):
    """The provider tells us when this calendar changes (Google calls it a channel). Several may overlap while one takes over from another.

    The row is made before the provider is asked, for its first message may come before its answer. `secret_hash` is that of the secret which
    each message must carry. A subscription that is not confirmed, or over, is worth nothing: polling goes on in any case.
    """

    __tablename__ = "push_subscription"
    id: Mapped[int] = mapped_column(primary_key=True)
    calendar_id: Mapped[int] = mapped_column(ForeignKey("calendar.id", ondelete="CASCADE"), index=True)
    subscription_id: Mapped[str] = mapped_column(String(64), unique=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(300), default="")
    """The provider's name of what is watched; empty until it has answered."""
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    expires_at: Mapped[datetime | None] = mapped_column(Instant)
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant)
    """When the first message came: only then it is known that messages reach us."""
    heard_at: Mapped[datetime | None] = mapped_column(Instant)
    doubted_at: Mapped[datetime | None] = mapped_column(Instant)
    """Since when it has kept silent about a change that was found by looking. Its next message ends the doubt."""
    problem: Mapped[str | None] = mapped_column(Text)
    """Why the provider did not grant it; then the row only tells when that was."""
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    """Since when it is wanted no more: its messages are ignored, and the provider is told to stop when it can be reached."""


class RemoteObject(Model):
    """What is known of one remote event: enough to see that it changed, and whose it is."""

    __tablename__ = "remote_object"
    calendar_id: Mapped[int] = mapped_column(ForeignKey("calendar.id", ondelete="CASCADE"), primary_key=True)
    remote_id: Mapped[str] = mapped_column(String(1000), primary_key=True)
    etag: Mapped[str] = mapped_column(String(300))
    sealed_summary: Mapped[str] = mapped_column(Text, default="")
    """Its title (`portal.calendars.titles`); empty for events of our own, and for private ones."""
    is_recurring: Mapped[bool] = mapped_column(default=False)
    is_ours: Mapped[bool] = mapped_column(default=False)
    rolls: Mapped[bool] = mapped_column(default=False)
    """Its busy time may change though the object does not, as the window moves on: a series, or an event beyond the window."""
    problem: Mapped[str | None] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(64), default="")
    """Tells whether its text has changed, also where the server gives no etags."""
    left_open: Mapped[str] = mapped_column(String(64), default="")
    """Somebody decided that it closes no times: its fingerprint at that time. When it changes, the decision is over."""

    @property
    def summary(self) -> str:
        """Its title, for those whose business it is."""
        return titles.open_title(self.calendar_id, self.remote_id, self.sealed_summary)


class BusyInterval(Model):
    """Time of a resource that a remote event takes. May overlap anything."""

    __tablename__ = "busy_interval"
    id: Mapped[int] = mapped_column(primary_key=True)
    calendar_id: Mapped[int] = mapped_column(ForeignKey("calendar.id", ondelete="CASCADE"))
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"))
    remote_id: Mapped[str] = mapped_column(String(1000))
    start_at: Mapped[datetime] = mapped_column(Instant)
    end_at: Mapped[datetime] = mapped_column(Instant)
    __table_args__ = (
        CheckConstraint("end_at > start_at", name="order"),
        Index("ix_busy_interval_calendar_id_remote_id", "calendar_id", "remote_id"),
        Index("ix_busy_interval_resource_id_end_at", "resource_id", "end_at", "start_at"),
    )


class UnknownBooking(Model):
    """An event with our mark of a booking that this database does not know, after a restore; see `portal.sync.outside.unknown`.

    `instance_id` and `appointment_no` are its mark's. `appointment_id` is the group that is known, but not all of it; or what was made of it.
    `answer` is keep, remove, taken up, gone (somebody took the event away) or over; empty while it is asked about.
    """

    __tablename__ = "unknown_booking"
    id: Mapped[int] = mapped_column(primary_key=True)
    calendar_id: Mapped[int] = mapped_column(ForeignKey("calendar.id", ondelete="CASCADE"))
    remote_id: Mapped[str] = mapped_column(String(1000))
    instance_id: Mapped[str] = mapped_column(String(32))
    appointment_no: Mapped[int]
    appointment_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id", ondelete="SET NULL"))
    sealed_summary: Mapped[str] = mapped_column(Text, default="")
    sealed_description: Mapped[str] = mapped_column(Text, default="")
    start_at: Mapped[datetime] = mapped_column(Instant)
    end_at: Mapped[datetime] = mapped_column(Instant)
    found_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    answered_at: Mapped[datetime | None] = mapped_column(Instant)
    answer: Mapped[str] = mapped_column(String(16), default="")
    answered_by: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))

    @property
    def summary(self) -> str:
        """The event's title, while it is asked about."""
        return titles.open_unknown(self.calendar_id, self.remote_id, "summary", self.sealed_summary)

    @property
    def description(self) -> str:
        """The event's text, while it is asked about."""
        return titles.open_unknown(self.calendar_id, self.remote_id, "description", self.sealed_description)

    def tell(self, summary: str, description: str = "") -> None:
        """Keep what the event tells of customers, sealed; what is sealed twice is never the same text, so what holds it already stays."""
        if summary != self.summary or not summary:
            self.sealed_summary = titles.seal_unknown(self.calendar_id, self.remote_id, "summary", summary)
        if description != self.description or not description:
            self.sealed_description = titles.seal_unknown(self.calendar_id, self.remote_id, "description", description)

    __table_args__ = (UniqueConstraint("calendar_id", "remote_id"),)
