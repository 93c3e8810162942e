"""fixed appointments and series, rules of services, the waitlist, reminders, own mail texts, customers' codes

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op


revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)

# Columns with a constraint are added by plain SQL, which both databases understand alike: in Alembic's way SQLite's tables
# would be made anew, and lose the checks that they have.
CONSTRAINED = (
    ("appointment", "series_id", "INTEGER CONSTRAINT fk_appointment_series_id_series REFERENCES series (id) ON DELETE SET NULL"),
    ("calendar", "privacy", "VARCHAR(12) DEFAULT 'full' NOT NULL CONSTRAINT ck_calendar_privacy CHECK (privacy IN ('busy only', 'initials', 'full'))"),
    ("mail", "entry_id", "INTEGER CONSTRAINT fk_mail_entry_id_waitlist_entry REFERENCES waitlist_entry (id) ON DELETE SET NULL"),
    ("service", "timing", "VARCHAR(8) DEFAULT 'slots' NOT NULL CONSTRAINT ck_service_timing CHECK (timing IN ('slots', 'fixed'))"),
    ("service", "location_kind", "VARCHAR(8) DEFAULT '' NOT NULL CONSTRAINT ck_service_location_kind CHECK (location_kind IN ('', 'on-site', 'online', 'phone'))"),
    ("service", "offer_minutes", "INTEGER DEFAULT 240 NOT NULL CONSTRAINT ck_service_offer_minutes CHECK (offer_minutes >= 5)"),
)
PLAIN: tuple[tuple[str, sa.Column[object]], ...] = (
    ("appointment", sa.Column('is_fixed', sa.Boolean(), nullable=False, server_default=sa.false())),
    ("appointment", sa.Column('series_on', sa.Date(), nullable=True)),
    ("appointment", sa.Column('planned_at', INSTANT, nullable=True)),
    ("appointment", sa.Column('called_off_at', INSTANT, nullable=True)),
    ("booking", sa.Column('wants_reminders', sa.Boolean(), nullable=False, server_default=sa.true())),
    ("business", sa.Column('retention_days', sa.Integer(), nullable=True)),
    ("mail", sa.Column('bounced_at', INSTANT, nullable=True)),
    ("service", sa.Column('per_day', sa.Integer(), nullable=True)),
    ("service", sa.Column('per_week', sa.Integer(), nullable=True)),
    ("service", sa.Column('per_customer', sa.Integer(), nullable=True)),
    ("service", sa.Column('needs_approval', sa.Boolean(), nullable=False, server_default=sa.false())),
    ("service", sa.Column('price', sa.String(length=100), nullable=False, server_default='')),
    ("service", sa.Column('is_hidden', sa.Boolean(), nullable=False, server_default=sa.false())),
    ("service", sa.Column('reminders', sa.JSON(), nullable=False, server_default='[1440]')),
    ("service", sa.Column('has_waitlist', sa.Boolean(), nullable=False, server_default=sa.false())),
    ("service", sa.Column('is_waitlist_paused', sa.Boolean(), nullable=False, server_default=sa.false())),
)
NEW_TABLES = (
    'offer', 'waitlist_entry', 'reminder', 'waitlist_receipt', 'erasure', 'service_question', 'series', 'mail_text', 'mailed_code',
)


def upgrade() -> None:
    op.create_table('mailed_code',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=32), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('language', sa.String(length=8), nullable=False),
    sa.Column('code_hash', sa.String(length=64), nullable=False),
    sa.Column('sealed_code', sa.Text(), nullable=True),
    sa.Column('tries', sa.Integer(), nullable=False),
    sa.Column('created_at', INSTANT, nullable=False),
    sa.Column('expires_at', INSTANT, nullable=False),
    sa.Column('used_at', INSTANT, nullable=True),
    sa.Column('client_hash', sa.String(length=64), nullable=False),
    sa.Column('session_hash', sa.String(length=64), nullable=True),
    sa.Column('seen_at', INSTANT, nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mailed_code')),
    sa.UniqueConstraint('public_id', name=op.f('uq_mailed_code_public_id')),
    sa.UniqueConstraint('session_hash', name=op.f('uq_mailed_code_session_hash'))
    )
    with op.batch_alter_table('mailed_code', schema=None) as batch_op:
        batch_op.create_index('ix_mailed_code_client_hash_created_at', ['client_hash', 'created_at'], unique=False)
        batch_op.create_index('ix_mailed_code_email_created_at', ['email', 'created_at'], unique=False)

    op.create_table('mail_text',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('service_id', sa.Integer(), nullable=True),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('language', sa.String(length=8), nullable=False),
    sa.Column('subject', sa.String(length=300), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('updated_at', INSTANT, nullable=False),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_mail_text_service_id_service'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mail_text')),
    sa.UniqueConstraint('service_id', 'kind', 'language', name=op.f('uq_mail_text_service_id_kind_language'))
    )
    with op.batch_alter_table('mail_text', schema=None) as batch_op:
        batch_op.create_index('uq_mail_text_of_all', ['kind', 'language'], unique=True, sqlite_where=sa.text('service_id IS NULL'), postgresql_where=sa.text('service_id IS NULL'))

    op.create_table('series',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('service_id', sa.Integer(), nullable=False),
    sa.Column('weekday', sa.Integer(), nullable=False),
    sa.Column('starts', sa.Integer(), nullable=False),
    sa.Column('zone', sa.String(length=64), nullable=False),
    sa.Column('first_on', sa.Date(), nullable=False),
    sa.Column('last_on', sa.Date(), nullable=True),
    sa.Column('capacity', sa.Integer(), nullable=True),
    sa.Column('resource_id', sa.Integer(), nullable=True),
    sa.Column('except_on', sa.JSON(), nullable=False),
    sa.Column('created_at', INSTANT, nullable=False),
    sa.CheckConstraint('starts BETWEEN 0 AND 1435', name=op.f('ck_series_starts')),
    sa.CheckConstraint('weekday BETWEEN 0 AND 6', name=op.f('ck_series_weekday')),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_series_resource_id_resource')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_series_service_id_service'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_series'))
    )
    with op.batch_alter_table('series', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_series_service_id'), ['service_id'], unique=False)

    op.create_table('service_question',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('service_id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('label', sa.String(length=300), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('is_required', sa.Boolean(), nullable=False),
    sa.Column('choices', sa.JSON(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.CheckConstraint("kind IN ('text', 'long', 'number', 'choice', 'checkbox')", name=op.f('ck_service_question_kind')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_service_question_service_id_service'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_service_question')),
    sa.UniqueConstraint('service_id', 'name', name=op.f('uq_service_question_service_id_name'))
    )
    op.create_table('erasure',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('erased_at', INSTANT, nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=True),
    sa.Column('reason', sa.String(length=16), nullable=False),
    sa.Column('bookings', sa.Integer(), nullable=False),
    sa.Column('entries', sa.Integer(), nullable=False),
    sa.Column('sealed_email', sa.Text(), nullable=True),
    sa.Column('is_told', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_erasure_user_id_user'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_erasure'))
    )
    op.create_table('waitlist_receipt',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('service_id', sa.Integer(), nullable=False),
    sa.Column('appointment_id', sa.Integer(), nullable=True),
    sa.Column('start_at', INSTANT, nullable=False),
    sa.Column('seats_free', sa.Integer(), nullable=False),
    sa.Column('cause', sa.String(length=16), nullable=False),
    sa.Column('considered', sa.JSON(), nullable=False),
    sa.Column('decided_at', INSTANT, nullable=False),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointment.id'], name=op.f('fk_waitlist_receipt_appointment_id_appointment'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_waitlist_receipt_service_id_service'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_waitlist_receipt'))
    )
    with op.batch_alter_table('waitlist_receipt', schema=None) as batch_op:
        batch_op.create_index('ix_waitlist_receipt_service_id_decided_at', ['service_id', 'decided_at'], unique=False)

    op.create_table('reminder',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('booking_id', sa.Integer(), nullable=False),
    sa.Column('lead', sa.Integer(), nullable=False),
    sa.Column('due_at', INSTANT, nullable=False),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.CheckConstraint("state IN ('waiting', 'queued', 'dropped')", name=op.f('ck_reminder_state')),
    sa.ForeignKeyConstraint(['booking_id'], ['booking.id'], name=op.f('fk_reminder_booking_id_booking'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reminder')),
    sa.UniqueConstraint('booking_id', 'lead', name=op.f('uq_reminder_booking_id_lead'))
    )
    with op.batch_alter_table('reminder', schema=None) as batch_op:
        batch_op.create_index('ix_reminder_state_due_at', ['state', 'due_at'], unique=False)

    op.create_table('waitlist_entry',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=32), nullable=False),
    sa.Column('service_id', sa.Integer(), nullable=False),
    sa.Column('appointment_id', sa.Integer(), nullable=True),
    sa.Column('wish', sa.String(length=12), nullable=False),
    sa.Column('start_at', INSTANT, nullable=True),
    sa.Column('wish_on', sa.Date(), nullable=True),
    sa.Column('resource_id', sa.Integer(), nullable=True),
    sa.Column('party_size', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=8), nullable=False),
    sa.Column('customer_name', sa.String(length=200), nullable=False),
    sa.Column('customer_email', sa.String(length=254), nullable=False),
    sa.Column('customer_phone', sa.String(length=40), nullable=False),
    sa.Column('customer_zone', sa.String(length=64), nullable=False),
    sa.Column('customer_language', sa.String(length=8), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('answers', sa.JSON(), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('sealed_token', sa.Text(), nullable=True),
    sa.Column('idempotency_key', sa.String(length=64), nullable=True),
    sa.Column('request_digest', sa.String(length=64), nullable=True),
    sa.Column('sequence', sa.Integer(), nullable=False),
    sa.Column('booking_id', sa.Integer(), nullable=True),
    sa.Column('joined_at', INSTANT, nullable=False),
    sa.Column('ended_at', INSTANT, nullable=True),
    sa.CheckConstraint("status IN ('waiting', 'offered', 'accepted', 'declined', 'lapsed', 'left', 'over')", name=op.f('ck_waitlist_entry_status')),
    sa.CheckConstraint("wish IN ('appointment', 'day', 'week', 'any')", name=op.f('ck_waitlist_entry_wish')),
    sa.CheckConstraint('party_size >= 1', name=op.f('ck_waitlist_entry_party_size')),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointment.id'], name=op.f('fk_waitlist_entry_appointment_id_appointment'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['booking_id'], ['booking.id'], name=op.f('fk_waitlist_entry_booking_id_booking'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_waitlist_entry_resource_id_resource')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_waitlist_entry_service_id_service'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_waitlist_entry')),
    sa.UniqueConstraint('idempotency_key', name=op.f('uq_waitlist_entry_idempotency_key')),
    sa.UniqueConstraint('public_id', name=op.f('uq_waitlist_entry_public_id')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_waitlist_entry_token_hash'))
    )
    with op.batch_alter_table('waitlist_entry', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_waitlist_entry_appointment_id'), ['appointment_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_waitlist_entry_customer_email'), ['customer_email'], unique=False)
        batch_op.create_index('ix_waitlist_entry_service_id_status', ['service_id', 'status'], unique=False)

    op.create_table('offer',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('entry_id', sa.Integer(), nullable=False),
    sa.Column('booking_id', sa.Integer(), nullable=True),
    sa.Column('appointment_id', sa.Integer(), nullable=True),
    sa.Column('resource_id', sa.Integer(), nullable=True),
    sa.Column('start_at', INSTANT, nullable=False),
    sa.Column('end_at', INSTANT, nullable=False),
    sa.Column('party_size', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('made_by', sa.String(length=8), nullable=False),
    sa.Column('made_at', INSTANT, nullable=False),
    sa.Column('ends_at', INSTANT, nullable=False),
    sa.Column('ended_at', INSTANT, nullable=True),
    sa.CheckConstraint("made_by IN ('portal', 'staff')", name=op.f('ck_offer_made_by')),
    sa.CheckConstraint("state IN ('open', 'accepted', 'declined', 'lapsed', 'withdrawn')", name=op.f('ck_offer_state')),
    sa.ForeignKeyConstraint(['appointment_id'], ['appointment.id'], name=op.f('fk_offer_appointment_id_appointment'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['booking_id'], ['booking.id'], name=op.f('fk_offer_booking_id_booking'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['entry_id'], ['waitlist_entry.id'], name=op.f('fk_offer_entry_id_waitlist_entry'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_offer_resource_id_resource')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_offer'))
    )
    with op.batch_alter_table('offer', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_offer_booking_id'), ['booking_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_offer_entry_id'), ['entry_id'], unique=False)
        batch_op.create_index('ix_offer_state_ends_at', ['state', 'ends_at'], unique=False)
        batch_op.create_index('uq_offer_open', ['entry_id'], unique=True, sqlite_where=sa.text("state = 'open'"), postgresql_where=sa.text("state = 'open'"))
    for table, name, definition in CONSTRAINED:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {definition}")
    for table, column in PLAIN:
        op.add_column(table, column)
    op.create_index('uq_appointment_series_id_series_on', 'appointment', ['series_id', 'series_on'], unique=True)
    op.create_index('ix_mail_entry_id', 'mail', ['entry_id'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_mail_entry_id', table_name='mail')
    op.drop_index('uq_appointment_series_id_series_on', table_name='appointment')
    for table, column in reversed(PLAIN):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
    for table, name, _ in reversed(CONSTRAINED):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    for table in NEW_TABLES:
        op.drop_table(table)
