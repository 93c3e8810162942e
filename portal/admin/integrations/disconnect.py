"""Disconnecting an account, in two steps: what becomes of the events is asked first. And what is left to say while that is going on."""

from __future__ import annotations

from typing import Any

from flask import flash, render_template, request, url_for

from portal.admin.integrations import words
from portal.admin.integrations.frame import bp, find_connection, resource_of, who
from portal.clock import now_utc
from portal.errors import NotAllowedNow
from portal.extensions import db
from portal.sync.account import disconnecting, operations
from portal.web.hypermedia import see_other

EVENTS = ("leave", "take")


@bp.route("/<int:connection_id>/disconnection", methods=["GET", "POST"])
def disconnect(connection_id: int) -> Any:
    """The form's `events` says what becomes of those to come: leave or take. Without an answer nothing is done."""
    connection = find_connection(connection_id)
    count = disconnecting.events_to_come(db.session(), connection_id, now=now_utc())
    events = request.form.get("events", "" if count else "leave")
    if connection.leaving:
        return see_other(url_for("integrations.index"))
    if request.method != "POST" or events not in EVENTS:
        page = render_template(
            "admin/disconnection.html",
            connection=connection,
            resource=resource_of(connection.resource_id),
            count=count,
            calls=disconnecting.video_calls(db.session(), connection_id, now=now_utc()),
            error="Please say what becomes of the events." if request.method == "POST" else "",
            words=words,
        )
        return (page, 422) if request.method == "POST" else page
    is_done = operations.disconnect(connection_id, take_away=events == "take", by=who(), now=now_utc())
    flash("The account is disconnected." if is_done else "The account is being disconnected.", "ok")
    return see_other(url_for("integrations.index"))


@bp.post("/<int:connection_id>/disconnection/attempt")
def finish_disconnecting(connection_id: int) -> Any:
    """Try at once what did not work so far."""
    find_connection(connection_id)
    operations.finish_disconnecting(connection_id)
    flash("The portal tries it again now.", "ok")
    return see_other(url_for("integrations.index"))


@bp.post("/<int:connection_id>/disconnection/end")
def disconnect_anyway(connection_id: int) -> Any:
    """Forget the account although events of ours still stand in it."""
    find_connection(connection_id)
    try:
        operations.disconnect_anyway(connection_id, by=who(), now=now_utc())
        flash("The account is disconnected. What was not taken away stays in its calendars.", "ok")
    except NotAllowedNow as error:
        flash(str(error), "bad")
    return see_other(url_for("integrations.index"))
