"""Rows in a zip, table by table, and back: what backups are made of. The tables are those of the models, or those that a database has.

The zip holds `about.json`, `tables/<name>.jsonl` (one row a line, in plain JSON) and `keys/<name>`; it is the same for both databases.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Connection, Date, DateTime, MetaData, Table, func, insert, select, text

from portal.database.engine import Instant
from portal.errors import Invalid

BATCH = 500
Progress = Callable[[str], None]


def tables_of(connection: Connection) -> MetaData:
    """The tables that this database has, whatever its revision: the models fit the newest one alone."""
    found = MetaData()
    found.reflect(connection)
    found.remove(found.tables["alembic_version"])
    for table in found.tables.values():
        for column in table.columns:
            if isinstance(column.type, DateTime):
                column.type = Instant()
            elif isinstance(column.type, JSON):
                column.type = JSON(none_as_null=bool(column.nullable))
    return found


def write_tables(
    connection: Connection, archive: zipfile.ZipFile, tables: MetaData, *, progress: Progress = lambda _: None
) -> int:
    """Write all rows; gives their number. The caller's transaction is the snapshot."""
    count = 0
    for table in tables.sorted_tables:
        progress(table.name)
        with archive.open(f"tables/{table.name}.jsonl", "w", force_zip64=True) as file:
            for line in _lines(connection, table):
                file.write(line)
                count += 1
    return count


def read_table(connection: Connection, archive: zipfile.ZipFile, table: Table) -> int:
    """Put the rows of one table back; gives their number. Raises Invalid when the backup lacks it."""
    name = f"tables/{table.name}.jsonl"
    if name not in archive.namelist():
        raise Invalid(f"The backup is not complete: {name} is missing.")
    count, rows = 0, []
    with archive.open(name) as file:
        for line in file:
            rows.append(_row(table, json.loads(line)))
            count += 1
            if len(rows) == BATCH:
                connection.execute(insert(table), rows)
                rows = []
    if rows:
        connection.execute(insert(table), rows)
    _continue_numbers(connection, table)
    return count


def _lines(connection: Connection, table: Table) -> Iterator[bytes]:
    rows = connection.execution_options(yield_per=BATCH).execute(select(table)).mappings()
    for row in rows:
        yield json.dumps(dict(row), ensure_ascii=False, default=_plain).encode() + b"\n"


def _plain(value: Any) -> str:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a backup yet")


def _row(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no instants and no dates."""
    for name, value in values.items():
        kind = table.c[name].type
        if isinstance(kind, Instant) and value is not None:
            values[name] = datetime.fromisoformat(value)
        elif isinstance(kind, Date) and value is not None:
            values[name] = date.fromisoformat(value)
    return values


def _continue_numbers(connection: Connection, table: Table) -> None:
    """PostgreSQL counts ids apart from the rows: go on after the highest."""
    if connection.dialect.name != "postgresql" or "id" not in table.c:
        return
    sequence = connection.execute(
        text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": f'"{table.name}"'}
    ).scalar()
    highest = connection.execute(select(func.max(table.c.id))).scalar()
    if sequence and highest:
        connection.execute(text("SELECT setval(CAST(:name AS regclass), :value)"), {"name": sequence, "value": highest})
