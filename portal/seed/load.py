"""A whole seed file into the database and back: the business from `portal.business`, its fixed dates from `portal.booking`.

Called by `lockstep seed` and `export`, and by the demo.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.business.models import Resource, Service
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.notifications.reminders import replan_service
from portal.seed.apply import seed
from portal.seed.apply_dates import dates_of, seed_dates
from portal.seed.export import export_business
from portal.seed.file import read_seed_file


def load(text: str, *, name: str, environ: Mapping[str, str]) -> list[str]:
    """Make the business equal to the seed file, then plan its reminders where they differ, and the dates that it names. Gives what changed, and
    what could not be planned.

    Raises Invalid with the line of what is wrong; nothing was changed then.
    """
    leads = read_transaction(_leads)
    changes = seed(text, name=name, environ=environ)
    transaction(lambda session: _plan_reminders(session, leads))
    slugs = read_transaction(lambda session: session.scalars(select(Resource.slug)).all())
    services = read_seed_file(text, name=name, environ=environ, known_resources=slugs).services
    return changes + seed_dates(services, now=now_utc())


def export(session: Session) -> str:
    """The business as such a file. Raises NotFound when there is no business yet."""
    return export_business(session, dates_of=partial(dates_of, session, now=now_utc()))


def _leads(session: Session) -> dict[int, list[int]]:
    """When each service reminds its customers, by its id."""
    return {id_: list(leads) for id_, leads in session.execute(select(Service.id, Service.reminders))}


def _plan_reminders(session: Session, before: Mapping[int, list[int]]) -> None:
    """Whoever has booked already is reminded as the file says from now on, not only at the next pass over everything."""
    for service_id, leads in _leads(session).items():
        if before.get(service_id, leads) != leads:
            replan_service(session, service_id)
