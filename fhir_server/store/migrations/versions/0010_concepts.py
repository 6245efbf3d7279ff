"""Code systems that are too large for memory: releases, concepts, names, edges and reference sets."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_INDICES = {
    "concept_name": ("ix_concept_name", ["concept"]),
    "concept_edge": ("ix_concept_edge", ["concept"]),
    "concept_member": ("ix_concept_member", ["refset", "id", "concept"]),
    "concept_replacement": ("ix_concept_replacement", ["concept"]),
}


def upgrade() -> None:
    """Create the tables, and the index of words."""
    op.create_table(
        "code_system",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        *_texts("url", "version", "digest", "state"),
        sa.Column("is_complete", sa.Boolean(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in (
                "concepts", "active", "names", "edges", "members", "replacements", "left_out",
            )
        ),
    )  # fmt: skip
    _create(
        "concept_load",
        *_texts("name"),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("is_done", sa.Boolean(), nullable=False),
    )
    _create(
        "concept",
        *_texts("code"),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("alias", sa.String()),
        *_texts("properties"),
    )
    _create(
        "concept_name",
        _number("concept"),
        *_texts("language", "use"),
        sa.Column("rank", sa.Integer(), nullable=False),
        *_texts("term"),
    )
    _create("concept_edge", _number("concept"), _number("parent"))
    _create("concept_member", *_texts("refset"), _number("concept"))
    _create("concept_replacement", _number("concept"), *_texts("association", "target"))
    _create("concept_image", *_texts("kind"), sa.Column("body", sa.LargeBinary(), nullable=False))
    for table, (name, columns) in _INDICES.items():
        op.create_index(name, table, columns)
    _words()


def _create(name: str, *columns: "sa.Column[object]") -> None:
    whole = sa.Integer() if op.get_bind().dialect.name == "sqlite" else sa.BigInteger()
    op.create_table(name, sa.Column("id", whole, primary_key=True, autoincrement=False), *columns)


def _number(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _texts(*names: str) -> "list[sa.Column[object]]":
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _words() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE concept_text"
            " USING fts5(words, content='', detail=none, columnsize=0, prefix='1 2 3')"
        )
        return
    op.execute("CREATE TABLE concept_text (id bigint PRIMARY KEY, words tsvector NOT NULL)")
    op.execute("CREATE INDEX ix_concept_text ON concept_text USING gin (words)")


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "concept_text", "concept_image", "concept_replacement", "concept_member", "concept_edge",
        "concept_name", "concept", "concept_load", "code_system",
    ):  # fmt: skip
        op.drop_table(table)
