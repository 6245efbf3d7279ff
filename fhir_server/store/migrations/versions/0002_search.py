"""Bodies apart from versions, the inverted index, and rows that outlive their version.

The index is made anew from the bodies when the database is next opened (`store.reindex`).
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Move the bodies into a table of their own, and put the new index in place of the old one."""
    if op.get_bind().dialect.name == "postgresql":
        return  # PostgreSQL begins with 0003
    for table in ("search_string", "search_date", "search_key"):
        op.drop_table(table)
    op.create_table(
        "content",
        sa.Column("rid", sa.Integer(), primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.execute("INSERT INTO content SELECT rid, body FROM resource")
    _resources()
    _ordered("search_date", "low", "high", kind=sa.BigInteger())
    _ordered("search_number", "low", "high", kind=sa.Double(), unit=True)
    _ordered("search_string", "value", kind=sa.String())
    _ordered("search_reference", "target", kind=sa.BigInteger())
    _words("search_key", "words", "detail=none, columnsize=0, tokenize='ascii'")
    _words("search_text", "narrative, content", "detail=column, columnsize=0")
    op.create_table(
        "search_index",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("value", sa.String(), nullable=False),
    )


def _resources() -> None:
    op.drop_index("ix_resource_current", "resource")
    op.rename_table("resource", "resource_before")
    op.create_table(
        "resource",
        sa.Column("rid", sa.Integer(), primary_key=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("superseded", sa.BigInteger()),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("type", "id", "version", name="uq_resource_version"),
        sqlite_autoincrement=True,
    )
    op.execute(
        "INSERT INTO resource SELECT rid, type, id, version, updated, deleted, superseded, 0"
        " FROM resource_before"
    )
    op.drop_table("resource_before")
    op.create_index("ix_resource_type", "resource", ["type", "rid"])
    op.create_index("ix_resource_place", "resource", ["place"])
    op.create_index("ix_resource_updated", "resource", ["updated"])


def _ordered(name: str, *values: str, kind: sa.types.TypeEngine[Any], unit: bool = False) -> None:
    """Create rows in the order of resources, and (references apart) an index in that of values."""
    whole = sa.BigInteger()
    ordered = [*values, "unit"] if unit else [*values]
    columns: list[sa.Column[object]] = [
        sa.Column("rid", whole, primary_key=True, autoincrement=False),
        sa.Column("param", whole, primary_key=True, autoincrement=False),
        *(sa.Column(value, kind, primary_key=True, autoincrement=False) for value in values),
    ]
    if unit:
        columns.append(sa.Column("unit", whole, primary_key=True, autoincrement=False))
    op.create_table(name, *columns, sqlite_with_rowid=False)
    if name != "search_reference":
        op.create_index(f"ix_{name}", name, ["param", *ordered, "rid"])


def _words(name: str, columns: str, options: str) -> None:
    op.execute(f"CREATE VIRTUAL TABLE {name} USING fts5({columns}, content='', {options})")


def downgrade() -> None:
    """Refuse: the index of the first step cannot be told from what is stored."""
    raise RuntimeError("the database cannot go back behind migration 0002; restore a copy instead")
