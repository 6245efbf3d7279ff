"""What integrators are shown: when a message came again, why writes were refused; and a sandbox's mark."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add when a message came again, the table of refusals, and that of the mark."""
    op.add_column("inbox", sa.Column("repeated", sa.BigInteger(), nullable=True))
    op.create_table(
        "refusal",
        sa.Column("id", sa.Integer(), primary_key=True)
        if op.get_bind().dialect.name == "sqlite"
        else sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("interaction", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
    )
    op.create_index("ix_refusal_principal", "refusal", ["principal", "id"])
    op.create_table(
        "sandbox", sa.Column("since", sa.BigInteger(), primary_key=True, autoincrement=False)
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("sandbox")
    op.drop_table("refusal")
    op.drop_column("inbox", "repeated")
