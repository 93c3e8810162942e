"""Pull: read what changed in a calendar, decide, and write it down together with the new sync token.

Leases the calendar, notes the time, asks the server with no transaction open, and applies the plan in one transaction under the
resource's lock. Called by the worker's periodic table, by `lockstep pull`, and by reconcile with `is_complete`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from portal.booking.approval import settle_pending
from portal.calendars.models import Calendar, RemoteObject
from portal.calendars.open import kept_provider
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction, write_transaction
from portal.extensions import current_settings
from portal.failpoints import reach
from portal.instance.standing import require_adopted
from portal.sync import due, leases, ledger
from portal.sync.actions import Drop, Plan, Situation
from portal.sync.outside import changes, unknown
from portal.sync.pull import apply, readopt
from portal.sync.pull.plan import gone, judge, plan
from portal.sync.pull.read import Reading, begin, coming_ids, situation_of, window_at
from portal.sync.push import state
from portal.sync.state import catch_up_note, states
from portal.sync.throttle import LineBusy, line_to
from providers.calendars.base import CalendarProvider, ChangeBatch, RemoteEvent
from providers.errors import Gone, ProviderError, SyncTokenExpired

SOON = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a pull found. `is_quarantined` says that removals wait for a person."""

    upserts: int = 0
    removals: int = 0
    unchanged: int = 0
    is_complete: bool = False
    is_quarantined: bool = False


def pull(
    calendar_id: int, *, is_complete: bool = False, lease_for: timedelta = leases.LONG_READ_LEASE
) -> Outcome | None:
    """Read the calendar now; None when somebody else is just reading it.

    `is_complete` reads all of it, and expands again what may have rolled into the window. A failure is noted at the calendar and its
    connection before it is raised. Raises NotFound, NotAllowedNow before the instance is adopted, and the errors of `providers.errors`.
    """
    require_adopted()
    reading = transaction(lambda s: begin(s, calendar_id, is_complete=is_complete, lease_for=lease_for))
    if reading is None:
        return None
    try:
        line = line_to(reading.account.connection_id, is_probe=True, is_asked=reading.is_asked)
        with line, kept_provider(reading.account) as provider:
            outcome, link_ids = _read(provider, reading)
    except LineBusy as busy:
        pause = timedelta(seconds=max(busy.seconds, 1.0))
        transaction(lambda session: _put_off(session, reading, pause))
        return None
    except ProviderError as error:
        decision = states.classify(error)
        transaction(lambda session: _note_failure(session, reading, decision))
        raise
    except BaseException:
        transaction(lambda session: _put_off(session, reading, due.FIRST_RETRY))
        raise
    for link_id in link_ids:
        changes.settle_link(link_id, now=now_utc())
    settle_pending(reading.resource_id, now=now_utc())
    return outcome


def take_in(calendar_id: int, event: RemoteEvent) -> None:
    """Judge and apply one event of ours that a publish found changed; its publish decides anew after that."""

    def work(session: Session) -> None:
        calendar = session.get_one(Calendar, calendar_id)
        situation = situation_of(
            session, calendar, {}, window_at(session, now_utc()), read_at=now_utc(), events=[event]
        )
        ties = [tie for tie in situation.ties if tie.remote_id == event.remote_id]
        if ties:
            result = judge(event, replace(ties[0], is_pending=False), situation)
            apply.carry_out(session, calendar, result.actions, situation=situation)

    resource_id = read_transaction(lambda session: session.get_one(Calendar, calendar_id).resource_id)
    write_transaction([resource_id], work)


def _read(provider: CalendarProvider, reading: Reading) -> tuple[Outcome, list[int]]:
    """The requests, then the transaction. Also returns the links for which an outside change is to be settled."""
    read_at = now_utc()
    batch = _changes(provider, reading, reading.sync_token)
    verified: frozenset[str] = frozenset()
    is_second = False
    prelude = _prelude(reading, batch, read_at)
    if prelude and prelude.suspicion:
        read_at, is_second = now_utc(), True
        batch = _changes(provider, reading, None)
        prelude = _prelude(reading, batch, read_at, is_second=True)
    if prelude and prelude.to_verify:
        verified, standing = _second_look(provider, reading, prelude.to_verify)
        batch = replace(batch, upserts=(*batch.upserts, *standing))
    reach("pull.after_request")
    outcome = write_transaction(
        [reading.resource_id],
        lambda session: _apply(session, reading, batch, read_at=read_at, verified=verified, is_second=is_second),
    )
    reach("pull.after_commit")
    leases.forget_read(reading.calendar_id)
    return outcome


def _changes(provider: CalendarProvider, reading: Reading, token: str | None) -> ChangeBatch:
    """The server's answer. A token that it forgot is dropped at once, and everything is read."""
    known = {remote_id: etag for remote_id, etag in reading.known.items() if remote_id not in reading.rereads}
    try:
        return provider.changes(reading.ref, token, window=reading.window, known=known)
    except SyncTokenExpired:
        if token is None:
            raise
        return provider.changes(reading.ref, None, window=reading.window, known=known)


def _prelude(reading: Reading, batch: ChangeBatch, read_at: datetime, *, is_second: bool = False) -> Plan | None:
    """A first draft of the plan, only where something vanished: what must be looked up again cannot wait for the transaction."""

    def work(session: Session) -> Plan | None:
        calendar = session.get_one(Calendar, reading.calendar_id)
        situation = situation_of(
            session, calendar, reading.known, reading.window, read_at=read_at, events=batch.upserts
        )
        situation = replace(situation, is_second_reading=is_second, accepts_removals=reading.accepts_removals)
        if not gone(batch, situation):
            return None
        return plan(batch, _with_coming(session, situation, batch, reading.calendar_id))

    return read_transaction(work)


def _with_coming(session: Session, situation: Situation, batch: ChangeBatch, calendar_id: int) -> Situation:
    """With what is to come, where that is the question: something is missing in a batch that accounts only for the window."""
    if not batch.is_windowed or not gone(batch, situation):
        return situation
    return replace(situation, coming=coming_ids(session, situation, calendar_id))


def _second_look(
    provider: CalendarProvider, reading: Reading, remote_ids: Iterable[str]
) -> tuple[frozenset[str], tuple[RemoteEvent, ...]]:
    """Those that are truly gone, for only an explicit “not there” counts; and the others as they stand, moved out of the window perhaps."""
    gone, standing = set(), []
    for remote_id in remote_ids:
        try:
            standing.append(provider.get(reading.ref, remote_id, window=reading.window))
        except Gone:
            gone.add(remote_id)
    return frozenset(gone), tuple(standing)


def _apply(
    session: Session,
    reading: Reading,
    batch: ChangeBatch,
    *,
    read_at: datetime,
    verified: frozenset[str],
    is_second: bool,
) -> tuple[Outcome, list[int]]:
    calendar = leases.locked_calendar(session, reading.calendar_id, reading.lease)
    if calendar is None:  # away too long: whoever reads now knows better
        return Outcome(), []
    readopt.take_up(session, calendar, batch.upserts)
    situation = replace(
        situation_of(session, calendar, reading.known, reading.window, read_at=read_at, events=batch.upserts),
        verified_gone=verified,
        is_second_reading=is_second,
        accepts_removals=reading.accepts_removals,
    )
    result = plan(batch, _with_coming(session, situation, batch, calendar.id))
    note = catch_up_note.compare(session, calendar, result.actions, situation=situation)
    apply.carry_out(session, calendar, result.actions, situation=situation)
    catch_up_note.store(calendar, note)
    apply.note_plan(session, calendar, result, now=situation.now)
    unknown.note(session, calendar, batch.upserts, changed=result.changed_groups, now=situation.now)
    unknown.note_gone(session, calendar.id, _dropped(result), now=situation.now)
    apply.heal_links(session, {tie.appointment_id for tie in situation.ties if tie.is_pending})
    _note_success(session, calendar, batch, result, read_at=read_at)
    if not batch.is_complete and (batch.upserts or batch.removals):
        state.note_silence(session, calendar, reading.last_begun_at, now=situation.now)
    calendar.next_read_at = _next_turn(session, calendar, batch, keeps_token=result.keeps_token)
    if situation.is_comparing and batch.is_complete and not result.keeps_token:
        _end_comparing(session, calendar)
    link_ids = [action.tie.link_id for action in result.actions if hasattr(action, "tie")]
    reach("pull.before_commit")
    outcome = Outcome(
        upserts=len(batch.upserts),
        removals=len(_dropped(result)),
        unchanged=len(batch.unchanged),
        is_complete=batch.is_complete,
        is_quarantined=bool(result.held),
    )
    return outcome, link_ids


def _dropped(result: Plan) -> list[str]:
    return [action.remote_id for action in result.actions if isinstance(action, Drop)]


def _end_comparing(session: Session, calendar: Calendar) -> None:
    """After a restore: what the calendar holds is known now, so it may be written again."""
    session.flush()  # what was found counts as found by this comparison: its links are written before the time is taken
    calendar.unsure_since, calendar.compared_at = None, now_utc()
    states.release(session, calendar.connection_id, now=now_utc())


def _note_success(session: Session, calendar: Calendar, batch: ChangeBatch, result: Plan, *, read_at: datetime) -> None:
    now = now_utc()
    is_first = calendar.last_read_at is None
    calendar.last_read_at = read_at
    calendar.last_complete_read_at = read_at if batch.is_complete else calendar.last_complete_read_at
    if not result.keeps_token:
        calendar.sync_token, calendar.sync_token_at = batch.next_token, read_at
    _note_addresses(session, calendar, batch, is_first=is_first)
    leases.end_read(calendar)
    if batch.is_complete:
        apply.prune(session, calendar.id, now=now)
    if states.note_success(session, calendar, now=now):
        states.release(session, calendar.connection_id, now=now)
    if is_first or result.actions:
        _tell_read(session, calendar, batch, is_first=is_first)


def _note_addresses(session: Session, calendar: Calendar, batch: ChangeBatch, *, is_first: bool) -> None:
    """The addresses by which the server knows the account. New ones may tell of what was read before that it was declined: it is read anew."""
    if batch.own_addresses is None:
        return
    account, addresses = calendar.connection.account, sorted(batch.own_addresses)
    if account.get("addresses", []) == addresses:
        return
    calendar.connection.account = {**account, "addresses": addresses}
    ids = [one.id for one in calendar.connection.calendars if not (is_first and one.id == calendar.id)]
    session.execute(
        update(RemoteObject).where(RemoteObject.calendar_id.in_(ids), ~RemoteObject.is_ours).values(etag="")
    )
    session.execute(update(Calendar).where(Calendar.id.in_(ids)).values(sync_token=None))


def _next_turn(session: Session, calendar: Calendar, batch: ChangeBatch, *, keeps_token: bool) -> datetime:
    """After a good reading. What we were told of, or asked for, since it began, it may lack: then soon again."""
    now = now_utc()
    begun = calendar.read_begun_at or now
    soonest = due.after_notice(begun, now=now)
    is_notified = calendar.notified_at is not None and calendar.notified_at >= begun
    if is_notified or _is_asked_since(calendar, begun):
        return soonest
    regular = now + _usual_pause(session, calendar, batch, keeps_token=keeps_token, now=now)
    was_brought_forward = calendar.next_read_at > begun
    return min(regular, max(calendar.next_read_at, soonest)) if was_brought_forward else regular


def _usual_pause(
    session: Session, calendar: Calendar, batch: ChangeBatch, *, keeps_token: bool, now: datetime
) -> timedelta:
    if keeps_token:
        return SOON
    is_empty = not (batch.upserts or batch.removals or batch.unchanged)
    if is_empty and due.was_told_just_before(calendar.notified_at, calendar.read_begun_at):
        return due.SECOND_LOOK
    poll = timedelta(seconds=current_settings().poll_seconds)
    return due.after_success(poll=poll, has_push=state.is_live(session, calendar.id, now=now))


def _is_asked_since(calendar: Calendar, begun_at: datetime) -> bool:
    return calendar.asked_at is not None and calendar.asked_at >= begun_at


def _tell_read(session: Session, calendar: Calendar, batch: ChangeBatch, *, is_first: bool) -> None:
    changed, removed = len(batch.upserts), len(batch.removals)
    sentence = f"{changed} changed and {removed} removed events were read in “{calendar.name}”."
    if is_first:
        sentence = f"The calendar “{calendar.name}” was read for the first time: {changed} events."
    ledger.write(session, "read", sentence, calendar_id=calendar.id, connection_id=calendar.connection_id)


def _note_failure(session: Session, reading: Reading, decision: states.Decision) -> None:
    calendar = leases.locked_calendar(session, reading.calendar_id, reading.lease)
    leases.forget_read(reading.calendar_id)
    if calendar is None:
        return
    now = now_utc()
    begun_at = calendar.read_begun_at or now
    is_signed_out = decision.trouble == "needs reauth"
    pause = due.after_failure(calendar.failures + 1, is_signed_out=is_signed_out, retry_after=decision.retry_after)
    calendar.next_read_at = now + (SOON if _is_asked_since(calendar, begun_at) else pause)
    states.note_failure(session, calendar, decision, now=now, begun_at=begun_at, next_at=calendar.next_read_at)
    leases.end_read(calendar)


def _put_off(session: Session, reading: Reading, pause: timedelta) -> None:
    calendar = leases.locked_calendar(session, reading.calendar_id, reading.lease)
    leases.forget_read(reading.calendar_id)
    if calendar is not None:
        now = now_utc()
        is_asked = _is_asked_since(calendar, calendar.read_begun_at or now)
        calendar.next_read_at = now + (min(pause, SOON) if is_asked else pause)
        if reading.is_asked:  # the wish is not fulfilled yet
            calendar.asked_at = calendar.read_begun_at
        leases.end_read(calendar)
