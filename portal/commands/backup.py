"""`lockstep backup` and `lockstep restore`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from portal.commands import instance

_ask = click.option("--passphrase", "is_asked", is_flag=True, help="Ask for the passphrase that seals FILE.")
_read = click.option("--passphrase-stdin", "is_read", is_flag=True, help="Read that passphrase from standard input.")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_ask
@_read
@click.option("--without-keys", is_flag=True, help="Leave the encryption keys out; keep them elsewhere yourself.")
def backup(file: Path, is_asked: bool, is_read: bool, without_keys: bool) -> None:
    """Write everything into FILE, the encryption keys included; may be done while Lockstep runs. Keep it as safe as a password, or seal it with a
    passphrase: without that nobody can read it, you neither."""
    from portal.backups.backup import write_backup
    from portal.backups.sealed_file import require_passphrase

    passphrase = _passphrase(is_asked, is_read, is_new=True)
    if passphrase is not None:
        require_passphrase(passphrase)
    with instance() as app, _progress() as progress:
        settings = app.extensions["settings"]
        count = write_backup(file, settings, passphrase=passphrase, with_keys=not without_keys, progress=progress)
    click.echo(f"{count} rows were written to {file}{', sealed with the passphrase' if passphrase else ''}.")
    if without_keys:
        click.echo(
            f"The keys are not in it. Keep {settings.data / 'keys'} (or ENCRYPTION_KEYS) in another place.", err=True
        )


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_ask
@_read
def restore(file: Path, is_asked: bool, is_read: bool) -> None:
    """Put the backup FILE into an empty instance. Connections are paused until you resume them; nothing is mailed for the past."""
    from portal.app import create_app
    from portal.backups.backup import restore_backup
    from portal.backups.sealed_file import is_sealed, verify
    from portal.backups.upgrade import bring_up_to_date
    from portal.database.engine import read_transaction
    from portal.upkeep.keys import unreadable
    from portal.upkeep.vitals import require_stopped

    passphrase = _passphrase(is_asked or (is_sealed(file) and sys.stdin.isatty()), is_read)
    verify(file, passphrase)
    app = create_app()
    with app.app_context():
        for sentence in bring_up_to_date(app.extensions["settings"]):
            click.echo(sentence, err=True)
        require_stopped()
        with _progress() as progress:
            count = restore_backup(file, app.extensions["settings"], passphrase=passphrase, progress=progress)
        locked = read_transaction(unreadable)
    for sentence in locked:
        click.echo(
            f"{sentence} Put the keys of the former instance into {app.extensions['settings'].data / 'keys'}.", err=True
        )
    click.echo(
        f"{count} rows were restored. Start Lockstep and look at the bookings. Nothing leaves the portal until you adopt it (under Today, or with "
        "`lockstep adopt`) and resume the calendars on the integrations page."
    )


def _passphrase(is_asked: bool, is_read: bool, *, is_new: bool = False) -> str | None:
    """None when the file is not sealed."""
    if is_read:
        return sys.stdin.readline().rstrip("\r\n")
    if is_asked:
        typed: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True)
        return typed
    return None


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A bar for people who watch; nothing when the output goes to a file."""
    from portal.extensions import db

    if not sys.stderr.isatty():
        yield lambda _table: None
        return
    with click.progressbar(length=len(db.metadata.sorted_tables), file=sys.stderr) as bar:
        yield lambda _table: bar.update(1)
