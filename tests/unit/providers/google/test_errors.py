"""Google's table of errors: every row has its outcome, in both ways in which Google writes its reasons."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests

from providers.calendars.google.errors import (
    QUOTA_PAUSE,
    Declined,
    NotFound,
    Unclear,
    error_of,
    error_of_failure,
    refusal_of,
)
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


def body(reason: str, domain: str = "global", status: int = 403) -> bytes:
    item = {"domain": domain, "reason": reason, "message": "Bearer secret-token was here"}
    return json.dumps({"error": {"code": status, "message": "A message", "errors": [item]}}).encode()


def newer_body(reason: str, status: str = "PERMISSION_DENIED") -> bytes:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
    return json.dumps({"error": {"code": 403, "status": status, "details": [detail]}}).encode()


def error(status: int, text: bytes = b"", **headers: str) -> ProviderError:
    return error_of(refusal_of(status, headers, text))


ROWS: list[tuple[int, str, type[ProviderError]]] = [
    (400, "timeRangeEmpty", Declined),
    (400, "invalid", Declined),
    (401, "authError", AccessRevoked),
    (401, "push.webhookUrlUnauthorized", Misconfigured),
    (403, "rateLimitExceeded", Throttled),
    (403, "userRateLimitExceeded", Throttled),
    (403, "quotaExceeded", QuotaUsedUp),
    (403, "dailyLimitExceeded", QuotaUsedUp),
    (403, "insufficientPermissions", PermissionMissing),
    (403, "forbiddenForNonOrganizer", PermissionMissing),
    (403, "forbidden", PermissionMissing),
    (403, "accessNotConfigured", Misconfigured),
    (404, "notFound", NotFound),
    (405, "httpMethodNotAllowed", Declined),
    (408, "requestTimeout", Temporary),
    (409, "duplicate", Conflict),
    (410, "fullSyncRequired", SyncTokenExpired),
    (410, "updatedMinTooLongAgo", SyncTokenExpired),
    (410, "deleted", Gone),
    (412, "conditionNotMet", Conflict),
    (429, "rateLimitExceeded", Throttled),
    (429, "quotaExceeded", QuotaUsedUp),
    (500, "backendError", Temporary),
    (502, "", Temporary),
    (503, "backendError", Temporary),
    (504, "", Temporary),
    (302, "", Unclear),
]


@pytest.mark.parametrize(("status", "reason", "kind"), ROWS)
def test_every_row_has_its_outcome(status: int, reason: str, kind: type[ProviderError]) -> None:
    found = error(status, body(reason, status=status))
    assert type(found) is kind
    assert str(found).endswith(".")
    assert "secret-token" not in str(found)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("RATE_LIMIT_EXCEEDED", Throttled),
        ("SERVICE_DISABLED", Misconfigured),
        ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", PermissionMissing),
    ],
)
def test_reasons_are_understood_in_the_newer_form_too(reason: str, kind: type[ProviderError]) -> None:
    assert type(error(403, newer_body(reason))) is kind


def test_any_other_limit_of_use_is_a_request_to_come_less_often() -> None:
    assert type(error(403, body("somethingNew", domain="usageLimits"))) is Throttled
    assert type(error(403, json.dumps({"error": {"status": "RESOURCE_EXHAUSTED"}}).encode())) is Throttled
    assert type(error(429, b"no json")) is Throttled


@pytest.mark.parametrize(
    "text",
    [b"", b"<html>403</html>", b"[]", b"7", b'{"error": "invalid_grant"}', b'{"error": {"errors": "x", "details": 5}}',
     b'{"error": {"errors": [5, {"reason": null}]}}', b"\xff\xfe", b"[" * 100_000],
)  # fmt: skip
def test_a_refusal_without_a_readable_reason_still_counts(text: bytes) -> None:
    assert type(error(403, text)) is PermissionMissing
    assert type(error(404, text)) is NotFound
    assert type(error(503, text)) is Temporary


def test_a_reason_is_shown_only_when_it_is_a_code() -> None:
    assert "(notAllowed)" in str(error(403, body("notAllowed")))
    assert "<b>" not in str(error(403, body("<b>x")))


def test_what_each_person_is_told_to_do() -> None:
    assert "Refresh connection" in str(error(401, body("authError")))
    assert "tick all the boxes" in str(error(403, body("insufficientPermissions")))
    assert "enable it in the Google Cloud console" in str(error(403, body("accessNotConfigured", "usageLimits")))


def patience(found: ProviderError) -> Any:
    return getattr(found, "retry_after", "none")


def test_how_long_google_asks_us_to_wait() -> None:
    assert patience(error(429, body("rateLimitExceeded"), **{"Retry-After": "17"})) == 17
    assert patience(error(503, b"", **{"Retry-After": "9"})) == 9
    assert patience(error(503, b"", **{"Retry-After": "soon"})) is None
    assert patience(error(503, b"", **{"Retry-After": "99999999"})) == 86_400
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < patience(error(503, b"", **{"Retry-After": date})) <= 60
    assert patience(error(403, body("quotaExceeded"))) == QUOTA_PAUSE


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (requests.exceptions.ReadTimeout("x"), Temporary),
        (requests.exceptions.ConnectTimeout("x"), Temporary),
        (requests.exceptions.ConnectionError("x"), Temporary),
        (requests.exceptions.ChunkedEncodingError("x"), Temporary),
        (ConnectionResetError("x"), Temporary),
        (requests.exceptions.SSLError("x"), Misconfigured),
        (requests.exceptions.InvalidURL("Not allowed."), Misconfigured),
        (requests.exceptions.ContentDecodingError("x"), Unclear),
    ],
)
def test_a_request_without_an_answer(failure: Exception, kind: type[ProviderError]) -> None:
    assert type(error_of_failure(failure)) is kind


def test_what_is_our_fault_and_what_is_unclear_are_told_apart() -> None:
    """After the one nothing has happened, and nothing will; after the other a write may have, and a later try may help."""
    assert issubclass(Declined, BadAnswer)
    assert issubclass(Unclear, Temporary)
