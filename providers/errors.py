"""What can go wrong at an outside system, in our words. Pure.

::

    ProviderError
    ├── Temporary            try again later; `retry_after` seconds when the server said so
    │   └── Throttled            too many requests: slow the whole account down
    │       └── QuotaUsedUp          used up for hours: leave the account alone, and say so
    ├── OwnerMustAct         a person has to do something; retrying alone is of no use
    │   ├── AccessRevoked        password or token no longer accepted
    │   ├── PermissionMissing    signed in, but not allowed to do this
    │   └── Misconfigured        that address is no calendar server, or no longer holds the calendar
    ├── Gone                 the object is not there (for a delete this is success)
    ├── Conflict             the object changed since we read it; `current` holds it when it could be read
    ├── SyncTokenExpired     the change feed must start again without a token
    └── BadAnswer            the server answered something that makes no sense

`portal.worker.jobs.classify` is the one place that decides what follows from each of them.
`str(error)` is a sentence for people; it never holds a secret nor a server's raw body.
"""

from __future__ import annotations


class ProviderError(Exception):
    """Base of all errors that a provider may raise."""


class Temporary(ProviderError):
    """The server is down, slow, busy or unreachable. `retry_after` is in seconds.

    `is_refusal`: it answered at once that it fails, which may concern this very request alone.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, is_refusal: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.is_refusal = is_refusal


class Throttled(Temporary):
    """The account asked too much in too short a time. `retry_after` is at least what the server asked for."""


class QuotaUsedUp(Throttled):
    """No more today, or for hours: the daily limit of the project is reached."""


class OwnerMustAct(ProviderError):
    """Only a person can mend this: shown on the integrations page and mailed."""


class AccessRevoked(OwnerMustAct):
    """The credentials are no longer accepted (HTTP 401, `invalid_grant`)."""


class PermissionMissing(OwnerMustAct):
    """The credentials are good, but this is not allowed (read-only calendar, missing scope)."""


class Misconfigured(OwnerMustAct):
    """The address leads to no calendar server, or the chosen calendar does not exist there any more."""


class Gone(ProviderError):
    """There is no such object."""


class Conflict(ProviderError):
    """A conditional write was refused, because the object is not as we knew it."""

    def __init__(self, message: str, *, current: object | None = None) -> None:
        super().__init__(message)
        self.current = current


class SyncTokenExpired(ProviderError):
    """The server no longer knows our place in its change feed."""


class BadAnswer(ProviderError):
    """An answer outside the protocol: a login page with status 200, truncated XML, a wrong type."""
