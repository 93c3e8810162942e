"""A storm over one class with a waitlist: two hundred people at once book, cancel, accept and decline, staff change the capacity, and a worker
looks at the waitlist as the real one does. Meanwhile a witness counts seats, and how long anybody who fits waits beside an unsold one.

Used by `tests/operations/waitlist/test_storm.py` (a few rounds) and by `make bench` (fifty). Processes, each with many threads: that is how
the web server runs, and SQLite's locking differs between the two. The worker hears no bell here, so it polls as slowly as it ever does.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.app import create_app
from portal.booking import operations
from portal.booking.fixed import dates
from portal.booking.models import STANDING, Appointment, Booking, Offer, Seat, WaitlistEntry
from portal.booking.operations import Customer
from portal.clock import now_utc
from portal.config import Settings
from portal.database.engine import database_now, read_transaction, transaction
from portal.errors import PortalError, Refused
from portal.extensions import db
from portal.outbox import Work
from portal.upkeep.invariants import invariants
from portal.waitlist import operations as waitlist
from portal.waitlist.steps import LIVE, entry_token
from portal.worker import drain, jobs
from tests.factories import make_resource, make_service

SEATS, PEOPLE = 12, 200
WAITING = (60, 8, 24)
"""How many wait, from round to round: where many do, hardly anything is left to book from the page."""
PROCESSES, HANDLERS = 3, 5
T = TypeVar("T")
POLL, TABLE = 1.0, 2.0
"""Seconds between the worker's turns when nobody rings, and between the periodic looks."""
PATIENCE = 10.0
"""Seconds; after the storm the witness waits so long for the last one who fits to be served."""
MIX = ("book",) * 6 + ("cancel",) * 6 + ("accept",) * 4 + ("decline",) * 3 + ("resize",)


@dataclass
class Round:
    """What one storm came to. Seconds; `longest_wait` is that of the entry which waited longest beside seats that it fitted."""

    longest_wait: float = 0.0
    offered_after: float = 0.0
    seconds: float = 0.0
    offers: int = 0
    most_over: int = 0
    done: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Storms:
    """The processes of one database: actors, who do what they are told in many threads, and a worker."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._context = multiprocessing.get_context("fork")
        self._orders: list[Any] = [self._context.Queue() for _ in range(PROCESSES)]
        self._answers: Any = self._context.Queue()
        self._stopping = self._context.Event()
        settings: Settings = app.extensions["settings"]
        db.session.remove()
        db.engine.dispose()
        bodies: list[Callable[[Flask], None]] = [self._worker, *(self._actor(queue) for queue in self._orders)]
        self._children = [self._context.Process(target=_live, args=(settings, body), daemon=True) for body in bodies]
        for child in self._children:
            child.start()

    def stop(self) -> None:
        self._stopping.set()
        for queue in self._orders:
            queue.put(None)
        for child in self._children:
            child.join(30)

    def run(self, number: int) -> Round:
        """One round, on a class of its own."""
        found = Round()
        klass_id, quiet_id = _open(number, SEATS), _open(number, 1, prefix="quiet")
        began = time.monotonic()
        for place, queue in enumerate(self._orders):
            count = PEOPLE // PROCESSES + (place < PEOPLE % PROCESSES)
            queue.put((number, place, count, klass_id))
        cancelled = threading.Thread(target=self._cancel_quietly, args=(quiet_id, found))
        cancelled.start()
        witness = Witness(klass_id, found)
        answers: list[Any] = []
        while len(answers) < PROCESSES or not witness.is_quiet():
            witness.look()
            if len(answers) < PROCESSES and not self._answers.empty():
                answers.append(self._answers.get())
                found.seconds = time.monotonic() - began
            if time.monotonic() - began > found.seconds + 60:
                raise TimeoutError("The storm did not end.")
            time.sleep(0.02)
        cancelled.join(30)
        for done, errors in answers:
            found.done += done
            found.errors += errors
        found.wrong += read_transaction(invariants)
        found.offers = read_transaction(
            lambda s: len(s.scalars(select(Offer.id).filter_by(appointment_id=klass_id)).all())
        )
        _clear(klass_id, quiet_id)
        return found

    def _cancel_quietly(self, appointment_id: int, found: Round) -> None:
        """In the midst of the storm one booking elsewhere is cancelled: how long until somebody is offered its seat?"""
        with self._app.app_context():
            time.sleep(0.5)
            booking_id = read_transaction(lambda s: s.scalars(_standing(appointment_id)).one())
            operations.cancel_booking(booking_id, by="staff", now=now_utc())
            began = time.monotonic()
            offered = select(Offer.id).filter_by(appointment_id=appointment_id)
            while read_transaction(lambda s: s.scalar(offered)) is None and time.monotonic() - began < 60:
                time.sleep(0.02)
            found.offered_after = time.monotonic() - began
            db.session.remove()

    def _worker(self, app: Flask) -> None:
        """What `portal.worker.loops` does about waitlists: a loop that drains the outbox, a pool of handlers, and the periodic table."""
        with ThreadPoolExecutor(HANDLERS) as pool:
            looking = pool.submit(self._keep_table, app)
            busy: set[Future[None]] = set()
            while not self._stopping.is_set():
                busy = {each for each in busy if not each.done()}
                free = HANDLERS - 1 - len(busy)
                works = drain.claim(free, topics={"waitlist.look"}) if free else []
                busy |= {pool.submit(_handle, app, work) for work in works}
                if not busy:
                    self._stopping.wait(POLL)
                else:
                    wait(busy, return_when=FIRST_COMPLETED)  # a handler that ends rings for the next
            looking.result()

    def _keep_table(self, app: Flask) -> None:
        while not self._stopping.wait(TABLE):
            with app.app_context():
                waitlist.look_at_waitlists()

    def _actor(self, orders: Any) -> Callable[[Flask], None]:
        def body(app: Flask) -> None:
            while (order := orders.get()) is not None:
                self._answers.put(_act_at_once(app, *order))

        return body


class Witness:
    """Sees every few hundredths of a second how many seats are taken, and who could be offered one and is not."""

    def __init__(self, appointment_id: int, found: Round) -> None:
        self._id = appointment_id
        self._found = found
        self._since: dict[int, float] = {}

    def look(self) -> None:
        capacity, seats, fitting = read_transaction(self._see)
        moment = time.monotonic()
        self._found.most_over = max(self._found.most_over, seats - capacity)
        self._since = {entry: self._since.get(entry, moment) for entry in fitting}
        for since in self._since.values():
            self._found.longest_wait = max(self._found.longest_wait, moment - since)

    def is_quiet(self) -> bool:
        """Nobody waits beside a seat that would do; or somebody does for longer than we have patience."""
        return not self._since or self._found.longest_wait > PATIENCE

    def _see(self, session: Session) -> tuple[int, int, list[int]]:
        """(capacity, seats taken, entries that fit what is left) of one moment."""
        seats = (
            select(Appointment.capacity, Appointment.start_at, Booking.status, Booking.held_until)
            .join(Seat, Seat.appointment_id == Appointment.id, isouter=True)
            .join(Booking, Booking.id == Seat.booking_id, isouter=True)
            .where(Appointment.id == self._id)
        )
        rows = session.execute(seats).all()
        clock = database_now(session)
        own = [row for row in rows if row.status and not (row.status == "held" and row.held_until < clock)]
        left = rows[0].capacity - len(own)
        refused = select(Offer.entry_id).where(Offer.start_at == rows[0].start_at, Offer.state != "open")
        waiting = select(WaitlistEntry.id).where(
            WaitlistEntry.appointment_id == self._id, WaitlistEntry.status == "waiting",
            WaitlistEntry.party_size <= left, WaitlistEntry.id.not_in(refused),
        )  # fmt: skip
        return rows[0].capacity, len([row for row in rows if row.status]), list(session.scalars(waiting))


@contextmanager
def storms(app: Flask) -> Iterator[Storms]:
    """The processes for storms over the app's database; to be entered inside its app context."""
    here = Storms(app)
    try:
        yield here
    finally:
        here.stop()


def _live(settings: Settings, body: Callable[[Flask], None]) -> None:
    """The life of a child: an app of its own, never one shared over the fork."""
    app = create_app(settings)
    with app.app_context():
        body(app)
        db.session.remove()
        db.engine.dispose()
    os._exit(0)


def _handle(app: Flask, work: Work) -> None:
    with app.app_context():
        drain.do(work, jobs.handler_of(work.topic))


def _act_at_once(
    app: Flask, number: int, place: int, count: int, appointment_id: int
) -> tuple[Counter[str], list[str]]:
    """So many people at once, each in a thread."""
    done: Counter[str] = Counter()
    errors: list[str] = []

    def body(person: int) -> None:
        chance = random.Random(f"{number}-{place}-{person}")
        time.sleep(chance.uniform(0, 2.5))
        act = chance.choice(MIX)
        with app.app_context():
            try:
                done[act if _ACTS[act](appointment_id, chance, f"{number}-{place}-{person}") else f"no {act}"] += 1
            except Refused as refusal:
                done[f"{act} refused: {refusal.code}"] += 1
            except PortalError as error:
                errors.append(f"{act}: {error}")
            except Exception as error:
                errors.append(f"{act}: {type(error).__name__}: {error}"[:300])
            db.session.remove()

    threads = [threading.Thread(target=body, args=(person,)) for person in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done, errors


def _book(appointment_id: int, chance: random.Random, name: str) -> bool:
    slug, start_at = read_transaction(lambda s: _place(s, appointment_id))
    operations.book(
        service_slug=slug, start_at=start_at, customer=Customer(name, f"{name}@example.org"), idempotency_key=name,
        now=now_utc(), party_size=chance.choice((1, 1, 2)),
    )  # fmt: skip
    return True


def _cancel(appointment_id: int, chance: random.Random, _name: str) -> bool:
    ids = _some(lambda session: list(session.scalars(_standing(appointment_id))))
    if not ids:
        return False
    operations.cancel_booking(chance.choice(ids), by="staff", now=now_utc())
    if (
        chance.random() < 0.5
    ):  # as the pages do; else it is left to the worker, as with an event that was deleted outside
        service_id = read_transaction(lambda s: s.get_one(Appointment, appointment_id).service_id)
        waitlist.look_quietly(service_id, cause="cancelled", now=now_utc())
    return True


def _accept(appointment_id: int, chance: random.Random, _name: str) -> bool:
    token = _offered(appointment_id, chance)
    return token is not None and not waitlist.accept(token, now=now_utc()).is_repeat


def _decline(appointment_id: int, chance: random.Random, _name: str) -> bool:
    token = _offered(appointment_id, chance)
    if token:
        waitlist.decline(token, keep_waiting=chance.random() < 0.5, now=now_utc())
    return bool(token)


def _resize(appointment_id: int, chance: random.Random, _name: str) -> bool:
    dates.change_capacity(appointment_id, chance.randint(8, 14), now=now_utc())
    return True


_ACTS = {"book": _book, "cancel": _cancel, "accept": _accept, "decline": _decline, "resize": _resize}


def _offered(appointment_id: int, chance: random.Random) -> str | None:
    """The link of somebody who has an open offer; in the time that it takes to read a mail, somebody else may answer."""
    tokens = _some(lambda session: [entry_token(entry) for entry in session.scalars(_with_offers(appointment_id))])
    time.sleep(chance.uniform(0, 0.2))
    return chance.choice(tokens) if tokens else None


def _some(read: Callable[[Session], list[T]]) -> list[T]:
    """What is there to act on; waits a while for something."""
    for _ in range(30):
        found = read_transaction(read)
        if found:
            return found
        time.sleep(0.1)
    return []


def _with_offers(appointment_id: int) -> Any:
    return (
        select(WaitlistEntry)
        .join(Offer, Offer.entry_id == WaitlistEntry.id)
        .where(Offer.appointment_id == appointment_id, Offer.state == "open")
    )


def _standing(appointment_id: int) -> Any:
    return select(Booking.id).where(Booking.appointment_id == appointment_id, Booking.status.in_(STANDING))


def _place(session: Session, appointment_id: int) -> tuple[str, datetime]:
    appointment = session.get_one(Appointment, appointment_id)
    return appointment.service.slug, appointment.start_at


def _open(number: int, seats: int, *, prefix: str = "class") -> int:
    """A full class, and people who wait for it."""
    now = now_utc()
    start_at = (now + timedelta(days=7)).replace(minute=0, second=0, microsecond=0)
    whole_day = {day: [(0, 1440)] for day in range(7)}
    name = f"{prefix}-{number}"
    # In write transactions, for the worker writes meanwhile: a reader of SQLite that becomes a writer is turned away at once.
    resource = transaction(lambda _: make_resource(slug=name, zone="UTC", weekly=whole_day))
    values = {"timing": "fixed", "capacity": seats, "duration": 60, "step": 60, "has_waitlist": True}
    service = transaction(lambda _: make_service([resource], slug=f"{prefix}-of-{number}", **values))
    slug = service.slug
    appointment_id = dates.plan_date(slug, start_at, now=now)
    for person in range(seats):
        customer = Customer(f"Guest {person}", f"{prefix}-{number}-{person}@example.org")
        operations.book(
            service_slug=slug, start_at=start_at, customer=customer, idempotency_key=customer.email, now=now
        )
    for person in range(WAITING[number % len(WAITING)] if seats > 1 else 1):
        customer = Customer(f"Waits {person}", f"{prefix}-waits-{number}-{person}@example.org")
        waitlist.join(
            service_slug=slug, wish="appointment", appointment_start_at=start_at, customer=customer,
            party_size=(1, 1, 2, 1, 3)[person % 5] if seats > 1 else 1, idempotency_key=customer.email, now=now_utc(),
        )  # fmt: skip
    return appointment_id


def _clear(*appointment_ids: int) -> None:
    """Whoever still waits goes home, so that the next round's worker has only its own to look after."""
    live = (WaitlistEntry.appointment_id.in_(appointment_ids), WaitlistEntry.status.in_(LIVE))
    open_ = (Offer.appointment_id.in_(appointment_ids), Offer.state == "open")

    def work(session: Session) -> None:
        session.execute(update(Offer).where(*open_).values(state="withdrawn"))
        session.execute(update(WaitlistEntry).where(*live).values(status="left", ended_at=now_utc()))

    transaction(work)
