"""Google's own discovery document, as the judge of every request and every answer. Pure.

The document comes with google-api-python-client: schemas of all bodies, and for each method its path, parameters and scopes. Its schemas name no
required fields, so those that Google always sends stand here (`ALWAYS`), from recorded answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Any

from googleapiclient.discovery_cache import get_static_doc

Json = dict[str, Any]
Check = Callable[[Any, str, bool, list[str]], None]
"""(value, where it stands, may it be null, problems found so far)"""

ALWAYS: dict[str, frozenset[str]] = {
    "Event": frozenset(
        ["kind", "etag", "id", "status", "htmlLink", "created", "updated", "start", "end", "iCalUID", "sequence", "eventType", "creator", "organizer"]
    ),
    "Events": frozenset(["kind", "etag", "summary", "updated", "timeZone", "accessRole", "defaultReminders", "items"]),
    "CalendarList": frozenset(["kind", "etag", "items"]),
    "CalendarListEntry": frozenset(["kind", "etag", "id", "summary", "timeZone", "accessRole", "defaultReminders", "conferenceProperties"]),
    "Calendar": frozenset(["kind", "etag", "id", "summary", "timeZone", "conferenceProperties"]),
    "Channel": frozenset(["kind", "id", "resourceId", "resourceUri", "expiration"]),
    "Setting": frozenset(["kind", "etag", "id", "value"]),
    "FreeBusyResponse": frozenset(["kind", "timeMin", "timeMax", "calendars"]),
}  # fmt: skip
ALWAYS_WHEN_GONE = frozenset({"kind", "etag", "id", "status"})
"""All that is promised of a deleted event, or of a deleted entry of the list of calendars."""

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?")
_COMMON = frozenset({"alt", "fields", "key", "oauth_token", "prettyPrint", "quotaUser", "userIp"})


@cache
def document() -> Json:
    """The discovery document of Calendar v3."""
    found: Json = json.loads(get_static_doc("calendar", "v3"))
    return found


@dataclass(frozen=True, slots=True)
class Method:
    """One method: "events.list", its HTTP method and path, and what it takes and gives."""

    name: str
    http_method: str
    pattern: re.Pattern[str]
    parameters: Mapping[str, Json]
    request: str | None
    response: str | None
    scopes: frozenset[str]
    order: int = field(default=0)


@cache
def methods() -> tuple[Method, ...]:
    """All methods; those whose path has fewer holes come first, so that `events/import` is not taken for an event."""
    doc = document()
    found = [
        _method(f"{resource}.{name}", given)
        for resource, described in doc["resources"].items()
        for name, given in described["methods"].items()
    ]
    return tuple(sorted(found, key=lambda method: method.order))


def scopes() -> frozenset[str]:
    """All scopes of the Calendar API."""
    return frozenset(document()["auth"]["oauth2"]["scopes"])


def find_method(http_method: str, path: str) -> tuple[Method, dict[str, str]] | None:
    """The method behind a raw path below the service's root, with the still quoted holes of the path."""
    for method in methods():
        if method.http_method == http_method and (match := method.pattern.fullmatch(path)):
            return method, match.groupdict()
    return None


def read_parameters(method: Method, query: list[tuple[str, str]]) -> tuple[Json, list[str]]:
    """(typed values of the query, what is wrong with it)."""
    known = {**document()["parameters"], **method.parameters}
    values: Json = {}
    problems: list[str] = []
    for name, text in query:
        if name not in known or known[name]["location"] != "query":
            problems.append(f"Unknown parameter “{name}” of {method.name}.")
            continue
        value = _typed(known[name], text, name, problems)
        if known[name].get("repeated"):
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    required = [n for n, p in method.parameters.items() if p.get("required") and p["location"] == "query"]
    problems += [f"Missing parameter “{name}” of {method.name}." for name in required if name not in values]
    return values, problems


def problems_of(name: str, value: Any, *, nulls: bool = False) -> list[str]:
    """What in a body is not as the schema `name` says. `nulls` allows null anywhere, as requests may have it."""
    found: list[str] = []
    _schema(name)(value, name, nulls, found)
    return found


def missing_in(name: str, value: Json) -> list[str]:
    """Fields that Google always sends and that an answer lacks, also in the items of a list."""
    is_gone = value.get("status") == "cancelled" or bool(value.get("deleted"))
    wanted = ALWAYS.get(name, frozenset()) if not is_gone else ALWAYS_WHEN_GONE & ALWAYS.get(name, frozenset())
    missing = [f"{name} lacks “{field}”." for field in sorted(wanted - value.keys())]
    item = {"Events": "Event", "CalendarList": "CalendarListEntry", "Settings": "Setting"}.get(name)
    for part in value.get("items", []) if item else []:
        missing += missing_in(str(item), part)
    return missing


def _method(name: str, given: Json) -> Method:
    parts = re.split(r"\{(\w+)\}", given["path"])
    pattern = "".join(f"(?P<{part}>[^/]+)" if n % 2 else re.escape(part) for n, part in enumerate(parts))
    return Method(
        name=name,
        http_method=given["httpMethod"],
        pattern=re.compile(pattern),
        parameters=given.get("parameters", {}),
        request=given.get("request", {}).get("$ref"),
        response=given.get("response", {}).get("$ref"),
        scopes=frozenset(given["scopes"]),
        order=len(parts),
    )


def _typed(parameter: Json, text: str, name: str, problems: list[str]) -> Any:
    """The value of a query parameter; what is wrong with it goes to `problems`."""
    kind = parameter["type"]
    if "enum" in parameter and text not in parameter["enum"]:
        problems.append(f"Invalid value “{text}” of {name}.")
    if kind == "boolean":
        if text not in ("true", "false"):
            problems.append(f"Invalid boolean “{text}” of {name}.")
        return text == "true"
    if kind == "integer":
        if not re.fullmatch(r"-?\d{1,9}", text):
            problems.append(f"Invalid integer “{text}” of {name}.")
            return 0
        if not int(parameter.get("minimum", -(2**31))) <= int(text) <= int(parameter.get("maximum", 2**31)):
            problems.append(f"{name} is out of range.")
        return int(text)
    if parameter.get("format") == "date-time" and not _is_instant(text, offset=True):
        problems.append(f"{name} is not an RFC 3339 time with an offset.")
    return text


@cache
def _schema(name: str) -> Check:
    return _compiled(document()["schemas"][name])


def _compiled(schema: Json) -> Check:
    """A function that checks values against one schema; compiled, for lists hold thousands of events."""
    if "$ref" in schema:
        return lambda value, where, nulls, found: _schema(schema["$ref"])(value, where, nulls, found)
    kind = schema.get("type", "any")
    if kind == "any":
        return _anything
    if kind == "object":
        return _object_check(schema)
    if kind == "array":
        return _array_check(_compiled(schema["items"]))
    return _scalar_check(kind, schema.get("format", ""), frozenset(schema.get("enum", ())))


def _anything(value: Any, where: str, nulls: bool, found: list[str]) -> None:
    """Whatever it is, it will do."""


def _object_check(schema: Json) -> Check:
    fields = {name: _compiled(part) for name, part in schema.get("properties", {}).items()}
    others = _compiled(schema["additionalProperties"]) if "additionalProperties" in schema else None

    def check(value: Any, where: str, nulls: bool, found: list[str]) -> None:
        if not isinstance(value, dict):
            _unless_null(value, where, nulls, found, "an object")
            return
        for name, part in value.items():
            checked = fields.get(name) or others
            if checked is None:
                found.append(f"{where} has no field “{name}”.")
            else:
                checked(part, f"{where}.{name}", nulls, found)

    return check


def _array_check(item: Check) -> Check:
    def check(value: Any, where: str, nulls: bool, found: list[str]) -> None:
        if not isinstance(value, list):
            _unless_null(value, where, nulls, found, "a list")
            return
        for part in value:
            item(part, where, nulls, found)

    return check


def _scalar_check(kind: str, form: str, allowed: frozenset[str]) -> Check:
    is_right = _KINDS[kind]
    is_form = _FORMS.get(form)

    def check(value: Any, where: str, nulls: bool, found: list[str]) -> None:
        if not is_right(value):
            _unless_null(value, where, nulls, found, f"a {kind}")
        elif (is_form and not is_form(value)) or (allowed and value not in allowed):
            found.append(f"{where}: {value!r} is no {form or 'allowed value'}.")

    return check


def _unless_null(value: Any, where: str, nulls: bool, found: list[str], wanted: str) -> None:
    if not (nulls and value is None):
        found.append(f"{where} must be {wanted}.")


def _is_instant(text: str, *, offset: bool = False) -> bool:
    match = _INSTANT.fullmatch(text)
    if not match or (offset and not match[3]):
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


_FORMS: dict[str, Callable[[Any], bool]] = {
    "date-time": _is_instant,
    "date": _is_date,
    "int64": lambda text: re.fullmatch(r"-?\d{1,19}", text) is not None,
}
_KINDS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: type(value) is int and -(2**31) <= value < 2**31,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}
