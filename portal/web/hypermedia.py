"""What pages and htmx need of each other; the only importer of htmx-flask.

htmx-flask sets no `Vary`, and counts boosted navigations and history restores as htmx requests, although both need whole pages.
"""

from __future__ import annotations

from flask import Flask, Response, redirect, request
from htmx_flask import Htmx
from htmx_flask import request as htmx_request

_htmx = Htmx()


def init_app(app: Flask) -> None:
    """Teach the app about htmx requests, and every HTML answer to vary by them."""
    _htmx.init_app(app)
    app.after_request(_vary)


def wants_partial() -> bool:
    """True when the caller will swap a fragment into the page it has."""
    headers = request.headers
    return (
        bool(htmx_request.htmx)
        and headers.get("HX-Boosted") != "true"
        and headers.get("HX-History-Restore-Request") != "true"
    )


def see_other(location: str) -> Response:
    """Redirect after a POST: the browser (and htmx) follows with a GET of the whole page."""
    if wants_partial():
        return Response(status=204, headers={"HX-Redirect": location})
    return redirect(location, code=303)  # type: ignore[return-value]


def announce(response: Response, *names: str) -> Response:
    """Let the answer tell other regions of the page to fetch themselves anew."""
    response.headers["HX-Trigger"] = ", ".join(names)
    return response


def _vary(response: Response) -> Response:
    if response.mimetype == "text/html":
        response.vary.add("HX-Request")
    return response
