"""Tables of appointments, series, claims, seats, bookings and the waitlist. The primary keys of `Claim` and `Seat` are the README's promise 1."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.business.models import Service
from portal.clock import now_utc
from portal.database.engine import Instant
from portal.extensions import Model

STATUSES = ("held", "pending", "confirmed", "cancelled", "completed", "no_show")
ACTIVE = ("held", "pending", "confirmed", "completed", "no_show")
"""Statuses whose bookings own claims and seats. Who came, or did not, keeps the place that they had."""
STANDING = ("pending", "confirmed")
"""Statuses that can still be cancelled or moved."""
PRESENT = ("confirmed", "completed", "no_show")
"""Statuses of those who are told of in calendars, and counted there."""


class Appointment(Model):
    """One concrete time at which a service takes place.

    `claim_start_at`/`claim_end_at` include the buffers. `version` grows with every change that calendars must show; `generation` grows when
    the event must be made anew under another remote id. An appointment without active bookings is not `is_active` and owns nothing,
    save a fixed one (`is_fixed`): staff set its time, and it stands and owns its time until it is called off, booked or not.
    `series_id` and `series_on` (the local date that the series gave it) name its place in a weekly series, wherever it was moved since.
    """

    __tablename__ = "appointment"
    id: Mapped[int] = mapped_column(primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id"), index=True)
    start_at: Mapped[datetime] = mapped_column(Instant, index=True)
    end_at: Mapped[datetime] = mapped_column(Instant)
    claim_start_at: Mapped[datetime] = mapped_column(Instant)
    claim_end_at: Mapped[datetime] = mapped_column(Instant)
    capacity: Mapped[int] = mapped_column(default=1)
    is_active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    generation: Mapped[int] = mapped_column(default=1)
    is_fixed: Mapped[bool] = mapped_column(default=False)
    series_id: Mapped[int | None] = mapped_column(ForeignKey("series.id", ondelete="SET NULL"))
    series_on: Mapped[date | None]
    planned_at: Mapped[datetime | None] = mapped_column(Instant)
    """The start that a fixed one was first given: by it a seed file knows it again, wherever it was moved since."""
    called_off_at: Mapped[datetime | None] = mapped_column(Instant)
    service: Mapped[Service] = relationship()
    resources: Mapped[list[AppointmentResource]] = relationship(
        cascade="all, delete-orphan", order_by="AppointmentResource.list_no, AppointmentResource.resource_id"
    )
    bookings: Mapped[list[Booking]] = relationship(back_populates="appointment", order_by="Booking.id")
    __table_args__ = (
        CheckConstraint("end_at > start_at", name="order"),
        CheckConstraint("claim_start_at <= start_at AND claim_end_at >= end_at", name="claim"),
        Index("uq_appointment_series_id_series_on", "series_id", "series_on", unique=True),
    )


class Series(Model):
    """A weekly repetition of fixed appointments: at `starts` (minutes from local midnight) on every `weekday` (0 = Monday) of `zone` from
    `first_on` to `last_on`, both included (None: on and on), but not on `except_on` (ISO dates). Appointments are made of it as far as
    the service's horizon reaches. `resource_id` is who gives it; None: as the service says. `capacity` None: the service's."""

    __tablename__ = "series"
    id: Mapped[int] = mapped_column(primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"), index=True)
    weekday: Mapped[int]
    starts: Mapped[int]
    zone: Mapped[str] = mapped_column(String(64))
    first_on: Mapped[date]
    last_on: Mapped[date | None]
    capacity: Mapped[int | None]
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resource.id"))
    except_on: Mapped[list[str]] = mapped_column(JSON, default=list)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint("starts BETWEEN 0 AND 1435", name="starts"),
    )


class AppointmentResource(Model):
    """A resource that an appointment takes. On PostgreSQL an exclusion constraint on (resource, claimed period) where `is_active` is
    the second, independent guard against overlaps; the migration adds it."""

    __tablename__ = "appointment_resource"
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id", ondelete="CASCADE"), primary_key=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), primary_key=True)
    list_no: Mapped[int] = mapped_column(default=0)
    claim_start_at: Mapped[datetime] = mapped_column(Instant)
    claim_end_at: Mapped[datetime] = mapped_column(Instant)
    is_active: Mapped[bool] = mapped_column(default=True)
    __table_args__ = (
        CheckConstraint("claim_end_at > claim_start_at", name="order"),
        Index("ix_appointment_resource_resource_id_claim_end_at", "resource_id", "claim_end_at"),
    )


class Claim(Model):
    """One 5-minute quantum of one resource, taken. `quantum_no` is UTC seconds since 1970 divided by 300."""

    __tablename__ = "claim"
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), primary_key=True, autoincrement=False)
    quantum_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id", ondelete="CASCADE"), index=True)


class Seat(Model):
    """One seat of an appointment, taken by a booking. Seats are numbered from 1 to the appointment's capacity."""

    __tablename__ = "seat"
    appointment_id: Mapped[int] = mapped_column(
        ForeignKey("appointment.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    seat_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    booking_id: Mapped[int] = mapped_column(ForeignKey("booking.id", ondelete="CASCADE"), index=True)


class Booking(Model):
    """One customer's place in an appointment.

    `public_id` names it in the API. The manage link's token is kept as a hash for look-up, and sealed (encrypted) so that later mails can
    carry the link. `idempotency_key` is the digest of the form's or the API call's key, `request_digest` that of its content.
    `sequence` is the iCalendar SEQUENCE of the customer's copy. A held booking with a manage link is filled in, and waits until `held_until` for
    its customer to confirm it by the link in their mail.
    """

    __tablename__ = "booking"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id"), index=True)
    status: Mapped[str] = mapped_column(String(16))
    party_size: Mapped[int] = mapped_column(default=1)
    customer_name: Mapped[str] = mapped_column(String(200), default="")
    customer_email: Mapped[str] = mapped_column(String(254), default="", index=True)
    customer_phone: Mapped[str] = mapped_column(String(40), default="")
    customer_zone: Mapped[str] = mapped_column(String(64), default="")
    customer_language: Mapped[str] = mapped_column(String(8), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    answers: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    channel: Mapped[str] = mapped_column(String(16), default="web")
    hold_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    held_until: Mapped[datetime | None] = mapped_column(Instant)
    hold_extended: Mapped[bool] = mapped_column(default=False)
    network_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    """A digest of the network from which a time is held, for as long as it is not booked (`portal.booking.strangers.budgets`)."""
    manage_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    sealed_manage_token: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    request_digest: Mapped[str | None] = mapped_column(String(64))
    pending_reason: Mapped[str] = mapped_column(Text, default="")
    sequence: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant)
    cancelled_at: Mapped[datetime | None] = mapped_column(Instant)
    cancelled_by: Mapped[str] = mapped_column(String(16), default="")
    wants_reminders: Mapped[bool] = mapped_column(default=True)
    appointment: Mapped[Appointment] = relationship(back_populates="bookings")
    __table_args__ = (
        CheckConstraint(
            "status IN ('held', 'pending', 'confirmed', 'cancelled', 'completed', 'no_show')", name="status"
        ),
        CheckConstraint("party_size >= 1", name="party_size"),
        Index("ix_booking_status_held_until", "status", "held_until"),
    )


class Spending(Model):
    """Something of which a visitor has a budget was asked for: `what` is hold, booking, join or asked (a booking that has to be confirmed by
    mail), `whose` a keyed digest of a network, an address or a service. Or `what` is answered: a form whose answer stands in a mail alone, by
    a keyed digest of its key (`portal.booking.strangers.quietly`). Rows are deleted after a day."""

    __tablename__ = "spending"
    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(String(16))
    whose: Mapped[str] = mapped_column(String(64))
    spent_at: Mapped[datetime] = mapped_column(Instant, index=True)
    __table_args__ = (Index("ix_spending_whose_what_spent_at", "whose", "what", "spent_at"),)


class WaitlistEntry(Model):
    """Somebody who waits for a full appointment (`wish` "appointment"), or for a service's slots on a day ("day"), in its week ("week"), or
    whenever ("any"); `wish_on` is that local date in the business's zone. `resource_id` names the person wanted; None: anyone.

    `joined_at` is the place in the queue. `status`: waiting, offered; and the ends: accepted (`booking_id`), declined, lapsed (the offer
    ran out), left (took themselves off, or were taken off), over (what was wished for has passed). An ended entry never comes back.
    """

    __tablename__ = "waitlist_entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"))
    appointment_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id", ondelete="SET NULL"), index=True)
    wish: Mapped[str] = mapped_column(String(12))
    start_at: Mapped[datetime | None] = mapped_column(Instant)
    """The start wished for, with wish "appointment". It counts where the appointment is no fixed one: such come and go with their bookings."""
    wish_on: Mapped[date | None]
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resource.id"))
    party_size: Mapped[int] = mapped_column(default=1)
    status: Mapped[str] = mapped_column(String(8), default="waiting")
    customer_name: Mapped[str] = mapped_column(String(200), default="")
    customer_email: Mapped[str] = mapped_column(String(254), default="", index=True)
    customer_phone: Mapped[str] = mapped_column(String(40), default="")
    customer_zone: Mapped[str] = mapped_column(String(64), default="")
    customer_language: Mapped[str] = mapped_column(String(8), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    answers: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    sealed_token: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    request_digest: Mapped[str | None] = mapped_column(String(64))
    sequence: Mapped[int] = mapped_column(default=0)
    """Grows with everything that is told about the entry."""
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("booking.id", ondelete="SET NULL"))
    joined_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    service: Mapped[Service] = relationship()
    __table_args__ = (
        CheckConstraint("wish IN ('appointment', 'day', 'week', 'any')", name="wish"),
        CheckConstraint(
            "status IN ('waiting', 'offered', 'accepted', 'declined', 'lapsed', 'left', 'over')", name="status"
        ),
        CheckConstraint("party_size >= 1", name="party_size"),
        Index("ix_waitlist_entry_service_id_status", "service_id", "status"),
    )


class Offer(Model):
    """Seats offered to a waitlist entry: a booking with status held owns them until `ends_at`. `state`: open, accepted, declined, lapsed,
    withdrawn. An entry has one open offer at most. `start_at`, `end_at` and `party_size` stay for the record when the hold is gone."""

    __tablename__ = "offer"
    id: Mapped[int] = mapped_column(primary_key=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("waitlist_entry.id", ondelete="CASCADE"), index=True)
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("booking.id", ondelete="SET NULL"), index=True)
    appointment_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id", ondelete="SET NULL"))
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resource.id"))
    start_at: Mapped[datetime] = mapped_column(Instant)
    end_at: Mapped[datetime] = mapped_column(Instant)
    party_size: Mapped[int]
    state: Mapped[str] = mapped_column(String(12), default="open")
    made_by: Mapped[str] = mapped_column(String(8), default="portal")
    made_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    ends_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    entry: Mapped[WaitlistEntry] = relationship()
    booking: Mapped[Booking | None] = relationship()
    __table_args__ = (
        CheckConstraint("state IN ('open', 'accepted', 'declined', 'lapsed', 'withdrawn')", name="state"),
        CheckConstraint("made_by IN ('portal', 'staff')", name="made_by"),
        Index(
            "uq_offer_open",
            "entry_id",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_offer_state_ends_at", "state", "ends_at"),
    )


class WaitlistReceipt(Model):
    """Who was considered for one vacancy, and why each was offered it or passed by. Append-only. `considered` is a list of
    {"entry": id, "party_size": n, "outcome": "offered" or "passed", "why": code}; `cause` says what freed the seats."""

    __tablename__ = "waitlist_receipt"
    id: Mapped[int] = mapped_column(primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"))
    appointment_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id", ondelete="SET NULL"))
    start_at: Mapped[datetime] = mapped_column(Instant)
    seats_free: Mapped[int]
    cause: Mapped[str] = mapped_column(String(16))
    considered: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    decided_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    __table_args__ = (Index("ix_waitlist_receipt_service_id_decided_at", "service_id", "decided_at"),)


class EventLink(Model):
    """Our appointment <-> the remote event that stands for it in one calendar.

    `wanted_version` is the appointment's version that the calendar must show, `applied_version` the one it shows; 0 is none.
    `state`: waiting, done, stuck (with `last_error`), none (nothing stands there and nothing has to).
    `etag`, `content_hash`, `start_at` and `end_at` are those of the event as it was last seen there; an empty etag says that none stands.
    `sent_hash` holds the hashes of the drafts that were sent since the last receipt: should answers be lost, our own work is known by them.
    `outside` tells what a person did to the event that is not settled yet: "moved", "removed" or nothing.
    """

    __tablename__ = "event_link"
    id: Mapped[int] = mapped_column(primary_key=True)
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id", ondelete="CASCADE"))
    calendar_id: Mapped[int] = mapped_column(ForeignKey("calendar.id", ondelete="CASCADE"), index=True)
    generation: Mapped[int] = mapped_column(default=1)
    uid: Mapped[str] = mapped_column(String(100))
    remote_id: Mapped[str] = mapped_column(String(1000), default="")
    etag: Mapped[str] = mapped_column(String(300), default="")
    content_hash: Mapped[str] = mapped_column(String(64), default="")
    sent_hash: Mapped[str] = mapped_column(String(300), default="")
    outside: Mapped[str] = mapped_column(String(8), default="")
    start_at: Mapped[datetime | None] = mapped_column(Instant)
    end_at: Mapped[datetime | None] = mapped_column(Instant)
    sequence: Mapped[int] = mapped_column(default=0)
    meeting_url: Mapped[str] = mapped_column(String(500), default="")
    """The link of the video meeting that the provider made for the event."""
    wanted_version: Mapped[int] = mapped_column(default=0)
    applied_version: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(8), default="waiting")
    last_error: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(Instant, default=now_utc, onupdate=now_utc)
    __table_args__ = (
        UniqueConstraint("appointment_id", "calendar_id"),
        CheckConstraint("state IN ('waiting', 'done', 'stuck', 'none')", name="state"),
        CheckConstraint("outside IN ('', 'moved', 'removed')", name="outside"),
        Index("ix_event_link_calendar_id_remote_id", "calendar_id", "remote_id"),
    )
