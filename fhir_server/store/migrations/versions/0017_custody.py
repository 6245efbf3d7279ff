"""Whose each version is, and which hospital has which children."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_GIVING = sa.text("superseded IS NULL AND type IN ('Encounter', 'EpisodeOfCare', 'Patient')")


def upgrade() -> None:
    """Create them; they are filled as the index is made anew, and until then no hospital sees a thing."""
    whose = sa.Column("whose", sa.BigInteger(), nullable=True, server_default=sa.text("0"))
    op.add_column("resource", whose)
    op.create_index(
        "ix_resource_custody", "resource", ["whose"], sqlite_where=_GIVING, postgresql_where=_GIVING
    )
    for table, other in (
        ("custody", ("whose", "organization")),
        ("site", ("organization", "hospital")),
    ):
        op.create_table(
            table,
            *(
                sa.Column(name, sa.BigInteger(), primary_key=True, autoincrement=False)
                for name in other
            ),
            sqlite_with_rowid=False,
        )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("site")
    op.drop_table("custody")
    op.drop_index("ix_resource_custody", "resource")
    op.drop_column("resource", "whose")
