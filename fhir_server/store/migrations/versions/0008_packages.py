"""What an operator has loaded from FHIR packages, by which the server behaves."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "package_resource",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("kind", "url", "version")),
        sa.Column("package", sa.String(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_package_resource_generation", "package_resource", ["generation"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("package_resource")
