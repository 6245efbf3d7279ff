"""The outcomes that are kept of each child, and how far they follow the history."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "outcome",
        sa.Column("measure", sa.String(), primary_key=True),
        sa.Column("child", sa.String(), primary_key=True),
        sa.Column("case_id", sa.String(), primary_key=True),
        sa.Column("generation", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.String(), nullable=False),
        sa.Column("hospital", sa.String(), nullable=True),
        sa.Column("case_date", sa.String(), nullable=False),
        sa.Column("outcome_class", sa.String(), nullable=True),
        sa.Column("score", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_outcome_case_date", "outcome", ["measure", "case_date", "child", "case_id"])
    op.create_table(
        "outcome_cursor",
        sa.Column("measure", sa.String(), primary_key=True),
        sa.Column("generation", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("swept", sa.BigInteger(), nullable=False),
        sa.Column("sweep_to", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("outcome_cursor")
    op.drop_table("outcome")
