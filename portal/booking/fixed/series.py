"""Weekly series of fixed appointments: planned once, made as far as the service's horizon reaches. `series_changes` changes and ends them.

A date whose time is taken stays unmade: it is tried again each time, and the staff pages show it. Called by the staff pages, the seed and the
periodic table.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.booking.fixed import steps
from portal.booking.fixed.occurrences import Weekly, begins_at, dates_between
from portal.booking.fixed.staffing import choose_members
from portal.booking.models import Appointment, Series
from portal.booking.time.queries import find_service
from portal.business.models import Business, Service
from portal.database.engine import read_transaction, transaction, write_transaction
from portal.errors import Invalid, SlotTaken
from portal.extensions import db
from portal.intervals import Interval
from portal.language.say import say


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A date of a series for which no appointment was made yet. `why` says who has no time; empty when nothing stands against it."""

    series_id: int
    on: date
    interval: Interval
    service_id: int
    capacity: int | None
    resource_id: int | None
    why: str = ""


def plan_series(
    service_slug: str,
    *,
    weekday: int,
    starts: int,
    first_on: date,
    last_on: date | None = None,
    capacity: int | None = None,
    resource_slug: str | None = None,
    except_on: Collection[date] = (),
    now: datetime,
) -> int:
    """A new weekly series, with its appointments up to the service's horizon; returns the id of the series.

    `starts` are minutes from local midnight, in the business's zone. Raises NotFound, NotAllowedNow, Invalid (fields).
    """
    service = find_service(db.session(), service_slug)
    steps.check_plannable(service)
    steps.check_capacity(capacity)
    check_span(weekday, starts, first_on, last_on)
    values = {
        "weekday": weekday, "starts": starts, "first_on": first_on, "last_on": last_on, "capacity": capacity,
        "resource_id": steps.person(db.session(), service, resource_slug),
        "except_on": sorted(on.isoformat() for on in except_on), "created_at": now,
    }  # fmt: skip
    service_id = service.id

    def work(session: Session) -> int:
        zone = session.scalars(select(Business.zone)).one()
        row = Series(service_id=service_id, zone=zone, **values)
        session.add(row)
        session.flush()
        return row.id

    series_id = transaction(work)
    extend_series(now=now)
    return series_id


def extend_series(*, now: datetime) -> int:
    """Make the appointments of all series up to the horizons of their services; returns how many were made. Each is a transaction of its own."""
    todo = read_transaction(lambda session: [each for each in find_missing(session, now=now) if not each.why])
    return sum(_make(each) for each in todo)


def find_missing(session: Session, *, now: datetime, service_id: int | None = None) -> list[Missing]:
    """The dates to come for which no appointment stands, or stood, in the order of time."""
    wanted = select(Series, Service).join(Service, Service.id == Series.service_id)
    wanted = wanted.where(Service.is_active, Service.timing == "fixed").order_by(Series.id)
    if service_id is not None:
        wanted = wanted.where(Service.id == service_id)
    found = [
        each for series, service in session.execute(wanted) for each in _missing(session, series, service, now=now)
    ]
    return sorted(found, key=lambda each: (each.interval, each.series_id))


def weekly_of(series: Series) -> Weekly:
    return Weekly(
        weekday=series.weekday,
        starts=series.starts,
        zone=series.zone,
        first_on=series.first_on,
        last_on=series.last_on,
        except_on={date.fromisoformat(text) for text in series.except_on},
    )


def check_span(weekday: int, starts: int, first_on: date, last_on: date | None) -> None:
    """Raises Invalid (fields) for what is no weekly series."""
    fields = {}
    if not 0 <= weekday <= 6:
        fields["weekday"] = say("Please choose a day of the week.")
    if not 0 <= starts < 1440 or starts % 5:
        fields["starts"] = say("Please give a time of day in steps of five minutes.")
    if last_on is not None and last_on < first_on:
        fields["last_on"] = say("The last date must not lie before the first.")
    if fields:
        raise Invalid(" ".join(fields.values()), fields=fields)


def _missing(session: Session, series: Series, service: Service, *, now: datetime) -> list[Missing]:
    weekly = weekly_of(series)
    today, last = (
        moment.astimezone(ZoneInfo(series.zone)).date() for moment in (now, now + timedelta(days=service.horizon))
    )
    made = set(session.scalars(select(Appointment.series_on).where(Appointment.series_id == series.id)))
    found = []
    for on in dates_between(weekly, today, last):
        start = begins_at(on, series.starts, series.zone)
        if on in made or start is None or start <= now:
            continue
        interval = Interval(start, start + timedelta(minutes=service.duration))
        found.append(
            Missing(
                series_id=series.id, on=on, interval=interval, service_id=service.id, capacity=series.capacity,
                resource_id=series.resource_id, why=_why_not(session, service, interval, series.resource_id),
            )
        )  # fmt: skip
    return found


def _why_not(session: Session, service: Service, interval: Interval, resource_id: int | None) -> str:
    try:
        choose_members(session, service, interval, resource_id=resource_id, busy={})
    except SlotTaken as error:
        return str(error)
    return ""


def _make(missing: Missing) -> bool:
    """Make one appointment; False when somebody else has made it, or taken its time, meanwhile."""

    def work(session: Session) -> bool:
        series = session.get(Series, missing.series_id, with_for_update=True)
        if series is None or missing.on not in dates_between(weekly_of(series), missing.on, missing.on):
            return False  # it was ended or changed meanwhile
        if begins_at(missing.on, series.starts, series.zone) != missing.interval.start:
            return False
        mine = (Appointment.series_id == series.id, Appointment.series_on == missing.on)
        if session.scalar(select(Appointment.id).where(*mine)) is not None:
            return False
        steps.plan(
            session,
            missing.service_id,
            missing.interval,
            capacity=series.capacity,
            resource_id=series.resource_id,
            series_id=series.id,
            series_on=missing.on,
        )
        return True

    locks = read_transaction(lambda session: steps.candidates(session, missing.service_id))
    try:
        return write_transaction(locks, work)
    except (SlotTaken, IntegrityError):
        return False
