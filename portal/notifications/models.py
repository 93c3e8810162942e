"""The table of mails. A mail is written down before it is sent, with a Message-ID derived from what it tells, so that a repeat is recognised."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.clock import now_utc
from portal.db import Instant
from portal.extensions import Model


class Mail(Model):
    """One mail to one person. `message_id` is unique: the same news is never written twice. It is the part before the @, so that the
    sender's address may change without anybody being told old news again."""

    __tablename__ = "mail"
    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(String(200), unique=True)
    kind: Mapped[str] = mapped_column(String(32))
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("booking.id", ondelete="SET NULL"), index=True)
    recipient: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(String(300))
    state: Mapped[str] = mapped_column(String(8), default="sending")
    file_name: Mapped[str] = mapped_column(String(200), default="")
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    sent_at: Mapped[datetime | None] = mapped_column(Instant)
    __table_args__ = (
        CheckConstraint("state IN ('sending', 'sent', 'failed')", name="state"),
        Index("ix_mail_created_at", "created_at"),
    )
