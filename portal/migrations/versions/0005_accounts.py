"""links that end, forgotten passwords, wrong tries, scopes and ends of API tokens

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op


revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
ALL_SCOPES = '["read-availability", "book", "read-bookings", "administer"]'

# Plain SQL, which both databases understand alike: in Alembic's way SQLite's tables would be made anew.
CONSTRAINED = (
    ("setup_link", "made_by_id", 'INTEGER CONSTRAINT fk_setup_link_made_by_id_user REFERENCES "user" (id) ON DELETE SET NULL'),
    ("api_token", "made_by_id", 'INTEGER CONSTRAINT fk_api_token_made_by_id_user REFERENCES "user" (id) ON DELETE SET NULL'),
)
PLAIN: tuple[tuple[str, sa.Column[object]], ...] = (
    ("setup_link", sa.Column('is_first', sa.Boolean(), nullable=False, server_default=sa.false())),
    ("setup_link", sa.Column('ended_at', INSTANT, nullable=True)),
    ("api_token", sa.Column('scopes', sa.JSON(), nullable=False, server_default=ALL_SCOPES)),
    ("api_token", sa.Column('expires_at', INSTANT, nullable=True)),
)


def upgrade() -> None:
    op.create_table('password_reset',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=True),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('sealed_token', sa.Text(), nullable=True),
    sa.Column('email_hash', sa.String(length=64), nullable=False),
    sa.Column('client_hash', sa.String(length=64), nullable=False),
    sa.Column('created_at', INSTANT, nullable=False),
    sa.Column('expires_at', INSTANT, nullable=False),
    sa.Column('used_at', INSTANT, nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_password_reset_user_id_user'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_password_reset')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_password_reset_token_hash'))
    )
    op.create_index('ix_password_reset_user_id', 'password_reset', ['user_id'], unique=False)
    op.create_index('ix_password_reset_email_hash_created_at', 'password_reset', ['email_hash', 'created_at'], unique=False)
    op.create_index('ix_password_reset_client_hash_created_at', 'password_reset', ['client_hash', 'created_at'], unique=False)
    op.create_table('guess',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('made_at', INSTANT, nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_guess'))
    )
    op.create_index('ix_guess_key_made_at', 'guess', ['key', 'made_at'], unique=False)
    for table, name, definition in CONSTRAINED:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {definition}")
    for table, column in PLAIN:
        op.add_column(table, column)
    # A link without an address was made for the first owner; one for a named owner was too, where there is no owner yet.
    op.execute("""
        UPDATE setup_link SET is_first = true WHERE role = 'owner'
        AND (email = '' OR NOT EXISTS (SELECT 1 FROM "user" WHERE "user".role = 'owner'))
    """)


def downgrade() -> None:
    for table, column in reversed(PLAIN):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
    for table, name, _ in reversed(CONSTRAINED):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    op.drop_table('guess')
    op.drop_table('password_reset')
