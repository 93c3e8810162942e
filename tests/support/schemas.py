"""Compares JSON with the small part of JSON Schema that the API's description uses. A word that it does not know fails, lest it be passed over."""

from __future__ import annotations

import re
from typing import Any

_TYPES = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}
_IGNORED = {"description", "examples", "format", "default"}
_KNOWN = {
    "type",
    "enum",
    "minimum",
    "maximum",
    "maxLength",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "maxItems",
    "pattern",
} | _IGNORED


def mismatches(value: Any, schema: dict[str, Any], named: dict[str, Any], *, where: str) -> list[str]:
    """What in `value` is not as `schema` says; `named` holds the schemas that `$ref` points to."""
    if "$ref" in schema:
        return mismatches(value, named[schema["$ref"].rpartition("/")[2]], named, where=where)
    assert set(schema) <= _KNOWN, f"{where}: cannot check {set(schema) - _KNOWN}"
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(value, name) for name in types):
        return [f"{where} is {value!r}, not {types}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where} is {value!r}, not one of {schema['enum']}")
    if "minimum" in schema and value is not None and value < schema["minimum"]:
        found.append(f"{where} is {value!r}, below {schema['minimum']}")
    if "maximum" in schema and value is not None and value > schema["maximum"]:
        found.append(f"{where} is {value!r}, above {schema['maximum']}")
    if "maxLength" in schema and value is not None and len(value) > schema["maxLength"]:
        found.append(f"{where} is longer than {schema['maxLength']}")
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        found.append(f"{where} has more than {schema['maxItems']} items")
    if schema.get("format") == "date-time" and value and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value):
        found.append(f"{where} is {value!r}, which is no instant in UTC")
    if isinstance(value, dict):
        found += _object_mismatches(value, schema, named, where=where)
    if isinstance(value, list):
        for number, item in enumerate(value):
            found += mismatches(item, schema["items"], named, where=f"{where}[{number}]")
    return found


def _object_mismatches(
    value: dict[str, Any], schema: dict[str, Any], named: dict[str, Any], *, where: str
) -> list[str]:
    properties, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    found = [f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, item in value.items():
        if name in properties:
            found += mismatches(item, properties[name], named, where=f"{where}.{name}")
        elif rest is False:
            found.append(f"{where}.{name} is not described")
        elif isinstance(rest, dict):
            found += mismatches(item, rest, named, where=f"{where}.{name}")
    return found


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and not (name in ("integer", "number") and isinstance(value, bool))
