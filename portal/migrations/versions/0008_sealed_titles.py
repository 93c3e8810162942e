"""titles of outside events are sealed, and those of our own and of private ones not kept; entries that somebody decided not to close times for

Revision ID: 0008
Revises: 0007
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op
from flask import current_app


revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

BATCH = 500
OBJECTS = sa.table(
    'remote_object', sa.column('calendar_id', sa.Integer), sa.column('remote_id', sa.String), sa.column('summary', sa.String),
    sa.column('is_ours', sa.Boolean), sa.column('sealed_summary', sa.Text),
)
CALENDARS = sa.table(
    'calendar', sa.column('id', sa.Integer), sa.column('meanwhile', sa.JSON(none_as_null=True)), sa.column('sealed_meanwhile', sa.Text)
)


def upgrade() -> None:
    op.add_column('remote_object', sa.Column('sealed_summary', sa.Text(), nullable=False, server_default=''))
    op.add_column('remote_object', sa.Column('fingerprint', sa.String(length=64), nullable=False, server_default=''))
    op.add_column('remote_object', sa.Column('left_open', sa.String(length=64), nullable=False, server_default=''))
    op.add_column('calendar', sa.Column('sealed_meanwhile', sa.Text(), nullable=True))
    _seal_titles(op.get_bind())
    _seal_notes(op.get_bind())
    with op.batch_alter_table('remote_object', schema=None) as batch_op:
        batch_op.drop_column('summary')
    with op.batch_alter_table('calendar', schema=None) as batch_op:
        batch_op.drop_column('meanwhile')


def downgrade() -> None:
    """The titles come again with the next reading of everything."""
    op.add_column('calendar', sa.Column('meanwhile', sa.JSON(), nullable=True))
    op.add_column('remote_object', sa.Column('summary', sa.String(length=300), nullable=False, server_default=''))
    with op.batch_alter_table('calendar', schema=None) as batch_op:
        batch_op.drop_column('sealed_meanwhile')
    with op.batch_alter_table('remote_object', schema=None) as batch_op:
        for name in ('left_open', 'fingerprint', 'sealed_summary'):
            batch_op.drop_column(name)


def _seal_titles(connection: sa.Connection) -> None:
    sealer = current_app.extensions["sealer"]
    rows = connection.execute(
        sa.select(OBJECTS.c.calendar_id, OBJECTS.c.remote_id, OBJECTS.c.summary).where(OBJECTS.c.summary != '', ~OBJECTS.c.is_ours)
    ).all()
    here = (OBJECTS.c.calendar_id == sa.bindparam('in_calendar'), OBJECTS.c.remote_id == sa.bindparam('at'))
    statement = OBJECTS.update().where(*here).values(sealed_summary=sa.bindparam('sealed'))
    for first in range(0, len(rows), BATCH):
        connection.execute(statement, [_sealed(sealer, row) for row in rows[first : first + BATCH]])


def _sealed(sealer: Any, row: Any) -> dict[str, Any]:
    place = f"remote_object/{row.calendar_id}/{row.remote_id}/summary"
    return {"in_calendar": row.calendar_id, "at": row.remote_id, "sealed": sealer.seal(row.summary, place=place)}


def _seal_notes(connection: sa.Connection) -> None:
    sealer = current_app.extensions["sealer"]
    for row in connection.execute(sa.select(CALENDARS.c.id, CALENDARS.c.meanwhile)).all():
        if row.meanwhile is not None:
            sealed = sealer.seal(json.dumps(row.meanwhile), place=f"calendar/{row.id}/meanwhile")
            connection.execute(CALENDARS.update().where(CALENDARS.c.id == row.id).values(sealed_meanwhile=sealed))
