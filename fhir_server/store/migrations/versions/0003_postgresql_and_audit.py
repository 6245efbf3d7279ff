"""The audit, one index for the place of a version; and the whole schema for PostgreSQL.

PostgreSQL begins here: what came before was SQLite's alone.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


_PENDING = 16384
"""Kilobytes of new entries that an inverted index keeps aside; the server tidies them up much earlier."""


def upgrade() -> None:
    """Add the audit; on PostgreSQL, create everything."""
    if op.get_bind().dialect.name == "postgresql":
        _everything()
    else:
        _places()
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), primary_key=True)
        if op.get_bind().dialect.name == "sqlite"
        else sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("interaction", sa.String(), nullable=False),
        sa.Column("type", sa.String()),
        sa.Column("key", sa.String()),
        sa.Column("version", sa.Integer()),
        sa.Column("status", sa.Integer()),
        sqlite_autoincrement=True,
    )


def _places() -> None:
    """Find a version by its place: type and id were a second index that says the same."""
    with op.batch_alter_table("resource", table_kwargs={"sqlite_autoincrement": True}) as resource:
        resource.drop_constraint("uq_resource_version", type_="unique")
        resource.drop_index("ix_resource_place")
        resource.create_index("ix_resource_place", ["place", "version"])


def _everything() -> None:
    _resources()
    _ordered("search_date", "low", "high", kind=sa.BigInteger())
    _ordered("search_number", "low", "high", kind=sa.Double(), unit=True)
    _ordered("search_string", "value", kind=sa.Text(collation="C"))
    _ordered("search_reference", "target", kind=sa.BigInteger())
    op.execute(
        "CREATE TABLE search_text"
        " (rid bigint PRIMARY KEY, narrative tsvector NOT NULL, content tsvector NOT NULL)"
    )
    for column in ("narrative", "content"):
        op.execute(
            f"CREATE INDEX ix_search_text_{column} ON search_text USING gin ({column})"
            f" WITH (gin_pending_list_limit = {_PENDING})"
        )
    op.create_table(
        "search_index",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("value", sa.String(), nullable=False),
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("door", "sender", "control_id", "sha256", "target")
        ),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("settled", sa.BigInteger()),
        sa.Column("answer", sa.LargeBinary()),
        sa.Column("reason", sa.String()),
    )
    op.create_index("ix_inbox_identity", "inbox", ["sender", "control_id"])
    op.create_index("ix_inbox_status", "inbox", ["status"])


def _resources() -> None:
    """Create versions with their words; room in each page lets `superseded` be set in place."""
    op.execute("CREATE SEQUENCE resource_rid")
    op.execute(
        'CREATE TABLE resource (rid bigint PRIMARY KEY, type text COLLATE "C" NOT NULL,'
        ' id text COLLATE "C" NOT NULL, version integer NOT NULL, updated bigint NOT NULL,'
        " deleted boolean NOT NULL, superseded bigint, place bigint NOT NULL, words bigint[])"
        " WITH (fillfactor = 90)"
    )
    op.execute("ALTER TABLE resource ALTER COLUMN words SET STATISTICS 1000")
    op.create_index("ix_resource_type", "resource", ["type", "rid"])
    op.create_index("ix_resource_place", "resource", ["place", "version"])
    op.create_index("ix_resource_updated", "resource", ["updated"])
    op.execute(
        "CREATE INDEX ix_resource_words ON resource USING gin (words) WITH (fastupdate = off)"
    )
    op.execute("CREATE TABLE content (rid bigint PRIMARY KEY, body bytea NOT NULL)")


def _ordered(name: str, *values: str, kind: sa.types.TypeEngine[Any], unit: bool = False) -> None:
    """Create rows found by resource and by value."""
    whole = sa.BigInteger()
    columns: list[sa.Column[object]] = [
        sa.Column("rid", whole, nullable=False),
        sa.Column("param", whole, nullable=False),
        *(sa.Column(value, kind, nullable=False) for value in values),
    ]
    if unit:
        columns.append(sa.Column("unit", whole, nullable=False))
    op.create_table(name, *columns)
    op.create_index(f"ix_{name}_rid", name, ["rid", "param"])
    if name != "search_reference":
        ordered = [*values, "unit"] if unit else [*values]
        op.create_index(f"ix_{name}", name, ["param", *ordered, "rid"])


def downgrade() -> None:
    """Drop the audit; places keep their index, which serves the step before as well."""
    op.drop_table("audit")
