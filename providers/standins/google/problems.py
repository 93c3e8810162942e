"""Google's refusals in Google's words. Pure. The table of `REASONS` is also what injected faults are made from.

Shapes and texts: developers.google.com/workspace/calendar/api/guides/errors, and answers of the real API quoted in public issue trackers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]


class Reason(NamedTuple):
    """What goes with a reason code: the usual status, its domain, its text."""

    status: int
    domain: str
    message: str


REASONS: dict[str, Reason] = {
    "accessNotConfigured": Reason(
        403, "usageLimits",
        "Google Calendar API has not been used in project 1 before or it is disabled. Enable it, then retry.",
    ),
    "authError": Reason(401, "global", "Invalid Credentials"),
    "backendError": Reason(503, "global", "Backend Error"),
    "badRequest": Reason(400, "global", "Bad Request"),
    "calendarUsageLimitsExceeded": Reason(403, "usageLimits", "Calendar usage limits exceeded."),
    "channelIdNotUnique": Reason(400, "global", "Channel id not unique"),
    "conditionNotMet": Reason(412, "global", "Precondition Failed"),
    "dailyLimitExceeded": Reason(403, "usageLimits", "Daily Limit Exceeded"),
    "deleted": Reason(410, "global", "Resource has been deleted"),
    "duplicate": Reason(409, "global", "The requested identifier already exists."),
    "forbidden": Reason(403, "global", "Forbidden"),
    "forbiddenForNonOrganizer": Reason(
        403, "calendar", "Shared properties can only be changed by the organizer of the event."
    ),
    "fullSyncRequired": Reason(410, "calendar", "Sync token is no longer valid, a full sync is required."),
    "insufficientPermissions": Reason(403, "global", "Insufficient Permission"),
    "internalError": Reason(500, "global", "Internal Error"),
    "invalid": Reason(400, "global", "Invalid Value"),
    "notFound": Reason(404, "global", "Not Found"),
    "quotaExceeded": Reason(403, "usageLimits", "Calendar usage limits exceeded."),
    "rateLimitExceeded": Reason(403, "usageLimits", "Rate Limit Exceeded"),
    "required": Reason(400, "global", "Required"),
    "requiredAccessLevel": Reason(403, "calendar", "You need to have writer access to this calendar."),
    "timeRangeEmpty": Reason(400, "calendar", "The specified time range is empty."),
    "updatedMinTooLongAgo": Reason(
        410, "calendar", "The requested minimum modification time lies too far in the past."
    ),
    "userRateLimitExceeded": Reason(403, "usageLimits", "User Rate Limit Exceeded"),
}  # fmt: skip
_PLAIN = {400: "badRequest", 401: "authError", 403: "forbidden", 404: "notFound", 409: "duplicate", 410: "deleted",
          412: "conditionNotMet", 429: "rateLimitExceeded", 500: "internalError", 503: "backendError"}  # fmt: skip


class Refused(Exception):
    """An answer with an error status. `location` is (type, name), such as ("parameter", "timeMax"). `is_violation` says
    that no well-made client would ever ask so: it is noted for the tests."""

    def __init__(
        self,
        reason: str,
        message: str = "",
        *,
        status: int | None = None,
        location: tuple[str, str] | None = None,
        is_violation: bool = False,
    ) -> None:
        known = REASONS.get(reason) or REASONS[_PLAIN.get(status or 400, "badRequest")]
        self.status = status or known.status
        self.reason = reason
        self.domain = known.domain
        self.message = message or known.message
        self.location = location
        self.is_violation = is_violation
        super().__init__(self.message)

    def body(self) -> Json:
        """The JSON that Google sends with it."""
        return envelope(self.status, self.reason, domain=self.domain, message=self.message, location=self.location)


def invalid(message: str, field: str = "") -> Refused:
    """400 about what the caller sent."""
    return Refused("invalid", message, location=("parameter", field) if field else None)


def violation(message: str) -> Refused:
    """400 for what the discovery document does not know."""
    return Refused("badRequest", message, is_violation=True)


def envelope(
    status: int, reason: str, *, domain: str = "global", message: str = "", location: tuple[str, str] | None = None
) -> Json:
    """Google's error envelope."""
    item = {"message": message, "domain": domain, "reason": reason}
    if location:
        item |= {"locationType": location[0], "location": location[1]}
    error: Json = {"errors": [item], "code": status, "message": message}
    if reason == "insufficientPermissions":
        # The one that the newer part of the house answers, in both styles.
        error |= {
            "message": "Request had insufficient authentication scopes.",
            "status": "PERMISSION_DENIED",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                    "domain": "googleapis.com",
                    "metadata": {"service": "calendar-json.googleapis.com"},
                }
            ],
        }
    return {"error": error}
