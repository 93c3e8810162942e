"""what events of bookings that are not known here tell is sealed, like the titles of outside events

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op
from flask import current_app


revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

UNKNOWN = sa.table(
    'unknown_booking', sa.column('id', sa.Integer), sa.column('calendar_id', sa.Integer), sa.column('remote_id', sa.String),
    sa.column('summary', sa.String), sa.column('sealed_summary', sa.Text),
)


def upgrade() -> None:
    for name in ('sealed_summary', 'sealed_description'):
        op.add_column('unknown_booking', sa.Column(name, sa.Text(), nullable=False, server_default=''))
    _seal_titles(op.get_bind())
    op.execute("ALTER TABLE unknown_booking DROP COLUMN summary")


def downgrade() -> None:
    """The titles come again with the next reading of everything."""
    op.add_column('unknown_booking', sa.Column('summary', sa.String(length=300), nullable=False, server_default=''))
    for name in ('sealed_description', 'sealed_summary'):
        op.execute(f"ALTER TABLE unknown_booking DROP COLUMN {name}")


def _seal_titles(connection: sa.Connection) -> None:
    sealer = current_app.extensions["sealer"]
    for row in connection.execute(sa.select(UNKNOWN).where(UNKNOWN.c.summary != '')).all():
        sealed = sealer.seal(row.summary, place=f"unknown_booking/{row.calendar_id}/{row.remote_id}/summary")
        connection.execute(UNKNOWN.update().where(UNKNOWN.c.id == row.id).values(sealed_summary=sealed))
