"""The search index, by the row of a version."""

from sqlalchemy import Double, Index
from sqlmodel import Field, SQLModel

from fhir_server.store.tables.keys import number_key


class SearchDate(SQLModel, table=True):
    """One date or period: parameter, inclusive low and high bounds."""

    __tablename__ = "search_date"
    __table_args__ = (
        Index("ix_search_date", "param", "low", "high", "rid"),
        {"sqlite_with_rowid": False},
    )

    rid: int = Field(sa_column=number_key())
    param: int = Field(sa_column=number_key())
    low: int = Field(sa_column=number_key())
    high: int = Field(sa_column=number_key())


class SearchNumber(SQLModel, table=True):
    """One number, quantity or Range: parameter (and unit), bounds; a position's two coordinates."""

    __tablename__ = "search_number"
    __table_args__ = (
        Index("ix_search_number", "param", "low", "high", "unit", "rid"),
        {"sqlite_with_rowid": False},
    )

    rid: int = Field(sa_column=number_key())
    param: int = Field(sa_column=number_key())
    low: float = Field(sa_column=number_key(Double))
    high: float = Field(sa_column=number_key(Double))
    unit: int = Field(sa_column=number_key())


class SearchString(SQLModel, table=True):
    """One string: parameter and the text, folded for comparison."""

    __tablename__ = "search_string"
    __table_args__ = (
        Index("ix_search_string", "param", "value", "rid"),
        {"sqlite_with_rowid": False},
    )

    rid: int = Field(sa_column=number_key())
    param: int = Field(sa_column=number_key())
    value: str = Field(primary_key=True)


class SearchReference(SQLModel, table=True):
    """One literal reference: parameter and the place that it points at (the way back is a word)."""

    __tablename__ = "search_reference"
    __table_args__ = {"sqlite_with_rowid": False}

    rid: int = Field(sa_column=number_key())
    param: int = Field(sa_column=number_key())
    target: int = Field(sa_column=number_key())


class SearchIdentifier(SQLModel, table=True):
    """One identifier of a version, system and value: its word in the inverted index, found faster."""

    __tablename__ = "search_identifier"
    __table_args__ = (
        Index("ix_search_identifier", "word", "rid"),
        {"sqlite_with_rowid": False},
    )

    rid: int = Field(sa_column=number_key())
    word: int = Field(sa_column=number_key())


class SearchIndex(SQLModel, table=True):
    """What the index is made of, by which it is known when it has to be made anew."""

    __tablename__ = "search_index"

    name: str = Field(primary_key=True)
    value: str
