"""The chain that links the rows of the audit, and the seals of its head."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Create the tables, and the key of the hashes that stand for ids in the chain."""
    op.create_table(
        "audit_link",
        sa.Column("last", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "audit_seal",
        sa.Column("last", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("head", sa.String(), nullable=False),
    )
    salts = op.create_table("audit_salt", sa.Column("salt", sa.String(), primary_key=True))
    op.bulk_insert(salts, [{"salt": secrets.token_hex(32)}])


def downgrade() -> None:
    """Drop them."""
    for table in ("audit_salt", "audit_seal", "audit_link"):
        op.drop_table(table)
