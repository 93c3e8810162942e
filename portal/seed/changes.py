"""Setting what a seed file says otherwise, with a line about each change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portal.business.fields.base import declared
from portal.business.fields.service import QuestionFields, ServiceFields

_KEYS = {
    name: field.data_key
    for declaration in (ServiceFields, QuestionFields)
    for name, field in declared(declaration).items()
    if field.data_key
}
"""Columns that are called otherwise in a seed file."""


def set_values(row: Any, label: str, values: Mapping[str, Any], changes: list[str]) -> None:
    """Set what differs, and say so."""
    for name, value in values.items():
        old = getattr(row, name)
        if old != value:
            changes.append(f"{label}: {_KEYS.get(name, name)} {_shown(old)} -> {_shown(value)}")
            setattr(row, name, value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return str(value) if value not in ("", None) else "nothing"
