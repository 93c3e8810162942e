"""The way back for who has forgotten their password: a one-time link, printed by the console or mailed to the address of the user.

Who asks for a mail learns nothing: every address gets a row and an outbox entry by the same statements, and only when its turn to be mailed
comes is it asked whether there is such a user. Limits are counted in the database, so they hold over all processes.

Called by the account pages and the command line; `token_of` and `mail_has_left` by the mails (topic `notify.reset`, subject `reset:<id>`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session, object_session

from portal import outbox
from portal.accounts import passwords
from portal.accounts.forms import clean_email
from portal.accounts.models import PasswordReset, User
from portal.accounts.operations import end_all_sessions, end_resets, start_session_in
from portal.accounts.queries import find_user, lock_accounts
from portal.database.engine import transaction
from portal.errors import NotAllowedNow, NotFound, Refused
from portal.extensions import current_sealer
from portal.security import keyed_hash, new_token, token_hash

LIVES = timedelta(minutes=30)
KEPT = timedelta(days=1)
PER_ADDRESS = ((timedelta(hours=1), 3), (timedelta(days=1), 10))
PER_CLIENT = ((timedelta(hours=1), 10), (timedelta(days=1), 30))
"""(within, at most so many)."""
OVER = "This link does not work any more: it was used, it is too old, or the password was changed since. Please ask for a new one."


class TooManyResets(Refused):
    """Too many links were asked for from this place; the same whatever the addresses are."""

    code = "too_many_resets"
    http_status = 429


def print_link(email: str, *, now: datetime) -> str:
    """The token of a reset link for this user, for the console. Raises NotFound, and NotAllowedNow for one who is shut out."""
    token, address = new_token(), clean_email(email)

    def work(session: Session) -> None:
        user = find_user(session, address)
        if user is None:
            raise NotFound(f"There is no user with the address {address}. `lockstep user list` names them all.")
        if not user.is_enabled:
            raise NotAllowedNow(f"{address} is shut out. Let them in again on the page /admin/people first.")
        session.add(
            PasswordReset(user_id=user.id, token_hash=token_hash(token), created_at=now, expires_at=now + LIVES)
        )

    transaction(work)
    return token


def ask_for_link(email: str, *, client: str, now: datetime) -> None:
    """Have a reset link mailed, if there is such a user. `client` is where the wish comes from.

    When an address was asked for too often, nothing more is sent to it, and nobody is told. Raises Invalid and TooManyResets.
    """
    address, token = clean_email(email), new_token()
    digest = token_hash(token)
    email_hash, client_hash = _keyed(f"address {address}"), _keyed(f"client {client}")

    def work(session: Session) -> None:
        lock_accounts(session)  # one at a time, or limits are passed in a race
        if not _is_within(session, PasswordReset.client_hash == client_hash, PER_CLIENT, now):
            raise TooManyResets(
                "Several links were asked for from here. Please look into your mails, or try again in an hour."
            )
        is_quiet = not _is_within(session, PasswordReset.email_hash == email_hash, PER_ADDRESS, now)
        user_id = session.scalar(select(User.id).where(User.email == address, User.is_enabled))
        row = PasswordReset(
            user_id=None if is_quiet else user_id, token_hash=digest, email_hash=email_hash, client_hash=client_hash,
            sealed_token=current_sealer().seal(token, place=place_of(digest)), created_at=now, expires_at=now + LIVES,
        )  # fmt: skip
        session.add(row)
        session.flush()
        outbox.record(session, "notify.reset", f"reset:{row.id}")

    transaction(work)


def user_of_link(session: Session, token: str, *, now: datetime) -> User:
    """Whose password the link changes. Raises NotFound for one that is not good (any more), whatever the reason."""
    statement = select(User).join(PasswordReset, PasswordReset.user_id == User.id)
    user: User | None = session.scalar(statement.where(PasswordReset.token_hash == token_hash(token), *_is_good(now)))
    if user is None:
        raise NotFound(OVER)
    return user


def use_link(token: str, password: str, *, device: str, now: datetime) -> str:
    """Exchange the password; gives the token of a new session. All other sessions end, and all other links to this user's password.

    Raises NotFound. Of two who use a link at once, one finds it used.
    """
    password_hash = passwords.hash_password(password)

    def work(session: Session) -> str:
        lock_accounts(session)
        user = user_of_link(session, token, now=now)
        user.password_hash = password_hash
        end_resets(session, user.id, now=now)
        end_all_sessions(session, user, now)
        return start_session_in(session, user.id, device=device, now=now)

    return transaction(work)


def token_of(row: PasswordReset, *, now: datetime) -> tuple[User, str] | None:
    """Whom to mail, and the link's token. None where nobody is to be mailed: there is no such user, or the link is over."""
    session = object_session(row)
    assert session is not None
    good = (
        select(User)
        .join(PasswordReset, PasswordReset.user_id == User.id)
        .where(PasswordReset.id == row.id, *_is_good(now))
    )
    user = session.scalar(good)
    if user is None or not row.sealed_token:
        return None
    return user, current_sealer().open(row.sealed_token, place=place_of(row.token_hash))


def mail_has_left(session: Session, reset_id: int) -> None:
    """The token need not be known any more, only recognised. Called in the transaction that notes the mail as sent."""
    session.execute(update(PasswordReset).where(PasswordReset.id == reset_id).values(sealed_token=None))


def forget_old(*, now: datetime) -> int:
    """Delete what is older than a day, when no limit counts it any more; sealed tokens go when they expire."""

    def work(session: Session) -> int:
        session.execute(update(PasswordReset).where(PasswordReset.expires_at < now).values(sealed_token=None))
        gone = session.execute(delete(PasswordReset).where(PasswordReset.created_at < now - KEPT))
        return int(gone.rowcount)  # type: ignore[attr-defined]

    return transaction(work)


def place_of(digest: str) -> str:
    """What a sealed token is bound to."""
    return f"reset/{digest}/token"


def _is_good(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return PasswordReset.used_at.is_(None), PasswordReset.expires_at > now, User.is_enabled.is_(True)


def _is_within(
    session: Session, whose: ColumnElement[bool], limits: tuple[tuple[timedelta, int], ...], now: datetime
) -> bool:
    for within, most in limits:
        since = (whose, PasswordReset.created_at > now - within)
        if (session.scalar(select(func.count(PasswordReset.id)).where(*since)) or 0) >= most:
            return False
    return True


def _keyed(text: str) -> str:
    return keyed_hash(str(current_app.config["SECRET_KEY"]), f"password reset {text}")
