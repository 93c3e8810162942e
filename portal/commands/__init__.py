"""The commands of `lockstep`, thin: each reads its options, calls one function of the portal, and tells what came of it.

Modules import only click at the top and the portal inside of the functions, so that `lockstep --help` does not wait for it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from flask import Flask


@contextmanager
def instance() -> Iterator[Flask]:
    """The application of this instance with its context pushed and its database up to date. Raises Invalid when it is not."""
    from portal.app import create_app
    from portal.database import schema
    from portal.upkeep.adoption import settle

    app = create_app()
    with app.app_context():
        schema.require_current()
        settle()
        yield app


def say_json(value: Any) -> None:
    """Print `value` for a program; instants as ISO 8601."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def say_table(rows: Sequence[Mapping[str, Any]], *, empty: str) -> None:
    """Print rows with the same keys as a table for people, or the sentence `empty`."""
    if not rows:
        click.echo(empty)
        return
    texts = [[str(value) for value in row.values()] for row in rows]
    heads = [head.replace("_", " ") for head in rows[0]]
    widths = [max(len(line[i]) for line in [heads, *texts]) for i in range(len(heads))]
    for line in [heads, *texts]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def read_password(from_stdin: bool) -> str:
    """A password from standard input, or typed without being shown. Never an option: those are seen by everyone on the machine."""
    password: str = sys.stdin.readline().rstrip("\r\n") if from_stdin else click.prompt("Password", hide_input=True)
    if not password:
        raise click.UsageError("The password is empty.")
    return password
