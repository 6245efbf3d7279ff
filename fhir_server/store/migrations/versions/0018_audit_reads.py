"""How far the journals of the audit are stored."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "audit_journal",
        sa.Column("journal", sa.String(), primary_key=True),
        sa.Column("folded", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("audit_journal")
