"""Who may change whose rights. Called inside the transactions of `operations` and `members`, under `lock_accounts`, on rows as they are by then."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.errors import NotAllowedNow, NotFound

_ROLE_RANK = {"staff": 0, "admin": 1, "owner": 2}


def find_changeable(session: Session, user_id: int, *, by_id: int | None) -> User:
    """The user, if whoever acts may change them: an owner everybody, an admin all but owners, the console (`by_id` None) everybody.

    Raises NotFound and NotAllowedNow.
    """
    user = session.get(User, user_id, populate_existing=True)
    if user is None:
        raise NotFound("There is no such user.")
    if by_id is not None:
        actor = session.get(User, by_id, populate_existing=True)
        if actor is None or not actor.is_enabled or not actor.is_admin:
            raise NotAllowedNow("You are not allowed to do this any more. Nothing was changed.")
        if user.role == "owner" and actor.role != "owner":
            raise NotAllowedNow("This is an owner, and only an owner can change another owner. Nothing was changed.")
    return user


def require_may_grant(session: Session, role: str, *, by_id: int | None) -> None:
    """Nobody gives more than they have, themselves included. Raises NotAllowedNow."""
    actor = session.get(User, by_id) if by_id is not None else None
    if actor is not None and _ROLE_RANK[role] > _ROLE_RANK[actor.role]:
        raise NotAllowedNow("Only an owner can make somebody an owner. Nothing was changed.")


def require_owner_left(session: Session, user: User) -> None:
    """Raises NotAllowedNow when without this owner there would be none who can sign in."""
    others = select(func.count(User.id)).where(User.role == "owner", User.is_enabled, User.id != user.id)
    if user.role == "owner" and not session.scalar(others):
        raise NotAllowedNow("This is the only owner. Make somebody else an owner first. Nothing was changed.")


def is_lower(role: str, than: str) -> bool:
    return _ROLE_RANK[role] < _ROLE_RANK[than]
