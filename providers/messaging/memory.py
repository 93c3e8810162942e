"""An honest messenger in memory, for tests: keeps what it was given, and fails on request."""

from __future__ import annotations

from email.message import EmailMessage

from providers.errors import ProviderError
from providers.messaging.base import Delivery, MailDraft
from providers.messaging.mime import build_mime


class MemoryMessenger:
    """`sent` holds the messages that went out, oldest first."""

    def __init__(self) -> None:
        self.sent: list[EmailMessage] = []
        self._failures: list[ProviderError] = []

    def send(self, draft: MailDraft) -> Delivery:
        message = build_mime(draft)
        if self._failures:
            raise self._failures.pop(0)
        self.sent.append(message)
        return Delivery()

    def fail_next(self, error: ProviderError) -> None:
        """The next mail meets this error, and is not sent."""
        self._failures.append(error)
