"""Fixed dates and weekly series of a seed file, and the way back into one. The rest of the file is `portal.seed.apply`'s.

What the file names is planned, or changed where it differs; what it does not name is left alone. A date with bookings is never called off, and
one that staff called off or moved stays so. Each date is a transaction of its own: one whose time is taken hinders no other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.fixed import dates, steps
from portal.booking.fixed.occurrences import begins_at, dates_between
from portal.booking.fixed.series import extend_series, plan_series, weekly_of
from portal.booking.models import ACTIVE, Appointment, AppointmentResource, Booking, Series
from portal.business.models import Business, Resource, Service
from portal.database.engine import read_transaction, transaction, write_transaction
from portal.errors import Refused
from portal.seed.values import WEEKDAYS, SeedDate, SeedSeries, SeedService

Table = tuple[str, dict[str, Any]]
Span = tuple[date, date | None]
"""First and last day, both included; None: on and on."""


def seed_dates(services: Iterable[SeedService], *, now: datetime) -> list[str]:
    """Plan what the file names for these services, which are in the database already; gives what changed, and what could not be, as sentences."""
    changes: list[str] = []
    for service in services:
        for single in service.dates:
            changes += _seed_date(service, single, now=now)
        taken: set[int] = set()
        for series in service.series:
            changes += _seed_series(service, series, taken, now=now)
    made = extend_series(now=now)
    if made:
        changes.append(f"weekly series: {made} {'date' if made == 1 else 'dates'} made")
    return changes


def dates_of(session: Session, service: Service, *, now: datetime) -> list[Table]:
    """The single dates to come and the series of a service, as tables of a seed file."""
    if service.timing != "fixed":
        return []
    zone = ZoneInfo(session.scalars(select(Business.zone)).one())
    slugs = dict(session.execute(select(Resource.id, Resource.slug)).tuples().all())
    single = select(Appointment).where(
        Appointment.service_id == service.id, Appointment.is_fixed, Appointment.is_active,
        Appointment.series_id.is_(None), Appointment.start_at > now,
    )  # fmt: skip
    tables: list[Table] = []
    for row in session.scalars(single.order_by(Appointment.start_at, Appointment.id)):
        main = [slugs[member.resource_id] for member in row.resources if member.list_no == 0]
        start = (row.planned_at or row.start_at).astimezone(zone)
        values = {
            "start": f"{start:%Y-%m-%d %H:%M}",
            "capacity": row.capacity,
            "resource": main[0] if len(main) == 1 else "",
        }
        tables.append(("date", values))
    mine = select(Series).where(Series.service_id == service.id).order_by(Series.weekday, Series.starts, Series.id)
    today = now.astimezone(zone).date()
    for series in session.scalars(mine):
        if series.last_on is None or series.last_on >= max(today, series.first_on):
            tables.append(("series", _table_of(session, series, slugs)))
    return tables


def _seed_date(service: SeedService, wanted: SeedDate, *, now: datetime) -> list[str]:
    label = f"service {service.slug}: {wanted.on} {_clock(wanted.starts)}"
    zone = read_transaction(lambda session: session.scalars(select(Business.zone)).one())
    start = begins_at(wanted.on, wanted.starts, zone)
    if start is None or start <= now:
        return []
    found = read_transaction(lambda session: _planned(session, service.slug, start, wanted.resource))
    try:
        if found is None:
            dates.plan_date(
                service.slug, start, capacity=wanted.capacity, resource_slug=wanted.resource or None, now=now
            )
            return [f"{label}: new"]
        id_, capacity, is_active = found
        if wanted.capacity is None or wanted.capacity == capacity or not is_active:
            return []
        dates.change_capacity(id_, wanted.capacity, now=now)
        return [f"{label}: capacity {capacity} -> {wanted.capacity}"]
    except Refused as error:
        return [f"{label}: not done. {error}"]


def _planned(session: Session, slug: str, start: datetime, resource: str) -> tuple[int, int, bool] | None:
    """(id, capacity, is_active) of the single date that was planned for that start, called off or not, wherever it was moved."""
    wanted = (
        select(Appointment.id, Appointment.capacity, Appointment.is_active)
        .join(Service, Service.id == Appointment.service_id)
        .where(Service.slug == slug, Appointment.is_fixed, Appointment.planned_at == start)
        .order_by(Appointment.is_active.desc(), Appointment.id)
    )
    if resource:
        giver = select(AppointmentResource.appointment_id).join(
            Resource, Resource.id == AppointmentResource.resource_id
        )
        wanted = wanted.where(Appointment.id.in_(giver.where(Resource.slug == resource)))
    row = session.execute(wanted.limit(1)).first()
    return None if row is None else (row.id, row.capacity, row.is_active)


def _seed_series(service: SeedService, wanted: SeedSeries, taken: set[int], *, now: datetime) -> list[str]:
    """`taken` gets the id of the series."""
    label = f"service {service.slug}: every {WEEKDAYS[wanted.weekday]} {_clock(wanted.starts)}"
    found = read_transaction(lambda session: _known(session, service.slug, wanted, taken))
    try:
        if found is None:
            new_id = plan_series(
                service.slug, weekday=wanted.weekday, starts=wanted.starts, first_on=wanted.first_on,
                last_on=wanted.last_on, capacity=wanted.capacity, resource_slug=wanted.resource or None,
                except_on=wanted.except_on, now=now,
            )  # fmt: skip
            taken.add(new_id)
            return [f"{label}: new"]
        taken.add(found[0])
        return [f"{label}: {each}" for each in _change_series(found[0], wanted, found[1], now=now)]
    except Refused as error:
        return [f"{label}: not done. {error}"]


def _known(session: Session, slug: str, wanted: SeedSeries, taken: Collection[int]) -> tuple[int, Span] | None:
    """The series of that weekday, time and person, with the days that are its own of those that the file names. `taken` are named already.

    "This and later" in the portal may have made several of what the file calls one. The one with these days is meant, else the one that begins
    with them, else the newest; it never reaches into the days of another, or a second class would stand beside each that is planned there.
    """
    giver = select(Resource.id).where(Resource.slug == wanted.resource).scalar_subquery()
    is_theirs = Series.resource_id == giver if wanted.resource else Series.resource_id.is_(None)
    same = (Service.slug == slug, Series.weekday == wanted.weekday, Series.starts == wanted.starts, is_theirs)
    joined = select(Series).join(Service, Service.id == Series.service_id)
    rows = session.scalars(joined.where(*same).order_by(Series.id.desc())).all()
    named = (wanted.first_on, wanted.last_on)
    likely = sorted(
        (row for row in rows if row.id not in taken),
        key=lambda row: ((row.first_on, row.last_on) != named, row.first_on != wanted.first_on),
    )
    spans = ((row.id, _beside(row, rows, named)) for row in likely)
    return next(((id_, span) for id_, span in spans if span is not None), None)


def _beside(series: Series, rows: Iterable[Series], named: Span) -> Span | None:
    """The named days without those that belong to the series before and after this one; None when nothing is left."""
    first, last = named
    for other in rows:
        if other.last_on is not None and other.last_on < other.first_on:
            continue  # it was ended before it began
        if other.first_on < series.first_on and other.last_on is not None:
            first = max(first, other.last_on + timedelta(days=1))
        elif other.first_on > series.first_on:
            last = min(last or date.max, other.first_on - timedelta(days=1))
    return None if last is not None and last < first else (first, last)


def _change_series(series_id: int, wanted: SeedSeries, span: Span, *, now: datetime) -> list[str]:
    """Make the series equal to what the file says; the dates that it does not name any more go, as far as nobody has booked them."""
    values = {
        "first_on": span[0], "last_on": span[1], "capacity": wanted.capacity,
        "except_on": [on.isoformat() for on in wanted.except_on],
    }  # fmt: skip

    def work(session: Session) -> list[str]:
        series = session.get_one(Series, series_id, with_for_update=True)
        before = {name: getattr(series, name) for name in values}
        for name, value in values.items():
            setattr(series, name, value)
        return [
            f"{name} {_shown(before[name])} -> {_shown(values[name])}"
            for name in values
            if before[name] != values[name]
        ]

    changes = transaction(work)
    if not changes:
        return []
    return changes + list(_settle(series_id, wanted, now=now))


def _settle(series_id: int, wanted: SeedSeries, *, now: datetime) -> Iterator[str]:
    """Bring the dates that were made already in line with the series."""

    def surplus(session: Session) -> tuple[list[tuple[int, str]], list[int]]:
        weekly = weekly_of(session.get_one(Series, series_id))
        coming = (Appointment.series_id == series_id, Appointment.is_active, Appointment.start_at > now)
        too_many, others = [], []
        for row in session.scalars(select(Appointment).where(*coming).order_by(Appointment.start_at)):
            assert row.series_on is not None
            if dates_between(weekly, row.series_on, row.series_on):
                others.append(row.id)
            else:
                too_many.append((row.id, str(row.series_on)))
        return too_many, others

    too_many, others = read_transaction(surplus)
    for appointment_id, on in too_many:
        yield f"{on} called off" if _take_back(appointment_id, now=now) else f"{on} stays: somebody has booked it"
    for appointment_id in others if wanted.capacity is not None else ():
        try:
            dates.change_capacity(appointment_id, wanted.capacity or 1, now=now)
        except Refused as error:
            yield f"capacity not changed everywhere. {error}"


def _take_back(appointment_id: int, *, now: datetime) -> bool:
    """Call off a date in which nobody is. It leaves its series, which may make it again should the file name it once more."""
    ids = read_transaction(
        lambda session: [row.resource_id for row in steps.existing(session, appointment_id).resources]
    )

    def work(session: Session) -> bool:
        somebody = select(Booking.id).where(Booking.appointment_id == appointment_id, Booking.status.in_(ACTIVE))
        if session.scalar(somebody.limit(1)) is not None:
            return False
        steps.strike(session, appointment_id, by="staff", now=now)
        row = session.get_one(Appointment, appointment_id)
        row.series_id = row.series_on = None
        return True

    return write_transaction(ids, work)


def _table_of(session: Session, series: Series, slugs: dict[int, str]) -> dict[str, Any]:
    """A date that was called off is an exception, so that it is not made where the file is read."""
    gone = (Appointment.series_id == series.id, Appointment.called_off_at.is_not(None))
    off = {str(on) for on in session.scalars(select(Appointment.series_on).where(*gone))}
    return {
        "weekday": WEEKDAYS[series.weekday],
        "time": _clock(series.starts),
        "first": str(series.first_on),
        "last": str(series.last_on) if series.last_on else "",
        "capacity": series.capacity,
        "resource": slugs[series.resource_id] if series.resource_id else "",
        "except": sorted({*series.except_on, *off}) or None,
    }


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) and value else str(value or "nothing")
