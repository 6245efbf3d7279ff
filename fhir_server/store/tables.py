"""Every table, declared once; the migrations create them and a test holds the two together.

All times are microseconds since 1970-01-01 UTC. A search value is a 64-bit key (`store.index`).
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel


class StoredResource(SQLModel, table=True):
    """One version of one resource: its canonical bytes, and the index rows that point at it."""

    __tablename__ = "resource"
    __table_args__ = (
        UniqueConstraint("type", "id", "version", name="uq_resource_version"),
        Index(
            "ix_resource_current",
            "type",
            "id",
            unique=True,
            sqlite_where=text("superseded IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    rid: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    type: str
    id: str
    version: int
    updated: int = Field(sa_type=BigInteger)
    deleted: bool
    superseded: int | None = Field(default=None, sa_type=BigInteger)
    body: bytes = Field(sa_type=LargeBinary)
    rows: bytes = Field(sa_type=LargeBinary)


class SearchKey(SQLModel, table=True):
    """One search value of a current resource: the key, a hash of type, parameter and value."""

    __tablename__ = "search_key"
    __table_args__ = {"sqlite_with_rowid": False}

    key: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    rid: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))


class SearchDate(SQLModel, table=True):
    """One date or period of a current resource: parameter key, inclusive low and high bounds."""

    __tablename__ = "search_date"
    __table_args__ = (
        Index("ix_search_date_rid", "rid", "param"),
        {"sqlite_with_rowid": False},
    )

    param: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    low: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    high: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    rid: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))


class SearchString(SQLModel, table=True):
    """One string of a current resource: parameter key and the text, folded for comparison."""

    __tablename__ = "search_string"
    __table_args__ = {"sqlite_with_rowid": False}

    param: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    value: str = Field(primary_key=True)
    rid: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))


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
