"""When each sender last told something about a record, so that older news can be told from newer."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "applied",
        sa.Column("place", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("sender", sa.String(), primary_key=True),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("applied")
