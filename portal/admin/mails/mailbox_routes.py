"""The development mailbox, for admins, while no mail server is set: what people would have received, and the links in it.

The HTML of a mail is shown in a frame of its own that may run nothing and load nothing; a link in it opens in a new tab.
"""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, abort, make_response, render_template, request

from portal.admin.mails.mailbox import Kept, list_mails, read_mail
from portal.extensions import current_settings
from portal.web.headers import POLICY

bp = Blueprint("mailbox", __name__, url_prefix="/admin/mailbox")

_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


@bp.before_request
def _only_without_mail_server() -> None:
    """Once mails are really sent, nobody keeps copies of them here, and the page is gone."""
    if current_settings().smtp_url:
        abort(404)


@bp.get("")
def index() -> str:
    page = min(max(request.args.get("page", 1, type=int), 1), 100_000)
    mails, has_older = list_mails(_folder(), page=page)
    return render_template("admin/mailbox.html", mails=mails, page=page, has_older=has_older)


@bp.get("/<name>")
def show(name: str) -> Response:
    response = make_response(render_template("admin/mailbox_mail.html", mail=_mail(name)))
    response.headers["Content-Security-Policy"] = f"{POLICY}; frame-src 'self'"
    return response


@bp.get("/<name>/html")
def html(name: str) -> Response:
    response = Response(_mail(name).html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _MAIL_POLICY
    return response


@bp.get("/<name>/invitation.ics")
def invitation(name: str) -> Response:
    calendar = _mail(name).calendar
    if calendar is None:
        abort(404)
    response = Response(calendar, mimetype="text/calendar")
    response.headers["Content-Disposition"] = 'attachment; filename="invitation.ics"'
    return response


def _mail(name: str) -> Kept:
    return read_mail(_folder(), name)


def _folder() -> Path:
    folder: Path = current_settings().data / "mail"
    return folder
