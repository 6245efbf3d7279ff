"""The identifiers of versions in order, by which messages and conditional writes find what they mean."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the table; it is filled as the index is made anew."""
    op.create_table(
        "search_identifier",
        sa.Column("rid", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("word", sa.BigInteger(), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_search_identifier", "search_identifier", ["word", "rid"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("search_identifier")
