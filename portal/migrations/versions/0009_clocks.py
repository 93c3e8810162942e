"""what a worker says of its clock

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op


revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('lease', sa.Column('note', sa.Text(), nullable=False, server_default=''))


def downgrade() -> None:
    op.drop_column('lease', 'note')
