"""What every page may ask for: the business's name and language, and the wording of dates. Bound to templates in `portal.app`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from flask import Flask, g
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from portal import dates
from portal.business.models import Business
from portal.extensions import db


@dataclass(frozen=True, slots=True)
class Site:
    """The business as pages show it. Before it is set up (and while the database cannot answer) the product's own name stands in."""

    name: str = "Lockstep"
    zone: str = "UTC"
    language: str = "en"


def current_site() -> Site:
    """The business of this instance, read once per request."""
    if "site" not in g:
        g.site = _read()
    return g.site


def init_app(app: Flask) -> None:
    """Give templates `site()`: a function, so that a partial that needs no name costs no query."""
    app.jinja_env.globals.update(site=current_site, zone_options=zone_options)


@lru_cache(maxsize=1)
def zone_options() -> Markup:
    """The options of a select of time zones, by region. Made once: it is the longest part of a page."""
    groups = (
        Markup('<optgroup label="{}">{}</optgroup>').format(region, _options(names))
        for region, names in {**dates.zones_by_region(), "UTC": ["UTC"]}.items()
    )
    return Markup("").join(groups)


def _options(names: list[str]) -> Markup:
    return Markup("").join(Markup('<option value="{}">{}').format(name, dates.city(name)) for name in names)


def _read() -> Site:
    try:
        row = db.session.execute(select(Business.name, Business.zone, Business.language).limit(1)).first()
    except SQLAlchemyError:  # an error page must not fail for want of a name
        db.session.rollback()
        return Site()
    return Site(*row) if row else Site()
