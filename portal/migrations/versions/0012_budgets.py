"""budgets of visitors, and bookings that are confirmed by mail

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('spending',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('what', sa.String(length=16), nullable=False),
    sa.Column('whose', sa.String(length=64), nullable=False),
    sa.Column('spent_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_spending'))
    )
    op.create_index('ix_spending_whose_what_spent_at', 'spending', ['whose', 'what', 'spent_at'], unique=False)
    op.create_index('ix_spending_spent_at', 'spending', ['spent_at'], unique=False)
    op.add_column('booking', sa.Column('network_hash', sa.String(length=64), nullable=True))
    op.create_index('ix_booking_network_hash', 'booking', ['network_hash'], unique=False)
    op.add_column('service', sa.Column('confirm_by_mail', sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column('business', sa.Column('confirm_by_mail', sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column('business', 'confirm_by_mail')
    op.drop_column('service', 'confirm_by_mail')
    op.drop_index('ix_booking_network_hash', table_name='booking')
    op.drop_column('booking', 'network_hash')
    op.drop_table('spending')
