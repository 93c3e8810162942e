"""Reads the mails that were kept as files because no mail server is set yet. Called by the mailbox pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from pathlib import Path

from portal.errors import NotFound

# As providers/messaging/file.py names them; no name that leads out of the folder fits.
# A link to a new password is for the eyes of its user alone: an admin who could read it would be the owner a minute later.
_NAME = re.compile(r"(\d{8}T\d{6}\d{3})-(?!reset-)[a-z0-9-]{1,40}-[0-9a-f]{8}\.eml")
_READER = policy.default
LARGEST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list."""

    name: str
    written_at: datetime
    subject: str
    recipient: str
    recipient_name: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole mail. `calendar` is the invitation, when there is one."""

    name: str
    written_at: datetime
    subject: str
    sender: str
    recipient: str
    message_id: str
    text: str
    html: str
    calendar: bytes | None


def list_mails(folder: Path, *, page: int = 1, size: int = 50) -> tuple[list[Listed], bool]:
    """One page of the mails, newest first, and whether there are older ones."""
    names = sorted((path.name for path in folder.glob("*.eml") if _NAME.fullmatch(path.name)), reverse=True)
    first = (page - 1) * size
    return [_listed(folder / name) for name in names[first : first + size]], len(names) > first + size


def read_mail(folder: Path, name: str) -> Kept:
    """Raises NotFound for a name that no mail has."""
    message = message_from_bytes(_content(folder, name), policy=_READER)
    return Kept(
        name=name,
        written_at=_written_at(name),
        subject=str(message["Subject"] or ""),
        sender=str(message["From"] or ""),
        recipient=str(message["To"] or ""),
        message_id=str(message["Message-ID"] or ""),
        text=_body(message, "plain"),
        html=_body(message, "html"),
        calendar=_calendar(message),
    )


def _listed(path: Path) -> Listed:
    with path.open("rb") as file:
        headers = BytesHeaderParser(policy=_READER).parse(file)
    name, address = parseaddr(str(headers["To"] or ""))
    return Listed(path.name, _written_at(path.name), str(headers["Subject"] or ""), address, name)


def _content(folder: Path, name: str) -> bytes:
    path = folder / name
    if not _NAME.fullmatch(name) or path.is_symlink() or not path.is_file():
        raise NotFound("There is no such mail. It may have been tidied away.")
    with path.open("rb") as file:
        return file.read(LARGEST_BYTES)


def _written_at(name: str) -> datetime:
    return datetime.strptime(name[:18] + "000", "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


def _calendar(message: EmailMessage) -> bytes | None:
    for part in message.iter_attachments():
        if part.get_content_type() == "application/ics":
            return bytes(part.get_payload(decode=True))
    return None
