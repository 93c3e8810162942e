"""`lockstep backup` and `lockstep restore`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from portal.commands import instance


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Write everything into FILE, the encryption keys included; may be done while Lockstep runs. Keep it as safe as a password."""
    from portal.backup import write_backup

    with instance() as app, _progress() as progress:
        count = write_backup(file, app.extensions["settings"], progress=progress)
    click.echo(f"{count} rows were written to {file}.")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(file: Path) -> None:
    """Put the backup FILE into an empty instance. Connections are paused until you resume them; nothing is mailed for the past."""
    from portal.app import create_app
    from portal.backup import restore_backup
    from portal.upgrade import bring_up_to_date
    from portal.vitals import require_stopped

    app = create_app()
    with app.app_context():
        for sentence in bring_up_to_date(app.extensions["settings"]):
            click.echo(sentence, err=True)
        require_stopped()
        with _progress() as progress:
            count = restore_backup(file, app.extensions["settings"], progress=progress)
    click.echo(
        f"{count} rows were restored. Start Lockstep and look at the bookings. Nothing leaves the portal until you adopt it (under Today, or with "
        "`lockstep adopt`) and resume the calendars on the integrations page."
    )


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A bar for people who watch; nothing when the output goes to a file."""
    from portal.extensions import db

    if not sys.stderr.isatty():
        yield lambda _table: None
        return
    with click.progressbar(length=len(db.metadata.sorted_tables), file=sys.stderr) as bar:
        yield lambda _table: bar.update(1)
