"""Doing one outbox entry: its handler, and what becomes of the entry when that fails. Called by the worker's threads."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta

import structlog
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal import outbox
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.errors import NotYet, PortalError
from portal.failpoints import reach
from portal.instance.standing import standing
from portal.outbox import GiveUp, LeaseLost, OutboxEntry, Work
from portal.sync.publish import receipts
from portal.sync.state.states import Decision, classify
from portal.sync.throttle import FIRST_REST, LineBusy
from portal.timekeeping import timekeeper
from providers.errors import ProviderError

log = structlog.get_logger()
BY_CLOCK = ("notify.reminder", "waitlist.look", "calendar.draft")
"""What goes by the time alone, and waits while the clock is in doubt."""
CLOCK_IS_WATCHED = timedelta(seconds=15)


def claim(limit: int, *, topics: Collection[str]) -> list[Work]:
    """Lease up to `limit` due entries, none before the instance is adopted. Asks cheaply first: an idle worker takes no write lock."""
    if not read_transaction(_has_due):
        return []
    now = now_utc()

    def work(session: Session) -> list[Work]:
        return [outbox.work_of(row) for row in outbox.claim_due(session, now=now, limit=limit, topics=topics)]

    return transaction(work)


def do(work: Work, handler: Callable[[Work], None]) -> None:
    """Run the handler and settle the entry by what came of it. Never raises but for a database that is away."""
    doubt = timekeeper.doubt() if work.topic in BY_CLOCK else ""
    if doubt:
        _give_back(work, after=CLOCK_IS_WATCHED, error=doubt)
        return
    try:
        handler(work)
    except LeaseLost:
        log.info("another worker took this entry over", topic=work.topic, subject=work.subject)
        return
    except LineBusy as busy:
        _give_back(work, after=timedelta(seconds=busy.seconds), error=None)
        return
    except NotYet as wait:
        _give_back(work, after=timedelta(seconds=wait.after), error=str(wait))
        return
    except GiveUp as error:
        log.warning("a mail was given up", topic=work.topic, subject=work.subject, reason=str(error))
        _drop(work, str(error))
        return
    except Exception as error:
        _settle_failure(work, error)
        return
    if work.topic == "calendar.publish":
        reach("publish.before_settle")
    transaction(lambda session: outbox.settle(session, work.entry_id, work.lease_token))


def _has_due(session: Session) -> bool:
    now = now_utc()
    is_free = or_(OutboxEntry.lease_until.is_(None), OutboxEntry.lease_until < now)
    due = select(OutboxEntry.id).where(OutboxEntry.state == "todo", OutboxEntry.next_at <= now, is_free)
    return session.scalar(due.limit(1)) is not None and standing(session).is_ours


def _settle_failure(work: Work, error: Exception) -> None:
    decision = classify(error)
    _log(work, error, decision)
    is_too_old = decision.kind == "retry" and not work.is_mail and now_utc() > work.tried_until
    is_too_old = is_too_old and not timekeeper.doubt()
    if decision.kind == "stuck" or is_too_old:
        transaction(lambda session: _stick(session, work, decision.reason, is_too_old=is_too_old))
    elif decision.kind == "wait":
        _give_back(work, after=outbox.LONGEST_WAIT, error=decision.reason)
    elif decision.is_throttled:  # the account must slow down; that is no failed attempt of this very entry
        _give_back(work, after=timedelta(seconds=decision.retry_after or FIRST_REST), error=decision.reason)
    else:
        transaction(
            lambda session: outbox.postpone(
                session, work.entry_id, work.lease_token,
                error=decision.reason, attempts=work.attempts, retry_after=decision.retry_after,
                longest=outbox.LONGEST_WAIT_OF_MAILS if work.is_mail else outbox.LONGEST_WAIT,
            )
        )  # fmt: skip


def _stick(session: Session, work: Work, reason: str, *, is_too_old: bool) -> None:
    is_ours = outbox.settle(session, work.entry_id, work.lease_token, state="stuck", error=reason)
    if is_ours and is_too_old and work.topic == "calendar.publish":
        receipts.give_up(session, work.subject_id, reason)


def _drop(work: Work, reason: str) -> None:
    transaction(lambda session: outbox.settle(session, work.entry_id, work.lease_token, state="dropped", error=reason))


def _give_back(work: Work, *, after: timedelta, error: str | None) -> None:
    next_at = now_utc() + after
    transaction(
        lambda session: outbox.give_back(session, work.entry_id, work.lease_token, next_at=next_at, error=error)
    )


def _log(work: Work, error: Exception, decision: Decision) -> None:
    about = {"topic": work.topic, "subject": work.subject, "attempts": work.attempts, "decision": decision.kind}
    if isinstance(error, ProviderError | PortalError):
        log.warning("an entry could not be done", reason=decision.reason, **about)
    else:
        log.error("an entry failed in a way nobody foresaw", exc_info=error, **about)
