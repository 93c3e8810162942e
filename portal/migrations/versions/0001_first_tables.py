"""first tables

Revision ID: 0001
Revises: 
"""

import sqlalchemy as sa
from alembic import op


revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('api_token',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_token')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_api_token_token_hash'))
    )
    op.create_table('business',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('zone', sa.String(length=64), nullable=False),
    sa.Column('language', sa.String(length=8), nullable=False),
    sa.Column('instance_id', sa.String(length=32), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_business'))
    )
    op.create_table('lease',
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('holder', sa.String(length=80), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_done_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_lease'))
    )
    op.create_table('ledger_line',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('kind', sa.String(length=24), nullable=False),
    sa.Column('sentence', sa.Text(), nullable=False),
    sa.Column('connection_id', sa.Integer(), nullable=True),
    sa.Column('calendar_id', sa.Integer(), nullable=True),
    sa.Column('appointment_id', sa.Integer(), nullable=True),
    sa.Column('details', sa.JSON(), nullable=False),
    sa.Column('seal_no', sa.Integer(), nullable=True),
    sa.Column('seal', sa.String(length=64), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ledger_line')),
    sa.UniqueConstraint('seal_no', name=op.f('uq_ledger_line_seal_no'))
    )
    with op.batch_alter_table('ledger_line', schema=None) as batch_op:
        batch_op.create_index('ix_ledger_line_appointment_id', ['appointment_id'], unique=False)

    op.create_table('outbox_entry',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('topic', sa.String(length=40), nullable=False),
    sa.Column('subject', sa.String(length=80), nullable=False),
    sa.Column('payload', sa.JSON(), nullable=False),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('next_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('lease_token', sa.String(length=32), nullable=True),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('todo', 'done', 'stuck', 'dropped')", name=op.f('ck_outbox_entry_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outbox_entry'))
    )
    with op.batch_alter_table('outbox_entry', schema=None) as batch_op:
        batch_op.create_index('ix_outbox_entry_state_next_at', ['state', 'next_at'], unique=False)
        batch_op.create_index('ix_outbox_entry_subject_topic_state', ['subject', 'topic', 'state'], unique=False)

    op.create_table('resource',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('slug', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('zone', sa.String(length=64), nullable=False),
    sa.Column('is_active', sa.Boolean(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.CheckConstraint("kind IN ('staff', 'room', 'equipment')", name=op.f('ck_resource_kind')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_resource')),
    sa.UniqueConstraint('slug', name=op.f('uq_resource_slug'))
    )
    op.create_table('service',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('slug', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('description', sa.String(length=2000), nullable=False),
    sa.Column('location', sa.String(length=300), nullable=False),
    sa.Column('duration', sa.Integer(), nullable=False),
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('buffer_before', sa.Integer(), nullable=False),
    sa.Column('buffer_after', sa.Integer(), nullable=False),
    sa.Column('notice', sa.Integer(), nullable=False),
    sa.Column('horizon', sa.Integer(), nullable=False),
    sa.Column('capacity', sa.Integer(), nullable=False),
    sa.Column('assignment', sa.String(length=8), nullable=False),
    sa.Column('cancel_until', sa.Integer(), nullable=False),
    sa.Column('move_until', sa.Integer(), nullable=False),
    sa.Column('is_active', sa.Boolean(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.CheckConstraint("assignment IN ('choose', 'any', 'all')", name=op.f('ck_service_assignment')),
    sa.CheckConstraint('buffer_after >= 0 AND buffer_after % 5 = 0', name=op.f('ck_service_buffer_after')),
    sa.CheckConstraint('buffer_before >= 0 AND buffer_before % 5 = 0', name=op.f('ck_service_buffer_before')),
    sa.CheckConstraint('capacity >= 1', name=op.f('ck_service_capacity')),
    sa.CheckConstraint('duration > 0 AND duration % 5 = 0', name=op.f('ck_service_duration')),
    sa.CheckConstraint('step > 0 AND step % 5 = 0', name=op.f('ck_service_step')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_service')),
    sa.UniqueConstraint('slug', name=op.f('uq_service_slug'))
    )
    op.create_table('appointment',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('service_id', sa.Integer(), nullable=False),
    sa.Column('start_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('end_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('claim_start_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('claim_end_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('capacity', sa.Integer(), nullable=False),
    sa.Column('is_active', sa.Boolean(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.CheckConstraint('claim_start_at <= start_at AND claim_end_at >= end_at', name=op.f('ck_appointment_claim')),
    sa.CheckConstraint('end_at > start_at', name=op.f('ck_appointment_order')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_appointment_service_id_service')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_appointment'))
    )
    with op.batch_alter_table('appointment', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_appointment_service_id'), ['service_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_appointment_start_at'), ['start_at'], unique=False)

    op.create_table('connection',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('resource_id', sa.Integer(), nullable=False),
    sa.Column('provider', sa.String(length=16), nullable=False),
    sa.Column('account', sa.JSON(), nullable=False),
    sa.Column('sealed_secret', sa.Text(), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('state_since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('state_reason', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("state IN ('connected', 'degraded', 'needs reauth', 'misconfigured', 'paused')", name=op.f('ck_connection_state')),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_connection_resource_id_resource')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_connection'))
    )
    with op.batch_alter_table('connection', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_connection_resource_id'), ['resource_id'], unique=False)

    op.create_table('date_override',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('resource_id', sa.Integer(), nullable=False),
    sa.Column('on_date', sa.Date(), nullable=False),
    sa.Column('starts', sa.Integer(), nullable=True),
    sa.Column('ends', sa.Integer(), nullable=True),
    sa.CheckConstraint('(starts IS NULL AND ends IS NULL) OR (starts >= 0 AND starts < ends AND ends <= 1440)', name=op.f('ck_date_override_range')),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_date_override_resource_id_resource'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_date_override'))
    )
    with op.batch_alter_table('date_override', schema=None) as batch_op:
        batch_op.create_index('ix_date_override_resource_id_on_date', ['resource_id', 'on_date'], unique=False)

    op.create_table('service_resource',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('service_id', sa.Integer(), nullable=False),
    sa.Column('resource_id', sa.Integer(), nullable=False),
    sa.Column('list_no', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_service_resource_resource_id_resource')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_service_resource_service_id_service'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_service_resource')),
    sa.UniqueConstraint('service_id', 'list_no', 'resource_id', name=op.f('uq_service_resource_service_id_list_no_resource_id'))
    )
    with op.batch_alter_table('service_resource', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_service_resource_resource_id'), ['resource_id'], unique=False)

    op.create_table('setup_link',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('role', sa.String(length=8), nullable=False),
    sa.Column('resource_id', sa.Integer(), nullable=True),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_setup_link_resource_id_resource')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_setup_link')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_setup_link_token_hash'))
    )
    op.create_table('user',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('role', sa.String(length=8), nullable=False),
    sa.Column('password_hash', sa.String(length=200), nullable=True),
    sa.Column('resource_id', sa.Integer(), nullable=True),
    sa.Column('is_enabled', sa.Boolean(), nullable=False),
    sa.Column('session_epoch', sa.Integer(), nullable=False),
    sa.Column('failed_sign_ins', sa.Integer(), nullable=False),
    sa.Column('next_sign_in_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("role IN ('owner', 'admin', 'staff')", name=op.f('ck_user_role')),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_user_resource_id_resource')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_user')),
    sa.UniqueConstraint('email', name=op.f('uq_user_email'))
    )
    op.create_table('weekly_hours',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('resource_id', sa.Integer(), nullable=False),
    sa.Column('weekday', sa.Integer(), nullable=False),
    sa.Column('starts', sa.Integer(), nullable=False),
    sa.Column('ends', sa.Integer(), nullable=False),
    sa.CheckConstraint('starts >= 0 AND starts < ends AND ends <= 1440', name=op.f('ck_weekly_hours_range')),
    sa.CheckConstraint('weekday BETWEEN 0 AND 6', name=op.f('ck_weekly_hours_weekday')),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_weekly_hours_resource_id_resource'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_weekly_hours'))
    )
    with op.batch_alter_table('weekly_hours', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_weekly_hours_resource_id'), ['resource_id'], unique=False)

    op.create_table('appointment_resource',
    sa.Column('appointment_id', sa.Integer(), nullable=False),
    sa.Column('resource_id', sa.Integer(), nullable=False),
    sa.Column('list_no', sa.Integer(), nullable=False),
    sa.Column('claim_start_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('claim_end_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('is_active', sa.Boolean(), nullable=False),
    sa.CheckConstraint('claim_end_at > claim_start_at', name=op.f('ck_appointment_resource_order')),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointment.id'], name=op.f('fk_appointment_resource_appointment_id_appointment'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_appointment_resource_resource_id_resource')),
    sa.PrimaryKeyConstraint('appointment_id', 'resource_id', name=op.f('pk_appointment_resource'))
    )
    with op.batch_alter_table('appointment_resource', schema=None) as batch_op:
        batch_op.create_index('ix_appointment_resource_resource_id_claim_end_at', ['resource_id', 'claim_end_at'], unique=False)

    op.create_table('booking',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=32), nullable=False),
    sa.Column('appointment_id', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('party_size', sa.Integer(), nullable=False),
    sa.Column('customer_name', sa.String(length=200), nullable=False),
    sa.Column('customer_email', sa.String(length=254), nullable=False),
    sa.Column('customer_phone', sa.String(length=40), nullable=False),
    sa.Column('customer_zone', sa.String(length=64), nullable=False),
    sa.Column('customer_language', sa.String(length=8), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('answers', sa.JSON(), nullable=False),
    sa.Column('channel', sa.String(length=16), nullable=False),
    sa.Column('hold_hash', sa.String(length=64), nullable=True),
    sa.Column('held_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('hold_extended', sa.Boolean(), nullable=False),
    sa.Column('manage_hash', sa.String(length=64), nullable=True),
    sa.Column('sealed_manage_token', sa.Text(), nullable=True),
    sa.Column('idempotency_key', sa.String(length=64), nullable=True),
    sa.Column('request_digest', sa.String(length=64), nullable=True),
    sa.Column('pending_reason', sa.Text(), nullable=False),
    sa.Column('sequence', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('cancelled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('cancelled_by', sa.String(length=16), nullable=False),
    sa.CheckConstraint("status IN ('held', 'pending', 'confirmed', 'cancelled', 'completed', 'no_show')", name=op.f('ck_booking_status')),
    sa.CheckConstraint('party_size >= 1', name=op.f('ck_booking_party_size')),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointment.id'], name=op.f('fk_booking_appointment_id_appointment')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_booking')),
    sa.UniqueConstraint('hold_hash', name=op.f('uq_booking_hold_hash')),
    sa.UniqueConstraint('idempotency_key', name=op.f('uq_booking_idempotency_key')),
    sa.UniqueConstraint('manage_hash', name=op.f('uq_booking_manage_hash')),
    sa.UniqueConstraint('public_id', name=op.f('uq_booking_public_id'))
    )
    with op.batch_alter_table('booking', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_booking_appointment_id'), ['appointment_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_booking_customer_email'), ['customer_email'], unique=False)
        batch_op.create_index('ix_booking_status_held_until', ['status', 'held_until'], unique=False)

    op.create_table('calendar',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('connection_id', sa.Integer(), nullable=False),
    sa.Column('resource_id', sa.Integer(), nullable=False),
    sa.Column('remote_id', sa.String(length=1000), nullable=False),
    sa.Column('name', sa.String(length=300), nullable=False),
    sa.Column('zone', sa.String(length=64), nullable=False),
    sa.Column('is_busy_source', sa.Boolean(), nullable=False),
    sa.Column('is_destination', sa.Boolean(), nullable=False),
    sa.Column('when_moved', sa.String(length=8), nullable=False),
    sa.Column('when_deleted', sa.String(length=8), nullable=False),
    sa.Column('when_unreadable', sa.String(length=8), nullable=False),
    sa.Column('freshness', sa.Integer(), nullable=False),
    sa.Column('sync_token', sa.Text(), nullable=True),
    sa.Column('last_read_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_complete_read_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_written_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('next_read_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('read_lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('read_lease_token', sa.String(length=32), nullable=True),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('failing_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('trouble', sa.String(length=16), nullable=False),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('unreadable_objects', sa.Integer(), nullable=False),
    sa.Column('quarantine', sa.JSON(), nullable=True),
    sa.CheckConstraint("when_deleted IN ('ask', 'cancel', 'put back')", name=op.f('ck_calendar_when_deleted')),
    sa.CheckConstraint("when_moved IN ('follow', 'ask', 'put back')", name=op.f('ck_calendar_when_moved')),
    sa.CheckConstraint("when_unreadable IN ('stop', 'keep', 'pending')", name=op.f('ck_calendar_when_unreadable')),
    sa.ForeignKeyConstraint(['connection_id'], ['connection.id'], name=op.f('fk_calendar_connection_id_connection'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_calendar_resource_id_resource')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_calendar')),
    sa.UniqueConstraint('connection_id', 'remote_id', name=op.f('uq_calendar_connection_id_remote_id'))
    )
    with op.batch_alter_table('calendar', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_calendar_connection_id'), ['connection_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_calendar_resource_id'), ['resource_id'], unique=False)

    op.create_table('claim',
    sa.Column('resource_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('quantum_no', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('appointment_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointment.id'], name=op.f('fk_claim_appointment_id_appointment'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_claim_resource_id_resource')),
    sa.PrimaryKeyConstraint('resource_id', 'quantum_no', name=op.f('pk_claim'))
    )
    with op.batch_alter_table('claim', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_claim_appointment_id'), ['appointment_id'], unique=False)

    op.create_table('connection_draft',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('resource_id', sa.Integer(), nullable=False),
    sa.Column('url', sa.String(length=1000), nullable=False),
    sa.Column('username', sa.String(length=300), nullable=False),
    sa.Column('sealed_secret', sa.Text(), nullable=False),
    sa.Column('found', sa.JSON(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_connection_draft_resource_id_resource'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_connection_draft_user_id_user'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_connection_draft'))
    )
    op.create_table('user_session',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('device', sa.String(length=200), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_user_session_user_id_user'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_user_session')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_user_session_token_hash'))
    )
    with op.batch_alter_table('user_session', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_user_session_user_id'), ['user_id'], unique=False)

    op.create_table('busy_interval',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('calendar_id', sa.Integer(), nullable=False),
    sa.Column('resource_id', sa.Integer(), nullable=False),
    sa.Column('remote_id', sa.String(length=1000), nullable=False),
    sa.Column('start_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('end_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('end_at > start_at', name=op.f('ck_busy_interval_order')),
    sa.ForeignKeyConstraint(['calendar_id'], ['calendar.id'], name=op.f('fk_busy_interval_calendar_id_calendar'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_busy_interval_resource_id_resource')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_busy_interval'))
    )
    with op.batch_alter_table('busy_interval', schema=None) as batch_op:
        batch_op.create_index('ix_busy_interval_calendar_id_remote_id', ['calendar_id', 'remote_id'], unique=False)
        batch_op.create_index('ix_busy_interval_resource_id_end_at', ['resource_id', 'end_at', 'start_at'], unique=False)

    op.create_table('conflict',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('appointment_id', sa.Integer(), nullable=False),
    sa.Column('calendar_id', sa.Integer(), nullable=False),
    sa.Column('remote_id', sa.String(length=1000), nullable=False),
    sa.Column('start_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('end_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('found_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('resolved_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointment.id'], name=op.f('fk_conflict_appointment_id_appointment'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['calendar_id'], ['calendar.id'], name=op.f('fk_conflict_calendar_id_calendar'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_conflict'))
    )
    with op.batch_alter_table('conflict', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_conflict_appointment_id'), ['appointment_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_conflict_resolved_at'), ['resolved_at'], unique=False)

    op.create_table('event_link',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('appointment_id', sa.Integer(), nullable=False),
    sa.Column('calendar_id', sa.Integer(), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('uid', sa.String(length=100), nullable=False),
    sa.Column('remote_id', sa.String(length=1000), nullable=False),
    sa.Column('etag', sa.String(length=300), nullable=False),
    sa.Column('content_hash', sa.String(length=64), nullable=False),
    sa.Column('sent_hash', sa.String(length=300), nullable=False),
    sa.Column('outside', sa.String(length=8), nullable=False),
    sa.Column('start_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('end_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('sequence', sa.Integer(), nullable=False),
    sa.Column('wanted_version', sa.Integer(), nullable=False),
    sa.Column('applied_version', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("outside IN ('', 'moved', 'removed')", name=op.f('ck_event_link_outside')),
    sa.CheckConstraint("state IN ('waiting', 'done', 'stuck', 'none')", name=op.f('ck_event_link_state')),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointment.id'], name=op.f('fk_event_link_appointment_id_appointment'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['calendar_id'], ['calendar.id'], name=op.f('fk_event_link_calendar_id_calendar'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_event_link')),
    sa.UniqueConstraint('appointment_id', 'calendar_id', name=op.f('uq_event_link_appointment_id_calendar_id'))
    )
    with op.batch_alter_table('event_link', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_event_link_calendar_id'), ['calendar_id'], unique=False)
        batch_op.create_index('ix_event_link_calendar_id_remote_id', ['calendar_id', 'remote_id'], unique=False)

    op.create_table('mail',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('message_id', sa.String(length=200), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('booking_id', sa.Integer(), nullable=True),
    sa.Column('recipient', sa.String(length=254), nullable=False),
    sa.Column('subject', sa.String(length=300), nullable=False),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.Column('file_name', sa.String(length=200), nullable=False),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('sending', 'sent', 'failed')", name=op.f('ck_mail_state')),
    sa.ForeignKeyConstraint(['booking_id'], ['booking.id'], name=op.f('fk_mail_booking_id_booking'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mail')),
    sa.UniqueConstraint('message_id', name=op.f('uq_mail_message_id'))
    )
    with op.batch_alter_table('mail', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_mail_booking_id'), ['booking_id'], unique=False)
        batch_op.create_index('ix_mail_created_at', ['created_at'], unique=False)

    op.create_table('question',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('appointment_id', sa.Integer(), nullable=False),
    sa.Column('calendar_id', sa.Integer(), nullable=False),
    sa.Column('start_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('end_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('sentence', sa.Text(), nullable=False),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('answered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('answer', sa.String(length=16), nullable=False),
    sa.Column('answered_by', sa.Integer(), nullable=True),
    sa.CheckConstraint("kind IN ('moved', 'deleted')", name=op.f('ck_question_kind')),
    sa.ForeignKeyConstraint(['answered_by'], ['user.id'], name=op.f('fk_question_answered_by_user')),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointment.id'], name=op.f('fk_question_appointment_id_appointment'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['calendar_id'], ['calendar.id'], name=op.f('fk_question_calendar_id_calendar'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_question'))
    )
    with op.batch_alter_table('question', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_question_answered_at'), ['answered_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_question_appointment_id'), ['appointment_id'], unique=False)

    op.create_table('remote_object',
    sa.Column('calendar_id', sa.Integer(), nullable=False),
    sa.Column('remote_id', sa.String(length=1000), nullable=False),
    sa.Column('etag', sa.String(length=300), nullable=False),
    sa.Column('summary', sa.String(length=300), nullable=False),
    sa.Column('is_recurring', sa.Boolean(), nullable=False),
    sa.Column('is_ours', sa.Boolean(), nullable=False),
    sa.Column('rolls', sa.Boolean(), nullable=False),
    sa.Column('problem', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['calendar_id'], ['calendar.id'], name=op.f('fk_remote_object_calendar_id_calendar'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('calendar_id', 'remote_id', name=op.f('pk_remote_object'))
    )
    op.create_table('seat',
    sa.Column('appointment_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('seat_no', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('booking_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointment.id'], name=op.f('fk_seat_appointment_id_appointment'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['booking_id'], ['booking.id'], name=op.f('fk_seat_booking_id_booking'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('appointment_id', 'seat_no', name=op.f('pk_seat'))
    )
    with op.batch_alter_table('seat', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_seat_booking_id'), ['booking_id'], unique=False)


    if op.get_bind().dialect.name == "postgresql":
        # Second guard against overlaps, independent of the claims' primary key. A range of one integer stands for
        # the resource, so that no extension (btree_gist) is needed.
        op.execute(
            "ALTER TABLE appointment_resource ADD CONSTRAINT ex_appointment_resource_overlap EXCLUDE USING gist ("
            "int4range(resource_id, resource_id, '[]') WITH &&, "
            "tstzrange(claim_start_at, claim_end_at, '[)') WITH &&) WHERE (is_active)"
        )


def downgrade() -> None:
    with op.batch_alter_table('seat', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_seat_booking_id'))

    op.drop_table('seat')
    op.drop_table('remote_object')
    with op.batch_alter_table('question', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_question_appointment_id'))
        batch_op.drop_index(batch_op.f('ix_question_answered_at'))

    op.drop_table('question')
    with op.batch_alter_table('mail', schema=None) as batch_op:
        batch_op.drop_index('ix_mail_created_at')
        batch_op.drop_index(batch_op.f('ix_mail_booking_id'))

    op.drop_table('mail')
    with op.batch_alter_table('event_link', schema=None) as batch_op:
        batch_op.drop_index('ix_event_link_calendar_id_remote_id')
        batch_op.drop_index(batch_op.f('ix_event_link_calendar_id'))

    op.drop_table('event_link')
    with op.batch_alter_table('conflict', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_conflict_resolved_at'))
        batch_op.drop_index(batch_op.f('ix_conflict_appointment_id'))

    op.drop_table('conflict')
    with op.batch_alter_table('busy_interval', schema=None) as batch_op:
        batch_op.drop_index('ix_busy_interval_resource_id_end_at')
        batch_op.drop_index('ix_busy_interval_calendar_id_remote_id')

    op.drop_table('busy_interval')
    with op.batch_alter_table('user_session', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_user_session_user_id'))

    op.drop_table('user_session')
    op.drop_table('connection_draft')
    with op.batch_alter_table('claim', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_claim_appointment_id'))

    op.drop_table('claim')
    with op.batch_alter_table('calendar', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_calendar_resource_id'))
        batch_op.drop_index(batch_op.f('ix_calendar_connection_id'))

    op.drop_table('calendar')
    with op.batch_alter_table('booking', schema=None) as batch_op:
        batch_op.drop_index('ix_booking_status_held_until')
        batch_op.drop_index(batch_op.f('ix_booking_customer_email'))
        batch_op.drop_index(batch_op.f('ix_booking_appointment_id'))

    op.drop_table('booking')
    with op.batch_alter_table('appointment_resource', schema=None) as batch_op:
        batch_op.drop_index('ix_appointment_resource_resource_id_claim_end_at')

    op.drop_table('appointment_resource')
    with op.batch_alter_table('weekly_hours', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_weekly_hours_resource_id'))

    op.drop_table('weekly_hours')
    op.drop_table('user')
    op.drop_table('setup_link')
    with op.batch_alter_table('service_resource', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_service_resource_resource_id'))

    op.drop_table('service_resource')
    with op.batch_alter_table('date_override', schema=None) as batch_op:
        batch_op.drop_index('ix_date_override_resource_id_on_date')

    op.drop_table('date_override')
    with op.batch_alter_table('connection', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_connection_resource_id'))

    op.drop_table('connection')
    with op.batch_alter_table('appointment', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_appointment_start_at'))
        batch_op.drop_index(batch_op.f('ix_appointment_service_id'))

    op.drop_table('appointment')
    op.drop_table('service')
    op.drop_table('resource')
    with op.batch_alter_table('outbox_entry', schema=None) as batch_op:
        batch_op.drop_index('ix_outbox_entry_subject_topic_state')
        batch_op.drop_index('ix_outbox_entry_state_next_at')

    op.drop_table('outbox_entry')
    with op.batch_alter_table('ledger_line', schema=None) as batch_op:
        batch_op.drop_index('ix_ledger_line_appointment_id')

    op.drop_table('ledger_line')
    op.drop_table('lease')
    op.drop_table('business')
    op.drop_table('api_token')
