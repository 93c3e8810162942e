"""Sends mails: the outbox's handlers of the topics `notify.…`.

Facts are read in one short transaction, which ends before anything is sent: a slow mail server holds no lock. Each mail is written down as
`sending`, committed, then sent, then written down as `sent`. When the process dies between the last two, nobody knows whether
the mail left; it is sent once more, with the same Message-ID. So a person may get a mail twice in that window, and never
none; many mail programs show two mails with one Message-ID as one.

A mail that cannot leave is tried as long as it makes sense (`patience`). Then it is given up, and so it stands in its row; so do mails that newer
news took the place of before they could leave.

What a person asks to be sent again (topic `notify.again`) is a new mail with a Message-ID of its own: nobody would see the old one twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import outbox
from portal.accounts import resets
from portal.booking.models import Booking
from portal.clock import now_utc
from portal.config import Settings
from portal.customers.codes import mail_has_left
from portal.database.engine import read_transaction, transaction
from portal.errors import NotYet
from portal.extensions import current_settings
from portal.failpoints import reach
from portal.instance.standing import require_ours
from portal.notifications import again, patience, reminders
from portal.notifications.compose.facts import Facts
from portal.notifications.compose.messages import Message, compose
from portal.notifications.compose.news import Silence
from portal.notifications.gather import bookings
from portal.notifications.gather.codes import for_code
from portal.notifications.gather.limit import for_limit
from portal.notifications.gather.reset import for_reset
from portal.notifications.gather.waitlist import for_waitlist
from portal.notifications.mail_server import LONGEST_REST, MailLine, Resting
from portal.notifications.models import Mail
from portal.outbox import GiveUp, LeaseLost, Work
from portal.timekeeping import timekeeper
from providers.errors import ProviderError, Temporary
from providers.messaging.base import Delivery, DeliveryRefused, MailDraft, MailServerDown, Messenger
from providers.messaging.email import SmtpMessenger, read_smtp_url
from providers.messaging.file import FileMessenger

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
    _notify(work, bookings.for_customer, About(booking_id=work.subject_id))


def notify_reminder(work: Work) -> None:
    """Remind the customer of `booking:<id>`, if the booking still stands where it stood. Raises as `notify_customer` does."""
    _notify(work, bookings.for_reminder, About(booking_id=work.subject_id))


def notify_waitlist(work: Work) -> None:
    """Tell whoever waits as `entry:<id>` what happened. Raises as `notify_customer` does."""
    _notify(work, for_waitlist, About(entry_id=work.subject_id))


def notify_code(work: Work) -> None:
    """Mail the code of `code:<id>`. Raises as `notify_customer` does."""
    _notify(work, for_code, About(on_sent=lambda session: mail_has_left(session, work.subject_id)))


def notify_reset(work: Work) -> None:
    """Mail the link to a new password of `reset:<id>`. Raises as `notify_customer` does."""
    _notify(work, for_reset, About(on_sent=lambda session: resets.mail_has_left(session, work.subject_id)))


def notify_limit(work: Work) -> None:
    """Tell the customer of `booking:<id>` that nothing more was booked with their address. Raises as `notify_customer` does."""
    _notify(work, for_limit, About(booking_id=work.subject_id))


def notify_staff(work: Work) -> None:
    """Tell the staff concerned by `booking:`, `question:`, `conflict:` or `connection:<id>`. Raises as `notify_customer` does."""
    about = About(booking_id=work.subject_id if work.subject.startswith("booking:") else None)
    _notify(work, bookings.for_staff, about)


def notify_again(work: Work) -> None:
    """Send the mail `mail:<id>` once more because staff asked for it, as it would read now. Raises as `notify_customer` does."""
    old = read_transaction(lambda session: again.read(session, work, now=now_utc()))
    if isinstance(old, Silence):
        transaction(lambda session: _give_up(session, work, old, except_for=()))
        return
    about = About(booking_id=old.booking_id, entry_id=old.entry_id)
    _tell(work, [replace(compose(old.facts), message_key=old.message_key)], about)


def messenger_of(settings: Settings) -> Messenger:
    """How mails leave: SMTP when SMTP_URL is set, files under `data`/mail until then. Raises TemporaryDeliveryError for a wrong URL."""
    if not settings.smtp_url:
        return FileMessenger(settings.data / "mail")
    try:
        return SmtpMessenger(read_smtp_url(settings.smtp_url))
    except ValueError as error:
        raise MailServerDown(str(error)) from error


def _plan_reminders(work: Work) -> None:
    """Before the mail, so that a booking whose mail cannot leave is not left without reminders too."""

    def plan(session: Session) -> None:
        booking = session.get(Booking, work.subject_id)
        if booking is not None:
            reminders.plan_booking(session, booking, now_utc())

    transaction(plan)


def _notify(work: Work, read: Callable[..., Sequence[Facts | Silence]], about: About) -> None:
    found = read_transaction(lambda session: list(read(session, work, now=now_utc())))
    messages = [compose(facts) for facts in found if not isinstance(facts, Silence)]
    silences = [each for each in found if isinstance(each, Silence)]
    told = {message.message_key for message in messages}
    if any(silence.is_too_late for silence in silences):
        _require_true_clock()
    was_waiting = bool(silences) and transaction(lambda session: _give_up(session, work, silences[0], except_for=told))
    _tell(work, messages, about)
    if was_waiting and not messages:
        raise GiveUp(silences[0].reason)


def _tell(work: Work, messages: Sequence[Message], about: About) -> None:
    """Send all of them: the others shall not wait because one address is wrong. Raises the most hopeful of the errors, or GiveUp; NotAdopted
    where nothing may leave."""
    if messages:
        require_ours()
    errors: list[ProviderError] = []
    for message in messages:
        try:
            _deliver(work, message, about)
        except ProviderError as error:
            errors.append(error)
    passing = [error for error in errors if isinstance(error, Temporary)]
    if passing and _is_over(work):
        reason = Silence("it could not leave while it was of use", is_too_late=True)
        transaction(lambda session: _give_up(session, work, reason, except_for=()))
        raise GiveUp(str(passing[0]))
    if passing and all(isinstance(error, Resting) for error in passing):
        raise NotYet(str(passing[0]), after=passing[0].retry_after or LONGEST_REST)
    if errors:
        raise (passing or errors)[0]


def _is_over(work: Work) -> bool:
    """It was tried as long as it was of use, by a clock that is right."""
    ends_at = read_transaction(lambda session: patience.good_until(session, work))
    return ends_at <= now_utc() and not timekeeper.doubt()


def _require_true_clock() -> None:
    """Nothing is given up because a clock that leapt says that it is too late."""
    doubt = timekeeper.doubt()
    if doubt:
        raise NotYet(doubt, after=15)


def _deliver(work: Work, message: Message, about: About) -> None:
    """Send one mail, unless it was sent before. Raises LeaseLost when those before it took so long that another worker took over."""
    written_at = transaction(lambda session: _write_down(session, work, message, about))
    if written_at is None:
        return
    try:
        delivery = _hand_over(_draft(message, written_at=written_at))
    except ProviderError as error:
        state = "sending" if isinstance(error, Temporary) else "failed"
        _note(message, state=state, last_error=str(error))
        raise
    reach("mail.after_send")
    _note(
        message, state="sent", sent_at=now_utc(), file_name=delivery.file_name, last_error=None, on_sent=about.on_sent
    )
    log.info("mail sent", kind=message.kind, message_key=message.message_key)


def _hand_over(draft: MailDraft) -> Delivery:
    """While the mail server is away one mail at a time tries it, and all others are put off."""
    line = _line()
    is_try = line.enter()
    try:
        delivery = _messenger().send(draft)
    except MailServerDown as error:
        error.retry_after = line.note_failure(str(error), was_try=is_try)
        until = now_utc() + timedelta(seconds=error.retry_after)
        transaction(lambda session: outbox.put_off_mails(session, until))
        raise
    except ProviderError:
        line.note_answer()
        raise
    if line.note_answer():
        transaction(lambda session: outbox.let_mails_go(session, now=now_utc()))
    return delivery


def _give_up(session: Session, work: Work, why: Silence, *, except_for: Collection[str]) -> bool:
    """Note that what this entry was to send, and what has not left, is not tried any more; False when there is nothing of that kind."""
    waiting = select(Mail).where(
        Mail.outbox_id == work.entry_id, Mail.state == "sending", Mail.message_id.not_in(except_for)
    )
    mails = session.scalars(waiting).all()
    for mail in mails:
        mail.state, mail.given_up_at = "failed", now_utc()
        mail.given_up = "too late" if why.is_too_late else "overtaken"
        mail.last_error = " ".join(filter(None, (f"Not sent: {why.reason}.", mail.last_error)))
    return bool(mails)


def _write_down(session: Session, work: Work, message: Message, about: About) -> datetime | None:
    """When the mail was first written down, for a repeat must look the same; None when it has been sent already, or came back since."""
    mail = session.scalar(select(Mail).where(Mail.message_id == message.message_key).with_for_update())
    if mail is not None and (mail.state == "sent" or mail.bounced_at is not None):
        return None
    if not outbox.renew(session, work.entry_id, work.lease_token, now=now_utc()):
        raise LeaseLost
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
    elif mail.state == "failed" and not mail.given_up:  # it is tried again for others' sake, or the answer was lost
        raise DeliveryRefused(mail.last_error or "The mail server refused this mail.")
    mail.state, mail.outbox_id, mail.tried_at = "sending", work.entry_id, now_utc()
    mail.given_up, mail.given_up_at = "", None
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
        sender=current_settings().mail_from,
        sender_name=message.sender_name,
        reply_to=message.reply_to,
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
    messenger: Messenger = current_app.extensions.get("messenger") or messenger_of(current_settings())
    return messenger


def _line() -> MailLine:
    """This process's line to the mail server."""
    line: MailLine = current_app.extensions.setdefault("mail_line", MailLine())
    return line
