"""Sends mails: the outbox's handlers of the topics `notify.…`.

Facts are read in one short transaction, which ends before anything is sent: a slow mail server holds no lock. Each mail is written down as
`sending`, committed, then sent, then written down as `sent`. When the process dies between the last two, nobody knows whether
the mail left; it is sent once more, with the same Message-ID. So a person may get a mail twice in that window, and never
none; many mail programs show two mails with one Message-ID as one.

What a person asks to be sent again (topic `notify.again`) is a new mail with a Message-ID of its own: nobody would see the old one twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import resets
from portal.booking.models import Booking
from portal.clock import now_utc
from portal.config import Settings
from portal.customers.codes import mail_has_left
from portal.db import read_transaction, transaction
from portal.failpoints import reach
from portal.notifications import again, gather, reminders
from portal.notifications.facts import Facts
from portal.notifications.gather_code import for_code
from portal.notifications.gather_reset import for_reset
from portal.notifications.gather_waitlist import for_waitlist
from portal.notifications.messages import Message, compose
from portal.notifications.models import Mail
from portal.outbox import Work
from providers.errors import ProviderError, Temporary
from providers.messaging.base import MailDraft, Messenger, TemporaryDeliveryError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a mail is about, for its row; `on_sent` runs in the transaction that notes it as sent."""

    booking_id: int | None = None
    entry_id: int | None = None
    on_sent: Callable[[Session], None] | None = None


def notify_customer(work: Work) -> None:
    """Tell the customer of `booking:<id>` what happened. Raises TemporaryDeliveryError or DeliveryRefused."""
    _plan_reminders(work)
    _notify(work, gather.for_customer, About(booking_id=work.subject_id))


def notify_reminder(work: Work) -> None:
    """Remind the customer of `booking:<id>`, if the booking still stands where it stood. Raises as `notify_customer` does."""
    _notify(work, gather.for_reminder, About(booking_id=work.subject_id))


def notify_waitlist(work: Work) -> None:
    """Tell whoever waits as `entry:<id>` what happened. Raises as `notify_customer` does."""
    _notify(work, for_waitlist, About(entry_id=work.subject_id))


def notify_code(work: Work) -> None:
    """Mail the code of `code:<id>`. Raises as `notify_customer` does."""
    _notify(work, for_code, About(on_sent=lambda session: mail_has_left(session, work.subject_id)))


def notify_reset(work: Work) -> None:
    """Mail the link to a new password of `reset:<id>`. Raises as `notify_customer` does."""
    _notify(work, for_reset, About(on_sent=lambda session: resets.mail_has_left(session, work.subject_id)))


def notify_staff(work: Work) -> None:
    """Tell the staff concerned by `booking:`, `question:`, `conflict:` or `connection:<id>`. Raises as `notify_customer` does."""
    about = About(booking_id=work.subject_id if work.subject.startswith("booking:") else None)
    _notify(work, gather.for_staff, about)


def notify_again(work: Work) -> None:
    """Send the mail `mail:<id>` once more because staff asked for it, as it would read now. Raises as `notify_customer` does."""
    old = read_transaction(lambda session: again.read(session, work, now=now_utc()))
    if old is not None:
        about = About(booking_id=old.booking_id, entry_id=old.entry_id)
        _deliver(replace(compose(old.facts), message_key=old.message_key), about)


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


def _plan_reminders(work: Work) -> None:
    """Before the mail, so that a booking whose mail cannot leave is not left without reminders too."""

    def plan(session: Session) -> None:
        booking = session.get(Booking, work.subject_id)
        if booking is not None:
            reminders.plan_booking(session, booking, now_utc())

    transaction(plan)


def _notify(work: Work, read: Callable[..., Sequence[Facts]], about: About) -> None:
    errors: list[ProviderError] = []
    for facts in read_transaction(lambda session: read(session, work, now=now_utc())):
        try:
            _deliver(compose(facts), about)
        except ProviderError as error:  # the others shall not wait because one address is wrong
            errors.append(error)
    if errors:
        raise next((error for error in errors if isinstance(error, Temporary)), errors[0])


def _deliver(message: Message, about: About) -> None:
    """Send one mail, unless it was sent before."""
    written_at = transaction(lambda session: _write_down(session, message, about))
    if written_at is None:
        return
    try:
        delivery = _messenger().send(_draft(message, written_at=written_at))
    except ProviderError as error:
        state = "sending" if isinstance(error, Temporary) else "failed"
        _note(message, state=state, last_error=str(error))
        raise
    reach("mail.after_send")
    _note(
        message, state="sent", sent_at=now_utc(), file_name=delivery.file_name, last_error=None, on_sent=about.on_sent
    )
    log.info("mail sent", kind=message.kind, message_key=message.message_key)


def _write_down(session: Session, message: Message, about: About) -> datetime | None:
    """When the mail was first written down, for a repeat must look the same; None when it has been sent already, or came back since."""
    mail = session.scalar(select(Mail).where(Mail.message_id == message.message_key).with_for_update())
    if mail is None:
        mail = Mail(
            message_id=message.message_key,
            kind=message.kind,
            booking_id=about.booking_id,
            entry_id=about.entry_id,
            recipient=message.recipient,
            subject=_kept_subject(message),
            created_at=now_utc(),
        )
        session.add(mail)
    elif mail.state == "sent" or mail.bounced_at is not None:
        return None
    mail.state = "sending"
    return mail.created_at


def _kept_subject(message: Message) -> str:
    """What stands in the table for staff: never the digits of a code."""
    return "" if message.kind == "code" else message.subject


def _note(message: Message, *, on_sent: Callable[[Session], None] | None = None, **values: object) -> None:
    def work(session: Session) -> None:
        mail = session.scalars(select(Mail).where(Mail.message_id == message.message_key)).one()
        for name, value in values.items():
            setattr(mail, name, value)
        if on_sent is not None:
            on_sent(session)

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
        stop_url=message.stop_url,
        written_at=written_at,
    )


def _messenger() -> Messenger:
    """The app's messenger; tests may have put another in its place."""
    messenger: Messenger = current_app.extensions.get("messenger") or messenger_of(_settings())
    return messenger


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
