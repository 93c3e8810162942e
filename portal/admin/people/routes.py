"""The people page: who may sign in, and what as. Invitations are one-time links, shown once, on this page alone. For owners and admins."""

from __future__ import annotations

from typing import Any

from flask import current_app, flash, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select

from portal.accounts import members, operations
from portal.accounts import queries as users
from portal.accounts.forms import read_invitation, read_role
from portal.accounts.models import User
from portal.admin.frame import bp, moments
from portal.business.models import Resource
from portal.clock import now_utc
from portal.errors import Invalid, NotAllowedNow, NotFound, Refused, Stale
from portal.extensions import db
from portal.web.hypermedia import see_other


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
        token = operations.add_user(
            invitation.email, invitation.role, resource_id=invitation.resource_id, made_by_id=current_user.id
        )
    except Invalid as error:
        return _page(errors=error.fields), 422
    except Refused as error:
        return _page(errors={"email": str(error)}), 409
    link = f"{current_app.extensions['settings'].url}{url_for('accounts.setup', token=token)}"
    return _page(link=link, invited=invitation.email)


@bp.post("/people/invitations/<int:link_id>/withdrawal")
def withdraw_invitation(link_id: int) -> Any:
    operations.withdraw_invitation(link_id, now=now_utc())
    flash("The invitation is withdrawn: its link does not work any more.", "ok")
    return see_other(url_for("admin.people"))


@bp.get("/people/<int:user_id>")
def person(user_id: int) -> Any:
    return _person_page(user_id)


@bp.post("/people/<int:user_id>")
def change_person(user_id: int) -> Any:
    try:
        role, resource_id = read_role(request.form, resource_ids=frozenset(row.id for row in _resources()))
        members.change_role(user_id, role, resource_id=resource_id, by_id=current_user.id, now=now_utc())
    except Invalid as error:
        return _person_page(user_id, errors=error.fields), 422
    except (NotAllowedNow, Stale) as error:
        return _person_page(user_id, errors={"role": str(error)}), error.http_status
    flash("The change is made, and holds at once.", "ok")
    own = db.session.get(User, current_user.id, populate_existing=True)
    return see_other(url_for("admin.people" if own and own.is_admin else "admin.home"))


@bp.get("/people/<int:user_id>/removal")
def confirm_removal(user_id: int) -> Any:
    return render_template("admin/person_removal.html", user=_user(user_id))


@bp.post("/people/<int:user_id>/removal")
def remove_person(user_id: int) -> Any:
    try:
        members.remove_user(user_id, by_id=current_user.id, now=now_utc())
        flash("This person is removed, and signed out everywhere.", "ok")
    except NotAllowedNow as error:
        flash(str(error), "bad")
    return see_other(url_for("admin.people"))


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


def _person_page(user_id: int, *, errors: dict[str, str] | None = None) -> str:
    user = _user(user_id)
    typed = request.form if errors else {"role": user.role, "resource_id": user.resource_id or ""}
    options = [("", "Nobody's"), *((row.id, row.name) for row in _resources())]
    return render_template("admin/person.html", user=user, options=options, typed=typed, errors=errors or {})


def _user(user_id: int) -> User:
    user = db.session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def _resources() -> list[Resource]:
    return list(db.session.scalars(select(Resource).where(Resource.is_active).order_by(Resource.position, Resource.id)))
