"""Tables of mails, reminders and the texts that admins have written themselves.

A mail is written down before it is sent, with a Message-ID derived from what it tells, so that a repeat is recognised.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.clock import now_utc
from portal.database.engine import Instant
from portal.extensions import Model


class Mail(Model):
    """One mail to one person. `message_id` is unique: the same news is never written twice. It is the part before the @, so that the
    sender's address may change without anybody being told old news again."""

    __tablename__ = "mail"
    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(String(200), unique=True)
    kind: Mapped[str] = mapped_column(String(32))
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("booking.id", ondelete="SET NULL"), index=True)
    entry_id: Mapped[int | None] = mapped_column(ForeignKey("waitlist_entry.id", ondelete="SET NULL"), index=True)
    recipient: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(String(300))
    state: Mapped[str] = mapped_column(String(8), default="sending")
    file_name: Mapped[str] = mapped_column(String(200), default="")
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    sent_at: Mapped[datetime | None] = mapped_column(Instant)
    outbox_id: Mapped[int | None] = mapped_column(index=True)
    """The outbox entry that carries it; entries that are done are forgotten before mails are."""
    tried_at: Mapped[datetime | None] = mapped_column(Instant)
    given_up: Mapped[str] = mapped_column(String(12), default="", server_default="")
    """Why it is not tried any more, though nobody refused it: "too late", or "overtaken" by newer news. Its state is failed then."""
    given_up_at: Mapped[datetime | None] = mapped_column(Instant)
    bounced_at: Mapped[datetime | None] = mapped_column(Instant)
    """When another server sent it back after it had left; its state is failed then."""
    __table_args__ = (
        CheckConstraint("state IN ('sending', 'sent', 'failed')", name="state"),
        Index("ix_mail_created_at", "created_at"),
    )


class Reminder(Model):
    """A reminder that is due `lead` minutes before a booking's start. `state`: waiting, queued (its mail is in the outbox), dropped."""

    __tablename__ = "reminder"
    id: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[int] = mapped_column(ForeignKey("booking.id", ondelete="CASCADE"))
    lead: Mapped[int]
    due_at: Mapped[datetime] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(String(8), default="waiting")
    __table_args__ = (
        UniqueConstraint("booking_id", "lead"),
        CheckConstraint("state IN ('waiting', 'queued', 'dropped')", name="state"),
        Index("ix_reminder_state_due_at", "state", "due_at"),
    )


class MailText(Model):
    """An admin's own words for one kind of mail, of one service or (None) of all, in one language; placeholders stand as {name}.
    `subject` or `body` may be empty: then the portal's own stand there."""

    __tablename__ = "mail_text"
    id: Mapped[int] = mapped_column(primary_key=True)
    service_id: Mapped[int | None] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(32))
    language: Mapped[str] = mapped_column(String(8))
    subject: Mapped[str] = mapped_column(String(300), default="")
    body: Mapped[str] = mapped_column(Text, default="")
    updated_at: Mapped[datetime] = mapped_column(Instant, default=now_utc, onupdate=now_utc)
    __table_args__ = (
        UniqueConstraint("service_id", "kind", "language"),
        Index(
            "uq_mail_text_of_all",
            "kind",
            "language",
            unique=True,
            sqlite_where=text("service_id IS NULL"),
            postgresql_where=text("service_id IS NULL"),
        ),
    )
