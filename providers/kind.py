"""What differs from one kind of calendar provider to another, as one record: how it is called, how people sign in, what it can do. Pure.

The records stand in `providers.kinds`. What is heavy (a provider's class, its sign-in) is named as `module:name` and loaded when it is first used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol

from providers.errors import AccessRevoked, BadAnswer, Misconfigured, PermissionMissing, Temporary

if TYPE_CHECKING:
    from providers.calendars.base import AccessTokens, CalendarProvider

Advice = tuple[tuple[type[Exception], str], ...]
ADVICE_BY_CONSENT: Advice = (
    (AccessRevoked, "Nothing was stored; please begin connecting again."),
    (
        PermissionMissing,
        "This calendar may belong to somebody else who shares it only in part. Leave it out, or ask its owner.",
    ),
    (Misconfigured, "Nothing was stored."),
    (Temporary, "Nothing was stored; please try again in a minute."),
    (BadAnswer, "Nothing was stored; please try again in a minute."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """The portal as a provider knows it: its OAuth client there, and where to ask."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_url: str
    auth_url: str
    token_url: str
    revoke_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What opens the account. `refresh_token` is the one to use from now on, be it new or the old one."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a person consented to. `subject` is the account's lasting id, `email` its present address."""

    subject: str
    email: str
    scopes: tuple[str, ...]
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime


class SignIn(Protocol):
    """The sign-in at a provider: a module with these functions. They raise the errors of `providers.errors`, and keep nothing."""

    def consent_url(self, client: OAuthClient, *, state: str, verifier: str, nonce: str, login_hint: str = "") -> str:
        """Where the browser is sent."""

    def exchange(
        self, client: OAuthClient, http_session: Any, *, code: str, verifier: str, nonce: str, now: datetime
    ) -> Grant:
        """The grant behind a code."""

    def refresh(self, client: OAuthClient, http_session: Any, *, refresh_token: str, now: datetime) -> Tokens:
        """A new access token, and perhaps a new refresh token in place of the old one."""

    def revoke(self, client: OAuthClient, http_session: Any, *, token: str) -> None:
        """End the whole grant that this token belongs to."""

    def missing_scopes(self, scopes: Collection[str]) -> tuple[str, ...]:
        """Which permissions that the portal needs were not granted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyEnd:
    """Grants that end by themselves at an age between these two: then `sentence` says why, and what to do."""

    shortest: timedelta
    longest: timedelta
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Names of the portal's settings. The kind can be used when the first two are set; one that is left empty is not there."""

    client_id: str
    client_secret: str
    api_url: str
    auth_url: str
    token_url: str = ""
    revoke_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Signing in by consent at the provider's own page.

    `permissions`: scope -> what that page calls it, and what the portal needs it for. `allows`: scope -> what somebody allowed with it.
    `refusals`: the provider's word for a refusal -> why. `identity_scopes` are asked for as well.
    """

    module: str
    settings: Settings
    permissions: Mapping[str, tuple[str, str]]
    allows: Mapping[str, str] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)
    identity_scopes: tuple[str, ...] = ("openid", "email")
    early_end: EarlyEnd | None = None

    def sign_in(self) -> SignIn:
        """Loaded when it is used."""
        module: SignIn = resolve_name(self.module)
        return module


@dataclass(frozen=True, slots=True, kw_only=True)
class PushMessage:
    """One message as its headers tell. `is_change` is None for one that is not understood; `expires_at` is when the subscription ends, as the
    provider sees it."""

    subscription_id: str
    secret: str
    resource_id: str
    is_change: bool | None
    expires_at: datetime | None


class Headers(Protocol):
    """Headers of a request, whatever their case."""

    def get(self, key: str, default: str, /) -> str: ...


class ReadMessage(Protocol):
    def __call__(self, headers: Headers) -> PushMessage: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """`name` is who tells of changes. The messages come to `/hooks/<hook>`; `reads` turns the headers of one into a PushMessage."""

    name: str
    hook: str
    reads: str

    def read(self, headers: Headers) -> PushMessage:
        """What a message says."""
        read: ReadMessage = resolve_name(self.reads)
        return read(headers)


class OpenAccount(Protocol):
    """A provider for one account. `account` is what may be shown (url, username), `secret` what may not (password).

    `http_session` is a guarded `requests.Session`; the provider makes every call through it. `tokens` and `api_url` (root of
    the API) are for providers with OAuth.
    """

    def __call__(
        self,
        *,
        account: Mapping[str, str],
        secret: Mapping[str, str],
        http_session: Any,
        tokens: AccessTokens | None,
        api_url: str,
    ) -> CalendarProvider: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of provider. `server` is who accepts a sign-in, in the middle of a sentence.

    `meeting_name` is set where its calendars make links to video meetings under a name that services can promise.
    """

    name: str
    label: str
    opens: str
    server: str = "the server"
    consent: Consent | None = None
    push: Push | None = None
    makes_meetings: bool = False
    meeting_name: str = ""
    has_worldwide_ids: bool = True
    asks_network: bool = True
    may_be_seeded: bool = False
    advice: Advice = ()
    stand_in: str = ""
    """The module that plays its part where it is not at hand."""

    @property
    def has_password(self) -> bool:
        return self.consent is None
