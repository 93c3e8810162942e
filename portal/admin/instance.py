"""Adopting the portal: what an owner or admin sees of a copy or a restored backup, and the button that makes it go on in the other's place."""

from __future__ import annotations

from typing import Any

from flask import flash, render_template, url_for
from flask_login import current_user

from portal import doorbell
from portal.admin.frame import bp, moments
from portal.clock import now_utc
from portal.errors import Refused
from portal.extensions import db
from portal.instance.standing import standing
from portal.upkeep import adoption
from portal.web.hypermedia import see_other


@bp.get("/instance")
def instance() -> Any:
    """What is the matter, and what adopting would do."""
    page = {
        "at": moments(),
        "standing": standing(db.session()),
        "forecast": adoption.forecast(db.session(), now=now_utc()),
    }
    return render_template("admin/instance.html", **page)


@bp.post("/instance/adoption")
def adopt() -> Any:
    """From now on this installation reads, writes, mails and reminds."""
    try:
        done = adoption.adopt(by=current_user.name or current_user.email, now=now_utc())
    except Refused as error:
        flash(str(error), "bad")
        return see_other(url_for("admin.instance"))
    flash("The portal is adopted. Its calendars are compared first, then written again.", "ok")
    doorbell.ring()
    return see_other(url_for("integrations.index") if done.paused else url_for("admin.home"))
