"""Who is who: users, the user of a session, set-up links. Each takes the session first and changes nothing, save `lock_accounts`, which waits."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, text
from sqlalchemy.orm import Session

from portal.accounts.models import ApiToken, SetupLink, User, UserSession
from portal.errors import NotFound
from portal.security import token_hash

IDLE = timedelta(hours=12)
LONGEST_SESSION = timedelta(days=14)


def lock_accounts(session: Session) -> None:
    """Until the transaction ends nobody else changes who may do what: of two who become the first owner at once, or stop being the last one, the
    second sees what the first did. SQLite has one writer at a time anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(7301)"))


def owner_exists(session: Session) -> bool:
    return session.scalar(select(User.id).where(User.role == "owner").limit(1)) is not None


def find_user(session: Session, email: str) -> User | None:
    """By the exact address, which is stored in lower case."""
    if "\x00" in email:  # PostgreSQL refuses to look for it
        return None
    return session.scalar(select(User).where(User.email == email))


def user_of_session(session: Session, token: str, *, now: datetime) -> tuple[User, UserSession] | None:
    """Whose session this token is; None when it ended, was idle for 12 hours, is 14 days old, or the user was shut out."""
    statement = (
        select(User, UserSession)
        .join(UserSession, UserSession.user_id == User.id)
        .where(
            UserSession.token_hash == token_hash(token),
            UserSession.ended_at.is_(None),
            UserSession.last_seen_at > now - IDLE,
            UserSession.created_at > now - LONGEST_SESSION,
            User.is_enabled,
        )
    )
    row = session.execute(statement).first()
    return (row[0], row[1]) if row else None


def sessions_of(session: Session, user_id: int, *, now: datetime) -> list[UserSession]:
    """The user's live sessions, the newest first."""
    statement = select(UserSession).where(
        UserSession.user_id == user_id,
        UserSession.ended_at.is_(None),
        UserSession.last_seen_at > now - IDLE,
        UserSession.created_at > now - LONGEST_SESSION,
    )
    return list(session.scalars(statement.order_by(UserSession.last_seen_at.desc(), UserSession.id.desc())))


def find_setup_link(session: Session, token: str, *, now: datetime) -> SetupLink:
    """Raises NotFound for a link that is unknown, used, withdrawn, too old, or for a first owner where there is one: the same for all of them."""
    link = session.scalar(select(SetupLink).where(SetupLink.token_hash == token_hash(token), *is_open(now)))
    if link is None:
        raise NotFound(
            "This link does not work any more: it was used, it is too old, or it was withdrawn. Please ask for a new one."
        )
    return link


def is_open(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """What a set-up link must be to be good."""
    no_owner = ~select(User.id).where(User.role == "owner").exists()
    return (
        SetupLink.used_at.is_(None),
        SetupLink.ended_at.is_(None),
        SetupLink.expires_at > now,
        or_(SetupLink.is_first.is_(False), no_owner),
    )


def list_users(session: Session) -> list[User]:
    return list(session.scalars(select(User).order_by(User.email)))


def open_invitations(session: Session, *, now: datetime) -> list[SetupLink]:
    """Invitations that can still be used."""
    statement = select(SetupLink).where(SetupLink.email != "", *is_open(now))
    return list(session.scalars(statement.order_by(SetupLink.expires_at)))


def list_api_tokens(session: Session) -> list[tuple[ApiToken, str]]:
    """All API tokens, the newest first, each with the name or address of who made it ("" for the console)."""
    statement = select(ApiToken, User.name, User.email).outerjoin(User, User.id == ApiToken.made_by_id)
    rows = session.execute(statement.order_by(ApiToken.id.desc())).all()
    return [(row, name or email or "") for row, name, email in rows]
