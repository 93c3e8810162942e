"""`lockstep db ...`"""

from __future__ import annotations

import click


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
def upgrade() -> None:
    """Create or upgrade the tables, after a backup. Does nothing when they are up to date."""
    from portal.app import create_app
    from portal.backups.upgrade import bring_up_to_date
    from portal.database import schema

    app = create_app()
    with app.app_context():
        done = bring_up_to_date(app.extensions["settings"])
    for sentence in done or [f"The database is already up to date (revision {schema.newest()})."]:
        click.echo(sentence)
