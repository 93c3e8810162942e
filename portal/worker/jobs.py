"""What the worker does: which handler each topic has, the RQ jobs, and the periodic table.

RQ is only the doorbell. Its jobs carry nothing and do nothing but wake the loops of `portal.worker.loops`, which find their work in
the database; so Redis may be stopped, emptied or never started. `classify` is the one judgement about errors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal.accounts import guesses, resets
from portal.booking import operations
from portal.booking.fixed import series
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.notifications import reminders
from portal.notifications.models import Mail
from portal.outbox import OutboxEntry, Work
from portal.privacy import retention
from portal.sync import leases, ledger
from portal.sync.outside import questions, unknown
from portal.sync.pull.pull import pull
from portal.sync.push import subscriptions
from portal.sync.reconcile import reconcile
from portal.sync.state import states
from portal.sync.state.states import Decision, classify
from portal.waitlist import operations as waitlists
from portal.worker import clock_watch

__all__ = ["PERIODIC", "TOPICS", "Decision", "Periodic", "classify", "handler_of"]

TOPICS = {
    "calendar.publish": "portal.sync.publish.publish:publish_entry",
    "calendar.outside": "portal.sync.outside.changes:settle",
    "calendar.rewrite": "portal.sync.publish.rewrite:rewrite_entry",
    "calendar.unknown": "portal.sync.outside.unknown:clear_away",
    "calendar.draft": "portal.calendars.oauth.grants:forget_draft",
    "calendar.push": "portal.sync.push.subscriptions:keep_entry",
    "calendar.farewell": "portal.sync.account.disconnect:farewell",
    "waitlist.look": "portal.waitlist.operations:look_entry",
    "notify.customer": "portal.notifications.deliver:notify_customer",
    "notify.staff": "portal.notifications.deliver:notify_staff",
    "notify.reminder": "portal.notifications.deliver:notify_reminder",
    "notify.waitlist": "portal.notifications.deliver:notify_waitlist",
    "notify.limit": "portal.notifications.deliver:notify_limit",
    "notify.code": "portal.notifications.deliver:notify_code",
    "notify.reset": "portal.notifications.deliver:notify_reset",
    "notify.again": "portal.notifications.deliver:notify_again",
    "customer.erase": "portal.privacy.erase:erase_entry",
}
"""Topic of an outbox entry -> its handler, imported when the first such entry comes."""

outbox_bell = threading.Event()
reading_bell = threading.Event()


# RQ jobs: what the doorbell runs in the worker's main thread.


def look_into_outbox() -> None:
    """There is something new in the outbox."""
    outbox_bell.set()


def look_at_calendars() -> None:
    """Somebody wants calendars read now."""
    reading_bell.set()


# The periodic table: done by one worker at a time, whichever comes first.


@dataclass(frozen=True, slots=True)
class Periodic:
    """A piece of work that is due again and again. `run` is one transaction, or a few. What `speaks` leads to mails or to events in calendars,
    and rests until the instance is adopted. With `by_clock` it rests while the clock is in doubt."""

    name: str
    every: timedelta
    run: Callable[[], object]
    speaks: bool = False
    by_clock: bool = True


def sweep_holds() -> None:
    """Delete holds whose time is over."""
    operations.sweep_expired_holds()


def refuse_unanswered() -> None:
    """Refuse the requests that nobody answered before their start."""
    operations.refuse_unanswered(now=now_utc())


def look_at_waitlists() -> None:
    """Offer what has become free without anybody's doing, and settle the offers that have ended."""
    if waitlists.look_at_waitlists():
        outbox_bell.set()


def seal_ledger() -> None:
    """Chain the ledger's new lines, a batch at a time."""
    while transaction(ledger.seal_lines) == ledger.BATCH:
        continue


def try_refused_writes() -> None:
    """Try again what a server refused: a calendar that was made writable again does not tell."""
    transaction(lambda session: states.release_refused(session, now=now_utc()))


def end_old_questions() -> None:
    """Questions and clashes about appointments that are over concern nobody any more."""
    transaction(lambda session: questions.end_those_over(session, now=now_utc()))
    transaction(lambda session: unknown.end_those_over(session, now=now_utc()))


def forget_finished() -> None:
    """Delete outbox entries that were done a month ago; the ledger keeps the story."""

    old = (OutboxEntry.finished_at < now_utc() - timedelta(days=30), OutboxEntry.state.in_(("done", "dropped")))

    def forget(session: Session) -> None:
        theirs = update(Mail).where(Mail.outbox_id.in_(select(OutboxEntry.id).where(*old))).values(outbox_id=None)
        session.execute(
            theirs.execution_options(synchronize_session=False)
        )  # SQLite may give the number to another entry
        session.execute(delete(OutboxEntry).where(*old))

    transaction(forget)


def queue_reminders() -> None:
    """Hand the reminders that are due to the outbox."""
    if reminders.queue_due(now_utc()):
        outbox_bell.set()


def plan_reminders() -> None:
    """Give every booking to come the reminders of its service."""
    reminders.plan_everything()


def keep_subscriptions() -> None:
    """Set on their way: push subscriptions that are missing, must be renewed, or are wanted no more."""
    subscriptions.keep_subscriptions()


def keep_retention() -> None:
    """Forget customers, codes, mails and links to new passwords that are older than they are kept."""
    guesses.forget_old(now=now_utc())
    resets.forget_old(now=now_utc())
    retention.keep_retention(now=now_utc())


def extend_series() -> None:
    """Make the dates of weekly series, as far as customers may book ahead."""
    series.extend_series(now=now_utc())


def mend_times() -> None:
    """Let nothing wait for an hour that a machine with a wrong clock wrote down."""
    transaction(lambda session: clock_watch.mend(session, now=now_utc()))


PERIODIC = (
    Periodic("sweep holds", timedelta(seconds=30), sweep_holds),
    Periodic("refuse unanswered requests", timedelta(seconds=30), refuse_unanswered, speaks=True),
    Periodic("queue reminders", timedelta(seconds=5), queue_reminders, speaks=True),
    Periodic("plan reminders", timedelta(minutes=30), plan_reminders),
    Periodic("look at waitlists", timedelta(seconds=2), look_at_waitlists, speaks=True),
    Periodic("end old questions", timedelta(seconds=60), end_old_questions),
    Periodic("make dates of series", timedelta(minutes=10), extend_series, speaks=True),
    Periodic("mend times to come", timedelta(minutes=10), mend_times),
    Periodic("seal ledger", timedelta(seconds=60), seal_ledger, by_clock=False),
    Periodic("keep push subscriptions", timedelta(seconds=10), keep_subscriptions, speaks=True),
    Periodic("try refused writes", timedelta(minutes=15), try_refused_writes, speaks=True, by_clock=False),
    Periodic("forget customers by age", timedelta(hours=1), keep_retention),
    Periodic("forget finished entries", timedelta(hours=6), forget_finished),
)


def handler_of(topic: str) -> Callable[[Work], None]:
    """The function that does entries of this topic. Raises KeyError for a topic that nobody knows."""
    module, _, name = TOPICS[topic].partition(":")
    handler: Callable[[Work], None] = getattr(import_module(module), name)
    return handler


def read_calendar(calendar_id: int, *, in_full: bool) -> None:
    """Read one calendar as the worker does it: its lease is prolonged by the heartbeat. Raises the errors of `providers.errors`."""
    if in_full:
        reconcile(calendar_id, lease_for=leases.READ_LEASE)
    else:
        pull(calendar_id, lease_for=leases.READ_LEASE)
