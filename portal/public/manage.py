"""The customer's own pages, reached by the link in their mails: look, add to a calendar, move, cancel.

The token in the address is the right. Unknown, foreign and outdated ones get the same 404; GET never changes anything, whatever opens the
link (mail scanners do); the pages show a first name, a service and a time, and nothing else about anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, flash, make_response, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import doorbell
from portal.booking import operations, rules
from portal.booking.invitation.customer_ics import CustomerEvent, customer_ics
from portal.booking.invitation.invitation import customer_event
from portal.booking.models import Booking
from portal.booking.strangers import address, confirming
from portal.booking.time import queries
from portal.business.models import Business
from portal.clock import now_utc
from portal.errors import HoldExpired, Invalid, LimitReached, NotAllowedNow, NotFound, SlotTaken, Stale, TooLate
from portal.extensions import current_settings, db, limiter
from portal.language import dates
from portal.language.say import given_name, say, say_later
from portal.public.booking import picker, responses, view
from portal.public.booking.picker import Search
from portal.public.booking.summary import Summary, summarize
from portal.web import after_answer, visitors
from portal.web.hypermedia import see_other, wants_partial
from portal.web.instants import instant_text, read_instant
from portal.web.site import current_site

bp = Blueprint("manage", __name__, url_prefix="/b")

CHANGES = "20 per minute; 100 per hour"
CORRECTIONS = "3 per minute; 10 per hour"
"""Each one writes to an address that nobody has proven to be theirs."""
LINK_LASTS = timedelta(days=30)
"""After the appointment; then the link leads nowhere."""
LINK_IS_MADE_WITHIN = timedelta(minutes=5)
"""So long the page looks by itself for the link of a video meeting."""
NOT_CORRECTABLE = say_later(
    "The address can be put right for half an hour after booking, in the browser in which it was booked. Please ask us."
)
UNKNOWN = say_later(
    "This link does not lead to a booking (any more). Please use the newest link from our mails, or ask us."
)


@bp.get("/<token>")
def show(token: str) -> Response:
    booking = _booking(token, held=True)
    return _asked_page(booking, token) if booking.status == "held" else _show(booking, token)


@bp.post("/<token>/confirmation")
@limiter.limit(CHANGES, key_func=visitors.address)
def confirm(token: str) -> Response:
    """The link in the mail was opened, and its reader says that the booking is theirs."""
    booking = _booking(token, held=True)
    try:
        confirming.confirm(token, now=now_utc())
    except SlotTaken as error:
        return _asked_page(booking, token, problem=str(error), status=409)
    except (HoldExpired, LimitReached) as error:
        return _asked_page(_booking(token, held=True), token, problem=str(error), status=409)
    doorbell.ring()
    return see_other(url_for("manage.show", token=token))


@bp.get("/<token>/cancellation")
def cancel_form(token: str) -> Response:
    """The question whether one means it."""
    booking = _booking(token)
    return _cancel_page(booking, token)


@bp.post("/<token>/cancellation")
@limiter.limit(CHANGES, key_func=visitors.address)
def cancel(token: str) -> Response:
    booking_id = _booking(token).id
    try:
        operations.cancel_booking(booking_id, by="customer", now=now_utc())
    except Stale as error:
        return _cancel_page(_booking(token), token, problem=str(error), status=409)
    except (TooLate, NotAllowedNow) as error:
        return _show(_booking(token), token, problem=str(error), status=409)
    after_answer.seats_freed(booking_id, cause="cancelled")
    return see_other(url_for("manage.show", token=token))


@bp.get("/<token>/move")
def move_form(token: str) -> Response:
    """The picker of another time; with `start_at`, the question whether to take that one."""
    booking = _booking(token)
    values = _values(booking, token)
    if values["state"] not in ("confirmed", "pending") or values["no_move"]:
        return _show(booking, token)
    search = _search(booking)
    start_at = read_instant(request.args.get("start_at", ""))
    if start_at is not None and start_at != booking.appointment.start_at:  # the own time is none to move to
        return _move_page(search, token, values, start_at)
    return _picker(search, token, values)


@bp.post("/<token>/move")
@limiter.limit(CHANGES, key_func=visitors.address)
def move(token: str) -> Response:
    booking = _booking(token)
    booking_id, search = booking.id, _search(booking)
    start_at = read_instant(request.form.get("start_at", ""))
    if start_at is None:
        raise Invalid(
            say("Please go back and choose one of the times on the page."), fields={"start_at": say("Choose a time.")}
        )
    try:
        operations.move_booking(booking_id, start_at, by="customer", now=search.now)
    except SlotTaken as error:
        search = search.opened_at(start_at)
        offer = responses.make_offer(search, error, start_at)
        return _picker(search, token, _values(booking, token), offer=offer, status=409)
    except Stale as error:
        return _move_again(token, start_at, problem=str(error))
    except (TooLate, NotAllowedNow) as error:
        return _show(_booking(token), token, problem=str(error), status=409)
    after_answer.seats_freed(booking_id, cause="moved")
    flash(say("Done: your appointment has a new time."), "ok")
    return see_other(url_for("manage.show", token=token))


@bp.get("/<token>/address")
def address_form(token: str) -> Response:
    """For who has just booked here, and sees that their address is not right."""
    booking = _booking(token)
    if not _may_correct(booking, token):
        return _show(booking, token, problem=say(NOT_CORRECTABLE), status=409)
    return _address_form(booking, token, typed=booking.customer_email)


@bp.post("/<token>/address")
@limiter.limit(CORRECTIONS, key_func=visitors.address)
def correct_address(token: str) -> Response:
    booking = _booking(token)
    typed, hold = request.form.get("email", ""), visitors.hold_of(token)
    if hold is None or not _may_correct(booking, token):
        return _show(booking, token, problem=say(NOT_CORRECTABLE), status=409)
    try:
        new_token = address.correct_address(booking.id, typed, now=now_utc())
    except Invalid as error:
        return _address_form(booking, token, typed=typed, error=error.fields.get("email", str(error)), status=422)
    except LimitReached as error:
        return _address_form(booking, token, typed=typed, error=str(error), status=409)
    except NotAllowedNow as error:
        return _show(_booking(token), token, problem=str(error), status=409)
    visitors.remember_booking(hold, new_token)
    doorbell.ring()
    flash(say("Thank you. We write to the new address, and the link in the former mail leads nowhere any more."), "ok")
    return see_other(url_for("manage.show", token=new_token))


@bp.get("/<token>.ics")
def ics(token: str) -> Response:
    """The appointment for the customer's own calendar."""
    booking = _booking(token)
    if booking.status not in ("confirmed", "pending"):
        raise NotFound(say("This booking is cancelled, so there is nothing to put into a calendar."))
    response = make_response(customer_ics(_event(booking, token), method="PUBLISH"))
    response.mimetype = "text/calendar"
    response.headers["Content-Disposition"] = 'attachment; filename="appointment.ics"'
    return response


def _asked_page(booking: Booking, token: str, *, problem: str = "", status: int = 200) -> Response:
    """A booking that its customer has to confirm: until when, with the button; or that it is too late for it."""
    zone, locale = _zone(booking), dates.present_locale()
    until = booking.held_until or now_utc()
    page = {
        "token": token,
        "summary": summarize(db.session(), booking, zone=zone, locale=locale),
        "until": dates.clock(until.astimezone(ZoneInfo(zone)), locale),
        "is_over": until < now_utc(),
        "service_slug": booking.appointment.service.slug,
        "problem": problem,
    }
    return make_response(render_template("manage/asked.html", **page), status)


def _booking(token: str, *, held: bool = False) -> Booking:
    """The booking of a link; one that is only `held` until it is confirmed has no other pages. Raises the same NotFound for links that never
    led anywhere and for outdated ones."""
    try:
        booking = queries.booking_of_manage_token(db.session(), token)
    except NotFound:
        raise NotFound(say(UNKNOWN)) from None
    if booking.appointment.end_at + LINK_LASTS < now_utc() or (booking.status == "held" and not held):
        raise NotFound(say(UNKNOWN))
    return booking


def _show(booking: Booking, token: str, *, problem: str = "", status: int = 200) -> Response:
    values = _values(booking, token)
    return make_response(render_template("manage/show.html", problem=problem, **values), status)


def _may_correct(booking: Booking, token: str) -> bool:
    """Only in the browser in which it was booked, and only shortly after."""
    return visitors.hold_of(token) is not None and address.may_correct(db.session(), booking, now=now_utc())


def _address_form(booking: Booking, token: str, *, typed: str, error: str = "", status: int = 200) -> Response:
    errors = {"email": error} if error else {}
    values = _values(booking, token) | {"typed": typed, "errors": errors}
    return make_response(render_template("manage/address.html", **values), status)


def _cancel_page(booking: Booking, token: str, *, problem: str = "", status: int = 200) -> Response:
    values = _values(booking, token)
    if values["state"] not in ("confirmed", "pending") or values["no_cancel"]:
        return _show(booking, token, problem=problem, status=status)
    return make_response(render_template("manage/cancel.html", problem=problem, **values), status)


def _move_page(
    search: Search, token: str, values: dict[str, Any], start_at: datetime, *, problem: str = "", status: int = 200
) -> Response:
    """The question whether to take that time instead."""
    search = search.opened_at(start_at)
    end_at = start_at + timedelta(minutes=search.service.duration)
    values["to"] = view.when(start_at, end_at, search.choice.zone, search.locale)
    values["start_at"] = instant_text(start_at)
    values["page_url"] = url_for("manage.move_form", token=token)
    page = render_template("manage/move_confirm.html", choice=search.choice, problem=problem, **values)
    return make_response(page, status)


def _move_again(token: str, start_at: datetime, *, problem: str) -> Response:
    """The booking has changed since the question was asked: it is asked again, of how it stands now, where that makes sense still."""
    booking = _booking(token)
    values = _values(booking, token)
    if values["state"] not in ("confirmed", "pending") or values["no_move"]:
        return _show(booking, token, problem=problem, status=409)
    return _move_page(_search(booking), token, values, start_at, problem=problem, status=409)


def _values(booking: Booking, token: str) -> dict[str, Any]:
    """What all pages of a booking expect."""
    session: Session = db.session()
    now = now_utc()
    zone = _zone(booking)
    summary = summarize(session, booking, zone=zone, locale=dates.present_locale())
    service, start_at = booking.appointment.service, booking.appointment.start_at
    cancel_until = rules.cut_off(service.cancel_until, reason=booking.pending_reason)
    move_until = rules.cut_off(service.move_until, reason=booking.pending_reason)
    return {
        "token": token,
        "state": _state(booking, now),
        "first_name": given_name(booking.customer_name),
        "address": booking.customer_email if visitors.hold_of(token) else "",
        "may_correct": _may_correct(booking, token),
        "pending_reason": booking.pending_reason,
        "cancelled_by": booking.cancelled_by,
        "asks_again": service.needs_approval and booking.status == "confirmed",
        "service_slug": service.slug if service.is_active else "",
        "summary": summary,
        "links": _calendar_links(summary),
        "call_url": _call_url(booking, summary, token, now),
        "no_cancel": _too_late(start_at, cancel_until, "cancel", now),
        "no_move": _too_late(start_at, move_until, "move", now),
        "cancel_until": _limit(start_at, cancel_until, zone),
        "move_until": _limit(start_at, move_until, zone),
    }


def _call_url(booking: Booking, summary: Summary, token: str, now: datetime) -> str:
    """Where the page looks for the link of its video meeting; empty once it is there, or is not to be expected."""
    is_new = booking.confirmed_at is not None and now - booking.confirmed_at < LINK_IS_MADE_WITHIN
    return url_for("manage.show", token=token) if summary.meeting.is_near and is_new else ""


def _state(booking: Booking, now: datetime) -> str:
    """confirmed, pending, cancelled, over or missed"""
    if booking.status in ("confirmed", "pending"):
        return "over" if booking.appointment.end_at <= now else booking.status
    return {"cancelled": "cancelled", "no_show": "missed"}.get(booking.status, "over")


def _too_late(start_at: datetime, minutes: int, verb: str, now: datetime) -> str:
    """Why the customer may not `verb` any more; empty while it is possible."""
    try:
        rules.check_cut_off(start_at, minutes=minutes, now=now, verb=verb)
    except TooLate as error:
        return str(error)
    return ""


def _limit(start_at: datetime, minutes: int, zone: str) -> str:
    """Until when, in words; empty where the start itself is the limit."""
    if not minutes:
        return ""
    locale = dates.present_locale()
    local = (start_at - timedelta(minutes=minutes)).astimezone(ZoneInfo(zone))
    return f"{dates.day_and_month(local.date(), locale)}, {dates.clock(local, locale)}"


def _zone(booking: Booking) -> str:
    """The zone that was asked for, else the usual one."""
    asked = (request.form if request.method == "POST" else request.args).get("zone", "")
    return asked if dates.is_zone(asked) else _usual_zone(booking)


def _usual_zone(booking: Booking) -> str:
    """The one that the customer booked in, else the business's."""
    return booking.customer_zone if dates.is_zone(booking.customer_zone) else current_site().zone


def _search(booking: Booking) -> Search:
    asked = request.form if request.method == "POST" else request.args
    session: Session = db.session()
    service = booking.appointment.service
    return picker.open_search(
        session,
        service,
        asked,
        site=current_site(),
        now=now_utc(),
        moving=booking,
        usual_zone=_usual_zone(booking),
    )


def _picker(search: Search, token: str, values: dict[str, Any], *, offer: Any = None, status: int = 200) -> Response:
    url = url_for("manage.move_form", token=token)
    urls = {"page_url": url, "slots_url": url, "post_url": url}
    if wants_partial():
        return responses.slots(search, seen=request.args.get("seen", ""), **urls)
    found = picker.find_page(search)
    shown = responses.slots_values(search, found.day) | urls | values
    return make_response(render_template("manage/move.html", found=found, offer=offer, **shown), status)


@dataclass(frozen=True, slots=True)
class CalendarLink:
    name: str
    url: str


def _calendar_links(summary: Summary) -> list[CalendarLink]:
    """Plain links to other people's calendars. They hold no manage link: it would be theirs to use."""
    start, end = instant_text(summary.start_at), instant_text(summary.end_at)
    title = f"{summary.service}, {current_site().name}"
    google = {
        "action": "TEMPLATE",
        "text": title,
        "dates": f"{start}/{end}".replace("-", "").replace(":", ""),
        "location": summary.address or summary.meeting.url,
    }
    outlook = {
        "path": "/calendar/action/compose",
        "rru": "addevent",
        "subject": title,
        "startdt": start,
        "enddt": end,
        "location": summary.address or summary.meeting.url,
    }
    return [
        CalendarLink("Google", f"https://calendar.google.com/calendar/render?{urlencode(google)}"),
        CalendarLink("Outlook", f"https://outlook.live.com/calendar/0/deeplink/compose?{urlencode(outlook)}"),
    ]


def _event(booking: Booking, token: str) -> CustomerEvent:
    session: Session = db.session()
    settings, site = current_settings(), current_site()
    summary = summarize(session, booking, zone=site.zone, locale=dates.present_locale())
    return customer_event(
        booking,
        business=session.scalars(select(Business)).one(),
        people=summary.people,
        place=summary.address,
        meeting=summary.meeting,
        mail_from=settings.mail_from,
        manage_url=f"{settings.url}{url_for('manage.show', token=token)}",
        stamped_at=now_utc(),
    )
