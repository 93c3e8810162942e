"""Rows for every table of a database, whatever its revision: made from what the database says of itself, so that new tables are filled, too."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Date,
    Engine,
    Integer,
    Table,
    inspect,
    literal,
    literal_column,
    select,
)

from portal.backups.archive import tables_of
from portal.database.engine import Instant

Rows = dict[str, list[dict[str, Any]]]
EACH = 3
"""Rows of each table."""
MORNING = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)


def make_rows(connection: Connection) -> Rows:
    """`EACH` rows for every table, no column of them empty, that fit the keys and checks. SQLite tells its checks as they were written."""
    assert connection.dialect.name == "sqlite"
    tables = tables_of(connection)
    return {
        table.name: [_row(connection, table, number) for number in range(1, EACH + 1)] for table in tables.sorted_tables
    }


def fill(engine: Engine, rows: Rows) -> None:
    """Put the rows into a database of the revision for which they were made."""
    with engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
        for table in tables_of(connection).sorted_tables:
            connection.execute(table.delete())
            connection.execute(table.insert(), rows[table.name])


def read(engine: Engine) -> Rows:
    """All rows of all tables."""
    with engine.connect() as connection:
        return {table.name: _read(connection, table) for table in tables_of(connection).sorted_tables}


def _read(connection: Connection, table: Table) -> list[dict[str, Any]]:
    query = table.select().order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(query).mappings()]


def _row(connection: Connection, table: Table, number: int) -> dict[str, Any]:
    row = {column.name: _value(column, number) for column in table.columns}
    checks = [str(check["sqltext"]) for check in inspect(connection).get_check_constraints(table.name)]
    for check in sorted(checks, key=lambda check: len(_named(table, check)), reverse=True):
        _satisfy(connection, table, row, check, checks)
    return row


def _value(column: Column[Any], number: int) -> Any:
    if column.foreign_keys or (column.primary_key and isinstance(column.type, Integer)):
        return number if isinstance(column.type, Integer) else f"{number}"
    if isinstance(column.type, Boolean):
        return number % 2 == 0
    if isinstance(column.type, Integer):
        return 5 * number
    if isinstance(column.type, Instant):
        return MORNING + timedelta(days=number)
    if isinstance(column.type, Date):
        return date(2027, 3, number)
    if isinstance(column.type, JSON):
        return {"filled": number, "text": "é ✓ '"}
    return f"{number}-{column.name}é"[: getattr(column.type, "length", None) or 99]


def _satisfy(connection: Connection, table: Table, row: dict[str, Any], check: str, checks: list[str]) -> None:
    """Change the columns that a check names until it holds, and all others that name no more."""
    named = _named(table, check)
    together = " AND ".join(f"({other})" for other in checks if set(_named(table, other)) <= set(named))
    words = re.findall(r"'([^']*)'", check)
    tries = [words or [row[column.name], *_tries(column, row)] for column in named]
    for values in itertools.product(*tries):
        row.update(zip((column.name for column in named), values, strict=True))
        if _holds(connection, table, row, together):
            return
    raise AssertionError(f"No row of {table.name} fits {check}: teach tests/support/filling.py to make one.")


def _named(table: Table, check: str) -> list[Column[Any]]:
    return [column for column in table.columns if re.search(rf"\b{column.name}\b", check)]


def _tries(column: Column[Any], row: dict[str, Any]) -> list[Any]:
    if isinstance(column.type, Instant):
        return [row[column.name] + timedelta(hours=hours) for hours in (1, 2, 3)]
    return [5, 0, 1, 2, 10, 60, 600]


def _holds(connection: Connection, table: Table, row: dict[str, Any], check: str) -> bool:
    """As the database sees it: with the row's values under the names of the columns."""
    values = select(*(literal(row[column.name], column.type).label(column.name) for column in table.columns)).subquery()
    return connection.execute(select(literal_column(check)).select_from(values)).scalar() == 1
