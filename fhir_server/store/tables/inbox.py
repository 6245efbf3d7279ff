"""The table of what arrived, and what became of it."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, text
from sqlmodel import Field, SQLModel

_WAITS = text("waits_for IS NOT NULL")


class InboxMessage(SQLModel, table=True):
    """One thing that arrived and must not be lost: raw bytes first, then what became of it.

    A patient's number stands in the bytes alone, and in what was said of them (answer, reason).
    """

    __tablename__ = "inbox"
    __table_args__ = (
        Index("ix_inbox_identity", "sender", "control_id", "sha256"),
        Index("ix_inbox_status", "status"),
        Index("ix_inbox_hospital", "hospital", "id"),
        Index("ix_inbox_waits", "id", sqlite_where=_WAITS, postgresql_where=_WAITS),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    received: int = Field(sa_type=BigInteger)
    door: str
    sender: str
    control_id: str
    sha256: str
    target: str
    raw: bytes = Field(sa_type=LargeBinary)
    status: str
    settled: int | None = Field(default=None, sa_type=BigInteger)
    answer: bytes | None = Field(default=None, sa_type=LargeBinary)
    reason: str | None = None
    connection: str | None = None
    hospital: str | None = None
    kind: str | None = None
    occurred: int | None = Field(default=None, sa_type=BigInteger)
    map_version: str | None = None
    attempts: int | None = Field(default=None, sa_type=BigInteger)
    note: str | None = None
    waits_for: int | None = Field(default=None, sa_type=BigInteger)
    repeated: int | None = Field(default=None, sa_type=BigInteger)
