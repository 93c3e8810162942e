"""The look at a waitlist: settle the offers that are over, end the entries whose time is past, offer what is free. A desired state, so it may
be asked for at any time and any number of times; whatever frees seats asks for it through the outbox, and the periodic table does besides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from threading import Lock, get_ident

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session, joinedload

from portal.booking.models import Appointment, Offer, WaitlistEntry, WaitlistReceipt
from portal.booking.time import claims
from portal.business.models import Service
from portal.database.engine import database_now, read_transaction, write_transaction
from portal.errors import PortalError
from portal.extensions import db
from portal.instance.standing import is_ours
from portal.waitlist import plan
from portal.waitlist.offering import make_offer
from portal.waitlist.plan import Considered, Decision, Receipt, Vacancy, Wanted
from portal.waitlist.steps import LIVE, end_entry, end_offer, resource_locks
from portal.waitlist.vacancies import find_vacancies, rules_of, waiting_of, wanted_by

Key = tuple[datetime, int | None]
_waits: set[tuple[int, int]] = set()
"""(service, thread) of those that wait for the locks and have read nothing under them yet."""
_waits_lock = Lock()

log = structlog.get_logger()


def look(service_id: int, *, cause: str, now: datetime) -> list[int]:
    """Bring the service's waitlist up to date; returns the ids of the offers made. `cause` says in one word what freed the seats.

    Looks without a lock first: mostly there is nothing to do, and then nothing is locked and nothing written. Where another thread of this
    process waits for the locks already, it does nothing at all: that one has read nothing yet, so it will see what this one came for. When
    many seats become free at once, the looks would else stand in line for each other.
    """
    if _is_awaited(service_id) or not is_ours():  # nobody could be told of an offer
        return []
    locks = read_transaction(lambda session: _locks_if_due(session, service_id, now=now))
    if locks is None or not _await(service_id):
        return []

    def work(session: Session) -> list[int]:
        _end_wait(service_id)
        return _look(session, service_id, locks, cause=cause, now=now)

    try:
        return write_transaction(locks, work)
    finally:
        _end_wait(service_id)


def look_quietly(service_id: int, *, cause: str, now: datetime) -> list[int]:
    """`look` for a request that has done its work already, and for one waitlist of many: what goes wrong here is done a moment later."""
    try:
        return look(service_id, cause=cause, now=now)
    except (PortalError, SQLAlchemyError) as error:
        db.session.rollback()
        log.warning("a waitlist was not looked at now, but will be", service=service_id, reason=type(error).__name__)
        return []


def live_entries(session: Session, service_id: int, *, lock: bool = False) -> list[WaitlistEntry]:
    """The entries that wait or have an offer, in the order of the queue."""
    live = select(WaitlistEntry).where(WaitlistEntry.service_id == service_id, WaitlistEntry.status.in_(LIVE))
    if lock:  # always in the order of ids: two that lock in different orders would wait for each other
        live = live.order_by(WaitlistEntry.id).with_for_update().execution_options(populate_existing=True)
    return sorted(session.scalars(live), key=lambda entry: (entry.joined_at, entry.id))


def keep_receipts(
    session: Session, service: Service, receipts: Iterable[Receipt], *, cause: str, now: datetime
) -> None:
    """Write down who was considered, where it says something that the vacancy's last receipt did not."""
    receipts = list(receipts)
    last = _last_said(session, service, receipts)
    for receipt in receipts:
        if _is_news(receipt, last):
            session.add(
                WaitlistReceipt(
                    service_id=service.id,
                    appointment_id=receipt.vacancy.appointment_id,
                    start_at=receipt.vacancy.start_at,
                    seats_free=receipt.vacancy.seats,
                    cause=cause[:16],
                    considered=[_line(each) for each in receipt.considered],
                    decided_at=now,
                )
            )


def _is_awaited(service_id: int) -> bool:
    with _waits_lock:
        return any(waiting == service_id for waiting, _ in _waits)


def _await(service_id: int) -> bool:
    """Be the one of this process that waits for the locks; False when there is one already."""
    with _waits_lock:
        if any(waiting == service_id for waiting, _ in _waits):
            return False
        _waits.add((service_id, get_ident()))
        return True


def _end_wait(service_id: int) -> None:
    with _waits_lock:
        _waits.discard((service_id, get_ident()))


def _locks_if_due(session: Session, service_id: int, *, now: datetime) -> list[int] | None:
    """The resources to lock when there is something to do; else None."""
    entries = live_entries(session, service_id)
    service = session.get(Service, service_id)
    if not entries or service is None:
        return None
    if not _is_due(session, service, entries, now=now):
        return None
    return resource_locks(session, service_id)


def _is_due(session: Session, service: Service, entries: Sequence[WaitlistEntry], *, now: datetime) -> bool:
    clock = database_now(session)
    if any(_verdict(session, offer, clock=clock) for offer in _open_offers(session, service.id)):
        return True
    if any(_find_over(session, entries, now=now)):
        return True
    decision = _decide(session, service, entries, now=now, is_swept=False, barred=())
    last = _last_said(session, service, decision.receipts)
    return bool(decision.offers) or any(_is_news(receipt, last) for receipt in decision.receipts)


def _look(session: Session, service_id: int, locks: Sequence[int], *, cause: str, now: datetime) -> list[int]:
    claims.drop_expired_holds(session, locks)
    entries = live_entries(session, service_id, lock=True)
    service = session.get_one(Service, service_id)
    settle_offers(session, service_id, now=now)
    for entry in _find_over(session, entries, now=now):
        end_entry(session, entry, "over", reason="over", now=now)
    return _offer_all(session, service, entries, cause=cause, now=now)


def settle_offers(session: Session, service_id: int, *, now: datetime) -> None:
    """Close the offers whose hold is gone or over: the entry ends, and its customer is told. When it was staff who took the appointment away
    or moved it, the entry waits on."""
    clock = database_now(session)
    for offer in _open_offers(session, service_id):
        verdict = _verdict(session, offer, clock=clock)
        if not verdict:
            continue
        end_offer(session, offer, verdict, now=now)
        if verdict == "lapsed":
            end_entry(session, offer.entry, "lapsed", reason="lapsed", now=now, offer_id=offer.id)
        else:
            offer.entry.status = "waiting"
    session.flush()


def _open_offers(session: Session, service_id: int) -> Sequence[Offer]:
    offers = (
        select(Offer)
        .join(WaitlistEntry, WaitlistEntry.id == Offer.entry_id)
        .where(WaitlistEntry.service_id == service_id, Offer.state == "open")
        .options(joinedload(Offer.entry), joinedload(Offer.booking))
        .order_by(Offer.id)
        .execution_options(populate_existing=True)
    )
    return session.scalars(offers).all()


def _verdict(session: Session, offer: Offer, *, clock: datetime) -> str:
    """What has become of an open offer: lapsed, withdrawn, or nothing while its seats are held at the time that was offered."""
    booking = offer.booking
    stands_at = session.get(Appointment, offer.appointment_id) if offer.appointment_id else None
    if stands_at is not None and stands_at.called_off_at is not None:
        return "withdrawn"
    if booking is None or booking.status != "held" or booking.held_until is None or booking.held_until < clock:
        return "lapsed"
    appointment = booking.appointment
    return "" if appointment.is_active and appointment.start_at == offer.start_at else "withdrawn"


def _find_over(session: Session, entries: Sequence[WaitlistEntry], *, now: datetime) -> list[WaitlistEntry]:
    """The waiting entries whose wish cannot come true any more."""
    waiting = [entry for entry in entries if entry.status == "waiting"]
    if not waiting:
        return []
    wanted = wanted_by(session, waiting)
    ids = {each.appointment_id for each in wanted.values() if each.appointment_id is not None}
    rows = session.scalars(select(Appointment).where(Appointment.id.in_(ids))) if ids else ()
    appointments = {row.id: row for row in rows}
    return [entry for entry in waiting if _is_over(wanted[entry.id], appointments, now=now)]


def _is_over(wanted: Wanted, appointments: dict[int, Appointment], *, now: datetime) -> bool:
    if wanted.appointment_id is not None:
        appointment = appointments.get(wanted.appointment_id)
        return appointment is None or not appointment.is_active or appointment.start_at <= now
    if wanted.start_at is not None:
        return wanted.start_at <= now
    return wanted.window is not None and wanted.window.end <= now


def _offer_all(
    session: Session, service: Service, entries: Sequence[WaitlistEntry], *, cause: str, now: datetime
) -> list[int]:
    """Decide and act until there is nothing left to offer. Each round makes an offer or learns of a vacancy that is none."""
    by_id = {entry.id: entry for entry in entries}
    barred: set[Key] = set()
    made: list[int] = []
    is_first = True
    while True:
        decision = _decide(session, service, entries, now=now, is_swept=True, barred=barred)
        failed: set[int] = set()
        for offering in decision.offers:
            try:
                with session.begin_nested():
                    offer = make_offer(
                        session, service, by_id[offering.entry_id], offering.vacancy, length=offering.length, now=now
                    )
                made.append(offer.id)
            except (PortalError, IntegrityError):
                # The engine or a key knows better (a limit per day, for one): it is no vacancy for this look.
                barred.add(_key(offering.vacancy))
                failed.add(offering.entry_id)
        if decision.offers or is_first:
            receipts = [_as_it_came(receipt, failed) for receipt in decision.receipts]
            keep_receipts(session, service, receipts, cause=cause, now=now)
        if not decision.offers:
            return made
        is_first = False


def _decide(
    session: Session,
    service: Service,
    entries: Sequence[WaitlistEntry],
    *,
    now: datetime,
    is_swept: bool,
    barred: Collection[Key],
) -> Decision:
    waiting = waiting_of(session, service, entries, now=now)
    wishes = {each.wanted for each in waiting}
    vacancies = find_vacancies(session, service, wishes, now=now, is_swept=is_swept)
    free = [vacancy for vacancy in vacancies if _key(vacancy) not in barred]
    return plan.decide(free, waiting, rules_of(service), now=now)


def _as_it_came(receipt: Receipt, failed: set[int]) -> Receipt:
    """What could not be done after all was not offered."""
    lines = tuple(
        each._replace(outcome=plan.PASSED, why=plan.SEATS_GONE)
        if each.why == plan.OFFERED and each.entry_id in failed
        else each
        for each in receipt.considered
    )
    return receipt._replace(considered=lines)


def _last_said(session: Session, service: Service, receipts: Iterable[Receipt]) -> dict[Key, set[tuple[int, str]]]:
    """By vacancy: who was passed by in its last receipt, and why."""
    starts = {receipt.vacancy.start_at for receipt in receipts}
    if not starts:
        return {}
    rows = session.scalars(
        select(WaitlistReceipt)
        .where(WaitlistReceipt.service_id == service.id, WaitlistReceipt.start_at.in_(starts))
        .order_by(WaitlistReceipt.id)
    )
    return {(row.start_at, row.appointment_id): {(e["entry"], e["why"]) for e in row.considered} for row in rows}


def _is_news(receipt: Receipt, last: dict[Key, set[tuple[int, str]]]) -> bool:
    said = last.get(_key(receipt.vacancy), set())
    return any(each.why == plan.OFFERED or (each.entry_id, each.why) not in said for each in receipt.considered)


def _key(vacancy: Vacancy) -> Key:
    return vacancy.start_at, vacancy.appointment_id


def _line(each: Considered) -> dict[str, object]:
    return {"entry": each.entry_id, "party_size": each.party_size, "outcome": each.outcome, "why": each.why}
