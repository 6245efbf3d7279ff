"""Identifiers of children who were erased, as keyed hashes."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "suppressed",
        sa.Column("hash", sa.String(), primary_key=True),
        sa.Column("tombstone", sa.BigInteger(), primary_key=True, autoincrement=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("suppressed")
