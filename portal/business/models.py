"""Tables of the business itself. Minutes are whole numbers; wall-clock times are minutes from local midnight."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.clock import now_utc
from portal.database.engine import Instant
from portal.extensions import Model


class Business(Model):
    """The one business of this instance (id 1). `instance_id` goes into derived remote ids, and never changes."""

    __tablename__ = "business"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    zone: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(8), default="en")
    instance_id: Mapped[str] = mapped_column(String(32))
    email: Mapped[str] = mapped_column(String(254), default="", server_default="")
    """Where customers' answers to mails go; empty: to the owner."""
    retention_days: Mapped[int | None]
    """So long after an appointment its customers' data are kept; None: until somebody erases them."""
    confirm_by_mail: Mapped[bool] = mapped_column(default=False)
    """As if every service asked for it."""
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)


class Resource(Model):
    """Whatever has a timetable and can be taken. Its row is the lock of its time (`portal.database.engine.write_transaction`)."""

    __tablename__ = "resource"
    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254), default="")
    zone: Mapped[str] = mapped_column(String(64))
    is_active: Mapped[bool] = mapped_column(default=True)
    position: Mapped[int] = mapped_column(default=0)
    weekly_hours: Mapped[list[WeeklyHours]] = relationship(
        cascade="all, delete-orphan", order_by="WeeklyHours.weekday, WeeklyHours.starts"
    )
    date_overrides: Mapped[list[DateOverride]] = relationship(
        cascade="all, delete-orphan", order_by="DateOverride.on_date, DateOverride.starts"
    )
    __table_args__ = (CheckConstraint("kind IN ('staff', 'room', 'equipment')", name="kind"),)


class WeeklyHours(Model):
    """One working range of one weekday (0 = Monday), `[starts, ends)` in minutes from local midnight."""

    __tablename__ = "weekly_hours"
    id: Mapped[int] = mapped_column(primary_key=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id", ondelete="CASCADE"), index=True)
    weekday: Mapped[int]
    starts: Mapped[int]
    ends: Mapped[int]
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint("starts >= 0 AND starts < ends AND ends <= 1440", name="range"),
    )


class DateOverride(Model):
    """One working range of one date, in place of the weekly hours; a row without times closes the date."""

    __tablename__ = "date_override"
    id: Mapped[int] = mapped_column(primary_key=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id", ondelete="CASCADE"))
    on_date: Mapped[date]
    starts: Mapped[int | None]
    ends: Mapped[int | None]
    __table_args__ = (
        CheckConstraint(
            "(starts IS NULL AND ends IS NULL) OR (starts >= 0 AND starts < ends AND ends <= 1440)",
            name="range",
        ),
        Index("ix_date_override_resource_id_on_date", "resource_id", "on_date"),
    )


class Service(Model):
    """What can be booked. `duration`, `step` and the buffers are minutes, multiples of 5; `horizon` is days."""

    __tablename__ = "service"
    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(String(2000), default="")
    location: Mapped[str] = mapped_column(String(300), default="")
    meeting: Mapped[str] = mapped_column(String(8), default="")
    """"google": each appointment gets a Google Meet link, if the calendar that receives it can make one. Empty: none."""
    duration: Mapped[int]
    step: Mapped[int]
    buffer_before: Mapped[int] = mapped_column(default=0)
    buffer_after: Mapped[int] = mapped_column(default=0)
    notice: Mapped[int] = mapped_column(default=0)
    horizon: Mapped[int] = mapped_column(default=60)
    capacity: Mapped[int] = mapped_column(default=1)
    assignment: Mapped[str] = mapped_column(String(8), default="choose")
    cancel_until: Mapped[int] = mapped_column(default=0)
    """A customer may cancel until this many minutes before the start."""
    move_until: Mapped[int] = mapped_column(default=0)
    timing: Mapped[str] = mapped_column(String(8), default="slots")
    """"slots": customers choose among the times that are free. "fixed": appointments stand at times that staff have set (dates, series)."""
    per_day: Mapped[int | None]
    """At most so many appointments of this service on one day of the business's zone; `per_week` likewise, Monday to Sunday."""
    per_week: Mapped[int | None]
    per_customer: Mapped[int | None]
    """At most so many bookings to come of one e-mail address."""
    needs_approval: Mapped[bool] = mapped_column(default=False)
    """Bookings are pending, and own their seats, until staff say yes or no."""
    confirm_by_mail: Mapped[bool] = mapped_column(default=False)
    """A booking on the page counts once its customer has confirmed it by the link in their mail."""
    price: Mapped[str] = mapped_column(String(100), default="")
    """Shown as it is written; nothing is computed with it."""
    is_hidden: Mapped[bool] = mapped_column(default=False)
    """Not in the list of services; whoever has the link may book."""
    location_kind: Mapped[str] = mapped_column(String(8), default="")
    """Where it takes place: "on-site", "online" or "phone" (then a telephone number is asked for); empty: not said."""
    reminders: Mapped[list[int]] = mapped_column(JSON, default=lambda: [1440])
    """Customers are reminded so many minutes before the start, each once."""
    has_waitlist: Mapped[bool] = mapped_column(default=False)
    is_waitlist_paused: Mapped[bool] = mapped_column(default=False)
    """No offers are made; entries are taken all the same."""
    offer_minutes: Mapped[int] = mapped_column(default=240)
    """So long an offer holds its seats, less near the start."""
    is_active: Mapped[bool] = mapped_column(default=True)
    position: Mapped[int] = mapped_column(default=0)
    needs: Mapped[list[ServiceResource]] = relationship(
        cascade="all, delete-orphan", order_by="ServiceResource.list_no, ServiceResource.position"
    )
    questions: Mapped[list[ServiceQuestion]] = relationship(
        cascade="all, delete-orphan", order_by="ServiceQuestion.position, ServiceQuestion.id"
    )
    __table_args__ = (
        CheckConstraint("duration > 0 AND duration % 5 = 0", name="duration"),
        CheckConstraint("step > 0 AND step % 5 = 0", name="step"),
        CheckConstraint("buffer_before >= 0 AND buffer_before % 5 = 0", name="buffer_before"),
        CheckConstraint("buffer_after >= 0 AND buffer_after % 5 = 0", name="buffer_after"),
        CheckConstraint("capacity >= 1", name="capacity"),
        CheckConstraint("assignment IN ('choose', 'any', 'all')", name="assignment"),
        CheckConstraint("timing IN ('slots', 'fixed')", name="timing"),
        CheckConstraint("location_kind IN ('', 'on-site', 'online', 'phone')", name="location_kind"),
        CheckConstraint("offer_minutes >= 5", name="offer_minutes"),
    )


class ServiceResource(Model):
    """A resource that a service may take. List 0 is the main list; each further list needs one of its own."""

    __tablename__ = "service_resource"
    id: Mapped[int] = mapped_column(primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"))
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), index=True)
    list_no: Mapped[int] = mapped_column(default=0)
    position: Mapped[int] = mapped_column(default=0)
    __table_args__ = (UniqueConstraint("service_id", "list_no", "resource_id"),)


class ServiceQuestion(Model):
    """A question on the booking form. `name` is its key in `booking.answers`; `choices` are the options of kind "choice"."""

    __tablename__ = "service_question"
    id: Mapped[int] = mapped_column(primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(40))
    label: Mapped[str] = mapped_column(String(300))
    kind: Mapped[str] = mapped_column(String(8), default="text")
    is_required: Mapped[bool] = mapped_column(default=False)
    choices: Mapped[list[Any]] = mapped_column(JSON, default=list)
    position: Mapped[int] = mapped_column(default=0)
    __table_args__ = (
        UniqueConstraint("service_id", "name"),
        CheckConstraint("kind IN ('text', 'long', 'number', 'choice', 'checkbox')", name="kind"),
    )
