"""Numbers of rows and instants, as they come in addresses and buttons: what no row can have is not found, before a database is asked that
cannot hold it."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Flask
from sqlalchemy.exc import DataError
from werkzeug.routing import IntegerConverter

LARGEST = 2**31 - 1
"""PostgreSQL's integer, in which ids are kept."""
_OUT_OF_RANGE = "22003"


class RowIntegerConverter(IntegerConverter):
    """`<int:...>` in every route."""

    regex = "[0-9]{1,10}"

    def __init__(self, *args: object, **options: object) -> None:
        options.setdefault("max", LARGEST)
        super().__init__(*args, **options)  # type: ignore[arg-type]


def init_app(app: Flask) -> None:
    """Before any route is added."""
    app.url_map.converters["int"] = RowIntegerConverter


def is_too_large(error: BaseException) -> bool:
    """True when a database was given a number that it cannot hold: SQLite's driver refuses 2^63, PostgreSQL 2^31."""
    if isinstance(error, OverflowError):
        return "SQLite INTEGER" in str(error)
    return isinstance(error, DataError) and getattr(error.orig, "sqlstate", None) == _OUT_OF_RANGE


def instant_text(instant: datetime) -> str:
    """2026-12-03T09:30:00Z"""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_instant(text: str) -> datetime | None:
    """The instant of a button's value; None for anything that is not one."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant.astimezone(UTC) if instant.tzinfo and 2000 <= instant.year <= 2200 else None
