"""What Google's refusals mean in the words of `providers.errors`. Pure; called by `wire`, and by its users for the sentences.

The status code alone does not tell: 403 is a missing permission, a limit of the minute or one of the day, or an API that was never
switched on. The reason in the body goes first. Google writes it in two ways: `error.errors[].reason`, and in newer parts of the house
`error.status` with `error.details[].reason`. Table: developers.google.com/workspace/calendar/api/guides/errors.

=====================================================================  =========================================================
the answer                                                             our error
=====================================================================  =========================================================
400, whatever the reason                                               Declined: what we sent is wrong; no repeat will help
401 about the address for pushes                                       Misconfigured
401                                                                    AccessRevoked (after the wire has tried another token)
403, 429 rateLimitExceeded, userRateLimitExceeded and their kin        Throttled
403, 429 quotaExceeded, dailyLimitExceeded and their kin               QuotaUsedUp
403 accessNotConfigured, SERVICE_DISABLED                              Misconfigured: the API is off in the Google project
403 insufficientPermissions, ACCESS_TOKEN_SCOPE_INSUFFICIENT           PermissionMissing: a box was not ticked
403 forbiddenForNonOrganizer, and any other                            PermissionMissing
404                                                                    NotFound (a Gone): no such event, or no such calendar
408, 5xx                                                               Temporary
409, 412                                                               Conflict
410 fullSyncRequired, updatedMinTooLongAgo                             SyncTokenExpired
410                                                                    Gone
a web page, half an answer, something else                             Unclear (a Temporary): a write may have been carried out
=====================================================================  =========================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import requests

from providers.errors import (
    AccessRevoked,
    BadAnswer,
    Conflict,
    Gone,
    Misconfigured,
    PermissionMissing,
    ProviderError,
    QuotaUsedUp,
    SyncTokenExpired,
    Temporary,
    Throttled,
)

QUOTA_PAUSE = 3600.0
"""Seconds after a used-up quota. Google tells no time; limits of the day end at midnight in California."""

_MOST_PATIENCE = 86_400.0
_TOO_FAST = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "concurrentLimitExceeded", "servingLimitExceeded", "RATE_LIMIT_EXCEEDED"}
)  # fmt: skip
_TOO_MUCH = frozenset(
    {
        "quotaExceeded",
        "dailyLimitExceeded",
        "dailyLimitExceededUnreg",
        "variableTermLimitExceeded",
        "limitExceeded",
        "calendarUsageLimitsExceeded",
    }
)
_SWITCHED_OFF = frozenset({"accessNotConfigured", "SERVICE_DISABLED", "serviceDisabled"})
_SCOPES = frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "insufficientScopes"})
_START_AGAIN = frozenset({"fullSyncRequired", "updatedMinTooLongAgo"})
_BROKEN_LINES = (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)


class Refusal(NamedTuple):
    """What an answer with a status of 300 or more says. `reasons` are all of its reason codes, `domain` their family."""

    status: int
    reasons: frozenset[str] = frozenset()
    domain: str = ""
    retry_after: float | None = None

    @property
    def reason(self) -> str:
        """One reason for a sentence; only characters of a code, for it is shown to people."""
        named = sorted(reason for reason in self.reasons if reason.isascii() and reason.replace("_", "").isalnum())
        return named[0][:60] if named else f"status {self.status}"


class Declined(BadAnswer):
    """Google says that what we sent is wrong. It was not carried out, and a repeat would fare the same."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(
            f"Google did not accept what the portal sent ({refusal.reason}). This is a fault of the portal."
        )
        self.reasons = refusal.reasons


class Unclear(Temporary):
    """An answer that is none. What was asked for may have been done. Google itself gives none such, so what stands in between will pass."""


class NotFound(Gone):
    """404: there is no such event, or no such calendar. A 410 (a plain Gone) is sure that there was one."""


def refusal_of(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """The refusal in an answer, however little of it can be read. Never raises."""
    error = _error_in(body)
    listed = [item for item in _items(error.get("errors")) + _items(error.get("details")) if isinstance(item, dict)]
    reasons = {str(item["reason"]) for item in listed if item.get("reason")}
    reasons |= {"RATE_LIMIT_EXCEEDED"} if error.get("status") == "RESOURCE_EXHAUSTED" and not reasons else set()
    domain = next((str(item["domain"]) for item in listed if item.get("domain")), "")
    return Refusal(status, frozenset(reasons), domain, _retry_after(headers.get("Retry-After", "")))


def error_of(refusal: Refusal) -> ProviderError:
    """The error that a refusal means. `retry_after` of a Throttled is None where Google gave none."""
    status, reasons = refusal.status, refusal.reasons
    if status == 401:
        return _unauthorized(refusal)
    if status in (403, 429):
        return _forbidden(refusal)
    if status == 404:
        return NotFound("There is no such event in this Google calendar.")
    if status in (409, 412):
        return Conflict("The event was changed since it was last read.")
    if status == 410 and reasons & _START_AGAIN:
        return SyncTokenExpired("Google no longer knows our place in its list of changes.")
    if status == 410:
        return Gone("The event was deleted in Google Calendar.")
    if status == 408 or status >= 500:
        return Temporary(
            f"Google Calendar is out of order at the moment (status {status}).", retry_after=refusal.retry_after
        )
    if status < 400:
        return Unclear(f"Something on the way answers in place of Google (status {status}).")
    return Declined(refusal)


def error_of_failure(error: Exception) -> ProviderError:
    """The error that a request means which got no answer."""
    if isinstance(error, requests.exceptions.SSLError):
        return Misconfigured(
            "Google's certificate cannot be trusted here. Is a proxy reading along, or is the clock wrong?"
        )
    if isinstance(error, requests.exceptions.InvalidURL):
        return Misconfigured(str(error))  # the guarded session refuses addresses with a sentence meant for people
    if isinstance(error, requests.exceptions.Timeout):
        return Temporary("Google Calendar did not answer in time.")
    if getattr(error, "is_too_large", False):
        return Unclear("Google's answer is too large.")
    if isinstance(error, _BROKEN_LINES) or not isinstance(error, requests.exceptions.RequestException):
        return Temporary("Google Calendar could not be reached, or the connection broke.")
    return Unclear("Google's answer could not be read.")


def signed_out() -> AccessRevoked:
    """Google accepts no token of this connection any more."""
    return AccessRevoked("Google no longer accepts this connection. Please use “Refresh connection” to allow it again.")


def calendar_missing() -> Misconfigured:
    """The calendar itself is not there, which says nothing about its events."""
    return Misconfigured(
        "Google no longer shows this calendar to this account: it was deleted, or is no longer shared."
    )


def _unauthorized(refusal: Refusal) -> ProviderError:
    if any("webhook" in reason.lower() for reason in refusal.reasons):
        return Misconfigured(
            "Google does not send notices to this portal's address. The calendar is read at intervals."
        )
    return signed_out()


def _forbidden(refusal: Refusal) -> ProviderError:
    status, reasons = refusal.status, refusal.reasons
    if reasons & _TOO_MUCH:
        return QuotaUsedUp(
            "The limit of what may be asked of Google Calendar is used up for some hours.",
            retry_after=max(refusal.retry_after or 0.0, QUOTA_PAUSE),
        )
    if reasons & _SWITCHED_OFF:
        return Misconfigured(
            "The Google Calendar API is not switched on in the Google project of this portal. "
            "Its administrator can enable it in the Google Cloud console under “APIs & Services”."
        )
    if status == 429 or reasons & _TOO_FAST or refusal.domain == "usageLimits":
        return Throttled("Google asks us to come less often.", retry_after=refusal.retry_after)
    return PermissionMissing(_what_is_missing(refusal))


def _what_is_missing(refusal: Refusal) -> str:
    if refusal.reasons & _SCOPES:
        return (
            "This connection lacks a permission that was not ticked when it was made. "
            "Please use “Refresh connection” and tick all the boxes."
        )
    if "forbiddenForNonOrganizer" in refusal.reasons:
        return "Only the organizer of this event may change it."
    return f"Google does not allow this ({refusal.reason}). Perhaps the calendar may be read but not changed."


def _error_in(body: bytes) -> dict[str, Any]:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    read = read[0] if isinstance(read, list) and read else read
    error = read.get("error") if isinstance(read, dict) else None
    return error if isinstance(error, dict) else {}


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _retry_after(value: str) -> float | None:
    """Seconds, from a number or a date (RFC 9110 section 10.2.3)."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _MOST_PATIENCE)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((until - datetime.now(UTC)).total_seconds(), 0.0), _MOST_PATIENCE)
