"""The stand-in as a web application: the API, the sign-in, the pages for people, the control for tests.

The API itself is `providers.standins.google.api.wire`; here stand only what HTTP adds to it: faults, latency, packing, the request log.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flask import Flask, Request, Response, abort, request

from providers.standins.google import control
from providers.standins.google.api import batch
from providers.standins.google.api.call import House
from providers.standins.google.api.listing import Pages
from providers.standins.google.api.wire import Answer, Asked, Served, Wire, row_of
from providers.standins.google.faults import Faults, refusal
from providers.standins.google.model import World
from providers.standins.google.people import pages, signin
from providers.standins.google.people.oauth import Grants
from providers.standins.google.people.signing import Signer
from providers.standins.google.push import Post

_HERE = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that the pages and the control work with."""

    world: World
    house: House
    grants: Grants
    faults: Faults
    signer: Signer


def make_app(world: World) -> tuple[Flask, Parts]:
    """The application on this world."""
    signer = Signer()
    grants = Grants(world, signer)
    house = House(world, Pages(), Post(world))
    parts = Parts(world, house, grants, Faults(), signer)
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["MAX_CONTENT_LENGTH"] = 64_000_000
    app.before_request(_only_this_machine)
    wire = Wire(house, grants)

    @app.route("/calendar/v3/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def serve_api(rest: str) -> Response:
        return _through_faults(parts, wire.name_of, wire.serve)

    @app.post("/batch/calendar/v3")
    def serve_batch() -> Response:
        return _through_faults(parts, lambda asked: "batch", lambda asked: batch.serve(wire, asked, world))

    app.register_blueprint(
        signin.blueprint(parts, lambda name, answer: _through_faults(parts, lambda asked: name, answer))
    )
    app.register_blueprint(pages.blueprint(parts))
    app.register_blueprint(control.blueprint(parts))
    return app, parts


def _only_this_machine() -> None:
    """No web page from elsewhere reaches in through a name that was turned to this machine."""
    if request.host.rpartition(":")[0] not in _HERE and request.host not in _HERE:
        abort(421)


def _through_faults(parts: Parts, name_of: Callable[[Asked], str], serve: Callable[[Asked], Served]) -> Response:
    """What `serve` answers, or what a fault makes of it; half of the latency before, half after."""
    began = time.monotonic()
    asked = _asked(request)
    pause = parts.world.switches.latency / 2
    time.sleep(pause)
    fault = parts.faults.take(method=asked.method, name=name_of(asked), path=asked.path)
    kind = fault.kind if fault is not None else None
    served = (
        Served(refusal(fault, name_of(asked)), name_of(asked))
        if fault is not None and kind in ("status", "html")
        else serve(asked)
    )
    if fault is not None and kind == "slow":
        time.sleep(fault.seconds)
    time.sleep(pause)
    parts.world.note({**row_of(asked, served, began=began, status=served.answer.status), "fault": kind})
    return _response(served.answer, kind or "")


def _asked(came: Request) -> Asked:
    raw = came.environ.get("RAW_URI") or came.environ.get("REQUEST_URI") or came.full_path
    path, _, query = raw.partition("?")
    return Asked(
        method=came.method,
        path=path,
        query=query,
        headers={name.lower(): value for name, value in came.headers.items()},
        body=came.get_data(),
    )


def _response(answer: Answer, spoilt: str) -> Response:
    if spoilt == "lost":
        _hang_up()
    body, headers = answer.body, dict(answer.headers)
    if _wants_packed() and len(body) > 1000:
        body = gzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    headers.setdefault("Vary", "Origin, X-Origin, Referer")
    if spoilt == "cut":
        headers["Content-Length"] = str(len(body))
        return Response(_half(body), answer.status, headers)
    return Response(body, answer.status, headers)


def _wants_packed() -> bool:
    """Google packs only for programs that say gzip in both headers."""
    return all("gzip" in request.headers.get(name, "") for name in ("Accept-Encoding", "User-Agent"))


def _half(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    _hang_up()


def _hang_up() -> None:
    """End the connection as if the line broke."""
    line: socket.socket = request.environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
