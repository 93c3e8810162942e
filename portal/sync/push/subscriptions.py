"""Keeping push subscriptions: opening one for each calendar whose provider can push, renewing it in time, ending what is wanted no more.

`keep_subscriptions` stands in the periodic table: it only looks, and records an outbox entry `calendar.push` for each calendar about which
something is to be done. The entry's handler, `keep_entry`, does it with no transaction open. A subscription that cannot be opened is no
trouble of the connection's, for polling is complete without: the reason is kept with the attempt, and shown.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.orm import Session, joinedload

from portal import outbox
from portal.calendars.account import Account, account_of
from portal.calendars.models import Calendar, Connection, PushSubscription
from portal.calendars.open import calendar_ref, kept_provider
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.extensions import current_settings
from portal.outbox import OutboxEntry, Work
from portal.security import new_token, token_hash
from portal.sync.push import state
from portal.sync.push.state import Step
from portal.sync.throttle import line_to
from providers.calendars.base import CalendarProvider, CalendarRef, Subscription
from providers.errors import Gone, ProviderError, Temporary
from providers.kinds import pushing

TOPIC = "calendar.push"
STOP_TRIES = 5
"""So often a provider is told to stop; what it sends after that is ignored, and ends by itself."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One calendar whose subscriptions are to be kept, as values. `stops` are those that the provider must still be told of."""

    calendar_id: int
    name: str
    account: Account
    ref: CalendarRef
    address: str
    step: Step
    stops: tuple[tuple[int, Subscription], ...]

    @property
    def is_idle(self) -> bool:
        return self.step.is_idle and not self.stops


def keep_subscriptions() -> int:
    """Record what is to be done; returns for how many calendars. Asks cheaply first: mostly there is nothing."""
    now = now_utc()
    due = read_transaction(lambda session: _due_calendars(session, now=now))
    return transaction(lambda session: _record(session, due)) if due else 0


def keep_entry(work: Work) -> None:
    """Handler of `calendar.push` for `calendar:<id>`. Raises LineBusy, and Temporary when nothing could be tried."""
    target = read_transaction(lambda session: _target(session, work.subject_id, now=now_utc()))
    if target is None or target.is_idle:
        return
    transaction(lambda session: _note_step(session, target.step))
    if target.step.opens:
        _open(target)
    _stop_all(target.account, target.stops, is_last_try=work.attempts >= STOP_TRIES)


def stop_all(account: Account) -> None:
    """End all subscriptions of a connection that is being disconnected, best effort. Raises LineBusy alone."""
    stops = read_transaction(lambda session: _standing(session, account.connection_id))
    _stop_all(account, stops, is_last_try=True)


def _due_calendars(session: Session, *, now: datetime) -> list[int]:
    """Calendars about which something is to be done and not recorded yet."""
    calendars = session.scalars(
        select(Calendar)
        .join(Connection)
        .where(_can_push())
        .options(joinedload(Calendar.connection))
        .order_by(Calendar.id)
    ).all()
    rows: defaultdict[int, list[PushSubscription]] = defaultdict(list)
    for row in state.rows_of(session, [calendar.id for calendar in calendars]):
        rows[row.calendar_id].append(row)
    recorded = set(
        session.scalars(select(OutboxEntry.subject).where(OutboxEntry.topic == TOPIC, OutboxEntry.state == "todo"))
    )
    return [
        calendar.id
        for calendar in calendars
        if f"calendar:{calendar.id}" not in recorded and not _plan(calendar, rows[calendar.id], now=now).is_idle
    ]


def _can_push() -> ColumnElement[bool]:
    """A connection that does not work cannot be asked; what is leaving ends its subscriptions in its farewell."""
    works = Connection.state.in_(("connected", "degraded", "paused"))
    return and_(Connection.provider.in_(pushing()), works, Connection.leaving.is_(False))


def _record(session: Session, calendar_ids: list[int]) -> int:
    for calendar_id in calendar_ids:
        outbox.record(session, "calendar.push", f"calendar:{calendar_id}")
    return len(calendar_ids)


def _target(session: Session, calendar_id: int, *, now: datetime) -> Target | None:
    calendar = session.scalar(select(Calendar).join(Connection).where(Calendar.id == calendar_id, _can_push()))
    return _plan(calendar, state.rows_of(session, [calendar_id]), now=now) if calendar is not None else None


def _plan(calendar: Calendar, rows: list[PushSubscription], *, now: datetime) -> Target:
    connection = calendar.connection
    is_wanted = connection.state != "paused" and (calendar.is_busy_source or calendar.is_destination)
    settings = current_settings()
    address = state.push_address(settings, connection.provider) if is_wanted else ""
    step = state.next_step(rows, address=address, refreshed_at=connection.refreshed_at, now=now)
    return Target(
        calendar_id=calendar.id,
        name=calendar.name,
        account=account_of(connection),
        ref=calendar_ref(calendar),
        address=address,
        step=step,
        stops=tuple((row.id, _subscription(row)) for row in rows if row.ended_at or row.id in step.ends),
    )


def _subscription(row: PushSubscription) -> Subscription:
    return Subscription(
        subscription_id=row.subscription_id, resource_id=row.resource_id, expires_at=row.expires_at or row.created_at
    )


def _note_step(session: Session, step: Step) -> None:
    """Forget what is over. What is replaced counts no more from now on, whether the provider can be told or not."""
    ended = update(PushSubscription).where(PushSubscription.id.in_(step.ends)).values(ended_at=now_utc())
    session.execute(ended.execution_options(synchronize_session=False))
    session.execute(delete(PushSubscription).where(PushSubscription.id.in_(step.drops)))


def _open(target: Target) -> None:
    """The row first, for the first message may be quicker than the answer. A refusal is kept in it."""
    secret, row_id = new_token(), 0
    subscription_id = f"{state.address_tag(target.address)}-{secrets.token_hex(16)}"
    try:
        with line_to(target.account.connection_id), kept_provider(target.account) as provider:
            row_id = transaction(lambda session: _add_row(session, target.calendar_id, subscription_id, secret))
            granted = provider.subscribe(
                target.ref, address=target.address, subscription_id=subscription_id, secret=secret
            )
    except ProviderError as error:
        if not row_id:  # not even asked: the line rests, or the stored sign-in does not open
            raise
        reason = str(error)
        transaction(lambda session: _note_refused(session, target, row_id, reason))
        return
    if granted is None:
        transaction(lambda session: _note_refused(session, target, row_id, "It offers no messages for this calendar."))
    else:
        transaction(lambda session: _note_granted(session, row_id, granted))


def _add_row(session: Session, calendar_id: int, subscription_id: str, secret: str) -> int:
    row = PushSubscription(calendar_id=calendar_id, subscription_id=subscription_id, secret_hash=token_hash(secret))
    session.add(row)
    session.flush()
    return row.id


def _note_granted(session: Session, row_id: int, granted: Subscription) -> None:
    values = {"resource_id": granted.resource_id, "expires_at": granted.expires_at}
    session.execute(update(PushSubscription).where(PushSubscription.id == row_id).values(**values))


def _note_refused(session: Session, target: Target, row_id: int, reason: str) -> None:
    """A message that came all the same says more than an answer that was lost."""
    unheard = (PushSubscription.id == row_id, PushSubscription.confirmed_at.is_(None))
    session.execute(update(PushSubscription).where(*unheard).values(problem=reason))
    log.info("no push subscription", calendar=target.calendar_id, reason=reason)


def _standing(session: Session, connection_id: int) -> tuple[tuple[int, Subscription], ...]:
    rows = session.scalars(
        select(PushSubscription)
        .join(Calendar, Calendar.id == PushSubscription.calendar_id)
        .where(Calendar.connection_id == connection_id)
    )
    return tuple((row.id, _subscription(row)) for row in rows)


def _stop_all(account: Account, stops: tuple[tuple[int, Subscription], ...], *, is_last_try: bool) -> None:
    """Tell the provider, and forget the rows. Raises Temporary when it is worth another try."""
    told = [(row_id, subscription) for row_id, subscription in stops if subscription.resource_id]
    try:
        if told:
            with line_to(account.connection_id), kept_provider(account) as provider:
                for row_id, subscription in told:
                    _stop(provider, subscription)
                    transaction(lambda session, row_id=row_id: _forget(session, [row_id]))  # type: ignore[misc]
    except ProviderError as error:
        if isinstance(error, Temporary) and not is_last_try:
            raise
        log.info("a push subscription could not be ended", connection=account.connection_id, reason=str(error))
    transaction(lambda session: _forget(session, [row_id for row_id, _ in stops]))


def _stop(provider: CalendarProvider, subscription: Subscription) -> None:
    try:
        provider.unsubscribe(subscription)
    except Gone:
        return


def _forget(session: Session, row_ids: list[int]) -> None:
    session.execute(delete(PushSubscription).where(PushSubscription.id.in_(row_ids)))
