"""Pages around signing in: the sign-in itself, set-up links, one's own account. Also the check before every request (see `portal.web.access`)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, flash, make_response, redirect, render_template, request, session, url_for
from flask_login import current_user, login_user, logout_user
from itsdangerous import BadData, URLSafeTimedSerializer

from portal import doorbell
from portal.accounts import operations, queries, resets
from portal.accounts.devices import device_name
from portal.accounts.forms import read_new_password, read_setup, zone_options
from portal.accounts.guesses import TooManyTries
from portal.accounts.models import User
from portal.business.models import Business
from portal.clock import now_utc
from portal.errors import Invalid, NotFound, Refused
from portal.extensions import db, limiter, login_manager
from portal.web import access, visitors
from portal.web.hypermedia import see_other, wants_partial

bp = Blueprint("accounts", __name__)
bp.before_app_request(access.check)
login_manager.session_protection = None  # sessions end on the server; an address that changes is no reason

SESSION_TOKEN = "user_session"
A_YEAR = 365 * 24 * 3600


@login_manager.user_loader  # type: ignore[untyped-decorator]
def load_user(user_key: str) -> User | None:
    """The user of the cookie's session token, by the row on the server; None when that session is over."""
    token = session.get(SESSION_TOKEN)
    now = now_utc()
    found = queries.user_of_session(db.session(), token, now=now) if isinstance(token, str) else None
    if found is None or found[0].get_id() != user_key:
        return None
    user, user_session = found
    # A page that refreshes itself is not a person at work: it must not keep a session alive for ever.
    if now - user_session.last_seen_at > operations.TOUCH_AFTER and not wants_partial():
        operations.touch_session(user_session.id, now=now)
    return user


@bp.route("/admin/sign-in", methods=["GET", "POST"])
@limiter.limit(
    "10 per minute; 60 per hour",
    methods=["POST"],
    key_func=visitors.address,
    exempt_when=lambda: _knows_device(request.form.get("email", "")),
)
def sign_in() -> Any:
    wanted = access.safe_next(request.args.get("next")) or url_for("admin.home")
    if current_user.is_authenticated and request.method != "POST":
        return redirect(wanted)
    if request.method != "POST":
        return _sign_in_page()
    email = request.form.get("email", "")
    try:
        token = operations.sign_in(
            email,
            request.form.get("password", ""),
            device=_device(),
            knows_device=_knows_device(email),
            now=now_utc(),
            client=visitors.address(),
        )
    except (operations.SignInRefused, TooManyTries) as error:
        return _sign_in_page(email=email, sentence=str(error)), error.http_status
    return _signed_in(token, wanted)


@bp.post("/admin/sign-out")
def sign_out() -> Any:
    operations.sign_out(session.get(SESSION_TOKEN, ""), now=now_utc())
    logout_user()
    session.clear()
    flash("You are signed out.", "ok")
    return see_other(url_for("accounts.sign_in"))


@bp.route("/setup/<token>", methods=["GET", "POST"])
@limiter.limit("20 per minute", methods=["POST"], key_func=visitors.address)
def setup(token: str) -> Any:
    now = now_utc()
    link = queries.find_setup_link(db.session(), token, now=now)
    asks_for_business = db.session.get(Business, 1) is None
    page = {"email": link.email, "role": link.role, "asks_for_business": asks_for_business}
    if request.method != "POST":
        return _setup_page(page)
    try:
        chosen = read_setup(request.form, email=link.email, asks_for_business=asks_for_business)
        user_id = operations.accept_setup(token, chosen, now=now)
    except Invalid as error:
        return _setup_page(page, errors=error.fields), 422
    except Refused as error:
        return _setup_page(page, errors={"email": str(error)}), 409
    return _signed_in(operations.start_session(user_id, device=_device(), now=now), url_for("admin.home"))


@bp.route("/admin/forgotten", methods=["GET", "POST"])
@limiter.limit("20 per minute", methods=["POST"], key_func=visitors.address)
def forgotten() -> Any:
    """Whatever address is typed, the answer is the same."""
    if request.method != "POST":
        return render_template("accounts/forgotten.html", email="", errors={})
    email = request.form.get("email", "")[:300]
    try:
        resets.ask_for_link(email, client=visitors.address(), now=now_utc())
    except Invalid as error:
        return render_template("accounts/forgotten.html", email=email, errors=error.fields), 422
    except resets.TooManyResets as error:
        return render_template("accounts/forgotten.html", email=email, errors={}, problem=str(error)), error.http_status
    doorbell.ring()
    minutes = int(resets.LIVES.total_seconds() // 60)
    return render_template("accounts/forgotten_sent.html", email=email.strip(), minutes=minutes)


@bp.route("/admin/new-password/<token>", methods=["GET", "POST"])
@limiter.limit("20 per minute", methods=["POST"], key_func=visitors.address)
def new_password(token: str) -> Any:
    now = now_utc()
    user = resets.user_of_link(db.session(), token, now=now)
    email, about = user.email, (user.name, user.email)
    if request.method != "POST":
        return render_template("accounts/new_password.html", email=email, errors={})
    try:
        new = read_new_password(request.form, about=about)
    except Invalid as error:
        return render_template("accounts/new_password.html", email=email, errors=error.fields), 422
    session_token = resets.use_link(token, new, device=_device(), now=now)
    flash("Your password is changed. All other devices are signed out.", "ok")
    return _signed_in(session_token, url_for("admin.home"))


@bp.get("/admin/account")
def account() -> Any:
    return _account_page()


@bp.post("/admin/account/password")
@limiter.limit("10 per minute", key_func=visitors.address)
def change_password() -> Any:
    now = now_utc()
    try:
        new = read_new_password(request.form, about=(current_user.name, current_user.email))
        token = operations.change_password(
            current_user.id,
            request.form.get("current", ""),
            new,
            device=_device(),
            now=now,
            client=visitors.address(),
        )
    except Invalid as error:
        return _account_page(errors=error.fields), 422
    except TooManyTries as error:
        return _account_page(errors={"current": str(error)}), error.http_status
    flash("Your password is changed. All other devices are signed out.", "ok")
    return _signed_in(token, url_for("accounts.account"))


@bp.post("/admin/account/sessions/<int:session_id>/end")
def end_session(session_id: int) -> Any:
    operations.end_session(current_user.id, session_id, now=now_utc())
    flash("That device is signed out.", "ok")
    return see_other(url_for("accounts.account"))


def _sign_in_page(*, email: str = "", sentence: str = "") -> str:
    is_fresh = not operations.first_owner_exists()
    return render_template("accounts/sign_in.html", email=email, sentence=sentence, is_fresh=is_fresh)


def _setup_page(page: dict[str, Any], *, errors: dict[str, str] | None = None) -> str:
    typed = {name: request.form.get(name, "") for name in ("name", "email", "business_name", "zone")}
    return render_template("accounts/setup.html", **page, typed=typed, errors=errors or {}, zones=zone_options())


def _account_page(*, errors: dict[str, str] | None = None) -> str:
    devices = queries.sessions_of(db.session(), current_user.id, now=now_utc())
    found = queries.user_of_session(db.session(), session.get(SESSION_TOKEN, ""), now=now_utc())
    this_one = found[1].id if found else None
    return render_template("accounts/account.html", devices=devices, this_one=this_one, errors=errors or {})


def _signed_in(token: str, location: str) -> Any:
    """Everything of the old session is forgotten, so an identity that was planted in it is worth nothing (session fixation)."""
    messages = session.get("_flashes", [])
    session.clear()
    found = queries.user_of_session(db.session(), token, now=now_utc())
    if found is None:
        raise NotFound("This session is over. Please sign in again.")
    session.permanent = True
    session[SESSION_TOKEN] = token
    session["_flashes"] = messages
    login_user(found[0])
    response = make_response(see_other(location))
    response.set_cookie(
        _device_cookie(),
        _devices().dumps([found[0].id, found[0].session_epoch]),
        max_age=A_YEAR,
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )
    return response


def _knows_device(email: str) -> bool:
    """Whether this browser signed in as that user before: then the delay that strangers' wrong tries cause does not bind it."""
    try:
        known = _devices().loads(request.cookies.get(_device_cookie(), ""), max_age=A_YEAR)
    except BadData:
        return False
    user = queries.find_user(db.session(), email.strip().lower()[:254])
    return user is not None and known == [user.id, user.session_epoch]


def _devices() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt="device")


def _device_cookie() -> str:
    return "__Host-lockstep-device" if current_app.config["SESSION_COOKIE_SECURE"] else "lockstep-device"


def _device() -> str:
    return device_name(request.user_agent.string)
