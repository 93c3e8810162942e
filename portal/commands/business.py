"""`lockstep seed`, `export` and `import`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from portal import doorbell
from portal.commands import instance, say_json

_json = click.option("--json", "as_json", is_flag=True, help="Answer for a program.")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_json
def seed(file: Path, as_json: bool) -> None:
    """Load the business in FILE (TOML). Run it again after editing: it changes what differs, all of it or nothing, and says what."""
    from portal.calendars.meeting_gaps import gaps
    from portal.database.engine import read_transaction
    from portal.errors import Invalid
    from portal.seed.load import load

    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"{file.name} is not a text in UTF-8 (byte {error.start}).") from None
    with instance():
        changes = load(text, name=file.name, environ=os.environ)
        warnings = read_transaction(gaps)
        _ring()
    if as_json:
        say_json({"changes": changes, "warnings": warnings})
        return
    click.echo("\n".join(changes) if changes else "Nothing differs.")
    for warning in warnings:
        click.echo(f"Note: {warning}", err=True)


import_ = click.Command(
    "import", callback=seed.callback, params=list(seed.params), help="The same as `seed`: load the business in FILE."
)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
def export(file: Path) -> None:
    """Write the business into FILE (TOML; - for the console), as `seed` reads it. Passwords stay here: it names environment variables instead."""
    from portal.database.engine import read_transaction
    from portal.seed import load as seeding

    with instance():
        text = read_transaction(seeding.export)
    if str(file) == "-":
        click.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")
        click.echo(f"The business was written to {file}.")


def _ring() -> None:
    """New calendars are read at once when a worker listens."""

    doorbell.ring()
