"""Who may call what: nothing, unless it says so here. One check before every request, so a forgotten route is a shut one.

`PUBLIC` endpoints are for everybody, `STAFF` for everybody who is signed in; all others for owners and admins. A blueprint may bring a guard of
its own (the API asks for a bearer token). `tests/web/test_access.py` walks all routes and holds this list against them.

Which *objects* somebody sees is another question: staff see what belongs to the resource they are (`sees`), and all pages fetch through it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask import Response, abort, redirect, request, url_for
from flask_login import current_user

from portal.accounts.models import User
from portal.business.models import Resource
from portal.web.hypermedia import wants_partial
from providers.kinds import by_consent, hooks


def _of_hooks() -> frozenset[str]:
    return frozenset(f"hooks.{hook}" for hook in hooks())


def _of_consent() -> frozenset[str]:
    pages = ("connect", "callback", "confirm", "help")
    return frozenset(f"{kind.name}.{page}" for kind in by_consent() for page in pages)


PUBLIC = _of_hooks().union(
    {
        "health.healthz", "health.readyz", "health.metrics",
        "accounts.sign_in", "accounts.setup", "accounts.forgotten", "accounts.new_password",
        "languages.choose", "booking.answered", "stop.show", "stop.stop",
        "api.services", "api.availability", "api.explain", "api.openapi",
        "booking.services", "booking.service", "booking.slots", "booking.place_hold", "booking.hold_form",
        "booking.extend_hold", "booking.release_hold", "booking.confirm", "booking.correct_asked", "booking.asked",
        "manage.show", "manage.confirm", "manage.cancel", "manage.cancel_form", "manage.move_form", "manage.move", "manage.ics",
        "manage.address_form", "manage.correct_address",
        "waitlist.join_form", "waitlist.join", "waitlist.joined", "waitlist.show", "waitlist.accept", "waitlist.decline", "waitlist.leave_form",
        "waitlist.leave",
        "mine.ask", "mine.send_code", "mine.code_form", "mine.sign_in", "mine.bookings", "mine.open_booking", "mine.open_entry", "mine.sign_out",
    }
)  # fmt: skip

STAFF = _of_consent().union(
    {
        "accounts.sign_out", "accounts.account", "accounts.change_password", "accounts.end_session",
        "admin.home", "admin.bookings", "admin.booking", "admin.cancel_booking", "admin.approve_booking", "admin.refuse_booking",
        "admin.mark_attendance", "admin.send_mail_again",
        "admin.confirm_cancellation", "admin.questions", "admin.answer",
        "admin.unknown_booking", "admin.take_up", "admin.answer_unknown",
        "admin.all_dates", "admin.dates", "admin.appointment", "admin.capacity_form", "admin.change_capacity",
        "admin.move_appointment_form", "admin.move_appointment", "admin.call_off_form", "admin.call_off",
        "admin.waitlist", "admin.waitlist_service", "admin.offer_form", "admin.offer",
        "integrations.index", "integrations.connect", "integrations.choose", "integrations.refresh", "integrations.disconnect",
        "integrations.pause", "integrations.resume", "integrations.read_now", "integrations.try_again", "integrations.rules",
        "integrations.decide", "integrations.leave_open",
        "integrations.dismiss", "integrations.finish_disconnecting", "integrations.disconnect_anyway",
    }
)  # fmt: skip

guards: dict[str, Callable[[], Any]] = {}
"""Blueprint -> its own check of what is not public; it raises or returns an answer to refuse."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# A path of ours behind the sign-in, and nothing that any browser could read as another host.
_NEXT = re.compile(r"/admin(?:/[A-Za-z0-9_\-/]*)?(?:\?[A-Za-z0-9_\-=&%.+:]*)?")


def check() -> Any:
    """Runs before every request. None lets it pass."""
    endpoint = request.endpoint
    if endpoint is None:
        return None
    own_guard = guards.get(request.blueprint or "")
    if own_guard is None and _comes_from_elsewhere():
        abort(403)
    if is_public(endpoint):
        return None
    return own_guard() if own_guard else _check_user(endpoint)


def is_public(endpoint: str | None) -> bool:
    """Whether it is for everybody."""
    return endpoint in PUBLIC or endpoint in _of_hooks()


def sees(user: User, resource_id: int | None) -> bool:
    """Whether what belongs to this resource is this user's business."""
    return user.is_admin or (resource_id is not None and resource_id == user.resource_id)


def sees_titles(user: User, resource: Resource) -> bool:
    """Whether this user may read what the events in this resource's calendars are called: one's own alone, whoever one is; those of rooms and
    equipment, which are nobody's own, owners and admins."""
    return resource.id == user.resource_id or (resource.kind != "staff" and user.is_admin)


def safe_next(target: str | None) -> str | None:
    """`target` when it is a path behind our own sign-in, else None."""
    if target and _NEXT.fullmatch(target) and "//" not in target:
        return target
    return None


def _check_user(endpoint: str) -> Response | None:
    if not current_user.is_authenticated:
        return _ask_to_sign_in()
    if endpoint not in STAFF | _of_consent() and not current_user.is_admin:
        abort(403)
    return None


def _ask_to_sign_in() -> Response:
    wanted = safe_next(request.full_path.rstrip("?")) if request.method == "GET" and not wants_partial() else None
    location = url_for("accounts.sign_in", next=wanted)
    if wants_partial():  # htmx follows this header whatever the status is
        return Response(status=401, headers={"HX-Redirect": url_for("accounts.sign_in")})
    return redirect(location)  # type: ignore[return-value]


def _comes_from_elsewhere() -> bool:
    """A second wall behind the CSRF token: browsers say when another site sends a form."""
    return request.method not in _SAFE and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
