"""The last look: what stands in these calendars in this one window, right now. The only wait for outside servers in a visitor's request.

All calendars are asked at once, and what has not answered within the budget counts as unreadable: then the calendar's rule decides. No
transaction may be open, for the servers take their time. Called by `portal.booking.time.last_look`; what was found is judged by the booking
operation, under its lock.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal.business.models import Resource
from portal.calendars.account import Account, account_of
from portal.calendars.models import Calendar, Connection, RemoteObject
from portal.calendars.open import calendar_ref, open_provider
from portal.database.engine import read_transaction
from portal.instance.standing import standing
from portal.intervals import Interval
from providers.calendars.base import CalendarProvider, CalendarRef, Span
from providers.errors import ProviderError

BUDGET = 1.5
RECENT = timedelta(seconds=30)
TROUBLED = 2
"""After so many failed reads in a row a calendar is not even asked: nobody should wait for a server that is known to be down."""


@dataclass(frozen=True, slots=True)
class Found:
    """Time that an outside event takes."""

    calendar_id: int
    resource_id: int
    remote_id: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class LastLook:
    """`unreadable` are the calendars that did not answer, or were not asked because they are in trouble."""

    busy: list[Found] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)


def look(resource_ids: Iterable[int], window: Interval, *, now: datetime) -> LastLook:
    """Ask the busy sources of these resources that were last read over 30 s ago; all together within 1.5 s. Never raises."""
    questions = read_transaction(lambda session: _questions(session, list(resource_ids), now=now))
    result = LastLook(unreadable=[question.calendar_id for question in questions if question.is_troubled])
    asked = [question for question in questions if not question.is_troubled]
    for question, spans in _ask_all(asked, (window.start, window.end)):
        if spans is None:
            result.unreadable.append(question.calendar_id)
        else:
            result.busy.extend(
                Found(question.calendar_id, question.resource_id, remote_id, Interval(*span))
                for remote_id, span in spans
            )
    return _without_ours(result)


def warm_up() -> None:
    """Open a provider of each kind that is in use, once per process and before anybody waits for it.

    Importing its libraries takes longer than half the budget: the first look of each process would come back empty-handed. Never raises.
    """
    accounts = read_transaction(
        lambda session: {row.provider: account_of(row) for row in session.scalars(_CONNECTIONS)}
    )
    for account in accounts.values():
        try:
            open_provider(account, budget=BUDGET).close()
        except ProviderError:
            continue  # the integrations page says what is wrong with it


@dataclass(frozen=True, slots=True)
class _Question:
    calendar_id: int
    resource_id: int
    account: Account
    ref: CalendarRef
    is_troubled: bool


_Answer = list[tuple[str, Span]] | None
_CONNECTIONS = select(Connection).where(Connection.state != "paused")


def _questions(session: Session, resource_ids: Sequence[int], *, now: datetime) -> list[_Question]:
    calendars = session.execute(
        select(Calendar, Resource.email)
        .join(Resource, Resource.id == Calendar.resource_id)
        .where(
            Calendar.resource_id.in_(resource_ids),
            Calendar.is_busy_source,
            or_(Calendar.last_read_at.is_(None), Calendar.last_read_at < now - RECENT),
        )
    )
    may_ask = standing(session).is_ours
    return [
        _Question(
            calendar.id,
            calendar.resource_id,
            account_of(calendar.connection),
            calendar_ref(calendar, own_addresses=frozenset({email} if email else ())),
            not may_ask
            or calendar.unsure_since is not None
            or calendar.connection.state in ("needs reauth", "misconfigured", "paused")
            or calendar.failures >= TROUBLED,
        )
        for calendar, email in calendars
    ]


def _ask_all(questions: Sequence[_Question], window: Span) -> list[tuple[_Question, _Answer]]:
    """Every question with its answer, None where there was none in time. Threads that are too late are left to end by themselves."""
    ends = time.monotonic() + BUDGET
    answers: queue.SimpleQueue[tuple[_Question, _Answer]] = queue.SimpleQueue()
    open_ones = list(questions)
    results: list[tuple[_Question, _Answer]] = []
    for question in questions:
        provider = _opened(question)
        if provider is None:
            answers.put((question, None))
        else:
            threading.Thread(target=_ask, args=(provider, question, window, answers), daemon=True).start()
    while open_ones:
        try:
            question, answer = answers.get(timeout=max(ends - time.monotonic(), 0.0))
        except queue.Empty:
            break
        open_ones.remove(question)
        results.append((question, answer))
    return results + [(question, None) for question in open_ones]


def _opened(question: _Question) -> CalendarProvider | None:
    try:
        return open_provider(question.account, budget=BUDGET)
    except ProviderError:
        return None


def _ask(
    provider: CalendarProvider,
    question: _Question,
    window: Span,
    answers: queue.SimpleQueue[tuple[_Question, _Answer]],
) -> None:
    answer: _Answer = None  # which says it all: the calendar's rule decides
    try:
        with contextlib.suppress(ProviderError):
            answer = provider.busy(question.ref, window)
    finally:
        answers.put((question, answer))
        provider.close()


def _without_ours(result: LastLook) -> LastLook:
    """Leave out our own events where the server keeps no mark, since the booking itself counts for them, and what was decided to close no times."""
    if not result.busy:
        return result
    ids = {found.remote_id for found in result.busy}
    known_as_ours = select(RemoteObject.calendar_id, RemoteObject.remote_id).where(
        RemoteObject.remote_id.in_(ids), or_(RemoteObject.is_ours, RemoteObject.left_open != "")
    )
    ours = read_transaction(lambda session: set(session.execute(known_as_ours).tuples()))
    busy = [found for found in result.busy if (found.calendar_id, found.remote_id) not in ours]
    return LastLook(busy=busy, unreadable=result.unreadable)
