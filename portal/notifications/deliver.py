"""Sends mails: the outbox's handlers of the topics `notify.customer` and `notify.staff`.

Facts are read in one short transaction, which ends before anything is sent: a slow mail server holds no lock. Each mail is written down as
`sending`, committed, then sent, then written down as `sent`. When the process dies between the last two, nobody knows whether
the mail left; it is sent once more, with the same Message-ID. So a person may get a mail twice in that window, and never
none; many mail programs show two mails with one Message-ID as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.clock import now_utc
from portal.config import Settings
from portal.db import read_transaction, transaction
from portal.failpoints import reach
from portal.notifications import gather
from portal.notifications.facts import Facts
from portal.notifications.messages import Message, compose
from portal.notifications.models import Mail
from portal.outbox import Work
from providers.errors import ProviderError, Temporary
from providers.messaging.base import MailDraft, Messenger, TemporaryDeliveryError

log = structlog.get_logger()


def notify_customer(work: Work) -> None:
    """Tell the customer of `booking:<id>` what happened. Raises TemporaryDeliveryError or DeliveryRefused."""
    _notify(work, gather.for_customer)


def notify_staff(work: Work) -> None:
    """Tell the staff concerned by `booking:`, `question:`, `conflict:` or `connection:<id>`. Raises as `notify_customer` does."""
    _notify(work, gather.for_staff)


def messenger_of(settings: Settings) -> Messenger:
    """How mails leave: SMTP when SMTP_URL is set, files under `data`/mail until then. Raises TemporaryDeliveryError for a wrong URL."""
    if not settings.smtp_url:
        from providers.messaging.file import FileMessenger

        return FileMessenger(settings.data / "mail")
    from providers.messaging.email import SmtpMessenger, read_smtp_url

    try:
        return SmtpMessenger(read_smtp_url(settings.smtp_url))
    except ValueError as error:
        raise TemporaryDeliveryError(str(error)) from error


def _notify(work: Work, read: Callable[..., Sequence[Facts]]) -> None:
    found = read_transaction(lambda session: read(session, work, now=now_utc()))
    booking_id = work.subject_id if work.subject.startswith("booking:") else None
    errors: list[ProviderError] = []
    for facts in found:
        try:
            _deliver(compose(facts), booking_id=booking_id)
        except ProviderError as error:  # the others shall not wait because one address is wrong
            errors.append(error)
    if errors:
        raise next((error for error in errors if isinstance(error, Temporary)), errors[0])


def _deliver(message: Message, *, booking_id: int | None) -> None:
    """Send one mail, unless it was sent before."""
    written_at = transaction(lambda session: _write_down(session, message, booking_id=booking_id))
    if written_at is None:
        return
    try:
        delivery = _messenger().send(_draft(message, written_at=written_at))
    except ProviderError as error:
        state = "sending" if isinstance(error, Temporary) else "failed"
        _note(message, state=state, last_error=str(error))
        raise
    reach("mail.after_send")
    _note(message, state="sent", sent_at=now_utc(), file_name=delivery.file_name, last_error=None)
    log.info("mail sent", kind=message.kind, message_key=message.message_key)


def _write_down(session: Session, message: Message, *, booking_id: int | None) -> datetime | None:
    """When the mail was first written down, for a repeat must look the same; None when it has been sent already."""
    mail = session.scalar(select(Mail).where(Mail.message_id == message.message_key).with_for_update())
    if mail is None:
        mail = Mail(
            message_id=message.message_key,
            kind=message.kind,
            booking_id=booking_id,
            recipient=message.recipient,
            subject=message.subject,
            created_at=now_utc(),
        )
        session.add(mail)
    elif mail.state == "sent":
        return None
    mail.state = "sending"
    return mail.created_at


def _note(message: Message, **values: object) -> None:
    def work(session: Session) -> None:
        mail = session.scalars(select(Mail).where(Mail.message_id == message.message_key)).one()
        for name, value in values.items():
            setattr(mail, name, value)

    transaction(work)


def _draft(message: Message, *, written_at: datetime) -> MailDraft:
    return MailDraft(
        message_key=message.message_key,
        kind=message.kind,
        sender=_settings().mail_from,
        recipient=message.recipient,
        recipient_name=message.recipient_name,
        subject=message.subject,
        text=message.text,
        html=message.html,
        calendar=message.ics,
        calendar_method=message.ics_method or "",
        written_at=written_at,
    )


def _messenger() -> Messenger:
    """The app's messenger; tests may have put another in its place."""
    messenger: Messenger = current_app.extensions.get("messenger") or messenger_of(_settings())
    return messenger


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
