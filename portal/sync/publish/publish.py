"""Publish: make every calendar show an appointment as it is now, or show nothing when it is over.

The handler of the topic `calendar.publish`. It carries out no recorded steps but compares what must stand (`portal.sync.event.desired`) with the
event link, so it may run twice, late, or after three changes at once. For each calendar: decide; commit the intent; ask the server with
no transaction open; commit the receipt, fenced by the outbox lease. Killed anywhere in between, the next run meets its own work under the
derived remote id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.invitation.meetings import Meeting, meeting_of
from portal.booking.models import Appointment, EventLink
from portal.calendars.account import Account, account_of
from portal.calendars.models import Calendar, Connection
from portal.calendars.open import calendar_ref, kept_provider
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction, write_transaction
from portal.failpoints import reach
from portal.instance.standing import require_ours
from portal.outbox import LeaseLost, Work
from portal.sync import ledger
from portal.sync.event import shared
from portal.sync.event.desired import LinkView, Step, Wanted, draft_event, next_step
from portal.sync.event.stands import stands
from portal.sync.event.subject import subject_of
from portal.sync.event.text import Subject
from portal.sync.outside import changes, conflicts
from portal.sync.publish import receipts
from portal.sync.publish.write import ChangedOutside, RemovedOutside, delete_event, update_event
from portal.sync.pull.pull import take_in
from portal.sync.state import states
from portal.sync.throttle import line_to
from providers.calendars.base import CalendarProvider, CalendarRef, EventDraft, Receipt
from providers.calendars.content import draft_hash
from providers.errors import ProviderError, Temporary

ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One calendar in which the appointment stands or must stand, as values.

    `is_shared`: its event must stand for another calendar's sake, which is the same one, connected for somebody else.
    """

    calendar_id: int
    resource_id: int
    name: str
    account: Account
    ref: CalendarRef
    wanted: Wanted
    link: LinkView | None
    subject: Subject
    is_paused: bool
    is_unsure: bool
    is_shared: bool


def publish_entry(work: Work) -> None:
    """The outbox handler. Raises the most hopeful error of those that happened."""
    publish(work.subject_id, work=work)


def publish(appointment_id: int, *, work: Work | None = None) -> None:
    """Bring all calendars of the appointment up to date.

    A calendar that fails does not keep the others from being served. Raises the error of the one that failed: a passing one
    first, since the entry is then tried again. Raises LeaseLost when `work` belongs to somebody else by now.
    """
    errors: list[ProviderError] = []
    waiting = read_transaction(lambda session: _targets(session, appointment_id))
    while waiting:
        target, *waiting = waiting
        begun_at = now_utc()
        try:
            _serve(target, appointment_id, work)
        except ProviderError as error:
            is_repeated = work is not None and work.attempts > 1
            _note_failure(target, appointment_id, error, begun_at=begun_at, is_repeated=is_repeated)
            errors.append(error)
        if target.subject.wants_meeting and waiting:
            waiting = _read_again(waiting, appointment_id)  # the others' events tell the link that this one has got
    conflicts.refresh_appointment(appointment_id, now=now_utc())
    if errors:
        raise min(errors, key=lambda failure: not isinstance(failure, Temporary))


def _targets(session: Session, appointment_id: int) -> list[Target]:
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        return []
    links = {
        link.calendar_id: link
        for link in session.scalars(select(EventLink).where(EventLink.appointment_id == appointment_id))
    }
    resource_ids = {row.resource_id for row in appointment.resources}
    calendars = session.scalars(
        select(Calendar)
        .join(Connection)
        .where(Calendar.id.in_(links) | (Calendar.resource_id.in_(resource_ids) & Calendar.is_destination))
        .where(Connection.leaving.is_(False))
        .order_by(Calendar.id)
    )
    meeting = meeting_of(session, appointment_id, kind=appointment.service.meeting)
    return [
        _target(session, appointment, calendar, links.get(calendar.id), resource_ids, meeting)
        for calendar in sorted(calendars, key=lambda calendar: calendar.id != meeting.calendar_id)
    ]


def _read_again(targets: list[Target], appointment_id: int) -> list[Target]:
    ids = {target.calendar_id for target in targets}
    return [t for t in read_transaction(lambda session: _targets(session, appointment_id)) if t.calendar_id in ids]


def _target(
    session: Session,
    appointment: Appointment,
    calendar: Calendar,
    link: EventLink | None,
    resource_ids: set[int],
    meeting: Meeting,
) -> Target:
    is_wanted = stands(appointment) and calendar.resource_id in resource_ids
    return Target(
        calendar_id=calendar.id,
        resource_id=calendar.resource_id,
        name=calendar.name,
        account=account_of(calendar.connection),
        ref=calendar_ref(calendar),
        wanted=Wanted(
            must_stand=is_wanted,
            version=appointment.version,
            generation=appointment.generation,
            start_at=appointment.start_at,
            end_at=appointment.end_at,
        ),
        link=view(link) if link else None,
        subject=subject_of(session, appointment, calendar, meeting),
        is_paused=calendar.connection.state == "paused",
        is_unsure=calendar.unsure_since is not None,
        is_shared=link is not None and not is_wanted and shared.is_wanted_by_another(session, link),
    )


def view(link: EventLink) -> LinkView:
    """The row as the values that decisions are made from."""
    return LinkView(**{name: getattr(link, name) for name in LinkView.__dataclass_fields__})


def _serve(target: Target, appointment_id: int, work: Work | None) -> None:
    """Steps in one calendar until nothing is left to do. More than one only when something happened outside meanwhile."""
    for _ in range(ROUNDS):
        step = next_step(target.wanted, target.link)
        if step.kind == "nothing":
            return receipts.confirm_unchanged(target.link)
        if step.kind == "leave":
            return None
        if target.is_paused:
            raise states.Paused("The connection is paused.")
        if target.is_unsure:
            require_ours()
            raise states.Paused(
                "The calendar is compared with the bookings first, since they came from a backup or a copy."
            )
        with line_to(target.account.connection_id), kept_provider(target.account) as provider:
            if _take_step(target, step, provider, appointment_id, work):
                return None
        again = _read_again([target], appointment_id)
        if not again:
            return None
        target = again[0]
    raise Temporary("The event in the calendar keeps changing while it is being written.")


def _take_step(target: Target, step: Step, provider: CalendarProvider, appointment_id: int, work: Work | None) -> bool:
    """One step, from intent to receipt. False when the outside had changed and the next step must be thought over."""
    draft = draft_event(target.subject, target.wanted, generation=step.generation, sequence=step.sequence)
    is_new = step.kind == "create" and (target.link is None or target.link.uid != draft.uid)
    remote_id = provider.remote_id_for(target.ref, draft.uid) if is_new or not target.link else target.link.remote_id
    intent = receipts.Intent(
        appointment_id=appointment_id,
        calendar_id=target.calendar_id,
        resource_id=target.resource_id,
        calendar_name=target.name,
        generation=step.generation,
        uid=draft.uid,
        remote_id=remote_id,
        version=target.wanted.version,
        sent_hash="" if step.kind in ("delete", "forget") else draft_hash(draft),
        sequence=step.sequence,
        start_at=target.wanted.start_at,
        end_at=target.wanted.end_at,
        wants_meeting=draft.wants_meeting,
    )
    reach("publish.before_intent")
    if not receipts.commit_intent(intent):
        return False  # the appointment changed since it was read
    reach("publish.after_intent")
    try:
        receipt = _ask(target, step, provider, draft, remote_id)
    except ChangedOutside as change:
        take_in(target.calendar_id, change.event)
        return False
    except RemovedOutside:
        _take_in_removal(target, intent)
        return False
    reach("publish.after_request")
    if not receipts.commit_receipt(intent, receipt, work=work):
        raise LeaseLost
    return True


def _ask(target: Target, step: Step, provider: CalendarProvider, draft: EventDraft, remote_id: str) -> Receipt | None:
    """The request itself; no transaction is open. None is the receipt of an absence."""
    link = target.link
    if step.kind == "create":
        return provider.put(target.ref, draft, remote_id=remote_id, if_match=None)
    assert link is not None
    if step.kind == "update":
        return update_event(provider, target.ref, draft, link=link, on_forced=lambda: _tell_forced(target))
    if step.kind == "delete" and not target.is_shared:
        delete_event(provider, target.ref, draft.mark, link=link, now=now_utc())
    return None


def _take_in_removal(target: Target, intent: receipts.Intent) -> None:
    """The event to change is gone. When the booking has another time by now it is written anew, else the calendar's rule decides."""
    assert target.link is not None
    link_id, has_moved = target.link.id, (target.link.start_at, target.link.end_at) != (intent.start_at, intent.end_at)

    def work(session: Session) -> None:
        link = session.get(EventLink, link_id)
        if link is not None:
            changes.note_removed(session, link, event=None, is_overtaken=has_moved)

    write_transaction([target.resource_id], work)


def _tell_forced(target: Target) -> None:
    sentence = f"The server of “{target.name}” refused its own versions three times; the event was written without a condition."
    about = {"calendar_id": target.calendar_id, "appointment_id": target.subject.appointment_id}
    transaction(lambda session: ledger.write(session, "forced", sentence, **about))


def _note_failure(
    target: Target, appointment_id: int, error: ProviderError, *, begun_at: datetime, is_repeated: bool
) -> None:
    decision = states.classify(error)
    now = now_utc()
    is_stuck = decision.kind == "stuck"
    is_news = is_stuck and decision.trouble != "degraded"
    is_passing = decision.kind == "retry" and not decision.is_throttled
    receipts.note_failure(
        appointment_id, target.calendar_id, reason=decision.reason, is_stuck=is_stuck, is_news=is_news,
        is_repeated=is_repeated and is_passing,
    )  # fmt: skip
    transaction(lambda session: states.note_refusal(session, target.calendar_id, decision, now=now))
    if is_passing:
        transaction(lambda session: states.note_doubt(session, target.calendar_id, begun_at=begun_at, now=now))
