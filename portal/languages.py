"""Which language a page speaks: the one that its visitor has chosen, else one that the browser asks for, else the business's.

Bound to the app in `portal.app`. Flask-Babel serves templates; `portal.i18n.say` serves everything below them, in the same language.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from flask import Flask, g, request, session

from portal.extensions import babel
from portal.i18n import CATALOGS, LANGUAGES, known_language, speaking
from portal.site import current_site

CHOSEN = "language"
"""Where the session keeps what the visitor has chosen."""


def page_language() -> str:
    """The language of the page that is being answered; asked once a request."""
    if "language" not in g:
        g.language = _choose()
    language: str = g.language
    return language


def init_app(app: Flask) -> None:
    """Give Flask-Babel its catalogs and its choice, and `say` the same choice for the time of a request."""
    app.config.setdefault("BABEL_TRANSLATION_DIRECTORIES", str(CATALOGS))
    babel.init_app(app, locale_selector=page_language)
    app.jinja_env.globals.update(page_language=page_language, languages=LANGUAGES)
    app.before_request(_speak)
    app.teardown_request(_fall_silent)


def _choose() -> str:
    chosen = session.get(CHOSEN)
    if chosen in LANGUAGES:
        return str(chosen)
    wanted = request.accept_languages.best_match(list(LANGUAGES))
    return wanted or known_language(current_site().language)


def _speak() -> None:
    spoken: AbstractContextManager[None] = speaking(page_language())
    spoken.__enter__()
    g.spoken = spoken


def _fall_silent(_error: BaseException | None) -> None:
    spoken = g.pop("spoken", None)
    if spoken is not None:
        spoken.__exit__(None, None, None)
