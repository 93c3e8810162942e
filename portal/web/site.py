"""What every page may ask for: the business's name and language, and the wording of dates. Bound to templates in `portal.app`."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, g
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from portal.business.models import Business
from portal.extensions import db
from portal.language import dates

_BUSINESS = select(Business.name, Business.zone, Business.language).limit(1)


@dataclass(frozen=True, slots=True)
class Site:
    """The business as pages show it. Before it is set up (and while the database cannot answer) the product's own name stands in."""

    name: str = "Lockstep"
    zone: str = "UTC"
    language: str = "en"

    @property
    def country(self) -> str:
        """Whose habits count where a reader's language names no country."""
        return dates.country_of(self.zone)


def current_site() -> Site:
    """The business of this instance, read once per request."""
    if "site" not in g:
        g.site = _read()
    site: Site = g.site
    return site


def init_app(app: Flask) -> None:
    """Give templates `site()`: a function, so that a partial that needs no name costs no query."""
    app.jinja_env.globals.update(site=current_site, zone_regions=dates.zones_by_region)


def _read() -> Site:
    try:
        row = db.session.connection().execute(_BUSINESS).first()
    except SQLAlchemyError:  # an error page must not fail for want of a name
        db.session.rollback()
        return Site()
    return Site(*row) if row else Site()
