"""The table of what arrived, and what became of it."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary
from sqlmodel import Field, SQLModel


class InboxMessage(SQLModel, table=True):
    """One thing that arrived and must not be lost: raw bytes first, then what became of it."""

    __tablename__ = "inbox"
    __table_args__ = (
        Index("ix_inbox_identity", "sender", "control_id"),
        Index("ix_inbox_status", "status"),
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
