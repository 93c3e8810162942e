"""Signs id tokens with a key of the process's own (RS256), and shows its public half as Google does."""

from __future__ import annotations

from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

Json = dict[str, Any]


class Signer:
    """One RSA key; it lives as long as the process."""

    def __init__(self) -> None:
        self._key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, private=True)
        self._key.ensure_kid()

    def sign(self, claims: Json) -> str:
        return jwt.encode({"alg": "RS256", "kid": self._key.kid, "typ": "JWT"}, claims, self._key)

    def public_keys(self) -> Json:
        """A JWK set."""
        keys: Any = KeySet([self._key]).as_dict(private=False)
        return {"keys": keys["keys"]}
