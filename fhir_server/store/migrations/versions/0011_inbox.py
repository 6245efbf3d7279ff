"""What of a message one can ask the inbox for, how it was worked, and what it waits for."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_TEXTS = ("connection", "hospital", "kind", "map_version", "note")
_NUMBERS = ("occurred", "attempts", "waits_for")
_WAITS = sa.text("waits_for IS NOT NULL")


def upgrade() -> None:
    """Add columns that may be empty, which rewrites no row, and the indexes.

    A sender may give all its messages one control id: they are told apart by their hash.
    """
    for name in _TEXTS:
        op.add_column("inbox", sa.Column(name, sa.String()))
    for name in _NUMBERS:
        op.add_column("inbox", sa.Column(name, sa.BigInteger()))
    op.drop_index("ix_inbox_identity", "inbox")
    op.create_index("ix_inbox_identity", "inbox", ["sender", "control_id", "sha256"])
    op.create_index("ix_inbox_hospital", "inbox", ["hospital", "id"])
    op.create_index("ix_inbox_waits", "inbox", ["id"], sqlite_where=_WAITS, postgresql_where=_WAITS)


def downgrade() -> None:
    """Drop them."""
    for name in ("ix_inbox_waits", "ix_inbox_hospital"):
        op.drop_index(name, "inbox")
    op.drop_index("ix_inbox_identity", "inbox")
    op.create_index("ix_inbox_identity", "inbox", ["sender", "control_id"])
    for name in (*_TEXTS, *_NUMBERS):
        op.drop_column("inbox", name)
