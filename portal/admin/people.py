"""The people page: who may sign in. Invitations are one-time links, shown once, on this page alone. For owners and admins."""

from __future__ import annotations

from typing import Any

from flask import current_app, flash, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select

from portal.accounts import operations
from portal.accounts import queries as users
from portal.accounts.forms import read_invitation
from portal.admin.frame import bp, moments
from portal.business.models import Resource
from portal.clock import now_utc
from portal.errors import Invalid, NotAllowedNow, Refused
from portal.extensions import db
from portal.hypermedia import see_other


@bp.get("/people")
def people() -> Any:
    return _page()


@bp.post("/people")
def invite() -> Any:
    """Answers with the page itself and not with a redirect: the link stands in this one answer and nowhere else."""
    resources = _resources()
    try:
        invitation = read_invitation(request.form, resource_ids=frozenset(row.id for row in resources))
        if invitation.role == "owner" and current_user.role != "owner":
            raise Invalid(
                "Only an owner can invite another owner.", fields={"role": "Only an owner can invite another owner."}
            )
        token = operations.add_user(invitation.email, invitation.role, resource_id=invitation.resource_id)
    except Invalid as error:
        return _page(errors=error.fields), 422
    except Refused as error:
        return _page(errors={"email": str(error)}), 409
    link = f"{current_app.extensions['settings'].url}{url_for('accounts.setup', token=token)}"
    return _page(link=link, invited=invitation.email)


@bp.post("/people/<int:user_id>/shut-out")
def shut_out(user_id: int) -> Any:
    return _enable(user_id, False, "This person can no longer sign in, and is signed out everywhere.")


@bp.post("/people/<int:user_id>/let-in")
def let_in(user_id: int) -> Any:
    return _enable(user_id, True, "This person can sign in again.")


def _enable(user_id: int, is_enabled: bool, said: str) -> Any:
    try:
        operations.set_enabled(user_id, is_enabled=is_enabled, by=current_user, now=now_utc())
        flash(said, "ok")
    except NotAllowedNow as error:
        flash(str(error), "bad")
    return see_other(url_for("admin.people"))


def _page(*, errors: dict[str, str] | None = None, link: str = "", invited: str = "") -> str:
    resources = _resources()
    return render_template(
        "admin/people.html",
        users=users.list_users(db.session()),
        invitations=users.open_invitations(db.session(), now=now_utc()),
        resources=resources,
        names={row.id: row.name for row in resources},
        typed={} if link else request.form,
        errors=errors or {},
        link=link,
        invited=invited,
        at=moments(),
    )


def _resources() -> list[Resource]:
    return list(db.session.scalars(select(Resource).where(Resource.is_active).order_by(Resource.position, Resource.id)))
