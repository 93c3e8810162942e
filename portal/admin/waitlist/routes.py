"""The waitlist page: who waits for what, what is offered, why, and what would be offered. Staff offer by hand what is theirs; pausing and
taking people off is for admins."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import flash, render_template, request, url_for
from flask_login import current_user
from sqlalchemy.orm import Session

from portal import doorbell
from portal.admin.frame import bp, moments
from portal.admin.moments import Moments
from portal.admin.waitlist import queries, receipts
from portal.booking.models import Appointment, WaitlistEntry
from portal.booking.questions import answer_lines
from portal.booking.time.full import seats_left
from portal.business.models import Service
from portal.clock import now_utc
from portal.errors import Invalid, Refused, Stale
from portal.extensions import db
from portal.language import dates
from portal.waitlist import operations
from portal.web.hypermedia import see_other, wants_partial
from portal.web.instants import read_instant

MOST_SEATS = 200
"""More cannot be tried out at once."""


@bp.get("/waitlist")
def waitlist() -> Any:
    """All queues. The open page fetches itself anew."""
    at = moments()
    values = {"at": at, "services": queries.list_queues(db.session(), current_user, at)}
    return render_template("admin/_waitlists.html" if wants_partial() else "admin/waitlist.html", **values)


@bp.get("/waitlist/<slug>")
def waitlist_service(slug: str) -> Any:
    """The queues of one service, with their receipts; and what would be offered, if that is asked."""
    at, session = moments(), db.session()
    service = queries.find_service(session, current_user, slug)
    return render_template(
        "admin/waitlist_service.html",
        at=at,
        found=queries.queues_of(session, current_user, service, at),
        trial=_trial(session, service, at),
        receipts=receipts.list_receipts(session, current_user, service),
        why=receipts.why_in_words,
        cause=receipts.cause_in_words,
        length=_length_in_words,
    )


@bp.post("/waitlist/<slug>/pause")
def pause_waitlist(slug: str) -> Any:
    return _pause(slug, True, "No more offers are made. Open ones stay valid, and people may still join.")


@bp.post("/waitlist/<slug>/resume")
def resume_waitlist(slug: str) -> Any:
    return _pause(slug, False, "Offers are made again.")


@bp.get("/waitlist/entries/<int:entry_id>/offer")
def offer_form(entry_id: int) -> Any:
    """The question whether to offer it, and what."""
    return _offer_page(queries.find_entry(db.session(), current_user, entry_id))


@bp.post("/waitlist/entries/<int:entry_id>/offer")
def offer(entry_id: int) -> Any:
    entry = queries.find_entry(db.session(), current_user, entry_id)
    name, slug = entry.customer_name, entry.service.slug
    appointment = queries.appointment_of(db.session(), entry)
    try:
        if entry.wish == "appointment" and appointment is not None:
            operations.offer_by_hand(entry_id, appointment_id=appointment.id, now=now_utc())
        else:
            person = queries.own_person(current_user, entry.service)
            operations.offer_by_hand(entry_id, start_at=_offered_start(entry), resource_id=person, now=now_utc())
    except (Invalid, Refused, Stale) as error:
        db.session.rollback()
        return _offer_page(
            queries.find_entry(db.session(), current_user, entry_id), problem=str(error)
        ), error.http_status
    flash(f"It is kept for {name}, who is told by e-mail.", "ok")
    doorbell.ring()
    return see_other(url_for("admin.waitlist_service", slug=slug))


@bp.get("/waitlist/entries/<int:entry_id>/removal")
def removal_form(entry_id: int) -> Any:
    """The question whether somebody is to be taken off."""
    entry = queries.find_entry(db.session(), current_user, entry_id)
    return render_template(
        "admin/waitlist_removal.html",
        entry=entry,
        wish=queries.describe_wish(db.session(), entry, moments()),
        at=moments(),
    )


@bp.post("/waitlist/entries/<int:entry_id>/removal")
def remove(entry_id: int) -> Any:
    entry = queries.find_entry(db.session(), current_user, entry_id)
    name, slug = entry.customer_name, entry.service.slug
    try:
        operations.remove(entry_id, now=now_utc())
        flash(f"{name} is off the waitlist, and is told by e-mail.", "ok")
        doorbell.ring()
    except Refused as error:
        flash(str(error), "bad")
    return see_other(url_for("admin.waitlist_service", slug=slug))


def _pause(slug: str, is_paused: bool, said: str) -> Any:
    service = queries.find_service(db.session(), current_user, slug)
    operations.pause(service.slug, is_paused)
    flash(said, "ok")
    doorbell.ring()
    return see_other(url_for("admin.waitlist_service", slug=slug))


def _offer_page(entry: WaitlistEntry, *, problem: str = "") -> str:
    """What can be offered to an entry: the appointment that it waits for, or one of the times that are free."""
    at, session = moments(), db.session()
    appointment = queries.appointment_of(session, entry)
    is_for_days = entry.wish != "appointment" or appointment is None
    return render_template(
        "admin/waitlist_offer.html",
        entry=entry,
        wish=queries.describe_wish(session, entry, at),
        appointment=appointment,
        left=seats_left(session, appointment) if appointment else 0,
        times=queries.times_to_offer(session, current_user, entry, at) if is_for_days else [],
        before=queries.count_before(session, entry, appointment),
        answers=answer_lines(entry.service, entry.answers),
        problem=problem,
        at=at,
    )


def _offered_start(entry: WaitlistEntry) -> datetime:
    """The time that was chosen, if this user may offer it. Raises Invalid."""
    start_at = read_instant(request.form.get("start_at", ""))
    mine = queries.times_to_offer(db.session(), current_user, entry, moments())
    if start_at is None or start_at not in {slot.interval.start for slot in mine}:
        raise Invalid("This time is not free any more. Please choose one of the times on the page.")
    return start_at


def _length_in_words(length: timedelta) -> str:
    return dates.duration(length // timedelta(minutes=1))


def _trial(session: Session, service: Service, at: Moments) -> dict[str, Any] | None:
    """What would be offered, now or with more seats in one appointment. None when that was not asked."""
    asked = request.args.get("seats", "")
    if not asked.isascii() or not asked.isdecimal() or len(asked) > 4:
        return None
    seats, chosen = min(int(asked), MOST_SEATS), request.args.get("appointment", "")
    appointment_id = int(chosen) if chosen.isascii() and chosen.isdecimal() and len(chosen) < 10 else None
    appointment = session.get(Appointment, appointment_id) if appointment_id else None
    if appointment is None or appointment.service_id != service.id:
        appointment, seats = None, 0
    found = operations.dry_run(
        service.slug, appointment_id=appointment.id if appointment else None, more_seats=seats, now=at.now
    )
    mine = {
        row.entry.id for queue in queries.queues_of(session, current_user, service, at).queues for row in queue.rows
    }
    key = str(appointment.id) if appointment else "days"
    return {"key": key, "seats": seats, "offers": [each for each in found if each.entry_id in mine]}
