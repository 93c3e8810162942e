"""Mails in tests: run the outbox's mail topics as the worker does, and read what came out."""

from __future__ import annotations

from email.message import EmailMessage
from functools import partial

from flask import Flask

from portal import outbox
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.notifications import deliver as delivering
from portal.outbox import GiveUp, OutboxEntry, Work
from providers.errors import ProviderError
from providers.messaging.memory import MemoryMessenger

HANDLERS = {
    "notify.customer": delivering.notify_customer,
    "notify.staff": delivering.notify_staff,
    "notify.reminder": delivering.notify_reminder,
    "notify.waitlist": delivering.notify_waitlist,
    "notify.limit": delivering.notify_limit,
    "notify.code": delivering.notify_code,
    "notify.reset": delivering.notify_reset,
    "notify.again": delivering.notify_again,
}


def memory_mail(app: Flask) -> MemoryMessenger:
    """From now on this app's mails end up in the returned messenger."""
    messenger = MemoryMessenger()
    app.extensions["messenger"] = messenger
    return messenger


def claim(*topics: str) -> list[Work]:
    """Lease what is due, as the worker's drain loop does."""

    def work(session) -> list[Work]:
        entries = outbox.claim_due(session, now=now_utc(), limit=100, topics=topics or tuple(HANDLERS))
        return [outbox.work_of(entry) for entry in entries]

    return transaction(work)


def deliver(work: Work) -> ProviderError | None:
    """Run one handler; settle the entry, or put it back so that it is due again at once. Returns the error."""
    try:
        HANDLERS[work.topic](work)
    except ProviderError as error:
        transaction(partial(_put_back, work=work, error=error))
        return error
    except GiveUp as end:
        transaction(partial(_drop, work=work, reason=str(end)))
        return None
    transaction(lambda session: outbox.settle(session, work.entry_id, work.lease_token))
    return None


def deliver_all(*topics: str) -> list[ProviderError]:
    """Run all that is due, until nothing is left or something failed."""
    errors: list[ProviderError] = []
    while not errors and (works := claim(*topics)):
        errors += [error for work in works if (error := deliver(work))]
    return errors


def to(messages: list[EmailMessage], address: str) -> list[EmailMessage]:
    """The mails to one person, oldest first."""
    return [message for message in messages if message["To"].addresses[0].addr_spec == address]


def text(message: EmailMessage) -> str:
    return _part(message, "plain")


def html(message: EmailMessage) -> str:
    return _part(message, "html")


def invitation(message: EmailMessage) -> bytes | None:
    """The .ics of a mail."""
    return next(
        (part.get_payload(decode=True) for part in message.walk() if part.get_content_type() == "text/calendar"), None
    )


def _part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def _put_back(session, *, work: Work, error: ProviderError) -> None:
    entry = session.get_one(OutboxEntry, work.entry_id)
    entry.lease_until, entry.lease_token, entry.last_error = None, None, str(error)


def _drop(session, *, work: Work, reason: str) -> None:
    outbox.settle(session, work.entry_id, work.lease_token, state="dropped", error=reason)
