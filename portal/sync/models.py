"""Tables of what sync found out: questions for staff, conflicts, the ledger, and the leases of periodic work."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.clock import now_utc
from portal.database.engine import Instant
from portal.extensions import Model


class Question(Model):
    """An outside change of our event that waits for an answer of staff: it was moved or deleted, and the rule says *ask*."""

    __tablename__ = "question"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id", ondelete="CASCADE"), index=True)
    calendar_id: Mapped[int] = mapped_column(ForeignKey("calendar.id", ondelete="CASCADE"))
    start_at: Mapped[datetime | None] = mapped_column(Instant)
    end_at: Mapped[datetime | None] = mapped_column(Instant)
    sentence: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    answered_at: Mapped[datetime | None] = mapped_column(Instant, index=True)
    answer: Mapped[str] = mapped_column(String(16), default="")
    answered_by: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    __table_args__ = (CheckConstraint("kind IN ('moved', 'deleted')", name="kind"),)


class Conflict(Model):
    """A booking and an outside event that want the same time (promise 3). Stands until one of the two is gone."""

    __tablename__ = "conflict"
    id: Mapped[int] = mapped_column(primary_key=True)
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id", ondelete="CASCADE"), index=True)
    calendar_id: Mapped[int] = mapped_column(ForeignKey("calendar.id", ondelete="CASCADE"))
    remote_id: Mapped[str] = mapped_column(String(1000))
    start_at: Mapped[datetime] = mapped_column(Instant)
    end_at: Mapped[datetime] = mapped_column(Instant)
    found_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    resolved_at: Mapped[datetime | None] = mapped_column(Instant, index=True)


class LedgerLine(Model):
    """One line of the append-only story of what sync did. Sealed later, in order: `seal` hashes the line and the seal before it."""

    __tablename__ = "ledger_line"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    kind: Mapped[str] = mapped_column(String(24))
    sentence: Mapped[str] = mapped_column(Text)
    connection_id: Mapped[int | None]
    calendar_id: Mapped[int | None]
    appointment_id: Mapped[int | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    seal_no: Mapped[int | None] = mapped_column(unique=True)
    seal: Mapped[str | None] = mapped_column(String(64))
    __table_args__ = (Index("ix_ledger_line_appointment_id", "appointment_id"),)


class Lease(Model):
    """Who does a periodic piece of work just now, so that two workers do not do it twice. Also carries the worker's heartbeat, and in `note` what it
    says of its clock."""

    __tablename__ = "lease"
    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    holder: Mapped[str] = mapped_column(String(80), default="")
    until: Mapped[datetime | None] = mapped_column(Instant)
    last_done_at: Mapped[datetime | None] = mapped_column(Instant)
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
