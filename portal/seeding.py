"""A whole seed file into the database and back: the business from `portal.business`, its fixed dates from `portal.booking`.

Called by `lockstep seed` and `export`, and by the demo.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.seeding import dates_of, seed_dates
from portal.business.export import export_business
from portal.business.models import Resource
from portal.business.seed import seed
from portal.business.seed_file import read_seed_file
from portal.clock import now_utc
from portal.db import read_transaction


def load(text: str, *, name: str, environ: Mapping[str, str]) -> list[str]:
    """Make the business equal to the seed file, then plan the dates that it names. Gives what changed, and what could not be planned.

    Raises Invalid with the line of what is wrong; nothing was changed then.
    """
    changes = seed(text, name=name, environ=environ)
    slugs = read_transaction(lambda session: session.scalars(select(Resource.slug)).all())
    services = read_seed_file(text, name=name, environ=environ, known_resources=slugs).services
    return changes + seed_dates(services, now=now_utc())


def export(session: Session) -> str:
    """The business as such a file. Raises NotFound when there is no business yet."""
    return export_business(session, dates_of=partial(dates_of, session, now=now_utc()))
