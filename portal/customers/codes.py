"""Mailed codes and the visits that they open: how a customer without an account shows whose bookings they may see.

Whoever asks learns nothing: each address gets a row and an outbox entry, in the same time, and only when its turn to be mailed comes is it asked
whether anything is stored about it (`code_of`). A code is good for ten minutes, once, in the browser that asked for it, for five tries,
and only until a newer one is asked for. All limits are counted in the database, so they hold over all processes, and after a restart.

Called by the customers' pages; `code_of` and `mail_has_left` by the mails (topic `notify.code`, subject `code:<id>`).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import Session, object_session

from portal import outbox
from portal.booking import rules
from portal.business.models import Business
from portal.clock import now_utc
from portal.customers.models import MailedCode
from portal.customers.queries import has_anything, is_of
from portal.database.engine import small_letters, transaction
from portal.errors import Invalid, Refused
from portal.extensions import current_sealer, db
from portal.language.say import say
from portal.security import new_token, token_hash

LIVES = timedelta(minutes=10)
MOST_TRIES = 5
IDLE = timedelta(minutes=30)
LONGEST_VISIT = timedelta(hours=12)
TOUCH_AFTER = timedelta(minutes=1)
KEPT = timedelta(days=1)

PER_ADDRESS_AND_CLIENT = ((timedelta(hours=1), 5), (timedelta(days=1), 10))
PER_ADDRESS = ((timedelta(hours=1), 25), (timedelta(days=1), 50))
"""Whoever asks for somebody else's codes uses up their own share of that address first: its owner, elsewhere, still gets one."""
PER_CLIENT = ((timedelta(hours=1), 20), (timedelta(days=1), 60))
"""(within, at most so many codes). With five tries each, a client guesses a hundred times an hour at a million codes, whatever the addresses."""


class TooManyCodes(Refused):
    """The same for every address, known or not."""

    code = "too_many_codes"
    http_status = 429


class CodeRefused(Refused):
    """The code is not the one that was mailed last, or is not good any more."""

    code = "code_refused"
    http_status = 422


def clean_address(typed: str) -> str:
    """The address without what stands around it. Raises Invalid for field `email`, with the sentence of the booking form."""
    try:
        return rules.check_customer(rules.Customer(name="-", email=typed)).email
    except Invalid as error:
        sentence = error.fields.get("email", str(error))
        raise Invalid(str(error), fields={"email": sentence}) from None


def ask_for_code(email: str, *, client: str, language: str, now: datetime) -> str:
    """Have a code mailed, if anything is stored about the address. Gives the name by which this browser may use the code.

    `client` is where the wish comes from. Raises Invalid, TooManyCodes.
    """
    email, client_hash = clean_address(email), _keyed(f"client {client}")
    public_id, code = secrets.token_hex(16), f"{secrets.randbelow(10**6):06}"

    def work(session: Session) -> str:
        session.execute(select(Business.id).with_for_update())  # one at a time, or limits are passed in a race
        of_address, of_client = is_of(MailedCode.email, email), MailedCode.client_hash == client_hash
        _check_limit(session, and_(of_address, of_client), PER_ADDRESS_AND_CLIENT, now)
        _check_limit(session, of_address, PER_ADDRESS, now)
        _check_limit(session, of_client, PER_CLIENT, now)
        row = MailedCode(
            public_id=public_id, email=email, language=language, client_hash=client_hash, code_hash=_code_hash(public_id, code),
            sealed_code=current_sealer().seal(code, place=_place(public_id)), created_at=now, expires_at=now + LIVES,
        )  # fmt: skip
        session.add(row)
        session.flush()
        outbox.record(session, "notify.code", f"code:{row.id}")
        return public_id

    return transaction(work)


def use_code(public_id: str, typed: str, *, now: datetime) -> str:
    """Exchange the code for a visit; gives the visit's token. Every call is a try, and the fifth is the last. Raises CodeRefused.

    The try is counted by a conditional update before the code is looked at, so that of any number of tries at once five count.
    """
    code, token = "".join(typed.split()), new_token()

    def work(session: Session) -> bool:
        counted = (
            update(MailedCode)
            .where(MailedCode.public_id == public_id, MailedCode.tries < MOST_TRIES, *_is_good(now))
            .values(tries=MailedCode.tries + 1)
            .returning(MailedCode.id, MailedCode.code_hash)
            .execution_options(synchronize_session=False)
        )
        row = session.execute(counted).first()
        if row is None or not hmac.compare_digest(row.code_hash, _code_hash(public_id, code)):
            return False
        used = {"used_at": now, "sealed_code": None, "session_hash": token_hash(token), "seen_at": now}
        session.execute(update(MailedCode).where(MailedCode.id == row.id).values(**used))
        return True

    if transaction(work):
        return token
    raise CodeRefused(_why_refused(public_id, now=now))


def address_of_visit(token: str, *, now: datetime) -> str | None:
    """Whose bookings this visit may see; None when it is over: signed out, idle for half an hour, twelve hours old, or erased."""
    session: Session = db.session()
    row = session.execute(
        select(MailedCode.id, MailedCode.email, MailedCode.seen_at).where(
            MailedCode.session_hash == token_hash(token),
            MailedCode.seen_at > now - IDLE,
            MailedCode.used_at > now - LONGEST_VISIT,
        )
    ).first()
    if row is None:
        return None
    if now - row.seen_at > TOUCH_AFTER:
        transaction(lambda s: s.execute(update(MailedCode).where(MailedCode.id == row.id).values(seen_at=now)))
    return str(row.email)


def end_visit(token: str) -> None:
    """Sign out: the token opens nothing any more. Idempotent."""
    mine = MailedCode.session_hash == token_hash(token)
    transaction(lambda session: session.execute(update(MailedCode).where(mine).values(session_hash=None)))


def code_of(row: MailedCode, *, now: datetime | None = None) -> str:
    """The six digits for the mail. Empty where none is to be sent: nothing is stored about the address, or the code is not good any more."""
    session = object_session(row)
    assert session is not None
    moment = now or now_utc()
    is_good = session.scalar(select(MailedCode.id).where(MailedCode.id == row.id, *_is_good(moment)))
    if is_good is None or not row.sealed_code or not has_anything(session, row.email):
        return ""
    return current_sealer().open(row.sealed_code, place=_place(row.public_id))


def mail_has_left(session: Session, code_id: int) -> None:
    """The code need not be known any more, only recognised. Called in the transaction that notes the mail as sent."""
    session.execute(update(MailedCode).where(MailedCode.id == code_id).values(sealed_code=None))


def forget_old(*, now: datetime) -> int:
    """Delete what is older than a day: nothing counts it any more, and nobody's address shall lie about. Sealed codes go when they expire."""

    def work(session: Session) -> int:
        session.execute(update(MailedCode).where(MailedCode.expires_at < now).values(sealed_code=None))
        gone = session.execute(delete(MailedCode).where(MailedCode.created_at < now - KEPT))
        return int(gone.rowcount)  # type: ignore[attr-defined]

    return transaction(work)


def _check_limit(
    session: Session, whose: ColumnElement[bool], limits: tuple[tuple[timedelta, int], ...], now: datetime
) -> None:
    for within, most in limits:
        count = (
            session.scalar(select(func.count(MailedCode.id)).where(whose, MailedCode.created_at > now - within)) or 0
        )
        if count >= most:
            raise TooManyCodes(
                say("Several codes were asked for already. Please use the newest one, or try again later.")
            )


def _is_good(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Not used, not too old, and the newest of its address."""
    newer = MailedCode.__table__.alias()
    has_newer = (
        select(newer.c.id)
        .where(small_letters(newer.c.email) == small_letters(MailedCode.email), newer.c.id > MailedCode.id)
        .exists()
    )
    return MailedCode.used_at.is_(None), MailedCode.expires_at > now, ~has_newer


def _why_refused(public_id: str, *, now: datetime) -> str:
    """What to do next, in the same words whether or not the address is known."""
    session: Session = db.session()
    session.rollback()
    good = select(MailedCode.tries).where(
        MailedCode.public_id == public_id, MailedCode.tries < MOST_TRIES, *_is_good(now)
    )
    if session.scalar(good) is None:
        return say("This code cannot be used any more. Please have a new one sent.")
    return say("That is not the code from our newest mail. Please look again.")


def _code_hash(public_id: str, code: str) -> str:
    """Keyed, since six digits are soon tried through by whoever has the table alone."""
    return _keyed(f"code {public_id} {code}")


def _keyed(text: str) -> str:
    key = str(current_app.config["SECRET_KEY"]).encode()
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _place(public_id: str) -> str:
    return f"code/{public_id}/code"
