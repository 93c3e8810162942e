"""Tables of the business itself. Minutes are whole numbers; wall-clock times are minutes from local midnight."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.clock import now_utc
from portal.db import Instant
from portal.extensions import Model

RESOURCE_KINDS = ("staff", "room", "equipment")
ASSIGNMENTS = ("choose", "any", "all")
MEETINGS = ("google",)


class Business(Model):
    """The one business of this instance (id 1). `instance_id` goes into derived remote ids, and never changes."""

    __tablename__ = "business"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    zone: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(8), default="en")
    instance_id: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)


class Resource(Model):
    """Whatever has a timetable and can be taken. Its row is the lock of its time (`portal.db.write_transaction`)."""

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
    is_active: Mapped[bool] = mapped_column(default=True)
    position: Mapped[int] = mapped_column(default=0)
    needs: Mapped[list[ServiceResource]] = relationship(
        cascade="all, delete-orphan", order_by="ServiceResource.list_no, ServiceResource.position"
    )
    __table_args__ = (
        CheckConstraint("duration > 0 AND duration % 5 = 0", name="duration"),
        CheckConstraint("step > 0 AND step % 5 = 0", name="step"),
        CheckConstraint("buffer_before >= 0 AND buffer_before % 5 = 0", name="buffer_before"),
        CheckConstraint("buffer_after >= 0 AND buffer_after % 5 = 0", name="buffer_after"),
        CheckConstraint("capacity >= 1", name="capacity"),
        CheckConstraint("assignment IN ('choose', 'any', 'all')", name="assignment"),
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
