"""age of the sync token

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op


revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('calendar', schema=None) as batch_op:
        batch_op.add_column(sa.Column('sync_token_at', sa.DateTime(timezone=True), nullable=True))
    # A doubt that was over used to be kept as JSON's null, which counted as a doubt.
    op.execute("UPDATE calendar SET quarantine = NULL WHERE CAST(quarantine AS TEXT) = 'null'")


def downgrade() -> None:
    with op.batch_alter_table('calendar', schema=None) as batch_op:
        batch_op.drop_column('sync_token_at')
