"""Setting what a seed file says otherwise, with a line about each change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portal.seed.values import SEED_KEYS


def set_values(row: Any, label: str, values: Mapping[str, Any], changes: list[str]) -> None:
    """Set what differs, and say so."""
    for name, value in values.items():
        old = getattr(row, name)
        if old != value:
            changes.append(f"{label}: {SEED_KEYS.get(name, name)} {_shown(old)} -> {_shown(value)}")
            setattr(row, name, value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return str(value) if value not in ("", None) else "nothing"
