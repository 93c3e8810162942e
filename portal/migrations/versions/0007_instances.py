"""which instance adopted this database, its former ids, calendars that are to be compared after a restore

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op


revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table('instance',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('identity', sa.JSON(), nullable=False),
    sa.Column('adopted_at', INSTANT, nullable=True),
    sa.Column('adopted_by', sa.String(length=254), nullable=False),
    sa.Column('noticed', sa.JSON(), nullable=True),
    sa.Column('noticed_at', INSTANT, nullable=True),
    sa.Column('restored_from', sa.String(length=40), nullable=False),
    sa.Column('ids', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_instance'))
    )
    op.add_column('calendar', sa.Column('unsure_since', INSTANT, nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE calendar DROP COLUMN unsure_since")
    op.drop_table('instance')
