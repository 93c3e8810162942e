"""What is wrong with a value: a code, and what the sentence about it needs to know. Pure. Each place has its own sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from marshmallow import ValidationError

Path: TypeAlias = tuple[str | int, ...]
"""Keys and, in lists, indexes: ("service", 0, "reminders", 1)."""
NO_PLACE = "_schema"
"""marshmallow's name for what concerns a whole table."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`of` says what kind of thing it is, where the sentence depends on that: a number, a length of time."""

    code: str
    of: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def wrong(code: str, *, of: str = "", **details: Any) -> ValidationError:
    return ValidationError([Fault(code, of, details)])


def faults_of(error: ValidationError) -> list[tuple[Path, Fault]]:
    """All that is wrong, each with its place."""
    return list(_walk((), error.messages))


def _walk(path: Path, found: Any) -> Iterator[tuple[Path, Fault]]:
    if isinstance(found, dict):
        for key, inner in found.items():
            yield from _walk(path if key == NO_PLACE else (*path, key), inner)
    else:
        for fault in found if isinstance(found, list) else [found]:
            yield path, fault if isinstance(fault, Fault) else Fault(str(fault))


def value_at(document: Any, path: Path) -> Any:
    """What stands at this place; None where nothing does."""
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document
