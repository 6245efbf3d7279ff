"""Asynchronous jobs: bulk export and import."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the jobs."""
    op.create_table(
        "job",
        sa.Column("id", sa.String(), primary_key=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("kind", "status", "principal")),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.BigInteger()),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_job_status", "job", ["status"])


def downgrade() -> None:
    """Drop the jobs."""
    op.drop_table("job")
