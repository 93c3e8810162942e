"""bookings that stand in calendars and are not known here, after a restore

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op


revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table('unknown_booking',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('calendar_id', sa.Integer(), nullable=False),
    sa.Column('remote_id', sa.String(length=1000), nullable=False),
    sa.Column('instance_id', sa.String(length=32), nullable=False),
    sa.Column('appointment_no', sa.Integer(), nullable=False),
    sa.Column('appointment_id', sa.Integer(), nullable=True),
    sa.Column('summary', sa.String(length=300), nullable=False),
    sa.Column('start_at', INSTANT, nullable=False),
    sa.Column('end_at', INSTANT, nullable=False),
    sa.Column('found_at', INSTANT, nullable=False),
    sa.Column('answered_at', INSTANT, nullable=True),
    sa.Column('answer', sa.String(length=16), nullable=False),
    sa.Column('answered_by', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['answered_by'], ['user.id'], name=op.f('fk_unknown_booking_answered_by_user'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointment.id'], name=op.f('fk_unknown_booking_appointment_id_appointment'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['calendar_id'], ['calendar.id'], name=op.f('fk_unknown_booking_calendar_id_calendar'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_unknown_booking')),
    sa.UniqueConstraint('calendar_id', 'remote_id', name=op.f('uq_unknown_booking_calendar_id_remote_id'))
    )
    op.add_column('calendar', sa.Column('compared_at', INSTANT, nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE calendar DROP COLUMN compared_at")
    op.drop_table('unknown_booking')
