"""Every table, declared once; the migrations create them and a test holds the two together.

All times are microseconds since 1970-01-01 UTC. What the two databases do each in their own way is
declared by the migrations: the words of `store.search.keys` by rid (SQLite: the FTS5 table `search_key`;
PostgreSQL: the column `resource.words`), and the words of narrative and content by rid, `search_text`.
Index rows outlive their version: a page of a search is what was current when the search began.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, text
from sqlalchemy.types import TypeEngine
from sqlmodel import Field, SQLModel


def _key(kind: type[TypeEngine[Any]] = BigInteger) -> Column[object]:
    return Column(kind, primary_key=True, autoincrement=False)


class StoredResource(SQLModel, table=True):
    """One version of one resource, without its body: narrow, for searches read many of them.

    superseded: the rid of the next version; place: the key of type and id, which references have.
    """

    __tablename__ = "resource"
    __table_args__ = (
        Index("ix_resource_type", "type", "rid"),
        Index("ix_resource_place", "place", "version"),
        Index("ix_resource_updated", "updated"),
        Index("ix_resource_stale", "rid", sqlite_where=text("superseded IS NOT NULL")),
        {"sqlite_autoincrement": True},
    )

    rid: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    type: str
    id: str
    version: int
    updated: int = Field(sa_type=BigInteger)
    deleted: bool
    superseded: int | None = Field(default=None, sa_type=BigInteger)
    place: int = Field(sa_type=BigInteger)


class Content(SQLModel, table=True):
    """The canonical bytes of a version."""

    __tablename__ = "content"

    rid: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    body: bytes = Field(sa_type=LargeBinary)


class SearchDate(SQLModel, table=True):
    """One date or period: parameter, inclusive low and high bounds."""

    __tablename__ = "search_date"
    __table_args__ = (
        Index("ix_search_date", "param", "low", "high", "rid"),
        {"sqlite_with_rowid": False},
    )

    rid: int = Field(sa_column=_key())
    param: int = Field(sa_column=_key())
    low: int = Field(sa_column=_key())
    high: int = Field(sa_column=_key())


class SearchNumber(SQLModel, table=True):
    """One number, quantity or Range: parameter (and unit), bounds; a position's two coordinates."""

    __tablename__ = "search_number"
    __table_args__ = (
        Index("ix_search_number", "param", "low", "high", "unit", "rid"),
        {"sqlite_with_rowid": False},
    )

    rid: int = Field(sa_column=_key())
    param: int = Field(sa_column=_key())
    low: float = Field(sa_column=_key(Double))
    high: float = Field(sa_column=_key(Double))
    unit: int = Field(sa_column=_key())


class SearchString(SQLModel, table=True):
    """One string: parameter and the text, folded for comparison."""

    __tablename__ = "search_string"
    __table_args__ = (
        Index("ix_search_string", "param", "value", "rid"),
        {"sqlite_with_rowid": False},
    )

    rid: int = Field(sa_column=_key())
    param: int = Field(sa_column=_key())
    value: str = Field(primary_key=True)


class SearchReference(SQLModel, table=True):
    """One literal reference: parameter and the place that it points at (the way back is a word)."""

    __tablename__ = "search_reference"
    __table_args__ = {"sqlite_with_rowid": False}

    rid: int = Field(sa_column=_key())
    param: int = Field(sa_column=_key())
    target: int = Field(sa_column=_key())


class SearchIndex(SQLModel, table=True):
    """What the index is made of, by which it is known when it has to be made anew."""

    __tablename__ = "search_index"

    name: str = Field(primary_key=True)
    value: str


class Audit(SQLModel, table=True):
    """One access: when, by whom, what, on which resource and version; status where nothing was stored."""

    __tablename__ = "audit"
    __table_args__ = {"sqlite_autoincrement": True}

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    moment: int = Field(sa_type=BigInteger)
    principal: str
    interaction: str
    type: str | None = None
    key: str | None = None
    version: int | None = None
    status: int | None = None


class Tombstone(SQLModel, table=True):
    """One purge: when, by whom, why, how many resources of each type (JSON), the key of its hashes."""

    __tablename__ = "tombstone"

    id: int | None = Field(
        default=None, sa_column=Column(Integer, primary_key=True, autoincrement=False)
    )
    moment: int = Field(sa_type=BigInteger)
    principal: str
    reason: str
    counts: str
    salt: str


class TombstonePlace(SQLModel, table=True):
    """The keyed hash of one purged `type/id`, by which a later import of it can be told."""

    __tablename__ = "tombstone_place"

    tombstone: int = Field(sa_column=_key())
    hash: str = Field(primary_key=True)


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


class SubscriptionCursor(SQLModel, table=True):
    """How far a subscription has come: the last row dealt with, its events, what failed since."""

    __tablename__ = "subscription"

    id: str = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    events: int = Field(sa_type=BigInteger)
    failures: int
    dead: int
    next_attempt: int | None = Field(default=None, sa_type=BigInteger)
    error: str | None = None


class SubscriptionEvent(SQLModel, table=True):
    """One event of a subscription that has been dealt with: its number and the version's row."""

    __tablename__ = "subscription_event"

    subscription: str = Field(primary_key=True)
    number: int = Field(sa_column=_key())
    rid: int = Field(sa_type=BigInteger)


class DeadLetter(SQLModel, table=True):
    """One event that could not be delivered: when it was given up, why, and the status answered."""

    __tablename__ = "dead_letter"
    __table_args__ = (
        Index("ix_dead_letter_subscription", "subscription"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    subscription: str
    number: int = Field(sa_type=BigInteger)
    rid: int = Field(sa_type=BigInteger)
    moment: int = Field(sa_type=BigInteger)
    reason: str
    status: int | None = None


class Job(SQLModel, table=True):
    """One asynchronous job: what was asked for and how far it has come, both as JSON."""

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_status", "status"),)

    id: str = Field(primary_key=True)
    kind: str
    status: str
    principal: str
    accepted: int = Field(sa_type=BigInteger)
    finished: int | None = Field(default=None, sa_type=BigInteger)
    request: bytes = Field(sa_type=LargeBinary)
    state: bytes = Field(sa_type=LargeBinary)


class PackageResource(SQLModel, table=True):
    """One resource of a loaded package; version "" where it has none, package `name#version`.

    generation: which commit of a load brought this content.
    """

    __tablename__ = "package_resource"
    __table_args__ = (Index("ix_package_resource_generation", "generation"),)

    kind: str = Field(primary_key=True)
    url: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    package: str
    generation: int = Field(sa_type=BigInteger)
    body: bytes = Field(sa_type=LargeBinary)


def _columns(table: str) -> tuple[str, ...]:
    columns = SQLModel.metadata.tables[table].columns
    return tuple(name for name in columns.keys() if (table, name) != ("audit", "id"))  # noqa: SIM118


COLUMNS = {
    "search_key": ("rowid", "words"),
    "search_text": ("rowid", "narrative", "content"),
    **{
        table: _columns(table)
        for table in (
            "resource", "content", "search_date", "search_number", "search_string",
            "search_reference", "audit",
        )
    },
}  # fmt: skip
"""The columns of each table that a batch fills, in the order of its rows."""
