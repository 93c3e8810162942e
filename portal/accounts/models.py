"""Tables of users, their sessions and one-time links, wrong tries, and API tokens. Passwords are argon2id; links and tokens are stored as SHA-256
only."""

from __future__ import annotations

from datetime import datetime

from flask_login import UserMixin
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.clock import now_utc
from portal.database.engine import Instant
from portal.extensions import Model

ROLES = ("owner", "admin", "staff")
SCOPES = ("read-availability", "book", "read-bookings", "administer")
"""What an API token may be allowed to do."""


class User(UserMixin, Model):  # type: ignore[misc]
    """Who logs in. A staff user sees only the resource they are. `session_epoch` grows to end all sessions at once."""

    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    role: Mapped[str] = mapped_column(String(8))
    password_hash: Mapped[str | None] = mapped_column(String(200))
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resource.id"))
    is_enabled: Mapped[bool] = mapped_column(default=True)
    session_epoch: Mapped[int] = mapped_column(default=0)
    failed_sign_ins: Mapped[int] = mapped_column(default=0)
    next_sign_in_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    __table_args__ = (CheckConstraint("role IN ('owner', 'admin', 'staff')", name="role"),)

    @property
    def is_active(self) -> bool:  # the name Flask-Login asks for
        return self.is_enabled

    @property
    def is_admin(self) -> bool:
        return self.role in ("owner", "admin")

    def get_id(self) -> str:
        return f"{self.id}.{self.session_epoch}"


class UserSession(Model):
    """One device that a user is signed in on. The cookie holds a random token and nothing else: who that is stands here, and here it ends."""

    __tablename__ = "user_session"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    device: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    last_seen_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)


class SetupLink(Model):
    """A one-time link that lets its holder choose a password: the first owner's, or an invited user's. `resource_id` is whom they are.

    `is_first` was made while there was no owner, to get one; it is worth nothing once there is one. `ended_at`: it was withdrawn, or a newer
    one for the same address took its place. `made_by_id` invited; when they lose their rights, what they gave out ends too.
    """

    __tablename__ = "setup_link"
    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str] = mapped_column(String(254), default="")
    role: Mapped[str] = mapped_column(String(8), default="owner")
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resource.id"))
    is_first: Mapped[bool] = mapped_column(default=False)
    made_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)


class PasswordReset(Model):
    """A one-time link to a new password: printed by the console, or asked for on the page of forgotten passwords. Rows are deleted after a day.

    Whatever address is typed on that page gets a row, in the same time; `user_id` is None where nobody is known by it, and no mail is sent.
    The address itself is not kept: `email_hash` and `client_hash` are keyed digests by which limits count. The token is sealed until its mail
    has left.
    """

    __tablename__ = "password_reset"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    sealed_token: Mapped[str | None] = mapped_column(Text)
    email_hash: Mapped[str] = mapped_column(String(64), default="")
    client_hash: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)
    __table_args__ = (
        Index("ix_password_reset_email_hash_created_at", "email_hash", "created_at"),
        Index("ix_password_reset_client_hash_created_at", "client_hash", "created_at"),
    )


class Guess(Model):
    """A try at a password that was wrong, or has not been proven right yet. `key` is a keyed digest of who tries, or of whose password it is.
    Rows are deleted after a day, and with the right password."""

    __tablename__ = "guess"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime] = mapped_column(Instant)
    __table_args__ = (Index("ix_guess_key_made_at", "key", "made_at"),)


class ApiToken(Model):
    """A bearer token for the API, shown once. `scopes` are what it may do; without `expires_at` it has no end."""

    __tablename__ = "api_token"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSON, default=lambda: list(SCOPES))
    made_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(Instant, default=now_utc)
    expires_at: Mapped[datetime | None] = mapped_column(Instant)
    last_used_at: Mapped[datetime | None] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)

    def state(self, now: datetime) -> str:
        """good, revoked, or expired."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "good"
