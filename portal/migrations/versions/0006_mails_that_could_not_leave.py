"""mails that could not leave: which entry carries them, when they were tried, and that they were given up; until when entries are tried

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op


revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
COLUMNS: tuple[tuple[str, sa.Column[object]], ...] = (
    ("mail", sa.Column('outbox_id', sa.Integer(), nullable=True)),
    ("mail", sa.Column('tried_at', INSTANT, nullable=True)),
    ("mail", sa.Column('given_up', sa.String(length=12), nullable=False, server_default='')),
    ("mail", sa.Column('given_up_at', INSTANT, nullable=True)),
    ("outbox_entry", sa.Column('give_up_at', INSTANT, nullable=True)),
)


def upgrade() -> None:
    for table, column in COLUMNS:
        op.add_column(table, column)
    op.create_index('ix_mail_outbox_id', 'mail', ['outbox_id'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_mail_outbox_id', table_name='mail')
    for table, column in reversed(COLUMNS):
        op.drop_column(table, column.name)
