"""Changes to those who are users already: their role, and their end. What somebody may do is asked at every request, so it holds at once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from portal.accounts.models import ROLES, SetupLink, User
from portal.accounts.operations import end_links
from portal.accounts.queries import lock_accounts
from portal.accounts.rights import find_changeable, is_lower, require_may_grant, require_owner_left
from portal.business.models import Resource
from portal.database.engine import transaction
from portal.errors import Invalid, NotAllowedNow
from portal.extensions import db


def change_role(user_id: int, role: str, *, resource_id: int | None, by_id: int | None, now: datetime) -> None:
    """Give a user another role, and say whom they are (`resource_id`). `by_id` is who does it, None at the console.

    Who is lowered takes the invitations along that they gave out. Raises NotFound, Invalid (fields), NotAllowedNow.
    """
    _check_role(role, resource_id)

    def work(session: Session) -> None:
        lock_accounts(session)
        user = find_changeable(session, user_id, by_id=by_id)
        if resource_id is not None and session.get(Resource, resource_id) is None:
            raise Invalid("Please check what is marked.", fields={"resource_id": "Please choose one from the list."})
        if role != user.role:
            require_may_grant(session, role, by_id=by_id)
        if role != "owner":
            require_owner_left(session, user)
        if is_lower(role, than=user.role):
            end_links(session, SetupLink.made_by_id == user.id, now=now)
        user.role, user.resource_id = role, resource_id

    transaction(work)


def remove_user(user_id: int, *, by_id: int | None, now: datetime) -> None:
    """Delete a user with their sessions and every link that was made for them or by them. What they did stays, without their name.

    Raises NotFound and NotAllowedNow: nobody removes themselves, nor the only owner.
    """

    def work(session: Session) -> None:
        lock_accounts(session)
        user = find_changeable(session, user_id, by_id=by_id)
        if user.id == by_id:
            raise NotAllowedNow("Nobody can remove themselves. Nothing was changed.")
        require_owner_left(session, user)
        end_links(session, (SetupLink.email == user.email) | (SetupLink.made_by_id == user.id), now=now)
        _forget_in_other_tables(session, user.id)
        session.delete(user)

    transaction(work)


def _check_role(role: str, resource_id: int | None) -> None:
    fields = {}
    if role not in ROLES:
        fields["role"] = "Please choose a role."
    if role == "staff" and resource_id is None:
        fields["resource_id"] = "Please choose whose calendar this person sees."
    if fields:
        raise Invalid("Please check what is marked.", fields=fields)


def _forget_in_other_tables(session: Session, user_id: int) -> None:
    """Where a table notes who did something, and the database does not clear that by itself."""
    for table in db.metadata.sorted_tables:
        for key in table.foreign_keys:
            if key.column.table is User.__table__ and key.ondelete is None:
                session.execute(update(table).where(key.parent == user_id).values({key.parent.name: None}))
