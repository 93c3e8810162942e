"""A file that opens with a passphrase alone: for backups that are kept elsewhere, since those hold the keys beside the data.

A key is made of the passphrase by scrypt, which costs whoever guesses 128 MB and some tenths of a second for each try. The content is sealed in
pieces (AES-256-GCM), numbered, the last one marked: none can be changed, left out, or put elsewhere, and none is given out before
it proved whole. Nothing of the content's size is ever held in memory.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import struct
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from portal.errors import Invalid

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAGIC = b"lockstep sealed backup 1\n"
PIECE = 2**20
LEAST_LENGTH = 12
_COST = (17, 8, 1)
"""scrypt's n (as a power of two), r and p: 128 MB."""
_DEAREST = (20, 16, 4)
_HEAD = struct.Struct(">16sBBB16s")
_SALT, _TAG = 16, 16


class WrongPassphrase(Invalid):
    """Another passphrase sealed this file, or none was given."""


def is_sealed(path: Path) -> bool:
    """Whether the file was written with a passphrase."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def require_passphrase(passphrase: str) -> None:
    """Raises Invalid for one that is too short to be of use."""
    if len(passphrase) < LEAST_LENGTH:
        raise Invalid(f"The passphrase is too short: please use {LEAST_LENGTH} characters or more, such as five words.")


class SealedWriter(io.RawIOBase):
    """Seals what is written to `file`. Closing it writes the last piece, and leaves `file` open."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        require_passphrase(passphrase)
        salt = os.urandom(_SALT)
        key, proof = _keys(passphrase, salt, _COST)
        self._head = MAGIC + _HEAD.pack(salt, *_COST, proof)
        self._cipher = AESGCM(key)
        self._file = file
        self._number = 0
        self._rest = bytearray()
        file.write(self._head)

    def writable(self) -> bool:
        return True

    def write(self, content: ReadableBuffer, /) -> int:
        self._rest += memoryview(content)
        while len(self._rest) > PIECE:  # the last piece is never empty, unless all is
            self._seal(bytes(self._rest[:PIECE]), is_last=False)
            del self._rest[:PIECE]
        return memoryview(content).nbytes

    def close(self) -> None:
        if not self.closed:
            self._seal(bytes(self._rest), is_last=True)
            self._rest.clear()
        super().close()

    def _seal(self, piece: bytes, *, is_last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, is_last=is_last), piece, self._head))
        self._number += 1


def open_sealed(path: Path, passphrase: str | None) -> Iterator[bytes]:
    """The content, piece by piece. Raises WrongPassphrase before the first one, Invalid when the file is damaged."""
    with path.open("rb") as file:
        head = file.read(len(MAGIC) + _HEAD.size)
        cipher = AESGCM(_unlock(head, passphrase))
        number, piece = 0, file.read(PIECE + _TAG)
        while True:
            following = file.read(PIECE + _TAG)
            try:
                yield cipher.decrypt(_nonce(number, is_last=not following), piece, head)
            except (InvalidTag, ValueError):
                raise Invalid(f"{path} is damaged, or not complete. Nothing was changed.") from None
            if not following:
                return
            number, piece = number + 1, following


def verify(path: Path, passphrase: str | None) -> None:
    """Raises WrongPassphrase when the file is sealed with another one."""
    if is_sealed(path):
        with path.open("rb") as file:
            _unlock(file.read(len(MAGIC) + _HEAD.size), passphrase)


def _unlock(head: bytes, passphrase: str | None) -> bytes:
    if passphrase is None:
        raise WrongPassphrase(
            "This backup is sealed with a passphrase: please give it (--passphrase, or --passphrase-stdin)."
        )
    try:
        salt, *cost, proof = _HEAD.unpack(head[len(MAGIC) :])
    except struct.error:
        raise Invalid("This backup is damaged, or not complete. Nothing was changed.") from None
    if any(not 1 <= given <= most for given, most in zip(cost, _DEAREST, strict=True)):
        raise Invalid("This backup is damaged, or was made by a newer version. Nothing was changed.")
    key, expected = _keys(passphrase, salt, (cost[0], cost[1], cost[2]))
    if not hmac.compare_digest(proof, expected):
        raise WrongPassphrase("This is not the passphrase of this backup. Nothing was changed.")
    return key


def _keys(passphrase: str, salt: bytes, cost: tuple[int, int, int]) -> tuple[bytes, bytes]:
    """(key, what shows that the passphrase was right). The same letters count as the same, however a keyboard composed them."""
    log_n, r, p = cost
    text = unicodedata.normalize("NFC", passphrase).encode()
    both = Scrypt(salt=salt, length=64, n=2**log_n, r=r, p=p).derive(text)
    return both[:32], hashlib.sha256(both[32:] + bytes(cost)).digest()[:16]


def _nonce(number: int, *, is_last: bool) -> bytes:
    """Each file has a key of its own, so counting is enough."""
    return number.to_bytes(11, "big") + bytes([is_last])
