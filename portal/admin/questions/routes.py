"""Questions about what happened in calendars, clashes, and bookings that a backup does not know; and the answers of staff."""

from __future__ import annotations

from typing import Any

from flask import flash, render_template, request, url_for
from flask_login import current_user

from portal import doorbell
from portal.admin.frame import bp, moments
from portal.admin.questions import queries, unknown
from portal.clock import now_utc
from portal.errors import NotFound, Refused
from portal.extensions import db
from portal.sync.outside.questions import ANSWERS
from portal.sync.outside.questions import answer as give_answer
from portal.web.hypermedia import see_other, wants_partial


@bp.get("/questions")
def questions() -> Any:
    page = {
        "at": moments(),
        "asked": queries.open_questions(db.session(), current_user),
        "clashes": queries.open_conflicts(db.session(), current_user),
        "unknown": unknown.list_unknown(db.session(), current_user),
    }
    return render_template("admin/_questions.html" if wants_partial() else "admin/questions.html", **page)


@bp.post("/questions/<int:question_id>/answer")
def answer(question_id: int) -> Any:
    question = queries.find_question(db.session(), current_user, question_id)
    given = request.form.get("answer", "")
    if given not in ANSWERS[question.kind]:
        raise NotFound("There is no such answer. Please use the buttons.")
    try:
        give_answer(question_id, given, user_id=current_user.id, now=now_utc(), over="over" in request.form)
        flash(_ANSWERED[given], "ok")
    except Refused as error:
        flash(str(error), "bad")
    doorbell.ring()
    return see_other(url_for("admin.questions"))


_ANSWERED = {
    "cancel": "It is cancelled, and everybody who had booked is told.",
    "put back": "It stands; its event is being put back into the calendar.",
    "follow": "It is moved to the event's time, and everybody who has booked is told.",
}
