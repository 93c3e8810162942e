"""Error pages: every PortalError and HTTP error becomes a page, a fragment or, under /api, `application/problem+json`."""

from __future__ import annotations

import structlog
from flask import Flask, Response, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from portal.errors import PortalError, Stale, TryAgain
from portal.language.say import say, say_later
from portal.logs import Seldom
from portal.web.addresses import is_too_large
from portal.web.hypermedia import wants_partial
from portal.web.shown import versions

log = structlog.get_logger()
_unavailable = Seldom()

SENTENCES = {
    400: say_later("This request could not be understood. Please go back and try again."),
    403: say_later("You are not allowed to see this."),
    404: say_later("There is nothing at this address. The link may be old, or mistyped."),
    405: say_later("This address cannot be used in that way. Please go back and use the page's buttons."),
    413: say_later("What was sent is too large."),
    415: say_later("The content type does not fit: send JSON or a form."),
    429: say_later("Too many tries in a short time. Please wait a minute and try again."),
    500: say_later("Something went wrong on our side. Nothing was lost; please try again in a moment."),
    503: say_later("The portal is very busy at this moment. Please try again."),
}


def init_app(app: Flask) -> None:
    app.register_error_handler(PortalError, _portal_error)
    app.register_error_handler(Stale, _stale)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(Exception, _unexpected)


def problem(status: int, sentence: str, *, code: str = "error", **more: object) -> Response:
    """An RFC 9457 problem document."""
    response = jsonify({"type": "about:blank", "status": status, "code": code, "title": sentence, **more})
    response.status_code = status
    response.mimetype = "application/problem+json"
    return response


def _answer(status: int, sentence: str, *, code: str = "error", **more: object) -> Response:
    if request.path.startswith("/api/"):
        return problem(status, sentence, code=code, **more)
    template = "_error.html" if wants_partial() else "error.html"
    return make_response(render_template(template, status=status, sentence=sentence), status)


def _portal_error(error: PortalError) -> Response:
    more: dict[str, object] = {}
    if getattr(error, "fields", None):
        more["fields"] = error.fields  # type: ignore[attr-defined]
    return _answer(error.http_status, str(error), code=error.code, **more)


def _stale(error: Stale) -> Response:
    """What was sent is kept, and can be sent again by who knows now what has changed. Passwords are typed anew."""
    if request.path.startswith("/api/"):
        status = 412 if request.if_match else error.http_status
        return problem(status, str(error), code=error.code, changed=error.changed)
    sent = [
        (name, value) for name, value in request.form.items(multi=True) if name not in ("csrf_token", versions.FIELD)
    ]
    page = render_template(
        "stale.html",
        sentence=str(error),
        kept=[(name, value) for name, value in sent if "password" not in name],
        passwords=[name for name, _ in sent if "password" in name],
        post_url=request.full_path.removesuffix("?"),
        page_url=versions.page_here(),
    )
    return make_response(page, error.http_status)


def _csrf_error(_error: CSRFError) -> Response:
    sentence = say("This page was open for so long that it can no longer be sent. Please reload it and try again.")
    return _answer(400, sentence, code="stale_form")


def _http_error(error: HTTPException) -> Response:
    if error.response is not None:  # a ready answer, such as a redirect
        return error.response  # type: ignore[return-value]
    status = error.code or 500
    sentence = say(SENTENCES[status]) if status in SENTENCES else error.description or ""
    response = _answer(status, sentence, code=error.name.lower().replace(" ", "_"))
    for name in ("Allow", "Retry-After", "WWW-Authenticate"):
        value = dict(error.get_headers()).get(name)
        if value:
            response.headers[name] = value
    return response


def _database_error(error: OperationalError) -> Response:
    kind = type(error.orig).__name__
    if times := _unavailable.count(kind):
        log.error("database unavailable", error=kind, path=request.path, times=times)
    return _portal_error(TryAgain(say(SENTENCES[503])))


def _unexpected(error: Exception) -> Response:
    if is_too_large(error):
        return _answer(422, say(SENTENCES[400]), code="invalid")
    log.exception("unexpected error", path=request.path, method=request.method, exc_info=error)
    return _answer(500, say(SENTENCES[500]), code="unexpected")
