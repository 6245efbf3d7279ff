"""The versions of resources, who did what to them, and what was purged."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, text
from sqlmodel import Field, SQLModel

from fhir_server.store.tables.keys import number_key

_GIVING = text("superseded IS NULL AND type IN ('Encounter', 'EpisodeOfCare', 'Patient')")


class StoredResource(SQLModel, table=True):
    """One version of one resource, without its body: narrow, for searches read many of them.

    superseded: the rid of the next version; place: the key of type and id, which references have;
    whose: the place of the Patient or Organization that it is of, NULL: everybody's, 0: the registry's.
    """

    __tablename__ = "resource"
    __table_args__ = (
        Index("ix_resource_type", "type", "rid"),
        Index("ix_resource_place", "place", "version"),
        Index("ix_resource_updated", "updated"),
        Index("ix_resource_stale", "rid", sqlite_where=text("superseded IS NOT NULL")),
        Index("ix_resource_custody", "whose", sqlite_where=_GIVING, postgresql_where=_GIVING),
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
    whose: int | None = Field(
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")}
    )


class Content(SQLModel, table=True):
    """The canonical bytes of a version."""

    __tablename__ = "content"

    rid: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    body: bytes = Field(sa_type=LargeBinary)


class Audit(SQLModel, table=True):
    """One access: when, by whom, what, on which resource and version; status where nothing was stored.

    Of whoever asked: roles, hospitals, purpose of use, address. query: the names of what was asked for;
    children: of whom was told (`store.audit_row`).
    """

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
    role: str | None = None
    hospital: str | None = None
    purpose: str | None = None
    address: str | None = None
    query: str | None = None
    children: str | None = None


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

    tombstone: int = Field(sa_column=number_key())
    hash: str = Field(primary_key=True)
