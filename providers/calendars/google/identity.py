"""Who signed in: reads and checks the id token that came with the tokens (OpenID Connect Core 1.0, sections 2 and 3.1.3.7).

The token came straight from the token endpoint over TLS, so its signature need not be checked (3.1.3.7, point 6); all that it says must be
right. What a forger would need (no signature, a key of his own inside, an extension nobody knows) is refused. Called by `oauth`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc.errors import ExpiredTokenError, JoseError

from providers.errors import BadAnswer

LEEWAY = 120
"""Seconds by which the two clocks may differ."""
_OWN_KEYS = frozenset({"crit", "jwk", "jku", "x5u", "x5c"})


@dataclass(frozen=True, slots=True)
class Identity:
    """`subject` never changes and is never used again; the address may."""

    subject: str
    email: str


def identity_of(
    id_token: object, *, client_id: str, issuers: Collection[str], nonce: str, now: datetime, access_token: str
) -> Identity:
    """The account that an id token names. Raises BadAnswer when anything in it is not as it must be."""
    header, claims = _parts(id_token)
    if header.get("alg") != "RS256" or not _OWN_KEYS.isdisjoint(header):
        raise BadAnswer("Google's proof of who signed in is not signed as it should be.")
    _validate(header, claims, client_id=client_id, issuers=issuers, nonce=nonce, now=now, access_token=access_token)
    subject, email = claims.get("sub"), claims.get("email")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise BadAnswer("Google did not say who signed in.")
    if not isinstance(email, str) or "@" not in email or len(email) > 300 or not email.isprintable():
        raise BadAnswer("Google did not say which address the account has.")
    return Identity(subject, email)


def _parts(id_token: object) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        header, claims, signature = str(id_token).split(".")
        opened = json.loads(_decoded(header)), json.loads(_decoded(claims))
        if not all(isinstance(part, dict) for part in opened) or not _decoded(signature):
            raise ValueError
    except (ValueError, RecursionError):
        raise BadAnswer("Google's proof of who signed in could not be read.") from None
    return opened


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _validate(
    header: dict[str, Any],
    claims: dict[str, Any],
    *,
    client_id: str,
    issuers: Collection[str],
    nonce: str,
    now: datetime,
    access_token: str,
) -> None:
    options: dict[str, Any] = {
        "iss": {"essential": True, "values": list(issuers)},
        "aud": {"essential": True, "value": client_id},
    }
    told = {"nonce": nonce, "client_id": client_id, "access_token": access_token}
    try:
        CodeIDToken(claims, header, options, told).validate(int(now.timestamp()), LEEWAY)
    except ExpiredTokenError:
        raise BadAnswer(
            "Google's proof of who signed in is over already: the clock of this machine is wrong."
        ) from None
    except (JoseError, TypeError, ValueError):
        raise BadAnswer("Google's proof of who signed in is not meant for this portal.") from None
