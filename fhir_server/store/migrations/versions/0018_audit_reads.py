"""How far the journals of the audit are stored; who asked and why; which children a row tells of."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_COLUMNS = ("role", "hospital", "purpose", "address", "query", "children")


def upgrade() -> None:
    """Create the tables and the columns."""
    op.create_table(
        "audit_journal",
        sa.Column("journal", sa.String(), primary_key=True),
        sa.Column("folded", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "audit_child",
        sa.Column("child", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("audit", sa.BigInteger(), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    for name in _COLUMNS:
        op.add_column("audit", sa.Column(name, sa.String(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    for name in _COLUMNS:
        op.drop_column("audit", name)
    op.drop_table("audit_child")
    op.drop_table("audit_journal")
