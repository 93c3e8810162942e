"""How often passwords may be tried: by one network address, and for one account. Counted in the database, so it holds over all processes, with
and without a queue server, and after a restart.

Every try is counted before the password is looked at, under a lock, so that of any number of tries at once as many count; the right password
takes it back. The statements are the same whether or not there is such a user, and end in one commit: time tells nobody who is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from portal.accounts import passwords
from portal.accounts.models import Guess, User
from portal.accounts.queries import find_user, lock_accounts
from portal.database.engine import transaction
from portal.errors import Invalid, Refused
from portal.extensions import limiter
from portal.security import keyed_hash

FREE_FAILURES = 5
LONGEST_DELAY = timedelta(minutes=5)
PER_CLIENT = ((timedelta(minutes=1), 10), (timedelta(hours=1), 60))
"""(within, at most so many wrong tries), for whatever accounts."""
KEPT = timedelta(days=1)
WRONG_PASSWORD = "This is not your password. Nothing was changed. After several wrong tries, please wait some minutes before the next."


class TooManyTries(Refused):
    """Too many wrong passwords came from this place; the same whatever the accounts are."""

    code = "too_many_tries"
    http_status = 429

    def __init__(self) -> None:
        super().__init__("Too many wrong passwords came from here. Please wait some minutes before the next try.")


@dataclass(frozen=True, slots=True)
class Try:
    """A try that was counted. `user_id` is None for nobody's address; `is_delayed`: whatever the password is, it is too early."""

    guess_id: int
    user_id: int | None
    password_hash: str | None
    is_delayed: bool
    is_enabled: bool


def delay_after(failures: int) -> timedelta:
    """How long an account waits after that many wrong tries in a row: nothing at first, then 2, 4, 8 ... seconds, five minutes at most."""
    if failures < FREE_FAILURES:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(failures - FREE_FAILURES + 1, 20)), LONGEST_DELAY)


def count_sign_in(email: str, *, client: str, knows_device: bool, now: datetime) -> Try:
    """Count a try to sign in. `knows_device` is a browser that this user signed in on before: neither the delay nor the limit that strangers
    cause bind it, but it has a limit of its own. Raises TooManyTries.
    """

    def work(session: Session) -> Try:
        lock_accounts(session)
        user = find_user(session, email)
        who = f"device {user.id}" if user and knows_device else f"client {client}"
        guess_id = _count(session, who, PER_CLIENT if client else (), now)
        is_delayed = bool(user and not knows_device and user.next_sign_in_at and user.next_sign_in_at > now)
        failures = user.failed_sign_ins + 1 if user else 1
        found = Try(
            guess_id, user.id if user else None, user.password_hash if user else None, is_delayed, bool(user and user.is_enabled)
        )  # fmt: skip
        # A try during the delay does not prolong it. For nobody's address the same statement changes no row.
        counted = update(User).where(User.id == (user.id if user and not is_delayed else -1))
        session.execute(counted.values(failed_sign_ins=failures, next_sign_in_at=now + delay_after(failures)))
        return found

    return transaction(work)


def prove(user_id: int, password: str, *, client: str, now: datetime) -> None:
    """Whoever sits at an open session shows that they know its user's password. Raises Invalid (field `password`) and TooManyTries.

    The session's own wrong tries delay the next one as they do when signing in; strangers, who have no session, delay nobody here.
    """
    account = _key(f"session {user_id}")

    def work(session: Session) -> Try:
        lock_accounts(session)
        guess_id = _count(session, f"client {client}", PER_CLIENT if client else (), now)
        mine = select(func.count(Guess.id), func.max(Guess.made_at)).where(*_since(account, now - KEPT))
        failures, last_at = session.execute(mine).one()
        is_delayed = last_at is not None and last_at + delay_after(failures) > now
        if not is_delayed:
            session.add(Guess(key=account, made_at=now))
        user = session.get_one(User, user_id)
        return Try(guess_id, user_id, user.password_hash, is_delayed, user.is_enabled)

    found = transaction(work)
    if not passwords.fits(password, found.password_hash) or found.is_delayed:
        raise Invalid(WRONG_PASSWORD, fields={"password": WRONG_PASSWORD})
    transaction(
        lambda session: session.execute(delete(Guess).where((Guess.key == account) | (Guess.id == found.guess_id)))
    )


def take_back(session: Session, found: Try) -> None:
    """The password was right: this try counts against nobody."""
    session.execute(delete(Guess).where(Guess.id == found.guess_id))


def forget_old(*, now: datetime) -> int:
    """Delete tries that no limit counts any more."""
    statement = delete(Guess).where(Guess.made_at < now - KEPT)
    return int(transaction(lambda session: session.execute(statement).rowcount))  # type: ignore[attr-defined]


def _count(session: Session, who: str, limits: tuple[tuple[timedelta, int], ...], now: datetime) -> int:
    """Write the try down; gives its number. Raises TooManyTries."""
    key = _key(who)
    for within, most in limits if limiter.enabled else ():
        if (session.scalar(select(func.count(Guess.id)).where(*_since(key, now - within))) or 0) >= most:
            raise TooManyTries
    row = Guess(key=key, made_at=now)
    session.add(row)
    session.flush()
    return row.id


def _since(key: str, since: datetime) -> tuple[ColumnElement[bool], ...]:
    return Guess.key == key, Guess.made_at > since


def _key(text: str) -> str:
    return keyed_hash(str(current_app.config["SECRET_KEY"]), f"guess {text}")
