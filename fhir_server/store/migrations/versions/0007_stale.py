"""Which versions are superseded, for SQLite to count without reading the rows of the others."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the index."""
    if op.get_bind().dialect.name == "sqlite":
        op.create_index(
            "ix_resource_stale", "resource", ["rid"], sqlite_where=sa.text("superseded IS NOT NULL")
        )


def downgrade() -> None:
    """Drop it."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("ix_resource_stale", "resource")
