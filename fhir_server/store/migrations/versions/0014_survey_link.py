"""The links that parents are sent: used once, for some time, and dead after some wrong dates."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "survey_link",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=True),
    )
    op.create_index("ix_survey_link_place", "survey_link", ["place"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("survey_link")
