"""Alembic's environment: runs the migrations of the current app's database. Called by Flask-Migrate (`lockstep db upgrade`)."""

from typing import Literal

from alembic import context
from flask import current_app

from portal.db import Instant
from portal.extensions import db


def render_item(kind: str, item: object, _autogen_context: object) -> str | Literal[False]:
    """Migrations name plain SQL types, so that an old one keeps working when our own types change."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    return False


def run() -> None:
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect().execution_options(lockstep_write=True) as connection:
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_as_batch=True,
            render_item=render_item,
            transactional_ddl=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
