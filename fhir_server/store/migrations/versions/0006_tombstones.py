"""What is remembered of a purge: that it was, and of whom only keyed hashes."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables."""
    whole = sa.Integer() if op.get_bind().dialect.name == "sqlite" else sa.BigInteger()
    op.create_table(
        "tombstone",
        sa.Column("id", whole, primary_key=True, autoincrement=False),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("counts", sa.String(), nullable=False),
        sa.Column("salt", sa.String(), nullable=False),
    )
    op.create_table(
        "tombstone_place",
        sa.Column("tombstone", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("hash", sa.String(), primary_key=True),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("tombstone_place")
    op.drop_table("tombstone")
