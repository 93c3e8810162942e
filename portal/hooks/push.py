"""Notification hooks: calls from providers that say no more than "something changed".

A message is believed when it names a subscription of ours, its secret and the thing it watches; its body is never read. It is noted at the
calendar, and the worker's bell is rung; no server is asked from here. Whatever else comes gets the same empty answer: a provider would
send a refused message again and again, and a stranger learns nothing. One change in a busy calendar gives many messages; all that come
before the next reading begins are one to us, and cost the database one small read.
"""

from __future__ import annotations

import hmac
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog
from flask import Blueprint, Response, abort, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import doorbell
from portal.calendars.models import Calendar, PushSubscription
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.extensions import csrf, current_settings, limiter
from portal.logs import Seldom
from portal.security import token_hash
from portal.sync import ledger
from portal.sync.push import counts
from portal.sync.push import state as push_state
from providers.kind import PushMessage
from providers.kinds import hooks, kind_of

LARGEST = 64 * 1024
_SUBSCRIPTION_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{32}")
log = structlog.get_logger()
_ignored = Seldom()


def blueprints() -> list[Blueprint]:
    """`/hooks/<hook>` for each provider that tells of changes; its record reads the messages."""
    bp = Blueprint("hooks", __name__, url_prefix="/hooks")
    for hook in hooks():
        bp.add_url_rule(f"/{hook}", endpoint=hook, view_func=hear, methods=["POST"], defaults={"hook": hook})
    return [bp]


@csrf.exempt  # type: ignore[untyped-decorator]
@limiter.exempt  # all messages of a provider come from few addresses
def hear(hook: str) -> Response:
    """One message: its headers alone. 204 for whatever is not too large."""
    if (request.content_length or 0) > LARGEST:
        abort(413)
    outcome = _take(hooks()[hook].read(request.headers))
    settings = current_settings()
    with suppress(OSError):  # a full disk must not keep messages from being heard
        counts.count(settings.data, outcome)
    if outcome == "noted":
        doorbell.ring(drain=False)
    elif outcome not in ("coalesced", "confirmed") and (times := _ignored.count(outcome)):
        log.info("messages were ignored", hook=hook, reason=outcome, times=times)
    return Response(status=204)


@dataclass(frozen=True, slots=True)
class _Known:
    """What there is to know about a subscription and its calendar, read without a lock."""

    row_id: int
    calendar_id: int
    secret_hash: str
    resource_id: str
    is_trusted: bool
    is_over: bool
    notified_at: datetime | None
    read_begun_at: datetime | None


def _take(message: PushMessage) -> str:
    """What becomes of the message: one of `portal.sync.push.counts.OUTCOMES`."""
    if not _SUBSCRIPTION_ID.fullmatch(message.subscription_id):
        return "unknown"
    known = read_transaction(lambda session: _known(session, message.subscription_id))
    if known is None:
        return "unknown"
    if not hmac.compare_digest(token_hash(message.secret), known.secret_hash):
        return "wrong secret"
    if known.resource_id and message.resource_id != known.resource_id:
        return "wrong resource"
    if known.is_over:
        return "over"
    is_change = message.is_change
    if is_change is None:
        return "not understood"
    if known.is_trusted and not (is_change and not push_state.will_be_read(known.notified_at, known.read_begun_at)):
        return "coalesced"
    return transaction(lambda session: _note(session, known, message, is_change=is_change))


def _known(session: Session, subscription_id: str) -> _Known | None:
    row = session.execute(
        select(PushSubscription, Calendar.notified_at, Calendar.read_begun_at)
        .join(Calendar, Calendar.id == PushSubscription.calendar_id)
        .where(PushSubscription.subscription_id == subscription_id)
    ).first()
    if row is None:
        return None
    subscription = row.PushSubscription
    return _Known(
        row_id=subscription.id,
        calendar_id=subscription.calendar_id,
        secret_hash=subscription.secret_hash,
        resource_id=subscription.resource_id,
        is_trusted=subscription.confirmed_at is not None and subscription.doubted_at is None,
        is_over=_is_over(subscription, now=now_utc()),
        notified_at=row.notified_at,
        read_begun_at=row.read_begun_at,
    )


def _is_over(subscription: PushSubscription, *, now: datetime) -> bool:
    return subscription.ended_at is not None or (subscription.expires_at is not None and subscription.expires_at <= now)


def _note(session: Session, known: _Known, message: PushMessage, *, is_change: bool) -> str:
    """Any message shows that messages reach us; a change also wants a reading."""
    now = now_utc()
    is_news = push_state.note_change(session, known.calendar_id, now=now) if is_change else False
    subscription = session.get(PushSubscription, known.row_id, with_for_update=True, populate_existing=True)
    if subscription is None or _is_over(subscription, now=now):  # ended in the meantime; the reading does no harm
        return "over"
    subscription.heard_at, subscription.doubted_at = now, None
    if subscription.confirmed_at is None:
        _confirm(session, subscription, message, now=now)
    if is_change:
        return "noted" if is_news else "coalesced"
    return "confirmed"


def _confirm(session: Session, subscription: PushSubscription, message: PushMessage, *, now: datetime) -> None:
    """The first message. It also tells what the provider's answer would have told, should that have been lost."""
    if not push_state.is_live(session, subscription.calendar_id, now=now):
        calendar = session.get_one(Calendar, subscription.calendar_id)
        pushed = kind_of(calendar.connection.provider).push
        teller = pushed.name if pushed else "The provider"
        sentence = f"From now on {teller} tells of changes in “{calendar.name}” at once."
        ledger.write(session, "push", sentence, calendar_id=calendar.id, connection_id=calendar.connection_id)
    subscription.confirmed_at, subscription.problem = now, None
    subscription.resource_id = subscription.resource_id or message.resource_id
    subscription.expires_at = subscription.expires_at or message.expires_at
