"""The event link's life around a request: the intent before it, the receipt or the failure after it. Each is one small transaction.

Receipts are written under the lock of the calendar's resource, as pulls write theirs, and carry the remote object with them: so the next
pull finds the etag known, and our own echo ends before it begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, EventLink
from portal.calendars.models import Calendar, RemoteObject
from portal.clock import now_utc
from portal.database.engine import transaction, write_transaction
from portal.failpoints import reach
from portal.outbox import OutboxEntry, Work
from portal.sync import ledger
from portal.sync.event import meeting
from portal.sync.event.desired import LinkView
from portal.sync.outside.closing import close_questions
from portal.sync.outside.conflicts import forget_object
from portal.sync.sentences import moment
from providers.calendars.base import Receipt

MOST_SENT = 6
TOLD_AGAIN_AFTER = timedelta(hours=1)
"""Of writes that still fail for the same reason staff are mailed no more often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is about to be asked of a server."""

    appointment_id: int
    calendar_id: int
    resource_id: int
    calendar_name: str
    generation: int
    uid: str
    remote_id: str
    version: int
    sent_hash: str
    sequence: int
    start_at: datetime
    end_at: datetime
    wants_meeting: bool = False


def commit_intent(intent: Intent) -> bool:
    """Write down what is about to be asked. False when the appointment has changed since the decision: then decide anew."""

    def work(session: Session) -> bool:
        appointment = session.get(Appointment, intent.appointment_id)
        if appointment is None or appointment.version != intent.version or _is_leaving(session, intent.calendar_id):
            return False
        link = _link(session, intent)
        if link is None:
            link = EventLink(appointment_id=intent.appointment_id, calendar_id=intent.calendar_id, uid=intent.uid)
            session.add(link)
        if link.uid != intent.uid or not link.remote_id:
            link.uid, link.remote_id, link.generation = intent.uid, intent.remote_id, intent.generation
            link.etag = link.content_hash = ""
            meeting.note_lost(session, link, now=now_utc())
        appointment.generation = max(appointment.generation, intent.generation)
        link.wanted_version, link.state = intent.version, "waiting"
        link.sent_hash = _with_newest(link.sent_hash, intent.sent_hash)
        return True

    return transaction(work)


def commit_receipt(intent: Intent, receipt: Receipt | None, *, work: Work | None) -> bool:
    """Store what stands there now; None says that nothing does. False when the outbox lease is no longer ours: nothing is written."""

    def store(session: Session) -> bool:
        if work is not None and not outbox.renew(session, work.entry_id, work.lease_token, now=now_utc()):
            return False
        link = _link(session, intent)
        if link is not None:
            forget_object(session, intent.calendar_id, link.remote_id)
            if receipt is None:
                _set_absent(link, intent)
            else:
                _set_standing(session, link, intent, receipt)
            close_questions(session, intent.appointment_id, intent.calendar_id, now=now_utc())
            _tell(session, intent, receipt)
        reach("publish.before_receipt_commit")
        return True

    return write_transaction([intent.resource_id], store)


def confirm_unchanged(link: LinkView | None) -> None:
    """The calendar shows the wanted version already: an earlier trouble is over."""
    if link is None or link.state in ("done", "none"):
        return
    values = {"state": "done", "last_error": None}
    transaction(lambda session: session.execute(update(EventLink).where(EventLink.id == link.id).values(**values)))


def note_failure(
    appointment_id: int,
    calendar_id: int,
    *,
    reason: str,
    is_stuck: bool,
    is_news: bool = False,
    is_repeated: bool = False,
) -> None:
    """Show at the link why its event is not in the calendar (yet). `is_news` mails the staff of it: no reading will find it out.

    `is_repeated`: it failed before, and is tried again. That is news, too, where the calendar was read well in between.
    """

    def work(session: Session) -> None:
        link = session.scalar(
            select(EventLink).where(EventLink.appointment_id == appointment_id, EventLink.calendar_id == calendar_id)
        )
        if link is None:
            return
        if is_stuck and link.last_error != reason:
            sentence = f"The event could not be written, and trying again will not help: {reason}"
            ledger.write(session, "stuck", sentence, calendar_id=calendar_id, appointment_id=appointment_id)
            if is_news and not _is_shown_already(session, calendar_id, reason):
                _tell_staff(session, calendar_id, reason)
        if is_repeated and _is_read_well(session, calendar_id):
            _tell_staff(session, calendar_id, reason)
        link.last_error = reason
        link.state = "stuck" if is_stuck else "waiting"

    transaction(work)


def _is_read_well(session: Session, calendar_id: int) -> bool:
    calendar = session.get_one(Calendar, calendar_id)
    return calendar.failures == 0 and calendar.failing_since is None and not calendar.trouble


def _is_shown_already(session: Session, calendar_id: int, reason: str) -> bool:
    unwritten = EventLink.state.in_(("waiting", "stuck"))
    same = (EventLink.calendar_id == calendar_id, EventLink.last_error == reason, unwritten)
    return session.scalar(select(EventLink.id).where(*same).limit(1)) is not None


def _tell_staff(session: Session, calendar_id: int, reason: str) -> None:
    """A calendar that may be read but not written looks well: so staff are mailed of it, once for all events refused for this reason."""
    calendar = session.get_one(Calendar, calendar_id)
    subject = f"connection:{calendar.connection_id}"
    if calendar.trouble or _was_told(session, subject, reason):
        return  # of a calendar that cannot be read either they know already
    since = now_utc().isoformat()
    outbox.record(session, "notify.staff", subject, news="connection", state="unwritable", reason=reason, since=since)


def _was_told(session: Session, subject: str, reason: str) -> bool:
    lately = OutboxEntry.created_at > now_utc() - TOLD_AGAIN_AFTER
    payloads = session.scalars(
        select(OutboxEntry.payload).where(OutboxEntry.topic == "notify.staff", OutboxEntry.subject == subject, lately)
    )
    return any(payload.get("state") == "unwritable" and payload.get("reason") == reason for payload in payloads)


def give_up(session: Session, appointment_id: int, reason: str) -> None:
    """After a day of trying: what still waits is stuck, and shown as such."""
    waiting = (EventLink.appointment_id == appointment_id, EventLink.state == "waiting", EventLink.outside == "")
    session.execute(update(EventLink).where(*waiting).values(state="stuck", last_error=reason))
    ledger.write(session, "stuck", f"Gave up after a day: {reason}", appointment_id=appointment_id)


def _with_newest(hashes: str | None, newest: str) -> str:
    """The hashes of what was sent and not answered, the newest last; the oldest are dropped."""
    known = [one for one in (hashes or "").split() if one != newest]
    return " ".join([*known, newest][-MOST_SENT:]).strip()


def _is_leaving(session: Session, calendar_id: int) -> bool:
    """Gone already, or being disconnected since the decision: nothing is to be written there any more."""
    calendar = session.get(Calendar, calendar_id)
    return calendar is None or calendar.connection.leaving


def _link(session: Session, intent: Intent) -> EventLink | None:
    return session.scalar(
        select(EventLink).where(
            EventLink.appointment_id == intent.appointment_id, EventLink.calendar_id == intent.calendar_id
        )
    )


def _set_absent(link: EventLink, intent: Intent) -> None:
    link.etag = link.content_hash = link.outside = link.meeting_url = ""
    link.applied_version, link.last_error = intent.version, None
    link.state = "none" if link.wanted_version <= intent.version else "waiting"


def _set_standing(session: Session, link: EventLink, intent: Intent, receipt: Receipt) -> None:
    link.remote_id, link.etag, link.content_hash = receipt.remote_id, receipt.etag, receipt.content_hash
    link.start_at, link.end_at, link.sequence = intent.start_at, intent.end_at, intent.sequence
    link.applied_version, link.outside, link.last_error = intent.version, "", None
    link.sent_hash = intent.sent_hash
    link.state = "done" if link.wanted_version <= intent.version else "waiting"
    session.execute(
        delete(RemoteObject).where(
            RemoteObject.calendar_id == intent.calendar_id, RemoteObject.remote_id == receipt.remote_id
        )
    )
    session.add(
        RemoteObject(
            calendar_id=intent.calendar_id, remote_id=receipt.remote_id, etag=receipt.etag, is_ours=True
        )
    )  # fmt: skip
    if receipt.meeting_url:
        meeting.note_link(session, link, receipt.meeting_url, now=now_utc())
    elif intent.wants_meeting and not link.meeting_url:
        meeting.look_soon(session, intent.calendar_id, now=now_utc())


def _tell(session: Session, intent: Intent, receipt: Receipt | None) -> None:
    session.execute(update(Calendar).where(Calendar.id == intent.calendar_id).values(last_written_at=now_utc()))
    what = "taken out of" if receipt is None else "written into"
    ledger.write(
        session,
        "published",
        f"The appointment of {moment(session, intent.start_at)} was {what} the calendar “{intent.calendar_name}”.",
        calendar_id=intent.calendar_id,
        appointment_id=intent.appointment_id,
        version=intent.version,
        etag=receipt.etag if receipt else None,
    )
