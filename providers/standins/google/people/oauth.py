"""Grants and tokens: what a person allowed a client, until she takes it back, it grows too old, or the token ends. Knows no HTTP.

One grant per account and client: revoking any of its tokens ends all of them. Sources: developers.google.com/identity/protocols/oauth2/web-server,
RFC 6749, RFC 7636.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from providers.standins.google.api import schema
from providers.standins.google.model import Account, World

Json = dict[str, Any]
CODE_LIFE = 600
TESTING_LIFE = 7 * 86_400
"""A consent screen that was left in "Testing" ends every grant after a week."""
UNUSED_LIFE = 180 * 86_400
MOST_REFRESH_TOKENS = 100
_EMAIL, _PROFILE = (f"https://www.googleapis.com/auth/userinfo.{name}" for name in ("email", "profile"))
SHORT = {"email": _EMAIL, "profile": _PROFILE}
"""Two scopes go by short names, and are told by their long ones."""
IDENTITY = frozenset({"openid", "email", "profile", _EMAIL, _PROFILE})
"""Nobody is asked about these with a box of its own."""
_CALENDAR = "https://www.googleapis.com/auth/calendar"
DEFAULT_SCOPES = ("openid", "email", f"{_CALENDAR}.events", f"{_CALENDAR}.calendarlist.readonly")


class TokenError(Exception):
    """What the token endpoint refuses, in the words of RFC 6749."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


@dataclass(slots=True)
class AccessToken:
    account: str
    scopes: frozenset[str]
    expires_at: float


@dataclass(slots=True)
class RefreshToken:
    scopes: frozenset[str]
    used_at: float
    replaces: str = ""


@dataclass(slots=True)
class Grant:
    """What one account allowed one client."""

    account: str
    client_id: str
    granted_at: float
    scopes: set[str] = field(default_factory=set)
    refresh: dict[str, RefreshToken] = field(default_factory=dict)
    access: dict[str, AccessToken] = field(default_factory=dict)
    had_refresh_token: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """What stands behind an authorization code."""

    account: str
    client_id: str
    redirect_address: str
    scopes: frozenset[str]
    challenge: str
    challenge_method: str
    nonce: str
    is_offline: bool
    is_consent_anew: bool
    expires_at: float


class Grants:
    """All grants. Thread-safe."""

    def __init__(self, world: World, signer: Any) -> None:
        self._world = world
        self._signer = signer
        self._lock = threading.RLock()
        self._grants: dict[tuple[str, str], Grant] = {}
        self._codes: dict[str, Code] = {}
        self._spent: dict[str, tuple[str, str]] = {}

    def known_scopes(self, account: str) -> frozenset[str]:
        """What this account allowed before."""
        with self._lock:
            grant = self._grants.get((account, self._world.client_id))
            return frozenset(grant.scopes) if grant else frozenset()

    def new_code(self, code: Code) -> str:
        name = f"4/0A{secrets.token_urlsafe(40)}"
        with self._lock:
            self._codes[name] = code
        return name

    def exchange(self, name: str, *, client_id: str, redirect_address: str, verifier: str) -> Json:
        """The tokens behind a code. Raises TokenError."""
        with self._lock:
            code = self._codes.pop(name, None)
            if code is None:
                if name in self._spent:  # a code that comes twice was stolen: its tokens end (RFC 6749, 4.1.2)
                    self._grants.pop(self._spent[name], None)
                raise TokenError("invalid_grant", "Malformed auth code.")
            if code.expires_at < time.time() or code.client_id != client_id:
                raise TokenError("invalid_grant", "Bad Request")
            if code.redirect_address != redirect_address:
                raise TokenError("redirect_uri_mismatch", "Bad Request")
            _check_verifier(code, verifier)
            self._spent[name] = (code.account, client_id)
            wants_refresh = code.is_offline
            return self.give(
                code.account, code.scopes, nonce=code.nonce, wants_refresh=wants_refresh, anew=code.is_consent_anew
            )  # fmt: skip

    def give(
        self, email: str, scopes: frozenset[str], *, nonce: str = "", wants_refresh: bool = True, anew: bool = True
    ) -> Json:
        """Tokens after a consent. A refresh token only for offline access, and only at the first consent or one asked anew."""
        with self._lock:
            key = (email, self._world.client_id)
            grant = self._grants.setdefault(key, Grant(email, self._world.client_id, time.time()))
            grant.scopes |= scopes
            if anew:
                grant.granted_at = time.time()
            token = self._new_access(grant, scopes)
            answer = self._token_answer(token, scopes)
            if wants_refresh and (anew or not grant.had_refresh_token):
                grant.had_refresh_token = True
                answer["refresh_token"] = self._new_refresh(grant, scopes)
            if "openid" in scopes:
                account = self._world.accounts[email]
                answer["id_token"] = self._id_token(account, scopes, nonce=nonce, access_token=token)
            return answer

    def refresh(self, name: str, *, client_id: str) -> Json:
        """A new access token. Raises TokenError."""
        with self._lock:
            grant = self._of_refresh(name)
            if grant is None or grant.client_id != client_id or self._is_over(grant, grant.refresh[name]):
                raise TokenError("invalid_grant", "Token has been expired or revoked.")
            old = grant.refresh[name]
            old.used_at = time.time()
            grant.refresh.pop(old.replaces, None)  # the first use of a new one ends the one before
            old.replaces = ""
            answer = self._token_answer(self._new_access(grant, old.scopes), old.scopes)
            if self._world.switches.rotates_refresh_tokens:
                answer["refresh_token"] = self._new_refresh(grant, old.scopes, replaces=name)
            if "openid" in old.scopes:
                account = self._world.accounts[grant.account]
                answer["id_token"] = self._id_token(account, old.scopes, nonce="", access_token=answer["access_token"])
            return answer

    def access(self, name: str) -> AccessToken | None:
        """The token, if it is good."""
        with self._lock:
            found = next((g.access[name] for g in self._grants.values() if name in g.access), None)
            return found if found and found.expires_at > time.time() else None

    def revoke(self, name: str) -> bool:
        """End the whole grant that a token, of either kind, belongs to. False for a token that is none."""
        with self._lock:
            for key, grant in list(self._grants.items()):
                if name in grant.access or name in grant.refresh:
                    del self._grants[key]
                    return True
            return False

    def revoke_all(self, email: str) -> None:
        """As the person herself does in her account."""
        with self._lock:
            self._grants.pop((email, self._world.client_id), None)

    def expire_access(self, email: str) -> None:
        with self._lock:
            for token in self._all_access(email):
                token.expires_at = 0.0

    def age(self, email: str, days: float) -> None:
        """Everything that was granted, so many days ago."""
        with self._lock:
            for grant in [g for g in self._grants.values() if g.account == email]:
                grant.granted_at -= days * 86_400
                for refresh in grant.refresh.values():
                    refresh.used_at -= days * 86_400
            for token in self._all_access(email):
                token.expires_at -= days * 86_400

    def state(self, email: str) -> Json:
        """For tests and for the person's page: what stands."""
        with self._lock:
            grant = self._grants.get((email, self._world.client_id))
            if grant is None:
                return {"granted": False, "scopes": [], "refresh_tokens": 0, "access_tokens": 0}
            live = [token for token in grant.access.values() if token.expires_at > time.time()]
            return {
                "granted": True, "scopes": sorted(grant.scopes), "granted_at": grant.granted_at,
                "refresh_tokens": len(grant.refresh), "access_tokens": len(live),
            }  # fmt: skip

    def _all_access(self, email: str) -> list[AccessToken]:
        return [token for g in self._grants.values() if g.account == email for token in g.access.values()]

    def _of_refresh(self, name: str) -> Grant | None:
        return next((grant for grant in self._grants.values() if name in grant.refresh), None)

    def _is_over(self, grant: Grant, token: RefreshToken) -> bool:
        now = time.time()
        is_too_old = self._world.switches.is_testing_mode and now - grant.granted_at >= TESTING_LIFE
        return is_too_old or now - token.used_at >= UNUSED_LIFE

    def _new_access(self, grant: Grant, scopes: frozenset[str]) -> str:
        name = f"ya29.{secrets.token_urlsafe(60)}"
        now = time.time()
        for old in [n for n, token in grant.access.items() if token.expires_at < now - 3600]:
            del grant.access[old]
        grant.access[name] = AccessToken(grant.account, scopes, now + self._world.switches.access_token_life)
        return name

    def _new_refresh(self, grant: Grant, scopes: frozenset[str], *, replaces: str = "") -> str:
        name = f"1//0{secrets.token_urlsafe(50)}"
        grant.refresh[name] = RefreshToken(scopes, time.time(), replaces)
        while len(grant.refresh) > MOST_REFRESH_TOKENS:  # the oldest ends in silence
            grant.refresh.pop(next(iter(grant.refresh)))
        return name

    def _token_answer(self, access_token: str, scopes: frozenset[str]) -> Json:
        return {
            "access_token": access_token,
            "expires_in": int(self._world.switches.access_token_life),
            "scope": " ".join(sorted(scopes)),
            "token_type": "Bearer",
        }

    def _id_token(self, account: Account, scopes: frozenset[str], *, nonce: str, access_token: str) -> str:
        now = int(time.time())
        claims = {
            "iss": "https://accounts.google.com",
            "azp": self._world.client_id,
            "aud": self._world.client_id,
            "sub": account.subject,
            **({"email": account.email, "email_verified": True} if _EMAIL in scopes else {}),
            "at_hash": _half_hash(access_token),
            **({"nonce": nonce} if nonce else {}),
            "iat": now,
            "exp": now + 3600,
        }
        signed: str = self._signer.sign(claims)
        return signed


def long_scopes(scopes: str) -> frozenset[str]:
    """Scopes as asked for, by their long names."""
    return frozenset(SHORT.get(scope, scope) for scope in scopes.split())


def unknown_scopes(scopes: frozenset[str]) -> frozenset[str]:
    """Those that nobody knows here."""
    return scopes - schema.scopes() - IDENTITY


def _check_verifier(code: Code, verifier: str) -> None:
    """Raises TokenError unless the verifier is the one behind the challenge (RFC 7636)."""
    if not code.challenge:
        return
    if not verifier:
        raise TokenError("invalid_grant", "Missing code verifier.")
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    expected = digest if code.challenge_method == "S256" else verifier
    if not secrets.compare_digest(expected, code.challenge):
        raise TokenError("invalid_grant", "Invalid code verifier.")


def _half_hash(token: str) -> str:
    digest = hashlib.sha256(token.encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")
