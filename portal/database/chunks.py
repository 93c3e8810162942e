"""Many rows or ids, a part at a time: databases take a limited number of parameters in one statement. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
MOST = 500
"""Builds of SQLite take no more than 999; a statement has some parameters besides."""


def in_chunks(rows: Sequence[T], most: int = MOST) -> Iterator[Sequence[T]]:
    """All of them in their order, at most so many at a time; nothing for none."""
    for first in range(0, len(rows), most):
        yield rows[first : first + most]
