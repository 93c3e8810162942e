"""Random tokens stored as hashes, encryption of what must be read again, and the keys for both.

Sealed values are AES-256-GCM with the place where they stand (table, row, column) as associated data: a ciphertext copied to another row
does not open. Several keys may be given; the first seals, all open, `lockstep keys rotate` re-seals.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from portal.config import Settings
from portal.errors import Invalid


def new_token() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What the database keeps of a token. Tokens are random, so a plain SHA-256 does."""
    return hashlib.sha256(token.encode()).hexdigest()


def keyed_hash(secret_key: str, text: str) -> str:
    """A digest of what could be guessed, such as an address: without the key nobody can try through what it was made of."""
    return hmac.new(secret_key.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


class Sealer:
    """Seals and opens small texts. Raises Invalid when a value does not open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise Invalid("ENCRYPTION_KEYS must hold keys of 32 bytes in base64, separated by commas.")
        self._keys = {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}
        self._first = hashlib.sha256(keys[0]).hexdigest()[:8]

    def seal(self, text: str, *, place: str) -> str:
        """`key id . base64(nonce + ciphertext)`; `place` is "table/row/column"."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(12)
        box = AESGCM(self._keys[self._first]).encrypt(nonce, text.encode(), place.encode())
        return f"{self._first}.{base64.urlsafe_b64encode(nonce + box).decode()}"

    def open(self, sealed: str, *, place: str) -> str:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key_id, _, body = sealed.partition(".")
        key = self._keys.get(key_id)
        if key is None:
            raise Invalid("A stored credential was encrypted with a key that is not in ENCRYPTION_KEYS any more.")
        raw = base64.urlsafe_b64decode(body)
        try:
            return AESGCM(key).decrypt(raw[:12], raw[12:], place.encode()).decode()
        except InvalidTag:
            raise Invalid("A stored credential does not open: it was altered, or copied from elsewhere.") from None

    def is_current(self, sealed: str) -> bool:
        """True when the newest key sealed it."""
        return sealed.startswith(f"{self._first}.")


def load_sealer(settings: Settings) -> Sealer:
    """The sealer of this instance; makes and keeps a key under the data folder when none is set."""
    text = settings.encryption_keys or _kept(settings.data / "keys" / "encryption", new_encryption_key)
    try:
        return Sealer([base64.b64decode(part, altchars=b"-_", validate=True) for part in text.split(",") if part])
    except ValueError:
        raise Invalid("ENCRYPTION_KEYS must hold keys of 32 bytes in base64, separated by commas.") from None


def load_secret_key(settings: Settings) -> str:
    """The key that signs sessions; made and kept under the data folder when not set."""
    return settings.secret_key or _kept(settings.data / "keys" / "secret", new_token)


def new_encryption_key() -> str:
    """32 random bytes in base64, as ENCRYPTION_KEYS takes them."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The text of `path`, made with mode 600 when it is not there; two processes starting at once agree."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(make(), encoding="ascii")
        with contextlib.suppress(FileExistsError):  # another process was first: its key counts
            os.link(draft, path)
        draft.unlink()
    return path.read_text(encoding="ascii").strip()
