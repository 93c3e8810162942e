"""How many messages came to the notification hooks, and what became of them: for /metrics.

Kept in one small file that all processes of this machine share, and not in the database: whoever sends rubbish must not be able to keep it
writing. The counts are of no consequence, so a file that is lost or damaged begins at nought.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

OUTCOMES = ("noted", "coalesced", "confirmed", "unknown", "wrong secret", "wrong resource", "over", "not understood")
"""In the order in which they stand in the file: new ones go to the end."""
_NUMBER = struct.Struct("<Q")


def count(data: Path, outcome: str) -> None:
    """One more of these."""
    place = OUTCOMES.index(outcome) * _NUMBER.size
    descriptor = os.open(_path(data), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.pwrite(descriptor, _NUMBER.pack(_number(os.pread(descriptor, _NUMBER.size, place)) + 1), place)
    finally:
        os.close(descriptor)


def counts(data: Path) -> dict[str, int]:
    """All counts by outcome."""
    try:
        kept = _path(data).read_bytes()
    except FileNotFoundError:
        kept = b""
    size = _NUMBER.size
    return {outcome: _number(kept[n * size : (n + 1) * size]) for n, outcome in enumerate(OUTCOMES)}


def _number(kept: bytes) -> int:
    return int(_NUMBER.unpack(kept)[0]) if len(kept) == _NUMBER.size else 0


def _path(data: Path) -> Path:
    return data / "hook-counts"
