"""What a CalDAV server's refusals mean in the words of `providers.errors`. Called by all `caldav_*` modules.

The status code alone does not tell: the same condition comes as 403, 409 or 412, and 412 also means three things. So
the precondition element in the body goes first (RFC 4918 section 16, RFC 4791 section 5.3.2, RFC 6578 section 3.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
from caldav.lib.error import parse_retry_after

from providers.errors import (
    AccessRevoked,
    BadAnswer,
    Conflict,
    Gone,
    Misconfigured,
    PermissionMissing,
    ProviderError,
    Temporary,
)

if TYPE_CHECKING:
    from providers.calendars.caldav.wire import DavAnswer

_CALDAV = "{urn:ietf:params:xml:ns:caldav}"
UID_TAKEN = frozenset({f"{_CALDAV}no-uid-conflict", f"{_CALDAV}unique-scheduling-object-resource"})
_BROKEN_LINES = (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)
_BAD_DATA = frozenset(
    {
        f"{_CALDAV}valid-calendar-data",
        f"{_CALDAV}valid-calendar-object-resource",
        f"{_CALDAV}supported-calendar-data",
        f"{_CALDAV}supported-calendar-component",
        f"{_CALDAV}max-resource-size",
        f"{_CALDAV}min-date-time",
        f"{_CALDAV}max-date-time",
    }
)


class AnswerTooLarge(BadAnswer):
    """The answer is larger than was asked for; asking for less may help. `partial` is what was read of it."""

    partial: object = None


def error_of(answer: DavAnswer) -> ProviderError:
    """The error that an answer means which is not the one hoped for."""
    status = answer.status
    if answer.preconditions & UID_TAKEN:
        return Conflict("Another entry of this calendar account already has this identity.")
    if answer.preconditions & _BAD_DATA:
        return BadAnswer("The server does not accept the event as we wrote it.")
    if status == 401:
        return AccessRevoked(_signed_out(answer.url))
    if "{DAV:}quota-not-exceeded" in answer.preconditions or status == 507:
        return PermissionMissing("The calendar server has no space left for this account.")
    if status in (402, 403):
        return PermissionMissing("The server does not allow this. Perhaps the calendar may be read but not changed.")
    if status in (404, 410):
        return Gone("There is nothing at this address any more.")
    if status in (409, 412):
        return Conflict("The entry was changed since it was last read.")
    if status in (405, 415, 421, 501):
        return Misconfigured("This address does not lead to a calendar.")
    if status in (408, 423, 425, 429) or status >= 500:
        return Temporary(_out_of_order(status), retry_after=_retry_after(answer), is_refusal=status in (423, 500))
    return BadAnswer(f"The server's answer makes no sense here (status {status}).")


def error_of_failure(error: Exception, url: str) -> ProviderError:
    """The error that a request means which got no answer."""
    host = urlsplit(url).hostname
    if isinstance(error, requests.exceptions.SSLError):
        return Misconfigured(f"{host} shows no certificate that can be trusted.")
    if isinstance(error, requests.exceptions.InvalidURL):
        # The guarded session refuses addresses with a sentence meant for people.
        return Misconfigured(str(error))
    if isinstance(error, requests.exceptions.Timeout):
        return Temporary(f"{host} did not answer in time.")
    if getattr(error, "is_too_large", False):
        return AnswerTooLarge(
            f"{host} gives a larger answer than is read here. If the calendar is very large, please use a smaller one."
        )
    if isinstance(error, _BROKEN_LINES) or not isinstance(error, requests.exceptions.RequestException):
        return Temporary(f"{host} could not be reached, or the connection broke.")
    return BadAnswer(f"The answer of {host} could not be read.")


def _signed_out(url: str) -> str:
    if str(urlsplit(url).hostname).endswith((".icloud.com", ".me.com")):
        return (
            "Apple does not accept this sign-in. It wants your Apple account's e-mail address and an app-specific "
            "password, made at account.apple.com; all of them end when the account's password is changed."
        )
    return "The server no longer accepts this user name and password. Perhaps it wants an app password."


def _out_of_order(status: int) -> str:
    if status == 429:
        return "The server asks us to come less often."
    return f"The calendar server is out of order at the moment (status {status})."


def _retry_after(answer: DavAnswer) -> float | None:
    value = answer.headers.get("Retry-After")
    seconds = parse_retry_after(value) if value else None
    return None if seconds is None else min(max(seconds, 0.0), 86_400.0)
