"""How far each subscription has come, its events by number, and what could not be delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the three tables."""
    whole = sa.BigInteger()
    op.create_table(
        "subscription",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("position", whole, nullable=False),
        sa.Column("events", whole, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("dead", sa.Integer(), nullable=False),
        sa.Column("next_attempt", whole),
        sa.Column("error", sa.String()),
    )
    op.create_table(
        "subscription_event",
        sa.Column("subscription", sa.String(), primary_key=True),
        sa.Column("number", whole, primary_key=True, autoincrement=False),
        sa.Column("rid", whole, nullable=False),
    )
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.Integer(), primary_key=True)
        if op.get_bind().dialect.name == "sqlite"
        else sa.Column("id", whole, sa.Identity(), primary_key=True),
        sa.Column("subscription", sa.String(), nullable=False),
        sa.Column("number", whole, nullable=False),
        sa.Column("rid", whole, nullable=False),
        sa.Column("moment", whole, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("status", sa.Integer()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_dead_letter_subscription", "dead_letter", ["subscription"])


def downgrade() -> None:
    """Drop the three tables."""
    for table in ("dead_letter", "subscription_event", "subscription"):
        op.drop_table(table)
