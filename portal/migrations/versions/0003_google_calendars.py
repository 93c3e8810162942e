"""google calendars: tokens, push subscriptions, meetings, what changed meanwhile

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op


revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute("DELETE FROM connection_draft")  # steps half done, of the last quarter of an hour
    with op.batch_alter_table('connection_draft', schema=None) as batch_op:
        batch_op.add_column(sa.Column('connection_id', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('provider', sa.String(length=16), nullable=False))
        batch_op.add_column(sa.Column('account', sa.JSON(), nullable=False))
        batch_op.drop_column('url')
        batch_op.drop_column('username')
        batch_op.create_foreign_key(
            batch_op.f('fk_connection_draft_connection_id_connection'), 'connection', ['connection_id'], ['id'], ondelete='CASCADE'
        )
    with op.batch_alter_table('connection', schema=None) as batch_op:
        batch_op.add_column(sa.Column('token_lease_until', INSTANT, nullable=True))
        batch_op.add_column(sa.Column('token_lease', sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column('refreshed_at', INSTANT, nullable=True))
        batch_op.add_column(sa.Column('leaving', sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table('calendar', schema=None) as batch_op:
        batch_op.add_column(sa.Column('notified_at', INSTANT, nullable=True))
        batch_op.add_column(sa.Column('asked_at', INSTANT, nullable=True))
        batch_op.add_column(sa.Column('read_begun_at', INSTANT, nullable=True))
        batch_op.add_column(sa.Column('meanwhile', sa.JSON(none_as_null=True), nullable=True))
    with op.batch_alter_table('service', schema=None) as batch_op:
        batch_op.add_column(sa.Column('meeting', sa.String(length=8), nullable=False, server_default=''))
    with op.batch_alter_table('event_link', schema=None) as batch_op:
        batch_op.add_column(sa.Column('meeting_url', sa.String(length=500), nullable=False, server_default=''))
    op.create_table(
        'push_subscription',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('calendar_id', sa.Integer(), nullable=False),
        sa.Column('subscription_id', sa.String(length=64), nullable=False),
        sa.Column('secret_hash', sa.String(length=64), nullable=False),
        sa.Column('resource_id', sa.String(length=300), nullable=False),
        sa.Column('created_at', INSTANT, nullable=False),
        sa.Column('expires_at', INSTANT, nullable=True),
        sa.Column('confirmed_at', INSTANT, nullable=True),
        sa.Column('heard_at', INSTANT, nullable=True),
        sa.Column('doubted_at', INSTANT, nullable=True),
        sa.Column('problem', sa.Text(), nullable=True),
        sa.Column('ended_at', INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ['calendar_id'], ['calendar.id'], name=op.f('fk_push_subscription_calendar_id_calendar'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_push_subscription')),
        sa.UniqueConstraint('subscription_id', name=op.f('uq_push_subscription_subscription_id')),
    )
    with op.batch_alter_table('push_subscription', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_push_subscription_calendar_id'), ['calendar_id'], unique=False)


def downgrade() -> None:
    op.drop_table('push_subscription')
    with op.batch_alter_table('event_link', schema=None) as batch_op:
        batch_op.drop_column('meeting_url')
    with op.batch_alter_table('service', schema=None) as batch_op:
        batch_op.drop_column('meeting')
    with op.batch_alter_table('calendar', schema=None) as batch_op:
        for name in ('meanwhile', 'read_begun_at', 'asked_at', 'notified_at'):
            batch_op.drop_column(name)
    with op.batch_alter_table('connection', schema=None) as batch_op:
        for name in ('leaving', 'refreshed_at', 'token_lease', 'token_lease_until'):
            batch_op.drop_column(name)
    op.execute("DELETE FROM connection_draft")
    with op.batch_alter_table('connection_draft', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_connection_draft_connection_id_connection'), type_='foreignkey')
        for name in ('account', 'provider', 'connection_id'):
            batch_op.drop_column(name)
        batch_op.add_column(sa.Column('url', sa.String(length=1000), nullable=False))
        batch_op.add_column(sa.Column('username', sa.String(length=300), nullable=False))
