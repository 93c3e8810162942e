"""The table of mailed codes, with which a customer opens the page of their own bookings."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.clock import now_utc
from portal.db import Instant
from portal.extensions import Model


class MailedCode(Model):
    """A code that was mailed to an address. The code itself is kept sealed only until its mail has left; `tries` counts wrong ones."""

    __tablename__ = "mailed_code"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    email: Mapped[str] = mapped_column(String(254))
    language: Mapped[str] = mapped_column(String(8), default="")
    code_hash: Mapped[str] = mapped_column(String(64))
    sealed_code: Mapped[str | None] = mapped_column(Text)
    tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)
    __table_args__ = (Index("ix_mailed_code_email_created_at", "email", "created_at"),)


class Erasure(Model):
    """That somebody's data was erased: when, by whom, how much; never whose."""

    __tablename__ = "erasure"
    id: Mapped[int] = mapped_column(primary_key=True)
    erased_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    reason: Mapped[str] = mapped_column(String(16))
    bookings: Mapped[int] = mapped_column(default=0)
    entries: Mapped[int] = mapped_column(default=0)
