"""Changes of a weekly series from one date on: another day, time or number of seats, or its end. "This one" alone is `dates`'s business.

Each public function is one transaction. Called by the staff pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.fixed import steps
from portal.booking.fixed.occurrences import begins_at, same_week
from portal.booking.fixed.series import check_span
from portal.booking.fixed.staffing import find_taken
from portal.booking.models import Appointment, Series
from portal.booking.rules import By
from portal.booking.time.claims import claimed_by
from portal.business.models import Business
from portal.database.engine import write_transaction
from portal.errors import NotAllowedNow, SlotTaken
from portal.extensions import db
from portal.intervals import Interval
from portal.language import dates
from portal.language.say import language, say


def change_later(
    appointment_id: int,
    *,
    weekday: int | None = None,
    starts: int | None = None,
    capacity: int | None = None,
    now: datetime,
) -> None:
    """Another weekday, time or number of seats for this date of a series and all later ones; what is None stays. All of them, or none.

    The series goes on as a new one from here. Later dates that were moved singly keep their own time. Raises SlotTaken with the dates
    that clash, NotAllowedNow, Invalid, NotFound.
    """
    steps.check_capacity(capacity)
    locks = _locks(db.session(), appointment_id)

    def work(session: Session) -> None:
        chosen = _chosen(session, appointment_id, now=now)
        old = session.get_one(Series, chosen.series_id)
        day = old.weekday if weekday is None else weekday
        minutes = old.starts if starts is None else starts
        check_span(day, minutes, old.first_on, None)
        rows = _later(session, chosen)
        moves = _moves(rows, old, day, minutes, chosen=chosen)
        _check_clashes(session, moves, now=now)
        new = _split(session, old, chosen, weekday=day, starts=minutes, capacity=capacity)
        for row in rows:
            assert row.series_on is not None
            row.series_id, row.series_on = new.id, same_week(row.series_on, day)
        session.flush()
        for row in _to_come(rows, now=now):
            if capacity is not None:
                steps.resize(session, row, capacity)
            if row.id in moves:
                steps.shift(session, row, moves[row.id][1], by="staff")
        session.flush()
        if old.last_on is not None and old.last_on < old.first_on:
            session.delete(old)  # it began with this date, so nothing is left of it

    steps.guarded(lambda: write_transaction(locks, work))


def call_off_later(appointment_id: int, *, now: datetime, by: By = "staff") -> None:
    """This date of a series and all later ones do not take place, and no more are made. Raises NotAllowedNow, NotFound."""
    locks = _locks(db.session(), appointment_id)

    def work(session: Session) -> None:
        chosen = _chosen(session, appointment_id, now=now)
        assert chosen.series_on is not None
        ids = [row.id for row in _to_come(_later(session, chosen), now=now)]
        session.get_one(Series, chosen.series_id).last_on = chosen.series_on - timedelta(days=1)
        for id_ in ids:
            steps.strike(session, id_, by=by, now=now)

    write_transaction(locks, work)


def later_of(session: Session, appointment: Appointment, *, now: datetime) -> list[Appointment]:
    """This date of a series and all later ones that stand and have not begun: what "and later" means on the staff pages."""
    return _to_come(_later(session, appointment), now=now) if appointment.series_id is not None else []


def _locks(session: Session, appointment_id: int) -> list[int]:
    """All resources that dates of the series may have."""
    appointment = steps.existing(session, appointment_id)
    ids = set(steps.candidates(session, appointment.service_id))
    for row in _later(session, appointment) if appointment.series_id is not None else [appointment]:
        ids.update(member.resource_id for member in row.resources)
    return sorted(ids)


def _chosen(session: Session, appointment_id: int, *, now: datetime) -> Appointment:
    """The date from which on something changes, its series locked. Raises NotFound, NotAllowedNow."""
    appointment = steps.standing(session, appointment_id)
    if appointment.series_id is None or appointment.series_on is None:
        raise NotAllowedNow(say("This appointment belongs to no series, so there are no later ones."))
    if appointment.start_at <= now:
        raise NotAllowedNow(say("This appointment has begun already."))
    session.get(Series, appointment.series_id, with_for_update=True, populate_existing=True)
    return appointment


def _later(session: Session, chosen: Appointment) -> Sequence[Appointment]:
    """It and all after it in the series, those that were called off included: they keep their dates from being made again."""
    mine = (Appointment.series_id == chosen.series_id, Appointment.series_on >= chosen.series_on)
    return session.scalars(select(Appointment).where(*mine).order_by(Appointment.series_on)).all()


def _to_come(rows: Sequence[Appointment], *, now: datetime) -> list[Appointment]:
    return [row for row in rows if row.is_active and row.start_at > now]


def _moves(
    rows: Sequence[Appointment], old: Series, weekday: int, starts: int, *, chosen: Appointment
) -> dict[int, tuple[Appointment, Interval]]:
    """Where each of these goes, by its id; those that staff or their calendar moved singly stay where they are, unless one is the chosen."""
    moves = {}
    for row in rows:
        assert row.series_on is not None
        was_moved = row.start_at != begins_at(row.series_on, old.starts, old.zone)
        start = begins_at(same_week(row.series_on, weekday), starts, old.zone)
        if row.is_active and start is not None and start != row.start_at and (not was_moved or row.id == chosen.id):
            moves[row.id] = (row, Interval(start, start + (row.end_at - row.start_at)))
    if (weekday, starts) == (old.weekday, old.starts):
        moves = {}  # only the seats change
    return moves


def _check_clashes(session: Session, moves: dict[int, tuple[Appointment, Interval]], *, now: datetime) -> None:
    """Raises SlotTaken with every date that cannot be had."""
    clashing = []
    for row, interval in moves.values():
        ids = {member.resource_id for member in row.resources}
        claimed = claimed_by(row.service, interval)
        if interval.start <= now or find_taken(session, ids, claimed, busy={}, own=moves.keys()):
            clashing.append(interval.start)
    if clashing:
        raise SlotTaken(
            say(
                "Nothing was changed, because these dates cannot be had: %(dates)s. Call them off or move them singly first.",
                dates=_listed(session, clashing),
            )
        )


def _listed(session: Session, instants: Sequence[datetime]) -> str:
    zone = ZoneInfo(session.scalars(select(Business.zone)).one())
    locale = dates.locale_of(language())
    return "; ".join(dates.day_and_month(instant.astimezone(zone).date(), locale) for instant in instants)


def _split(
    session: Session, old: Series, chosen: Appointment, *, weekday: int, starts: int, capacity: int | None
) -> Series:
    """The rest of the series as a new one, from the week of the chosen date on."""
    assert chosen.series_on is not None
    new = Series(
        service_id=old.service_id,
        weekday=weekday,
        starts=starts,
        zone=old.zone,
        first_on=same_week(chosen.series_on, weekday),
        last_on=same_week(_last_date(old), weekday) if old.last_on is not None else None,
        capacity=old.capacity if capacity is None else capacity,
        resource_id=old.resource_id,
        except_on=sorted(same_week(date.fromisoformat(text), weekday).isoformat() for text in old.except_on),
    )
    session.add(new)
    old.last_on = chosen.series_on - timedelta(days=1)
    session.flush()
    return new


def _last_date(series: Series) -> date:
    """The last date on which it falls at all, before its exceptions."""
    assert series.last_on is not None
    return series.last_on - timedelta(days=(series.last_on.weekday() - series.weekday) % 7)
