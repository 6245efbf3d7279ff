"""Who objects to the use of which data."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Create the tables; what Consents say already is told as the index is made anew."""
    op.create_table(
        "objection",
        sa.Column("whose", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("stream", sa.String(), primary_key=True),
        sa.Column("consent", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_objection_told", "objection", ["told"])
    op.create_table(
        "objection_state",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("objection_state")
    op.drop_table("objection")
