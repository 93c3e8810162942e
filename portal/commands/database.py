"""`lockstep db ...`"""

from __future__ import annotations

import click


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
def upgrade() -> None:
    """Create or upgrade the tables. Does nothing when they are up to date."""
    from portal import schema
    from portal.app import create_app

    with create_app().app_context():
        changed = schema.upgrade()
        click.echo(f"The database is {'now' if changed else 'already'} up to date (revision {schema.newest()}).")
