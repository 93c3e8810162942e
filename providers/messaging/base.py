"""The contract of everything that carries a message to a person, and what can go wrong on the way. Pure.

A messenger takes one finished message and returns when it is out of our hands. It never repeats by itself: the portal's outbox does,
with the same `message_key`, so that a mail which arrives twice can be recognised as one.

The errors are leaves of the tree in `providers.errors`, so one decision covers calendars and messages:

::

    Temporary
    └── TemporaryDeliveryError    not now: this recipient or this mail has to wait; try again later
        └── MailServerDown            no mail at all leaves: the server is down, hangs, or its settings have to be mended first
    ProviderError
    └── DeliveryRefused           never in this form: no such recipient, message not wanted; retrying is of no use
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from providers.errors import ProviderError, Temporary


class TemporaryDeliveryError(Temporary):
    """The message could not be handed over now. `retry_after` is in seconds."""


class MailServerDown(TemporaryDeliveryError):
    """The mail server takes no mail from us, whoever it is for: there is no use in trying others at this moment."""


class DeliveryRefused(ProviderError):
    """This message will never be accepted. `str(error)` says why, in words for staff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailDraft:
    """One mail to one person, from `sender_name` at the address of `sender`, which is the envelope's, too.

    `message_key` becomes the left part of the Message-ID: the same news has the same key, however often it is sent. `sender` is "Name <address>";
    `reply_to` where answers go, if that is another address. `calendar` is a whole VCALENDAR and `calendar_method` its METHOD. `kind` is only for
    the file name. `stop_url` ends such mails, by a page for people and by a POST for mail programs (RFC 8058).
    """

    message_key: str
    kind: str
    sender: str
    sender_name: str = ""
    reply_to: str = ""
    recipient: str
    recipient_name: str = ""
    subject: str
    text: str
    html: str
    calendar: bytes | None = None
    calendar_method: str = ""
    stop_url: str = ""
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Proof that a message is out of our hands; `file_name` where it was written to a folder."""

    file_name: str = ""


class Messenger(Protocol):
    """Carries mails."""

    def send(self, draft: MailDraft) -> Delivery:
        """Hand one mail over. Raises TemporaryDeliveryError or DeliveryRefused, and nothing else."""
