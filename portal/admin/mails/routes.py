"""What became of mails, and sending them again: those of a booking on its page, and all that did not arrive on a page of their own."""

from __future__ import annotations

from typing import Any

from flask import flash, render_template, url_for
from flask_login import current_user

from portal import doorbell
from portal.admin.bookings import queries
from portal.admin.frame import bp
from portal.booking.models import Booking
from portal.clock import now_utc
from portal.errors import NotFound, Refused
from portal.extensions import db
from portal.notifications import again, failures
from portal.notifications.failures import SentMail
from portal.web.hypermedia import see_other

_NOTHING = "There is no mail that another try could help."


@bp.post("/bookings/<int:booking_id>/mails/<int:mail_id>/again")
def send_mail_again(booking_id: int, mail_id: int) -> Any:
    row = queries.find_booking(db.session(), current_user, booking_id)
    if mail_id not in {mail.id for mail in mails_of(row.booking)}:
        raise NotFound("There is no such mail of this booking.")
    try:
        again.send_again(mail_id, now=now_utc())
        flash("The mail is on its way again, as it would read now.", "ok")
        doorbell.ring()
    except Refused as error:
        flash(str(error), "bad")
    return see_other(url_for("admin.booking", booking_id=booking_id))


@bp.get("/mails")
def undelivered() -> str:
    session, now = db.session(), now_utc()
    mails, why = failures.undelivered(session, now=now), failures.why_mails_wait(session, now=now)
    return render_template("admin/mails.html", mails=mails, mails_wait=why)


@bp.post("/mails/<int:mail_id>/again")
def send_undelivered_again(mail_id: int) -> Any:
    try:
        again.try_again(mail_id, now=now_utc())
        flash("The mail is tried again.", "ok")
        doorbell.ring()
    except Refused as error:
        flash(str(error), "bad")
    return see_other(url_for("admin.undelivered"))


@bp.post("/mails/again")
def send_all_mails_again() -> Any:
    count = again.try_all_again(now=now_utc())
    doorbell.ring()
    flash(f"{count} {'mail is' if count == 1 else 'mails are'} tried again." if count else _NOTHING, "ok")
    return see_other(url_for("admin.undelivered"))


@bp.app_template_global("mails_of_booking")
def mails_of(booking: Booking) -> list[SentMail]:
    """For `admin/_mails.html`, on the page of a booking that the user may see."""
    return failures.mails_of(db.session(), booking, now=now_utc())
