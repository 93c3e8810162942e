"""Which language a page speaks: the one that its visitor has chosen, else one that the browser asks for, else the business's.

Bound to the app in `portal.app`. Flask-Babel serves templates; `portal.language.say.say` serves everything below them, in the same language. Staff's
own pages speak English. Programs that ask nothing of a person (health, hooks) cost neither a session nor a query here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager

from flask import Blueprint, Flask, Response, abort, g, request, session, url_for

from portal.extensions import babel
from portal.language.dates import locale_of
from portal.language.say import CATALOGS, LANGUAGES, known_language, speaking
from portal.web import access
from portal.web.hypermedia import see_other
from portal.web.site import current_site

bp = Blueprint("languages", __name__)

CHOSEN = "language"
"""Where the session keeps what the visitor has chosen."""
_TAG = re.compile(r"[a-z]{2}-[A-Z]{2}")
_OURS = re.compile(r"/(?:[A-Za-z0-9_\-.~][A-Za-z0-9_\-.~/]*)?(?:\?[A-Za-z0-9_\-=&%.+:~/]*)?")
_MACHINES = frozenset({"health", "hooks"})
_STAFF_ROOMS = ("/admin", "/setup/")


@bp.post("/language")
def choose() -> Response:
    """Remember the language that somebody has chosen, and show the page they came from in it."""
    wanted = request.form.get("language", "")
    if wanted not in LANGUAGES:
        abort(400)
    session[CHOSEN] = wanted
    return see_other(_way_back(request.form.get("next", ""), came_from=request.referrer or ""))


def page_language() -> str:
    """The language of the page that is being answered: "en", "es" or "hu". Asked once a request."""
    return page_tag()[:2]


def page_tag() -> str:
    """The same with the reader's country where the browser (or the business) names one, such as "es-MX": what bookings remember."""
    if "language" not in g:
        g.language = _choose()
    tag: str = g.language
    return tag


def asked_language() -> str:
    """The language that the caller of the API asks for by its header; empty when it asks for none of ours."""
    asked = list(_asked())
    return _with_country(known_language(*asked), asked) if asked else ""


def init_app(app: Flask) -> None:
    """Give Flask-Babel its catalogs and its choice, and `say` the same choice for the time of a request."""
    app.config.setdefault("BABEL_TRANSLATION_DIRECTORIES", str(CATALOGS))
    babel.init_app(app, locale_selector=page_language)
    app.jinja_env.globals.update(page_language=page_language, languages=LANGUAGES, may_choose_language=_may_choose)
    app.before_request(_speak)
    app.after_request(_vary)
    app.teardown_request(_fall_silent)


def _choose() -> str:
    if request.blueprint in _MACHINES:
        return "en"
    if _is_for_staff():
        return _with_country("en", [current_site().language])
    if request.path.startswith("/api/"):
        return asked_language() or "en"
    asked = list(_asked())
    chosen = session.get(CHOSEN)
    if chosen not in LANGUAGES:
        business = current_site().language
        asked.append(business)
        chosen = known_language(*asked)
    return _with_country(str(chosen), asked)


def _asked() -> Iterator[str]:
    """The tags that the browser asks for and that we know, the dearest first."""
    for tag, quality in request.accept_languages:
        if quality > 0 and tag.partition("-")[0].lower() in LANGUAGES:
            yield tag


def _with_country(language: str, tags: list[str]) -> str:
    """The first of the tags that is this language in some country; without one, the language alone."""
    first = next((tag for tag in tags if tag.partition("-")[0].lower() == language), language)
    return first if _TAG.fullmatch(first) and locale_of(first).territory == first[3:] else language


def _is_for_staff() -> bool:
    """Pages behind the sign-in, and the sign-in itself; an address that leads nowhere is judged by its beginning."""
    if request.endpoint is None or request.blueprint == "api":
        return request.path.startswith(_STAFF_ROOMS)
    return not access.is_public(request.endpoint) or request.blueprint == "accounts"


def _may_choose() -> bool:
    """Whether a page offers the other languages: not where something may have been typed, which a reload would lose."""
    return request.method == "GET" and not _is_for_staff()


def _way_back(target: str, *, came_from: str) -> str:
    """`target` when it is an address of ours and nothing that any browser could read as another host; else the first page.

    The question in the address (day, zone) comes from the browser, which tells where it came from: a page never repeats what an address
    asks for, since it is compressed and holds secrets.
    """
    if not _OURS.fullmatch(target) or "//" in target:
        return url_for("booking.services")
    path, _, query = came_from.removeprefix(request.host_url.rstrip("/")).partition("?")
    whole = f"{target}?{query}"
    return whole if path == target and query and _OURS.fullmatch(whole) else target


def _speak() -> None:
    country = "" if request.blueprint in _MACHINES else current_site().country
    spoken: AbstractContextManager[None] = speaking(page_tag(), country=country)
    spoken.__enter__()
    g.spoken = spoken


def _vary(response: Response) -> Response:
    """Whoever keeps a page must not show it to a reader of another language."""
    if response.mimetype in ("text/html", "application/problem+json"):
        response.vary.update(("Accept-Language", "Cookie"))
        response.content_language.add(page_language())
    return response


def _fall_silent(_error: BaseException | None) -> None:
    spoken = g.pop("spoken", None)
    if spoken is not None:
        spoken.__exit__(None, None, None)
