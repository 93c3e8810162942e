"""Numbers of rows, as they come in addresses: what no row can have is not found, before a database is asked that cannot hold it."""

from __future__ import annotations

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
