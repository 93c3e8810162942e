"""What changes users, sessions, set-up links and API tokens. Each function is one transaction of its own.

Called by the account pages, the people page, and the command line. Nothing here updates a user who exists already because somebody
named their address: an invitation that meets one is refused and changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.accounts import guesses, passwords
from portal.accounts.forms import Setup, clean_email
from portal.accounts.models import ROLES, SCOPES, ApiToken, PasswordReset, SetupLink, User, UserSession
from portal.accounts.queries import IDLE, find_setup_link, find_user, lock_accounts, owner_exists
from portal.accounts.rights import find_changeable
from portal.business.models import Business, Resource
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import Invalid, NotAllowedNow, NotFound, Refused
from portal.extensions import db
from portal.language.names import read_name
from portal.security import new_token, token_hash

SETUP_LINK_LIVES = timedelta(days=3)
API_TOKEN_PREFIX = "lockstep_"
TOUCH_AFTER = timedelta(minutes=5)

SIGN_IN_REFUSED = "The e-mail address and the password do not fit together. After several wrong tries, please wait some minutes before the next."
ALREADY_A_USER = (
    "There is already a user with this e-mail address. Nothing was changed; please sign in with the existing password."
)


class SignInRefused(Refused):
    """One sentence for every cause: whether the address is known is nobody's business."""

    code = "sign_in_refused"
    http_status = 422


def first_owner_exists() -> bool:
    """Whether anybody has set this portal up yet."""
    return owner_exists(db.session())


def create_setup_link(
    email: str = "",
    role: str = "owner",
    *,
    resource_id: int | None = None,
    made_by_id: int | None = None,
    now: datetime | None = None,
) -> str:
    """A one-time link's token, good for three days. With `email` "" its holder chooses the address. Shown once, stored hashed.

    Of several links for one address only the newest works. One that was made for want of an owner ends when there is one.
    """
    if role not in ROLES:
        raise Invalid(
            f"The role must be one of {', '.join(ROLES)}, not “{role}”.", fields={"role": "Please choose a role."}
        )
    token, moment = new_token(), now or now_utc()

    def work(session: Session) -> None:
        lock_accounts(session)
        if email:
            end_links(session, SetupLink.email == email, now=moment)
        link = SetupLink(
            token_hash=token_hash(token), email=email, role=role, resource_id=resource_id, made_by_id=made_by_id,
            is_first=role == "owner" and not owner_exists(session), expires_at=moment + SETUP_LINK_LIVES,
        )  # fmt: skip
        session.add(link)

    transaction(work)
    return token


def add_user(email: str, role: str, *, resource_id: int | None = None, made_by_id: int | None = None) -> str:
    """Invite somebody: the token of a set-up link for this address. Without `resource_id` a resource with the same e-mail is taken.

    Raises Invalid for a wrong address or role, and Refused when there is such a user.
    """
    email = clean_email(email)
    session = db.session()
    if find_user(session, email) is not None:
        raise Refused(ALREADY_A_USER)
    if resource_id is None:
        resource_id = session.scalar(select(Resource.id).where(Resource.email == email, Resource.kind == "staff"))
    return create_setup_link(email, role, resource_id=resource_id, made_by_id=made_by_id)


def withdraw_invitation(link_id: int, *, now: datetime) -> None:
    """End an invitation that was not used yet. Twice is the same as once. Raises NotFound when there is no such invitation."""

    def work(session: Session) -> None:
        if session.get(SetupLink, link_id) is None:
            raise NotFound("There is no such invitation.")
        end_links(session, SetupLink.id == link_id, now=now)

    transaction(work)


def end_links(session: Session, which: ColumnElement[bool], *, now: datetime) -> int:
    """End those of these links that were not used; gives how many."""
    statement = update(SetupLink).where(which, SetupLink.used_at.is_(None), SetupLink.ended_at.is_(None))
    return int(session.execute(statement.values(ended_at=now)).rowcount)  # type: ignore[attr-defined]


def accept_setup(token: str, setup: Setup, *, now: datetime) -> int:
    """Use up a set-up link and make its user; on a fresh instance also the business. Gives the user's id.

    Raises NotFound for a link that is not good (`find_setup_link`), Refused when the address has a user already. Either all happens or nothing.
    """
    password_hash = passwords.hash_password(setup.password)

    def work(session: Session) -> int:
        lock_accounts(session)
        link = _use_up(session, token, now)
        email = link.email or setup.email
        if find_user(session, email) is not None:
            raise Refused(ALREADY_A_USER)
        if session.get(Business, 1) is None:
            session.add(_new_business(setup))
        user = User(
            email=email, name=setup.name, role=link.role, resource_id=link.resource_id, password_hash=password_hash
        )
        session.add(user)
        session.flush()
        end_links(session, SetupLink.email == email, now=now)
        return user.id

    try:
        return transaction(work)
    except IntegrityError:  # the same link or address in the same instant: the other was first
        raise Refused(ALREADY_A_USER) from None


def sign_in(email: str, password: str, *, device: str, knows_device: bool, now: datetime, client: str = "") -> str:
    """Check the password and give the token of a new session. Raises SignInRefused, always the same and after the same work, and TooManyTries.

    Wrong tries delay the next one more and more, for this account, and are limited for `client`, where they come from (`guesses`).
    `knows_device` is a browser that this user signed in on before: what strangers cause does not bind it, so they can lock nobody out.
    """
    found = guesses.count_sign_in(email.strip().lower()[:254], client=client, knows_device=knows_device, now=now)
    fits = passwords.fits(password, found.password_hash)
    user_id = found.user_id
    if user_id is None or not fits or found.is_delayed or not found.is_enabled:
        raise SignInRefused(SIGN_IN_REFUSED)
    rehashed = passwords.hash_password(password) if passwords.needs_rehash(found.password_hash or "") else None

    def work(session: Session) -> str:
        guesses.take_back(session, found)
        return start_session_in(session, user_id, device=device, rehashed=rehashed, now=now)

    return transaction(work)


def start_session(user_id: int, *, device: str, now: datetime) -> str:
    """The token of a new session, for somebody who has just proved who they are."""
    return transaction(lambda session: start_session_in(session, user_id, device=device, now=now))


def sign_out(token: str, *, now: datetime) -> None:
    """End one session. Idempotent."""
    statement = update(UserSession).where(UserSession.token_hash == token_hash(token), UserSession.ended_at.is_(None))
    transaction(lambda session: session.execute(statement.values(ended_at=now)))


def end_session(user_id: int, session_id: int, *, now: datetime) -> None:
    """End one session of this user, named by its number. Raises NotFound for one that is not theirs."""
    statement = (
        update(UserSession).where(UserSession.id == session_id, UserSession.user_id == user_id).values(ended_at=now)
    )
    if transaction(lambda session: session.execute(statement).rowcount) != 1:  # type: ignore[attr-defined]
        raise NotFound("There is no such device.")


def touch_session(session_id: int, *, now: datetime) -> None:
    """Note that a person is still there, at most every few minutes."""
    statement = update(UserSession).where(UserSession.id == session_id).values(last_seen_at=now)
    transaction(lambda session: session.execute(statement))


def change_password(user_id: int, current: str, new: str, *, device: str, now: datetime, client: str = "") -> str:
    """Exchange the password, which ends all sessions; gives the token of a new one. Raises Invalid when `current` is wrong, and TooManyTries."""
    try:
        guesses.prove(user_id, current, client=client, now=now)
    except Invalid as error:
        raise Invalid("Please check what is marked.", fields={"current": str(error)}) from None
    password_hash = passwords.hash_password(new)

    def work(session: Session) -> str:
        row = session.get_one(User, user_id)
        row.password_hash = password_hash
        end_resets(session, user_id, now=now)
        end_all_sessions(session, row, now)
        return start_session_in(session, user_id, device=device, now=now)

    return transaction(work)


def set_enabled(user_id: int, *, is_enabled: bool, by: User, now: datetime) -> None:
    """Shut a user out, which ends their sessions at once, or let them in again. Nobody shuts out themselves, only an owner an owner.

    Invitations that they gave out end too. Raises NotFound and NotAllowedNow.
    """
    by_id = by.id

    def work(session: Session) -> None:
        lock_accounts(session)
        user = find_changeable(session, user_id, by_id=by_id)
        if user.id == by_id:
            raise NotAllowedNow("Nobody can shut out themselves, and only an owner another owner. Nothing was changed.")
        if not is_enabled:
            end_links(session, SetupLink.made_by_id == user.id, now=now)
        user.is_enabled = is_enabled
        end_all_sessions(session, user, now)

    transaction(work)


def add_api_token(
    name: str,
    *,
    scopes: Collection[str] = SCOPES,
    expires_at: datetime | None = None,
    made_by_id: int | None = None,
) -> str:
    """A new bearer token for the API; shown once, stored hashed. Raises Invalid for an empty or long name, and for scopes that there are not."""
    fields: dict[str, str] = {}
    try:
        name = read_name(name, longest=100)
    except Invalid as error:
        fields["name"] = str(error)
    if not name:
        fields["name"] = "Please give the token a name of 1 to 100 characters."
    if not scopes or not set(scopes) <= set(SCOPES):
        fields["scopes"] = f"Please say what the token may do: {', '.join(SCOPES)}."
    if fields:
        raise Invalid("The token was not made.", fields=fields)
    token = API_TOKEN_PREFIX + new_token()
    row = ApiToken(
        name=name, token_hash=token_hash(token), expires_at=expires_at, made_by_id=made_by_id,
        scopes=[scope for scope in SCOPES if scope in scopes],
    )  # fmt: skip
    transaction(lambda session: session.add(row))
    return token


def revoke_api_token(token_id: int, *, now: datetime) -> None:
    """End an API token, at once. Twice is the same as once. Raises NotFound."""

    def work(session: Session) -> None:
        row = session.get(ApiToken, token_id)
        if row is None:
            raise NotFound("There is no such token.")
        row.revoked_at = row.revoked_at or now

    transaction(work)


def end_resets(session: Session, user_id: int, *, now: datetime) -> None:
    """No link to this user's password works any more."""
    mine = (PasswordReset.user_id == user_id, PasswordReset.used_at.is_(None))
    session.execute(update(PasswordReset).where(*mine).values(used_at=now, sealed_token=None))


def start_session_in(session: Session, user_id: int, *, device: str, now: datetime, rehashed: str | None = None) -> str:
    """`start_session` within a transaction; wrong tries are forgiven with it."""
    user = session.get_one(User, user_id)
    user.failed_sign_ins, user.next_sign_in_at = 0, None
    if rehashed:
        user.password_hash = rehashed
    _forget_old_sessions(session, user_id, now)
    token = new_token()
    row = UserSession(
        user_id=user_id, token_hash=token_hash(token), device=device[:200], created_at=now, last_seen_at=now
    )
    session.add(row)
    return token


def end_all_sessions(session: Session, user: User, now: datetime) -> None:
    """Sign the user out everywhere, and forget the browsers that were known."""
    user.session_epoch += 1
    session.execute(
        update(UserSession).where(UserSession.user_id == user.id, UserSession.ended_at.is_(None)).values(ended_at=now)
    )


def _use_up(session: Session, token: str, now: datetime) -> SetupLink:
    """The link, marked as used. A conditional update: of two who use it at once, one finds it used."""
    link = find_setup_link(session, token, now=now)
    statement = update(SetupLink).where(SetupLink.id == link.id, SetupLink.used_at.is_(None)).values(used_at=now)
    if session.execute(statement).rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound("This link was used already.")
    return link


def _new_business(setup: Setup) -> Business:
    if not setup.business_name or not setup.zone:
        raise Invalid(
            "Please name the business and its time zone.",
            fields={"business_name": "Please enter the name of the business."},
        )
    return Business(id=1, name=setup.business_name, zone=setup.zone, instance_id=secrets.token_hex(8))


def _forget_old_sessions(session: Session, user_id: int, now: datetime) -> None:
    old = UserSession.ended_at.is_not(None) | (UserSession.last_seen_at < now - IDLE)
    for row in session.scalars(select(UserSession).where(UserSession.user_id == user_id, old)):
        session.delete(row)
