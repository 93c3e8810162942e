"""What a form shows, as a version that it carries: what somebody else has changed meanwhile is not undone unseen.

Whoever has an editing form says what it shows (`shows`). Its page carries the version of that in a hidden field, the API in a field `version`
or the header `If-Match`. What arrives with an older one is refused (`Stale`), inside of the very transaction that would have written it, and
can be sent again knowingly. A version is a short hash of each part that is shown, so that the refusal can say which ones have changed.
A caller that sends no version is not asked: it decides for itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Flask, current_app, g, request, url_for
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from portal.database import engine as database
from portal.errors import NotFound, Stale
from portal.extensions import db
from portal.language.say import say

FIELD = "version"
_DIGITS = 6
At = Mapping[str, Any]
"""Where a form stands: the values of its address, those of the query included."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a form shows of one thing. `subject` names the thing, as "booking:12"; `parts` are plain values by names that people know.

    `news` says in a sentence what a part has become, where there is more to say than that it has changed. `done` names the endpoints at
    which nothing is left to do: who asks for what is so already (with a second click, say) is not told that somebody was quicker.
    """

    subject: str
    parts: Mapping[str, Any]
    news: Mapping[str, str] = field(default_factory=dict)
    done: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """`read` gives what stands now; `page` is the endpoint at which it can be seen, with the same values in its address."""

    read: Callable[[Session, At], Shown]
    page: str


_forms: dict[str, Form] = {}
"""By the endpoint to which the form is sent."""


def shows(
    *endpoints: str, page: str = ""
) -> Callable[[Callable[[Session, At], Shown]], Callable[[Session, At], Shown]]:
    """Declare what the forms that are sent to these endpoints show. The reader may raise NotFound."""

    def declare(read: Callable[[Session, At], Shown]) -> Callable[[Session, At], Shown]:
        _forms.update({endpoint: Form(read, page or endpoint) for endpoint in endpoints})
        return read

    return declare


def declared() -> frozenset[str]:
    """The endpoints whose forms carry a version."""
    return frozenset(_forms)


def page_here() -> str:
    """The address at which one sees how things stand that this request would have changed."""
    assert request.endpoint is not None
    page = _forms[request.endpoint].page
    known = next(current_app.url_map.iter_rules(page)).arguments
    values = {name: value for name, value in (request.view_args or {}).items() if name in known}
    return url_for(page, **{**request.args.to_dict(), **values})


def init_app(app: Flask) -> None:
    """Guard the views that are declared (after all blueprints are there), and give templates `version_of`."""
    app.jinja_env.globals.update(version_of=version_of)
    for endpoint in _forms:
        app.view_functions[endpoint] = _guarded(app.view_functions[endpoint])


def version_of(url: str = "") -> str:
    """The version of what the form that is sent to `url` (without: to where the page itself is) shows now; empty where none is declared.

    A page that answers what was sent keeps the version that came with it, so that a mistake in a field does not let a change go by unseen;
    after a refusal it carries the new one: who sends it again has been told.
    """
    endpoint, at = _place(url or request.full_path)
    if endpoint not in _forms:
        return ""
    is_answer = request.method == "POST" and endpoint == request.endpoint and at == _here()
    if is_answer and sent() and not g.get("version_is_stale"):
        return sent()
    try:
        return fingerprint(_forms[endpoint].read(db.session(), at).parts)
    except NotFound:
        return ""


def fingerprint(parts: Mapping[str, Any]) -> str:
    """The hashes of the parts, in the order of their names."""
    return ".".join(_hash(parts[name]) for name in sorted(parts))


def sent() -> str:
    """The version that came with this request; empty without one."""
    return request.form.get(FIELD) or g.get("version_in_body") or _if_match()


def came_in_body(version: str | None) -> None:
    """The API has read its body: this is the version in it."""
    g.version_in_body = version


def _if_match() -> str:
    """All that the header names, weak ones as well: a proxy that compresses answers makes them of ours. One of them has to be right."""
    return ", ".join(sorted(request.if_match.as_set(include_weak=True)))


class _Gate:
    """Compares, at the beginning of the first transaction of a view, what its form showed with what stands there. See
    `portal.database.engine.gate`."""

    def __init__(self, form: Form) -> None:
        self._form = form

    def check(self, session: Session) -> None:
        if not (version := sent()):
            return
        at = _here()
        shown = self._form.read(session, at)
        if session.get_bind().dialect.name == "postgresql":
            # Two that change the same thing at once come one after the other from here on, so the second sees what the first has done.
            database.in_turn(session, shown.subject)
            session.expire_all()
            shown = self._form.read(session, at)
        if fingerprint(shown.parts) not in version.split(", ") and request.endpoint not in shown.done:
            g.version_is_stale = True
            raise Stale(_sentence(shown, version), changed=_changed(shown.parts, version))


def _guarded(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a view: access was granted before it, and what is not the reader's own it refuses before it writes."""

    @wraps(view)
    def call(*args: Any, **values: Any) -> Any:
        if request.method != "POST":
            return view(*args, **values)
        assert request.endpoint is not None
        with database.gate(_Gate(_forms[request.endpoint]).check):
            return view(*args, **values)

    return call


def _sentence(shown: Shown, version: str) -> str:
    changed = _changed(shown.parts, version)
    told = [shown.news[name] for name in changed if name in shown.news]
    if told:
        return " ".join(told)
    if len(changed) == len(shown.parts):
        return say("Somebody has changed this meanwhile.")
    return say("Somebody has changed this meanwhile: %(parts)s.", parts=", ".join(changed))


def _changed(parts: Mapping[str, Any], version: str) -> list[str]:
    """The names of the parts that differ; all of them, when the version is one of a form with other parts."""
    names, hashes = sorted(parts), version.split(".")
    if len(names) != len(hashes):
        return names
    return [name for name, known in zip(names, hashes, strict=True) if _hash(parts[name]) != known]


def _hash(value: Any) -> str:
    plain = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def _place(url: str) -> tuple[str, dict[str, Any]]:
    address = urlsplit(url)
    try:
        endpoint, values = current_app.url_map.bind("localhost").match(address.path, method="POST")
    except HTTPException:
        return "", {}
    return endpoint, {**dict(parse_qsl(address.query)), **values}


def _here() -> dict[str, Any]:
    return {**request.args.to_dict(), **(request.view_args or {})}
