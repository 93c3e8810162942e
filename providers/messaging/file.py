"""Mails as `.eml` files in a folder: what happens until a mail server is set, so that nothing is lost and a newcomer can read them."""

from __future__ import annotations

import hashlib
import os
import re
from datetime import UTC
from pathlib import Path

from providers.messaging.base import Delivery, MailDraft, TemporaryDeliveryError
from providers.messaging.mime import build_mime, to_bytes


class FileMessenger:
    """Writes each mail into `folder`, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, draft: MailDraft) -> Delivery:
        """Write the mail whole or not at all. The same draft has the same name, so a repeat leaves one file."""
        content, name = to_bytes(build_mime(draft)), file_name(draft)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self.folder / name, content)
        except OSError as error:
            raise TemporaryDeliveryError(
                f"The mail could not be written to {self.folder}: {error.strerror}."
            ) from error
        return Delivery(file_name=name)


def file_name(draft: MailDraft) -> str:
    """Time, kind and a short digest: sorted by name is sorted by time."""
    stamp = draft.written_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")[:-3]
    kind = re.sub(r"[^a-z0-9]+", "-", draft.kind.lower())
    return f"{stamp}-{kind}-{hashlib.sha256(draft.message_key.encode()).hexdigest()[:8]}.eml"


def _write(path: Path, content: bytes) -> None:
    """Beside it first, then renamed: nobody sees half a mail, and a crash leaves none."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
