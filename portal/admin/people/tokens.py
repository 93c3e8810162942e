"""The page of API tokens: which there are, what they may do, and making and ending them. For owners and admins."""

from __future__ import annotations

from typing import Any

from flask import flash, render_template, request, url_for
from flask_login import current_user

from portal.accounts import operations, queries
from portal.accounts.forms import TOKEN_LIVES, read_expiry
from portal.accounts.models import SCOPES
from portal.admin.frame import bp, moments
from portal.clock import now_utc
from portal.errors import Invalid
from portal.extensions import db
from portal.web.hypermedia import see_other

EXPLAINED = {
    "read-availability": "Free times in full, with the reasons why others are not offered, and without limit",
    "book": "Make bookings",
    "read-bookings": "Read any booking, with its customer",
    "administer": "Cancel, move, approve and refuse bookings; read calendars and health",
}
LIVES = [("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("never", "no end")]


@bp.get("/tokens")
def tokens() -> Any:
    return _page()


@bp.post("/tokens")
def make_token() -> Any:
    """Answers with the page itself and not with a redirect: the token stands in this one answer and nowhere else."""
    now, chosen = now_utc(), request.form.getlist("scope")
    try:
        expires_at = read_expiry(request.form.get("expires", ""), now=now)
        name = request.form.get("name", "")
        made = operations.add_api_token(name, scopes=chosen, expires_at=expires_at, made_by_id=current_user.id)
    except Invalid as error:
        return _page(errors=error.fields), 422
    return _page(made=made, name=name.strip())


@bp.post("/tokens/<int:token_id>/revocation")
def revoke_token(token_id: int) -> Any:
    operations.revoke_api_token(token_id, now=now_utc())
    flash("The token does not work any more.", "ok")
    return see_other(url_for("admin.tokens"))


def _page(*, errors: dict[str, str] | None = None, made: str = "", name: str = "") -> str:
    typed = request.form if errors else {"expires": TOKEN_LIVES, "name": ""}
    return render_template(
        "admin/tokens.html",
        rows=queries.list_api_tokens(db.session()),
        scopes=[(scope, EXPLAINED[scope]) for scope in SCOPES],
        chosen=request.form.getlist("scope") if errors else list(SCOPES[:1]),
        lives=LIVES,
        typed=typed,
        errors=errors or {},
        made=made,
        name=name,
        at=moments(),
    )
