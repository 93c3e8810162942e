"""Tables of mailed codes, with which customers open the page of their own bookings, and of what was erased."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.clock import now_utc
from portal.database.engine import Instant
from portal.extensions import Model


class MailedCode(Model):
    """A code that was asked for an address, and the visit that it opened. Rows are deleted after a day.

    Every address gets one, known or not; only when its turn to be mailed comes it is asked whether anything is booked with it. The code itself
    is kept sealed only until its mail has left; `tries` counts every try. `client_hash` stands for where it was asked from (limits count by
    it). The browser that asked knows `public_id`, and only there the code is of any use. `session_hash` is that of the visit's token.
    """

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
    client_hash: Mapped[str] = mapped_column(String(64), default="")
    session_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    seen_at: Mapped[datetime | None] = mapped_column(Instant)
    __table_args__ = (
        Index("ix_mailed_code_email_created_at", "email", "created_at"),
        Index("ix_mailed_code_client_hash_created_at", "client_hash", "created_at"),
    )


class Erasure(Model):
    """That somebody's data was erased: when, by whom, how much; never whose. `reason` is "asked" or "retention".

    Until it is finished the address waits in `sealed_email`, encrypted, so that a crash in between loses nothing; then it is forgotten too.
    `is_told`: the customer is told of the bookings that are cancelled for it, so their mails have to leave before.
    """

    __tablename__ = "erasure"
    id: Mapped[int] = mapped_column(primary_key=True)
    erased_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    reason: Mapped[str] = mapped_column(String(16))
    bookings: Mapped[int] = mapped_column(default=0)
    entries: Mapped[int] = mapped_column(default=0)
    sealed_email: Mapped[str | None] = mapped_column(Text)
    is_told: Mapped[bool] = mapped_column(default=False)
