"""Loaded packages and code systems."""

from sqlalchemy import BigInteger, Index, Integer, LargeBinary
from sqlmodel import Field, SQLModel

from fhir_server.store.tables.keys import number_key, row_key


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


class ClosureConcept(SQLModel, table=True):
    """One code of a closure table, and the version of the table that first had it; 0: it was made."""

    __tablename__ = "closure_concept"

    owner: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    system: str = Field(primary_key=True)
    code: str = Field(primary_key=True)
    number: int


class CodeSystemRelease(SQLModel, table=True):
    """A release of a code system: loading, ready, current (the one in use) or removing; what it holds.

    digest: of its files; is_complete: whether a code that is not there does not exist.
    """

    __tablename__ = "code_system"

    id: int = Field(sa_column=number_key(Integer))
    url: str
    version: str
    digest: str
    state: str
    is_complete: bool
    concepts: int = 0
    active: int = 0
    names: int = 0
    edges: int = 0
    members: int = 0
    replacements: int = 0
    left_out: int = 0


class CodeSystemFile(SQLModel, table=True):
    """A part of a release, and how many of its rows are stored; id: as a concept's."""

    __tablename__ = "concept_load"

    id: int = Field(sa_column=row_key())
    name: str
    done: int
    is_done: bool


class StoredConcept(SQLModel, table=True):
    """A code; id: the release's id times 2^32, plus its number in the release. properties: JSON."""

    __tablename__ = "concept"

    id: int = Field(sa_column=row_key())
    code: str
    active: bool
    alias: str | None = None
    properties: str


class ConceptName(SQLModel, table=True):
    """A term of a concept; the one with the lowest rank is its display."""

    __tablename__ = "concept_name"
    __table_args__ = (Index("ix_concept_name", "concept"),)

    id: int = Field(sa_column=row_key())
    concept: int = Field(sa_type=BigInteger)
    language: str
    use: str
    rank: int
    term: str


class ConceptEdge(SQLModel, table=True):
    """A concept, and one that stands directly above it."""

    __tablename__ = "concept_edge"
    __table_args__ = (Index("ix_concept_edge", "concept"),)

    id: int = Field(sa_column=row_key())
    concept: int = Field(sa_type=BigInteger)
    parent: int = Field(sa_type=BigInteger)


class ConceptMember(SQLModel, table=True):
    """A concept that a reference set holds."""

    __tablename__ = "concept_member"
    __table_args__ = (Index("ix_concept_member", "refset", "id", "concept"),)

    id: int = Field(sa_column=row_key())
    refset: str
    concept: int = Field(sa_type=BigInteger)


class ConceptReplacement(SQLModel, table=True):
    """A concept, and the code that an association puts in its place."""

    __tablename__ = "concept_replacement"
    __table_args__ = (Index("ix_concept_replacement", "concept"),)

    id: int = Field(sa_column=row_key())
    concept: int = Field(sa_type=BigInteger)
    association: str
    target: str


class ConceptImage(SQLModel, table=True):
    """A piece of what is read into memory of a release: see `store.concepts.image`."""

    __tablename__ = "concept_image"

    id: int = Field(sa_column=row_key())
    kind: str
    body: bytes = Field(sa_type=LargeBinary)
