"""Resources, their search rows and the inbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    if op.get_bind().dialect.name == "postgresql":
        return  # PostgreSQL begins with 0003
    op.create_table(
        "resource",
        sa.Column("rid", sa.Integer(), primary_key=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("superseded", sa.BigInteger()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("rows", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint("type", "id", "version", name="uq_resource_version"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_resource_current",
        "resource",
        ["type", "id"],
        unique=True,
        sqlite_where=sa.text("superseded IS NULL"),
    )
    _search_table("search_key", "key")
    _search_table("search_date", "param", "low", "high")
    op.create_index("ix_search_date_rid", "search_date", ["rid", "param"])
    _search_table("search_string", "param", value=True)
    op.create_table(
        "inbox",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("door", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("control_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("settled", sa.BigInteger()),
        sa.Column("answer", sa.LargeBinary()),
        sa.Column("reason", sa.String()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inbox_identity", "inbox", ["sender", "control_id"])
    op.create_index("ix_inbox_status", "inbox", ["status"])


def _search_table(name: str, *keys: str, value: bool = False) -> None:
    columns: list[sa.Column[object]] = [
        sa.Column(key, sa.BigInteger(), primary_key=True, autoincrement=False) for key in keys
    ]
    if value:
        columns.append(sa.Column("value", sa.String(), primary_key=True))
    columns.append(sa.Column("rid", sa.BigInteger(), primary_key=True, autoincrement=False))
    op.create_table(name, *columns, sqlite_with_rowid=False)


def downgrade() -> None:
    """Drop the tables; the first step has nothing before it."""
    for table in ("inbox", "search_string", "search_date", "search_key", "resource"):
        op.drop_table(table)
